"""The query protocol, compared with what botocore sends and understands."""

from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from towpath.gateway.errors import WireError
from towpath.gateway.exchange import Head
from towpath.gateway.protocols import query
from towpath.kernel.errors import Invalid


@pytest.fixture(scope="module")
def sts() -> Any:
    return ServiceModel(Loader().load_service_model("sts", "service-2"), "sts")


HEAD = Head(method="POST", path="/", query="", headers={})


def test_a_request_of_botocore_becomes_the_document_it_was_made_from(sts: Any) -> None:
    model = sts.operation_model("AssumeRole")
    document = {
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "RoleSessionName": "größe & more",
        "DurationSeconds": 900,
        "PolicyArns": [{"arn": f"arn:aws:iam::aws:policy/{name}"} for name in "ab"],
        "Tags": [{"Key": "k", "Value": ""}],
        "TransitiveTagKeys": ["one", "two"],
    }
    body = create_serializer("query").serialize_to_request(document, model)["body"]
    fields = query.fields_of(HEAD, urlencode(body).encode())
    assert fields["Action"] == "AssumeRole"
    assert query.parse(fields, model.input_shape) == document


def test_an_answer_is_understood_by_botocore(sts: Any) -> None:
    model = sts.operation_model("GetCallerIdentity")
    document = {"Account": "123456789012", "UserId": "<&>", "Arn": "arn"}
    reply = query.render("GetCallerIdentity", document, model.output_shape, namespace="urn:x", request_id="r-1")
    parsed = create_parser("query").parse({"body": reply.body, "headers": {}, "status_code": 200}, model.output_shape)
    assert {name: parsed[name] for name in document} == document
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"


def test_an_error_is_understood_by_botocore(sts: Any) -> None:
    reply = query.render_error(WireError(code="InvalidClientTokenId", message="who?", status=403), "r-2")
    parsed = create_parser("query").parse({"body": reply.body, "headers": {}, "status_code": 403}, None)
    assert parsed["Error"] == {"Type": "Sender", "Code": "InvalidClientTokenId", "Message": "who?"}


@pytest.mark.parametrize("body", [b"DurationSeconds=soon", b"\xff", b"a=%ff", b"&".join([b"a=1"] * 100_001)])
def test_a_form_that_cannot_be_read_is_refused(sts: Any, body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        query.parse(query.fields_of(HEAD, body), sts.operation_model("AssumeRole").input_shape)
    assert caught.value.code == "MalformedInput"
