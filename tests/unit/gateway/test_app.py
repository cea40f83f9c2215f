"""The front door in process: what each kind of request gets back, however odd it is."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.gateway.conftest import ADA

from towpath.callers import Role
from towpath.gateway import Gateway, KeyRing, Limits, application
from towpath.gateway.exchange import Head, is_from_here
from towpath.gateway.gateway import Message, Receive, Scope, Send
from towpath.gateway.services.s3 import S3Request, S3Response
from towpath.kernel.errors import StaleRevision, Unavailable
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document

Ask = Callable[..., Any]
Make = Callable[..., Gateway]
BEARER = {"authorization": f"Bearer {ADA.token}"}


def target(operation: str, prefix: str = "SageMaker") -> dict[str, str]:
    return {**BEARER, "x-amz-target": f"{prefix}.{operation}", "content-type": "application/x-amz-json-1.1"}


def told(answer: Any) -> tuple[int, str, str]:
    """Return status, code and message of a JSON error."""
    document = json.loads(answer.body)
    assert answer.headers["x-amzn-errortype"] == document["__type"]
    return answer.status, document["__type"], document["message"]


def test_health_names_the_home_and_needs_no_key(gateway: Gateway, ask: Ask) -> None:
    answer = ask(application(gateway), "GET", "/health")
    assert answer.status == 200
    assert json.loads(answer.body).keys() == {"status", "version", "home", "pid"}
    assert json.loads(answer.body)["home"] == "home-1"


def test_an_answer_shows_only_what_the_output_shape_knows(gateway: Gateway, ask: Ask) -> None:
    answer = ask(application(gateway), "POST", "/", target("CreateExperiment"), b'{"ExperimentName":', b'"shape"}')
    assert answer.status == 200
    assert json.loads(answer.body) == {"ExperimentArn": "arn:aws:sagemaker:us-east-1:123456789012:experiment/shape"}
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-amzn-requestid"])
    described = ask(application(gateway), "POST", "/", target("DescribeExperiment"), b'{"ExperimentName": "shape"}')
    assert json.loads(described.body)["CreationTime"] > 1_700_000_000


def test_null_members_are_absent_ones(gateway: Gateway, ask: Ask) -> None:
    body = b'{"ExperimentName": "nulls", "Description": null, "Tags": null}'
    assert ask(application(gateway), "POST", "/", target("CreateExperiment"), body).status == 200
    described = ask(application(gateway), "POST", "/", target("DescribeExperiment"), b'{"ExperimentName": "nulls"}')
    assert "Description" not in json.loads(described.body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"ExperimentName": "x"', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"ExperimentName": "\\ud800"}', "not valid JSON"),
        (b"[1, 2]", "expected an object"),
        (b'"text"', "expected an object"),
        (b"[" * 100_000, "levels deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "levels deep"),
    ],
)
def test_a_body_that_is_no_document_is_refused(gateway: Gateway, ask: Ask, body: bytes, words: str) -> None:
    status, code, message = told(ask(application(gateway), "POST", "/", target("CreateExperiment"), body))
    assert (status, code) == (400, "SerializationException")
    assert words in message


def test_brackets_in_a_text_are_no_depth(gateway: Gateway, ask: Ask) -> None:
    text = '["\\' * 700
    body = json.dumps({"ExperimentName": "deep-text", "Description": text}).encode()
    assert ask(application(gateway), "POST", "/", target("CreateExperiment"), body).status == 200
    described = ask(application(gateway), "POST", "/", target("DescribeExperiment"), b'{"ExperimentName": "deep-text"}')
    assert json.loads(described.body)["Description"] == text


def test_an_empty_body_is_an_empty_document(gateway: Gateway, ask: Ask) -> None:
    status, code, message = told(ask(application(gateway), "POST", "/", target("CreateExperiment")))
    assert (status, code) == (400, "ValidationException")
    assert "'experimentName'" in message


def test_a_wrong_content_type_is_named(gateway: Gateway, ask: Ask) -> None:
    headers = {**target("CreateExperiment"), "content-type": "text/xml; charset=utf-8"}
    assert "'text/xml'" in told(ask(application(gateway), "POST", "/", headers, b"{}"))[2]


def test_a_document_that_is_too_large_is_refused_before_and_while_it_is_read(make_gateway: Make, ask: Ask) -> None:
    app = application(make_gateway(limits=Limits(document_bytes=100, discarded_bytes=1000)))
    announced = ask(app, "POST", "/", {**target("CreateExperiment"), "content-length": "101"}, b"x" * 101)
    assert told(announced)[:2] == (413, "RequestEntityTooLarge")
    assert "connection" not in announced.headers
    endless = ask(app, "POST", "/", target("CreateExperiment"), *[b"x" * 400] * 5)
    assert told(endless)[:2] == (413, "RequestEntityTooLarge")
    assert endless.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x-amz-target": "SageMaker.DescribeNothing"}, "no operation 'DescribeNothing'"),
        ({"x-amz-target": "SageMaker."}, "names no operation"),
        ({"x-amz-target": "SageMaker"}, "names no operation"),
        ({"x-amz-target": "DynamoDB_20120810.PutItem"}, "does not serve the target"),
        ({"x-amz-target": "SageMaker.ListHubs"}, "does not offer yet"),
        ({"x-amz-target": "Towpath.CreateExperiment"}, "towpath has no operation"),
        ({}, "names no operation"),
    ],
)
def test_an_operation_that_nobody_knows_is_refused(
    gateway: Gateway, ask: Ask, headers: dict[str, str], words: str
) -> None:
    status, code, message = told(ask(application(gateway), "POST", "/", {**BEARER, **headers}, b"{}"))
    assert (status, code) == (400, "UnknownOperationException")
    assert words in message


def test_what_is_not_offered_is_refused_before_its_document_is_looked_at(gateway: Gateway, ask: Ask) -> None:
    refused = ask(application(gateway), "POST", "/", target("CreateHub"), b'{"HubName": 1}')
    assert told(refused)[1:] == (
        "UnknownOperationException",
        "CreateHub is an operation of sagemaker that Towpath does not offer yet.",
    )


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("async-invocations", "InvokeEndpointAsync"),
        ("invocations-response-stream", "InvokeEndpointWithResponseStream"),
    ],
)
def test_other_kinds_of_invocations_are_refused_by_their_names(
    gateway: Gateway, ask: Ask, path: str, operation: str
) -> None:
    header = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, Signature=0"
    refused = ask(application(gateway), "POST", f"/endpoints/e/{path}", {"authorization": header})
    assert told(refused)[1] == "UnknownOperationException"
    assert told(refused)[2].startswith(f"{operation} is an operation of sagemaker-runtime")


def test_a_service_that_is_not_served_is_named(gateway: Gateway, ask: Ask) -> None:
    header = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/events/aws4_request, SignedHeaders=host, Signature=0"
    assert "'events'" in told(ask(application(gateway), "POST", "/", {"authorization": header}, b"{}"))[2]


def test_get_carries_no_operation(gateway: Gateway, ask: Ask) -> None:
    assert told(ask(application(gateway), "GET", "/", target("ListExperiments")))[1] == "MethodNotAllowedException"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MissingAuthenticationToken"),
        ({"authorization": "Bearer wrong"}, "UnrecognizedClientException"),
        ({"authorization": "Bearer"}, "UnrecognizedClientException"),
        ({"authorization": "Basic YTpi"}, "IncompleteSignature"),
        ({"authorization": "AWS4-HMAC-SHA256 nonsense"}, "IncompleteSignature"),
    ],
)
def test_a_caller_who_is_not_known_gets_403(gateway: Gateway, ask: Ask, headers: dict[str, str], code: str) -> None:
    asked = {"x-amz-target": "SageMaker.ListExperiments", **headers}
    assert told(ask(application(gateway), "POST", "/", asked, b"{}"))[:2] == (403, code)


def test_a_refusal_of_s3_and_sts_is_xml(gateway: Gateway, ask: Ask) -> None:
    answer = ask(application(gateway), "GET", "/lake/key")
    error = ElementTree.fromstring(answer.body)
    assert (answer.status, error.tag, error.findtext("Code")) == (403, "Error", "AccessDenied")
    assert error.findtext("RequestId") == answer.headers["x-amzn-requestid"]
    head = ask(application(gateway), "HEAD", "/lake/key")
    assert (head.status, head.body) == (403, b"")
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = ask(application(gateway), "POST", "/", form, b"Action=GetCallerIdentity&Version=2011-06-15")
    error = ElementTree.fromstring(answer.body)
    assert (answer.status, error.tag) == (403, "ErrorResponse")
    assert error.findtext("Error/Code") == "MissingAuthenticationToken"


def test_a_presigned_url_that_is_not_ours_is_refused_with_the_reason(gateway: Gateway, ask: Ask) -> None:
    answer = ask(application(gateway), "GET", "/lake/key?AWSAccessKeyId=A&Signature=s&Expires=1")
    assert (answer.status, ElementTree.fromstring(answer.body).findtext("Code")) == (403, "InvalidAccessKeyId")


def test_a_bug_is_told_by_request_id_alone(gateway: Gateway, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(application(gateway), "POST", "/", target("DescribeModel"), b'{"ModelName": "m"}')
    status, code, message = told(answer)
    assert (status, code) == (500, "InternalFailure")
    assert answer.headers["x-amzn-requestid"] in message and "detail" not in message
    assert "ZeroDivisionError" in caplog.text and answer.headers["x-amzn-requestid"] in caplog.text


def test_an_error_of_ours_is_told_by_its_kind(gateway: Gateway, ask: Ask) -> None:
    answer = ask(application(gateway), "POST", "/", target("DeleteModel"), b'{"ModelName": "m"}')
    assert told(answer) == (400, "ValidationException", "Cannot do that.")


@pytest.mark.parametrize(("losses", "status"), [(4, 200), (5, 400)])
def test_an_operation_that_another_writer_overtook_is_tried_again(
    make_gateway: Make, ask: Ask, losses: int, status: int
) -> None:
    tries = []

    def contended(_: Transaction, __: Request) -> Document:
        tries.append(1)
        if len(tries) <= losses:
            raise StaleRevision
        return {}

    operations = {"DeleteModel": Operation(name="DeleteModel", function=contended)}
    app = application(make_gateway(operations=operations))
    assert ask(app, "POST", "/", target("DeleteModel"), b'{"ModelName": "m"}').status == status
    assert len(tries) == 5


class Objects:
    """Answers S3 with what it was asked, or with something that goes wrong."""

    def handle(self, request: S3Request) -> S3Response:
        body = b"".join(request.body)
        if request.key == "bug":
            raise ZeroDivisionError
        if request.key == "busy":
            raise Unavailable("Shutting down.")
        if request.key == "torn":
            return S3Response(body=self._torn())
        if (request.key or "").isdigit():
            content = b"0123456789"[: int(request.of_key)]
            pieces = (content[at : at + 4] for at in range(0, len(content), 4))
            return S3Response(headers={"content-length": request.of_key}, body=pieces)
        text = f"{request.method} {request.bucket} {request.key} {request.query} {request.caller.principal} ".encode()
        return S3Response(headers={"x-amz-note": "n"}, body=iter([text, body]))

    def _torn(self) -> Iterator[bytes]:
        yield b"half"
        raise OSError("the disk is gone")


@pytest.mark.parametrize("announced", [{"content-length": "7"}, {"transfer-encoding": "chunked"}])
@pytest.mark.parametrize("whole_bytes", [6, 7, 1000])
def test_an_object_request_is_decoded_and_its_body_passed_on_as_a_whole_or_bit_by_bit(
    make_gateway: Make, ask: Ask, announced: dict[str, str], whole_bytes: int
) -> None:
    app = application(make_gateway(s3=Objects(), limits=Limits(whole_bytes=whole_bytes)))
    path = "/lake/a%20b/%C3%BC%2Fc+d?uploadId=x%26y&uploads"
    answer = ask(app, "PUT", path, {**BEARER, **announced}, b"one ", b"two")
    assert answer.body.decode() == "PUT lake a b/ü/c+d [('uploadId', 'x&y'), ('uploads', '')] ada one two"
    assert answer.headers["x-amz-note"] == "n"
    assert ask(app, "GET", "/", BEARER).body.decode() == "GET None None [] ada "
    assert ask(app, "GET", "/lake/", BEARER).body.decode() == "GET lake None [] ada "
    assert b"InvalidURI" in ask(app, "GET", "/lake/%ff", BEARER).body


def test_a_small_object_is_answered_in_one_piece_and_a_large_one_bit_by_bit(make_gateway: Make, ask: Ask) -> None:
    app = application(make_gateway(s3=Objects(), limits=Limits(whole_bytes=8)))
    assert ask(app, "GET", "/lake/8", BEARER).pieces == [b"01234567"]
    assert ask(app, "GET", "/lake/9", BEARER).pieces == [b"0123", b"4567", b"8", b""]


def test_object_requests_that_go_wrong_are_told_or_cut_off(
    make_gateway: Make, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(make_gateway(s3=Objects()))
    answer = ask(app, "GET", "/lake/bug", BEARER)
    assert answer.status == 500 and b"<Code>InternalError</Code>" in answer.body
    assert ask(app, "GET", "/lake/busy", BEARER).status == 503
    torn = ask(app, "GET", "/lake/torn", BEARER)
    assert torn.body == b"half" and not torn.finished
    assert "the disk is gone" in caplog.text


def test_a_refused_upload_that_waits_for_a_go_ahead_is_never_asked_for(gateway: Gateway) -> None:
    messages: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        messages.append(message)

    headers = [(b"expect", b"100-continue"), (b"content-length", b"1000000000")]
    scope = {"type": "http", "method": "PUT", "path": "/b/k", "raw_path": b"/b/k", "headers": headers}
    asyncio.run(application(gateway)(scope, receive, send))
    assert messages[0]["status"] == 403
    assert (b"connection", b"close") in messages[0]["headers"]


def test_a_client_that_goes_away_or_falls_silent_ends_its_request(
    make_gateway: Make, caplog: pytest.LogCaptureFixture
) -> None:
    app = application(make_gateway(limits=Limits(body_idle_s=0.02)))
    headers = [(name.encode(), value.encode()) for name, value in target("CreateExperiment").items()]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "headers": headers}
    messages: list[Message] = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(app(dict(scope), gone, send))
    assert messages == []
    asyncio.run(app(dict(scope), silent, send))
    assert messages[0]["status"] == 408
    assert caplog.records == []


def test_an_invocation_with_a_token_is_streamed_to_the_application_behind(make_gateway: Make, ask: Ask) -> None:
    seen: list[Any] = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope["towpath.caller"], scope["path"]])
        while (message := await receive())["more_body"]:
            seen.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    app = application(make_gateway(invocations=behind))
    answer = ask(app, "POST", "/endpoints/e/invocations", BEARER, b"a", b"b")
    assert answer.body == b"done"
    assert seen == [seen[0], "/endpoints/e/invocations", b"a", b"b"]
    assert seen[0].principal == "ada" and seen[0].request_id == answer.headers["x-amzn-requestid"]


def test_an_invocation_that_fails_is_told_in_rest_json(make_gateway: Make, ask: Ask) -> None:
    async def behind(_: Scope, __: Receive, ___: Send) -> None:
        raise Unavailable("The endpoint is starting.")

    answer = ask(application(make_gateway(invocations=behind)), "POST", "/endpoints/e/invocations", BEARER, b"a")
    assert told(answer) == (503, "ServiceUnavailable", "The endpoint is starting.")


def test_the_access_line_tells_what_was_asked_and_no_secret(
    gateway: Gateway, ask: Ask, caplog: pytest.LogCaptureFixture, ada: AccessKey
) -> None:
    with caplog.at_level(logging.INFO, "towpath.access"):
        ask(application(gateway), "POST", "/?X-Secret=1", target("ListExperiments"), b"{}")
    (record,) = caplog.records
    access = record.__dict__["access"]
    assert (access["operation"], access["status"], access["principal"]) == ("ListExperiments", 200, "ada")
    assert ada.token not in record.getMessage() and "Secret" not in record.getMessage()


def test_a_line_of_the_log_cannot_be_forged(gateway: Gateway, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "towpath.access"):
        ask(application(gateway), "POST", "/", target("List status=200\x85principal=ada"), b"{}")
    assert "operation='List status=200\\x85principal=ada'" in caplog.text


def test_the_application_answers_the_life_of_its_server(gateway: Gateway) -> None:
    sent: list[str] = []
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(application(gateway)({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


header_text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=30)
names = st.sampled_from(
    ["x-amz-target", "content-type", "content-length", "authorization", "x-amz-date", "x-amz-content-sha256", "expect"]
)
values = header_text | st.sampled_from(
    [
        "SageMaker.CreateExperiment",
        "Logs_20140328.GetLogEvents",
        "application/x-www-form-urlencoded",
        BEARER["authorization"],
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "BREW"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=20),
    headers=st.dictionaries(names, values),
    known=st.booleans(),
    body=st.binary(max_size=60) | st.text(max_size=20).map(lambda text: json.dumps({"ExperimentName": text}).encode()),
)
def test_nothing_that_a_client_sends_is_answered_with_an_internal_failure(
    make_gateway: Make, ask: Ask, method: str, path: str, headers: dict[str, str], known: bool, body: bytes
) -> None:
    asked = {**headers, **BEARER} if known else headers
    answer = ask(application(make_gateway(s3=Objects())), method, f"/{path}", asked, body)
    assert answer.finished
    assert answer.status < 500 or answer.status in {501, 503}


def test_the_servers_own_key_is_good_on_its_host_alone(
    make_gateway: Callable[..., Gateway], ask: Ask, ada: AccessKey
) -> None:
    body = b'{"ExperimentName": "near"}'
    own = application(make_gateway(own_key=ada.access_key))
    assert ask(own, "POST", "/", target("CreateExperiment"), body).status == 200
    far = ask(own, "POST", "/", target("DescribeExperiment"), body, client="192.0.2.7")
    assert told(far)[:2] == (403, "UnrecognizedClientException")
    assert "towpath keys create" in told(far)[2]
    for header in ("Forwarded", "X-Forwarded-For", "X-Real-IP"):
        passed_on = ask(own, "POST", "/", {**target("DescribeExperiment"), header: "127.0.0.1"}, body)
        assert told(passed_on)[:2] == (403, "UnrecognizedClientException")
    made = application(make_gateway(own_key="ANOTHER"))
    assert ask(made, "POST", "/", target("DescribeExperiment"), body, client="192.0.2.7").status == 200


def test_others_are_told_nothing_but_that_the_server_works(gateway: Gateway, ask: Ask) -> None:
    assert json.loads(ask(application(gateway), "GET", "/health", client="192.0.2.7").body) == {"status": "ok"}


def test_a_connection_of_this_host_to_its_own_address_comes_from_here() -> None:
    head = Head(method="GET", path="/", query="", headers={})
    assert is_from_here({"client": ("10.0.0.7", 1), "server": ("10.0.0.7", 7400)}, head)
    assert is_from_here({"client": ("::1", 1), "server": ("::1", 7400)}, head)
    assert not is_from_here({"client": ("10.0.0.8", 1), "server": ("10.0.0.7", 7400)}, head)
    assert not is_from_here({"client": None, "server": ("10.0.0.7", 7400)}, head)
    assert not is_from_here({"client": ("", 0)}, head)


def test_what_a_role_does_not_allow_is_refused_before_anything_is_done(
    make_gateway: Callable[..., Gateway], ask: Ask, ada: AccessKey
) -> None:
    viewer = msgspec.structs.replace(ada, roles=frozenset({Role.VIEWER}))
    key = Operation(name="CreateAccessKey", function=unheard)
    app = application(make_gateway(keys=KeyRing(lambda: [viewer]), services={"iam": {"CreateAccessKey": key}}))
    refused = ask(app, "POST", "/", target("CreateExperiment"), b'{"ExperimentName": "not-hers"}')
    assert told(refused)[:2] == (403, "AccessDeniedException")
    assert "ada is not authorized to perform sagemaker:CreateExperiment" in told(refused)[2]
    assert "administrator, data-scientist or ml-engineer" in told(refused)[2]
    missing = ask(app, "POST", "/", target("DescribeExperiment"), b'{"ExperimentName": "not-hers"}')
    assert told(missing)[1] == "ResourceNotFound", "she may ask, and it was not made"
    form = {**BEARER, "content-type": "application/x-www-form-urlencoded"}
    keys = ask(app, "POST", "/", form, b"Action=CreateAccessKey&Version=2010-05-08&UserName=ada")
    assert keys.status == 403
    assert b"<Code>AccessDenied</Code>" in keys.body
    invoked = ask(
        application(make_gateway(keys=KeyRing(lambda: [viewer]), invocations=never)),
        "POST",
        "/endpoints/live/invocations",
        BEARER,
        b"text",
    )
    assert told_of_invocation(invoked) == (403, "AccessDeniedException")


def unheard(transaction: Transaction, request: Request) -> Document:
    raise AssertionError("it should have been refused")


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("it was passed on")


def told_of_invocation(answer: Any) -> tuple[int, str]:
    return answer.status, answer.headers["x-amzn-errortype"]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_both_versions_of_json_are_understood(gateway: Gateway, ask: Ask, version: str) -> None:
    sent = {**target("DescribeExperiment"), "content-type": f"application/x-amz-json-{version}"}
    answer = ask(application(gateway), "POST", "/", sent, b'{"ExperimentName": "in-no-version"}')
    assert told(answer)[1] == "ResourceNotFound"
