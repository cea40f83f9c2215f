"""The invocation path against small model servers in the same process."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from towpath.gateway.invocations import Invocations
from towpath.hosting.routing import Entry, Routes, Target
from towpath.kernel.arns import Home
from towpath.kernel.resource import Uid

HOME = Home(account="123456789012", region="us-east-1")
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
Reply = tuple[int, dict[str, str], bytes]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on each of the event loops that the front door may have."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def run_on(story: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(story)

    return run_on


class Story:
    """Model servers, an endpoint "e" that leads to them, and calls through the front door's application."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.routes = Routes()
        self.position = 0.0
        self.invocations = Invocations(self.routes, HOME, position=lambda: self.position, **settings)
        self.connections = 0
        self.requests: list[bytes] = []
        self._servers = AsyncExitStack()

    async def __aenter__(self) -> "Story":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.invocations.close()
        await self._servers.aclose()

    async def server(self, name: str, serve: Serve) -> Target:
        """Start a model server that hands each whole request to `serve`."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    request = head + await reader.readexactly(length)
                    self.requests.append(request)
                    await serve(request, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        address = str(self.folder / f"{name}.sock")
        started = await asyncio.start_unix_server(accept, address)
        await self._servers.enter_async_context(started)
        return Target(key=name, variant=name.partition("-")[0], weight=1.0, address=address)

    def route(self, *targets: Target, status: str = "InService") -> None:
        self.routes.replace("e", Entry(uid=Uid("u"), status=status, targets=targets))

    async def call(self, body: bytes = b"[1]", *, path: str = "/endpoints/e/invocations", **headers: str) -> Reply:
        sent: list[Any] = []
        parts = [body[:1], body[1:]]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
        await self.invocations({"type": "http", "method": "POST", "path": path, "headers": raw}, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        assert int(answered["content-length"]) == len(sent[1]["body"])
        return sent[0]["status"], answered, sent[1]["body"]


def answering(status: int, body: bytes, *headers: str) -> Serve:
    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, body, *headers))

    return serve


def test_a_request_and_its_answer_pass_with_their_headers(run: Run, tmp_path: Path) -> None:
    async def story() -> Reply:
        async with Story(tmp_path) as told:
            headers = ("Content-Type: text/csv", "X-Amzn-SageMaker-Custom-Attributes: seen", "Server: hidden")
            told.route(await told.server("blue", answering(200, b"1,2", *headers)))
            answered = await told.call(
                b"[1, 2]",
                Content_Type="application/json",
                Accept="text/csv",
                X_Amzn_SageMaker_Inference_Id="id-7",
                Authorization="secret",
            )
            (request,) = told.requests
            assert request.startswith(b"POST /invocations HTTP/1.1\r\n")
            assert request.endswith(b"\r\n\r\n[1, 2]")
            assert b"content-type: application/json\r\n" in request
            assert b"x-amzn-sagemaker-inference-id: id-7\r\n" in request
            assert b"secret" not in request
            return answered

    status, headers, body = run(story())
    assert (status, body) == (200, b"1,2")
    assert headers["content-type"] == "text/csv"
    assert headers["x-amzn-invoked-production-variant"] == "blue"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "seen"
    assert "server" not in headers


def test_connections_are_used_again(run: Run, tmp_path: Path) -> None:
    async def story() -> int:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", answering(200, b"{}")))
            for _ in range(5):
                assert (await told.call())[0] == 200
            return told.connections

    assert run(story()) == 1


def test_a_connection_that_was_closed_while_idle_costs_the_caller_nothing(run: Run, tmp_path: Path) -> None:
    async def once(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200, b"{}"))  # promises to keep the connection, and does not
        await writer.drain()
        writer.close()

    async def story() -> list[int]:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", once))
            return [(await told.call())[0] for _ in range(3)]

    assert run(story()) == [200, 200, 200]


@pytest.mark.parametrize(("status", "side"), [(500, "server"), (415, "client")])
def test_an_error_of_the_model_is_a_model_error(run: Run, tmp_path: Path, status: int, side: str) -> None:
    async def story() -> Reply:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", answering(status, b"ValueError: bad rows")))
            return await told.call()

    answered, headers, body = run(story())
    error = json.loads(body)
    assert (answered, headers["x-amzn-errortype"]) == (424, "ModelError")
    assert error["OriginalStatusCode"] == status
    assert error["OriginalMessage"] == "ValueError: bad rows"
    assert f"Received {side} error ({status})" in error["Message"]
    assert error["LogStreamArn"] == "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/e"


def test_unknown_and_unready_endpoints_are_validation_errors(run: Run, tmp_path: Path) -> None:
    async def story() -> list[tuple[int, str, str]]:
        async with Story(tmp_path) as told:
            unknown = await told.call()
            told.route(status="Creating")
            unready = await told.call()
            told.route(status="InService")
            dead = await told.call()
            return [(r[0], r[1]["x-amzn-errortype"], json.loads(r[2])["Message"]) for r in (unknown, unready, dead)]

    unknown, unready, dead = run(story())
    assert unknown == (400, "ValidationError", "Endpoint e of account 123456789012 not found.")
    assert unready[:2] == (400, "ValidationError")
    assert "is Creating, not InService" in unready[2]
    assert dead[:2] == (503, "ServiceUnavailable")


def test_target_variant_wins_over_weights_and_must_exist(run: Run, tmp_path: Path) -> None:
    async def story() -> tuple[str, str, Reply]:
        async with Story(tmp_path) as told:
            told.route(
                await told.server("blue", answering(200, b"{}")), await told.server("green", answering(200, b"{}"))
            )
            told.position = 0.6
            by_weight = await told.call()
            asked = await told.call(X_Amzn_SageMaker_Target_Variant="blue")
            absent = await told.call(X_Amzn_SageMaker_Target_Variant="red")
            name = "x-amzn-invoked-production-variant"
            return by_weight[1][name], asked[1][name], absent

    by_weight, asked, absent = run(story())
    assert (by_weight, asked) == ("green", "blue")
    assert absent[0] == 400
    assert b"it serves blue, green" in absent[2]


def test_an_instance_that_has_just_died_is_passed_over(run: Run, tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with Story(tmp_path) as told:
            dead = Target(key="blue-1", variant="blue", weight=1.0, address=str(tmp_path / "gone.sock"))
            told.route(dead, await told.server("blue-2", answering(200, b"{}")))
            statuses = [(await told.call())[0] for _ in range(4)]
            told.route(dead)
            statuses.append((await told.call())[0])
            assert told.routes.in_flight("blue-1") == told.routes.in_flight("blue-2") == 0
            return statuses

    assert run(story()) == [200, 200, 200, 200, 503]


def test_a_server_that_dies_over_a_request_is_a_model_error(run: Run, tmp_path: Path) -> None:
    async def dies(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def story() -> Reply:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", dies))
            return await told.call()

    status, _, body = run(story())
    assert status == 424
    assert "ended while it answered" in json.loads(body)["OriginalMessage"]


def test_a_request_that_ends_its_server_is_sent_to_no_other(run: Run, tmp_path: Path) -> None:
    """However the connection came about: one bad request must not take down one instance after the other."""

    async def serve(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.endswith(b"deadly"):
            writer.close()
        else:
            writer.write(response(200, b"{}"))

    async def story() -> tuple[Reply, list[bytes]]:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue-1", serve), await told.server("blue-2", serve))
            for _ in range(4):
                assert (await told.call())[0] == 200  # both have an idle connection now
            return await told.call(b"deadly"), told.requests

    answered, requests = run(story())
    assert answered[0] == 424
    assert "ended while it answered" in json.loads(answered[2])["OriginalMessage"]
    assert sum(request.endswith(b"deadly") for request in requests) == 1


def test_a_request_that_a_dying_server_has_not_read_goes_to_another(run: Run, tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with Story(tmp_path) as told:
            with socket.socket(socket.AF_UNIX) as dying:
                dying.bind(str(tmp_path / "dying.sock"))
                dying.listen()
                target = Target(key="blue-1", variant="blue", weight=1.0, address=str(tmp_path / "dying.sock"))
                told.route(target, await told.server("blue-2", answering(200, b"{}")))
                calls = [asyncio.ensure_future(told.call()) for _ in range(2)]  # one of them waits in the queue there
                while told.routes.in_flight("blue-1") == 0 or not told.requests:
                    await asyncio.sleep(0)
            return [(await call)[0] for call in calls]

    assert run(story()) == [200, 200]


def test_a_model_that_takes_too_long_is_a_model_error_and_its_late_answer_goes_to_nobody(
    run: Run, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        if b"slow" in request:
            await release.wait()
            writer.write(response(200, b"late"))
        else:
            writer.write(response(200, b"prompt"))

    async def story() -> tuple[Reply, Reply]:
        async with Story(tmp_path, timeout_s=0.5) as told:
            told.route(await told.server("blue", slow))
            first = await told.call(b"slow")
            release.set()
            return first, await told.call(b"fast")

    first, second = run(story())
    assert (first[0], json.loads(first[2])["OriginalStatusCode"]) == (424, 504)
    assert second[2] == b"prompt"


def test_a_busy_model_is_service_unavailable(run: Run, tmp_path: Path) -> None:
    async def story() -> Reply:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", answering(503, b"busy")))
            return await told.call()

    status, headers, _ = run(story())
    assert (status, headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")


def test_bodies_over_the_limit_are_refused_before_a_model_sees_them(run: Run, tmp_path: Path) -> None:
    async def story() -> tuple[int, int, int]:
        async with Story(tmp_path, body_limit=4) as told:
            told.route(await told.server("blue", answering(200, b"{}")))
            announced = await told.call(b"", Content_Length="5")
            sent = await told.call(b"12345")
            return announced[0], sent[0], len(told.requests)

    assert run(story()) == (413, 413, 0)


def test_chunked_answers_and_many_at_once_are_put_together(run: Run, tmp_path: Path) -> None:
    async def chunked(request: bytes, writer: asyncio.StreamWriter) -> None:
        number = request.rpartition(b"\r\n\r\n")[2]
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(number), number))

    async def story() -> list[bytes]:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", chunked))
            return [reply[2] for reply in await asyncio.gather(*(told.call(b"%d" % n) for n in range(50)))]

    assert run(story()) == [b"%d" % n for n in range(50)]


def test_other_paths_are_not_known(run: Run, tmp_path: Path) -> None:
    async def story() -> int:
        async with Story(tmp_path) as told:
            told.route(await told.server("blue", answering(200, b"{}")))
            return (await told.call(path="/endpoints/e/other"))[0]

    assert run(story()) == 404


def test_each_request_that_was_sent_to_an_instance_is_noted(run: Run, tmp_path: Path) -> None:
    noted: list[tuple[str, str, int, bool]] = []

    def note(endpoint: str, variant: str, status: int, model_s: float | None) -> None:
        noted.append((endpoint, variant, status, model_s is not None and 0 < model_s < 60))

    async def hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def story() -> None:
        async with Story(tmp_path, note=note) as told:
            told.route(await told.server("good-1", answering(200, b"[1]")))
            await told.call()
            told.route(await told.server("bad-1", answering(400, b"no")))
            await told.call()
            told.route(await told.server("gone-1", hang_up))
            await told.call()
            await told.call(path="/endpoints/nowhere/invocations")

    run(story())
    assert noted == [("e", "good", 200, True), ("e", "bad", 400, True), ("e", "gone", 500, False)]
