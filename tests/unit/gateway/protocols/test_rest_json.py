"""The rest-json protocol as botocore's models describe it: whatever a client of botocore sends is read back."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.serialize import create_serializer

from towpath.gateway import ServiceModels
from towpath.gateway.exchange import Head
from towpath.gateway.protocols import rest_json

MODELS = ServiceModels()


def sent(service: str, operation: str, **parameters: Any) -> tuple[Head, bytes]:
    """Return the head and the body that botocore makes of a call."""
    model = MODELS.operation(service, operation)
    made = create_serializer("rest-json").serialize_to_request(parameters, model)
    parts = urlsplit(made["url_path"])
    query = "&".join(f"{name}={value}" for name, value in made.get("query_string", {}).items())
    headers = {name.lower(): str(value) for name, value in made["headers"].items()}
    body = made["body"]
    return Head(method=made["method"], path=parts.path, query=query, headers=headers), (
        body.encode() if isinstance(body, str) else body
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        (
            "sagemaker-metrics",
            "BatchPutMetrics",
            {
                "TrialComponentName": "a",
                "MetricData": [{"MetricName": "loss", "Timestamp": 1_700_000_000, "Value": 0.5}],
            },
        ),
        ("scheduler", "GetSchedule", {"Name": "nightly", "GroupName": "mine"}),
        ("scheduler", "DeleteSchedule", {"Name": "nightly run", "ClientToken": "t"}),
        ("scheduler", "ListSchedules", {"MaxResults": 3, "State": "ENABLED"}),
        ("lambda", "GetFunction", {"FunctionName": "f", "Qualifier": "1"}),
        ("lambda", "ListTags", {"Resource": "arn:aws:lambda:us-east-1:1:function/f"}),
    ],
)
def test_what_botocore_sends_is_read_back(service: str, operation: str, parameters: dict[str, Any]) -> None:
    head, body = sent(service, operation, **parameters)
    assert rest_json.operation_of(MODELS.service(service), head.method, head.path) == operation
    model = MODELS.operation(service, operation)
    assert model is not None
    assert rest_json.parse(head, body, model) == parameters


def test_a_path_that_no_operation_has_means_none() -> None:
    model = MODELS.service("sagemaker-metrics")
    assert rest_json.operation_of(model, "PUT", "/BatchPutMetrics/more") is None
    assert rest_json.operation_of(model, "GET", "/BatchPutMetrics") is None


def test_members_of_an_answer_stand_where_the_shape_says() -> None:
    model = MODELS.operation("lambda", "Invoke")
    assert model is not None
    reply = rest_json.render({"StatusCode": 202, "FunctionError": "Unhandled", "Payload": b'{"a":1}'}, model)
    assert (reply.status, reply.headers["x-amz-function-error"], reply.body) == (202, "Unhandled", b'{"a":1}')


def test_the_bytes_of_a_blob_come_as_they_are() -> None:
    model = MODELS.operation("lambda", "Invoke")
    assert model is not None
    head = Head(method="POST", path="/2015-03-31/functions/f/invocations", query="", headers={})
    assert rest_json.parse(head, b"\xff{", model) == {"FunctionName": "f", "Payload": b"\xff{"}


def test_an_answer_without_content_has_no_body() -> None:
    model = MODELS.operation("lambda", "Invoke")
    assert model is not None
    reply = rest_json.render({"StatusCode": 204}, model)
    assert (reply.status, reply.body) == (204, b"")
