"""CBOR against the examples of its standard, and against botocore's own reader."""

from typing import Any

import pytest
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.errors import WireError
from towpath.gateway.protocols import cbor
from towpath.gateway.service_models import ServiceModels
from towpath.kernel.errors import Invalid

MODEL = ServiceModels().service("cloudwatch")


def value(hexadecimal: str) -> Any:
    """Return what the one member of a map is read as."""
    return cbor.parse(bytes.fromhex("a16161" + hexadecimal)).get("a", "left out")


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        # RFC 8949, appendix A
        ("00", 0), ("17", 23), ("1818", 24), ("1903e8", 1000), ("1a000f4240", 1000000),
        ("1bffffffffffffffff", 18446744073709551615), ("20", -1), ("3903e7", -1000), ("f93e00", 1.5),
        ("fa47c35000", 100000.0), ("fb3ff199999999999a", 1.1), ("f4", False), ("f5", True), ("f6", "left out"),
        ("f7", "left out"), ("c11a514b67b0", 1363896240), ("c1fb41d452d9ec200000", 1363896240.5), ("40", ""),
        ("4401020304", "AQIDBA=="), ("6449455446", "IETF"), ("62c3bc", "ü"), ("83010203", [1, 2, 3]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}), ("5f42010243030405ff", "AQIDBAU="),
        ("7f657374726561646d696e67ff", "streaming"), ("9fff", []), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ],
)  # fmt: skip
def test_the_examples_of_the_standard_are_read(encoded: str, expected: Any) -> None:
    assert value(encoded) == expected


@pytest.mark.parametrize(
    "encoded",
    ["18", "62c3", "61ff", "8201", "9b7fffffffffffffff", "bb7fffffffffffffff", "5f6161ff", "ff", "81ff", "a10102",
     "bf0102ff", "c249010000000000000000", "1c", "f8ff", "bf6161ff", "9f", "81" * 5000 + "00", "0000"],
)  # fmt: skip
def test_what_is_none_is_refused(encoded: str) -> None:
    with pytest.raises(Invalid) as refused:
        value(encoded)
    assert refused.value.code == "SerializationException"


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(cbor.parse(data), dict)
    except Invalid as refused:
        assert refused.code == "SerializationException"


def test_botocore_and_we_read_what_the_other_one_writes() -> None:
    model = MODEL.operation_model("PutMetricData")
    metric = {"MetricName": "ü", "Value": -1.5, "Timestamp": 1_700_000_000, "StorageResolution": 60}
    asked = {"Namespace": "N" * 300, "MetricData": [metric] * 30}
    sent = RpcV2CBORSerializer().serialize_to_request(asked, model)
    assert cbor.parse(sent["body"]) == asked
    shape = MODEL.operation_model("GetMetricStatistics").output_shape
    point = {"Timestamp": 1_700_000_000.25, "Average": 1, "ExtendedStatistics": {"p99": 2.5}, "Unit": "Count"}
    reply = cbor.render({"Label": "m", "Datapoints": [point] * 30}, shape)
    response = {"body": reply.body, "headers": reply.headers, "status_code": 200}
    read = RpcV2CBORParser(timestamp_parser=lambda value: value).parse(response, shape)
    assert read["Datapoints"] == [point] * 30


def test_an_error_is_told_with_its_older_name() -> None:
    error = WireError(code="InvalidParameterValueException", message="no", status=400)
    reply = cbor.render_error(error, "id", older_code="InvalidParameterValue")
    told = RpcV2CBORParser().parse(
        {"body": reply.body, "headers": reply.headers, "status_code": 400},
        MODEL.operation_model("PutMetricData").output_shape,
    )
    assert told["Error"] == {
        "Code": "InvalidParameterValue",
        "Message": "no",
        "QueryErrorCode": "InvalidParameterValueException",
        "Type": "Sender",
    }
