"""The model server's HTTP behaviour, without a socket."""

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

import pytest

from towpath.serving.application import ModelApplication
from towpath.serving.content import UnreadableBody, UnsupportedAccept, UnsupportedContentType
from towpath.serving.handlers import Handlers, chain, predict


async def call(
    application: ModelApplication,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/invocations",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, dict[str, str]]:
    sent: list[MutableMapping[str, Any]] = []
    parts = [body[:2], body[2:]]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    await application({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    answered = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], sent[1]["body"], answered


def failing(error: BaseException) -> Handlers:
    def transform(model: Any, body: bytes | str, content_type: str, accept: str) -> Any:
        raise error

    return Handlers(model=None, transform=transform)


def echo() -> Handlers:
    return Handlers(model=None, transform=lambda model, body, content_type, accept: body)


def test_ping_and_invocations_answer_200() -> None:
    application = ModelApplication(echo())
    assert asyncio.run(call(application, method="GET", path="/ping"))[0] == 200
    status, body, headers = asyncio.run(
        call(application, b"[1,2]", headers={"Content-Type": "application/json", "Accept": "application/json"})
    )
    assert (status, body, headers["content-type"]) == (200, b"[1,2]", "application/json")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnreadableBody("no"), 400),
        (UnsupportedContentType("no"), 415),
        (UnsupportedAccept("no"), 406),
        (ValueError("bad rows"), 500),
        (SystemExit("no"), 500),
    ],
)
def test_errors_have_their_status_and_a_short_text(error: BaseException, status: int) -> None:
    answered, body, _ = asyncio.run(call(ModelApplication(failing(error)), b"[]"))
    assert answered == status
    assert b"no" in body or body == b"ValueError: bad rows"


def test_text_that_is_no_utf_8_is_refused_before_the_script_sees_it() -> None:
    status, body, _ = asyncio.run(call(ModelApplication(echo()), b"\xff", headers={"Content-Type": "text/csv"}))
    assert status == 400
    assert b"cannot be read as text/csv" in body


def test_the_traceback_of_the_script_goes_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = Handlers(model=None, transform=chain(lambda body, _: body, predict, lambda prediction, _: prediction))
    status, body, _ = asyncio.run(call(ModelApplication(handlers), b"[]"))
    assert status == 500
    assert b"NoneType" in body
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_bodies_over_the_limit_are_refused_announced_or_not() -> None:
    application = ModelApplication(echo(), body_limit=8)
    assert asyncio.run(call(application, b"", headers={"Content-Length": "9"}))[0] == 413
    assert asyncio.run(call(application, b"123456789"))[0] == 413


def test_other_paths_are_not_found() -> None:
    assert asyncio.run(call(ModelApplication(echo()), path="/models"))[0] == 404


def test_a_full_queue_answers_503_at_once() -> None:
    release = threading.Event()

    def transform(model: Any, body: bytes | str, content_type: str, accept: str) -> Any:
        release.wait(10)
        return b"done"

    async def story() -> list[int]:
        application = ModelApplication(Handlers(model=None, transform=transform), queue=2)
        first = [asyncio.create_task(call(application, b"x")) for _ in range(2)]
        while application._waiting < 2:
            await asyncio.sleep(0)
        refused = await call(application, b"x")
        release.set()
        return [refused[0], *(status for status, _, _ in await asyncio.gather(*first))]

    assert asyncio.run(story()) == [503, 200, 200]
