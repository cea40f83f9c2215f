"""Requests to a server, kept-alive connections, and errors of the right kind."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from towpath.sdk.errors import (
    ClientError,
    Conflict,
    Denied,
    ModelError,
    NoServer,
    NotFound,
    RequestFailed,
    ServerFault,
    TimedOut,
)
from towpath.sdk.transport import Transport

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Asked, Scripted

Serve = Callable[[Callable[["Asked"], Any]], "Scripted"]


def test_a_request_carries_the_token_and_comes_back_with_status_headers_and_body(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(body=b"hello", headers={"X-Thing": "1"}))
    answer = Transport(server.url, "secret").send("PUT", "/a?b=c", body=b"sent")
    assert (answer.status, answer.headers["x-thing"], answer.body) == (200, "1", b"hello")
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("PUT", "/a?b=c", b"sent")
    assert asked.headers["authorization"] == "Bearer secret"


def test_requests_one_after_the_other_share_a_connection(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(body=b"x"))
    transport = Transport(server.url, "t")
    for _ in range(5):
        transport.send("GET", "/")
    assert server.connections == 1


def test_an_error_leaves_the_connection_usable(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(status=400, body=b'{"__type":"ValidationException","message":"no"}'))
    transport = Transport(server.url, "t")
    for _ in range(3):
        with pytest.raises(RequestFailed):
            transport.send("GET", "/")
    assert server.connections == 1


def test_an_answer_that_was_not_read_to_its_end_is_not_taken_for_the_next_one(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(body=asked.path.encode() * 1000))
    transport = Transport(server.url, "t")
    with transport.stream("GET", "/first") as answer:
        assert answer.read(3) == b"/fi"
    assert transport.send("GET", "/2").body == b"/2" * 1000


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(body=b"x", close=True))
    transport = Transport(server.url, "t")
    transport.send("POST", "/")
    assert server.closed.acquire(timeout=60)
    transport.send("POST", "/")
    assert (server.connections, len(server.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "ValidationException", "1 error", RequestFailed),
        (400, "ValidationException", "A Pipeline already exists: x", Conflict),
        (400, "ValidationException", "Cannot create already existing model", Conflict),
        (400, "ValidationException", "Could not find TrainingJob 'x'.", NotFound),
        (400, "ValidationException", "ModelPackage x/1 does not exist.", NotFound),
        (400, "ResourceNotFound", "Pipeline 'x' does not exist.", NotFound),
        (400, "ResourceInUse", "it runs", Conflict),
        (403, "AccessDeniedException", "no", Denied),
        (400, "UnrecognizedClientException", "no", Denied),
        (424, "ModelError", "the model said no", ModelError),
        (500, "InternalFailure", "oh", ServerFault),
        (503, "ServiceUnavailable", "later", ServerFault),
    ],
)
def test_an_error_of_the_api_has_its_kind_code_and_message(
    serve: Serve, told: Any, status: int, code: str, message: str, kind: type[RequestFailed]
) -> None:
    body = json.dumps({"__type": code, "message": message}).encode()
    server = serve(lambda asked: told(status=status, body=body, headers={"x-amzn-RequestId": "r-1"}))
    with pytest.raises(RequestFailed) as raised:
        Transport(server.url, "t").send("POST", "/")
    error = raised.value
    assert type(error) is kind
    assert (error.code, error.message, error.status, error.request_id) == (code, message, status, "r-1")
    assert str(error) == f"{message} ({code})"


def test_an_error_of_s3_is_read_from_its_xml(serve: Serve, told: Any) -> None:
    body = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>There is no a/b</Message></Error>"
    server = serve(lambda asked: told(status=404, body=body))
    with pytest.raises(NotFound, match=r"There is no a/b \(NoSuchKey\)"):
        Transport(server.url, "t").send("GET", "/a/b")


def test_an_error_without_a_body_still_has_a_kind(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(status=404))
    with pytest.raises(NotFound, match="HTTP404"):
        Transport(server.url, "t").send("HEAD", "/a/b")


def test_where_nothing_listens_there_is_no_server_and_the_message_says_how_to_start_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NoServer, match=r"no server answers at .*towpath up"):
            Transport(f"http://127.0.0.1:{port}", "t").send("GET", "/")


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TimedOut, match=r"did not answer within 0\.05 s \(GET /a\)"):
            Transport(url, "t", timeout_s=0.05).send("GET", "/a?token=x")


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ClientError, match="is not the address of a server"):
        Transport("localhost:7400", "t")
