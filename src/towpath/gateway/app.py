"""The front door as an ASGI application: takes a request through the chain and answers it, whatever happens."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import anyio
import anyio.to_thread
import msgspec

import towpath
from towpath.gateway.chain import (
    ANSWER,
    CALL,
    authenticate,
    authorize,
    identify,
    protocol_of,
    serialize,
    serialize_error,
    with_status,
)
from towpath.gateway.channel import Channel, Disconnected
from towpath.gateway.errors import internal_error, wire_error
from towpath.gateway.exchange import Exchange, Reply, head_of, is_from_here
from towpath.gateway.gateway import BY_PATH, Application, Gateway, Limits, Message, Receive, Scope, Send
from towpath.gateway.services.s3 import OPERATIONS, S3Request
from towpath.gateway.services.s3.service import route_of
from towpath.gateway.signing import UNSIGNED_PAYLOAD, bearer_token, v2
from towpath.kernel.errors import Invalid, TowpathError, Unsupported
from towpath.kernel.operations import NotYet
from towpath.kernel.resource import Document

LOG = logging.getLogger("towpath.gateway")
ACCESS = logging.getLogger("towpath.access")

#: Query parameters that belong to the signature of a presigned URL, and to no operation.
_OF_SIGNATURES = frozenset(
    {
        "AWSAccessKeyId", "Expires", "Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
        "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders", "x-amz-security-token",
    }
)  # fmt: skip
#: Services whose successes come too often to tell of each at level info.
_FREQUENT = frozenset({"s3", "sagemaker-runtime", "health"})


def application(gateway: Gateway) -> Application:
    """Return the front door as an ASGI application."""
    door = _Door(gateway)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await door.answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(gateway, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    return app


async def _live(gateway: Gateway, receive: Receive, send: Send) -> None:
    """Answer the server's start and end; the large service models are loaded behind a started server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            names = ("sagemaker", *(["towpath"] if gateway.operations else []), *(service.name for service in BY_PATH))
            threading.Thread(target=gateway.models.preload, args=names, daemon=True, name="models").start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for close in gateway.on_shutdown:
                close()
            await send({"type": "lifespan.shutdown.complete"})
            return


class _Door:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._threads = anyio.CapacityLimiter(gateway.limits.threads)
        self._object_threads = anyio.CapacityLimiter(gateway.limits.object_threads)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        head = head_of(scope)
        exchange = Exchange(head=head, request_id=str(uuid4()), from_here=is_from_here(scope, head))
        limits = self._gateway.limits
        channel = Channel(exchange.head, receive, send, request_id=exchange.request_id, limits=limits)
        try:
            if exchange.head.path == "/health" and "authorization" not in exchange.head.headers:
                exchange.service = "health"
                await channel.reply(self._health(exchange))
            else:
                await self._carry_out(exchange, channel, scope)
        except Disconnected:
            pass
        except TowpathError as error:
            await self._tell(exchange, channel, error)
        except Exception as error:  # noqa: BLE001 - the server stays up whatever an operation does
            await self._tell(exchange, channel, error)
        finally:
            _log(exchange, channel, time.perf_counter() - started)

    async def _carry_out(self, exchange: Exchange, channel: Channel, scope: Scope) -> None:
        identify(self._gateway, exchange)
        if not _is_streamed(exchange):
            exchange.body = await channel.body(_most_bytes(exchange, self._gateway.limits))
        authenticate(self._gateway, exchange)
        if exchange.service == "s3":
            await self._objects(exchange, channel)
        elif exchange.service == "sagemaker-runtime":
            await self._invoke(exchange, channel, scope)
        else:
            await channel.reply(await self._answer_of(exchange, channel))

    async def _answer_of(self, exchange: Exchange, channel: Channel) -> Reply:
        """Return what an operation answers; one that has nothing to answer yet is asked again while its caller waits.

        Waiting holds no thread: it ends with news of a change, when it is time, or when the client goes away.
        """
        run = partial(anyio.to_thread.run_sync, self._operate, exchange, limiter=self._threads)
        try:
            return await run()
        except NotYet as first:
            news, kind = self._gateway.news, first.kind
            give_up = anyio.current_time() + first.patience_s
            answer = first.answer
        if news.count >= self._gateway.limits.waiting:
            return self._show(exchange, answer)
        gone = asyncio.ensure_future(channel.wait_for_the_end())
        try:
            with news.of(kind) as event:
                while True:
                    event.clear()
                    try:
                        return await run()  # what came between the look before and this one is not missed
                    except NotYet as again:
                        left_s = give_up - anyio.current_time()
                        if left_s <= 0 or news.is_closed:
                            return self._show(exchange, answer)
                        pause_s = left_s if again.again_s is None else min(left_s, again.again_s)
                    await _first_of(event.wait(), gone, timeout_s=pause_s)
                    if gone.done():
                        raise Disconnected
        finally:
            gone.cancel()

    def _show(self, exchange: Exchange, answer: Document | TowpathError) -> Reply:
        if isinstance(answer, TowpathError):
            raise answer
        exchange.answer = answer
        return serialize(self._gateway, exchange)

    def _operate(self, exchange: Exchange) -> Reply:
        for link in CALL if exchange.begun is None else ANSWER:
            link(self._gateway, exchange)
        return serialize(self._gateway, exchange)

    async def _objects(self, exchange: Exchange, channel: Channel) -> None:
        """Let S3 answer in a thread.

        What is small passes the threads' border in one piece, with the request on the way there and with the answer on
        the way back: each crossing costs about as much as all that is done for a small object on the other side.
        """
        exchange.body = await channel.small_body(self._gateway.limits.whole_bytes)
        response = await anyio.to_thread.run_sync(self._handle_objects, exchange, channel, limiter=self._object_threads)
        if response is not None:
            await channel.begin(response.status, response.headers)
            await channel.last(b"" if exchange.head.method == "HEAD" else response.body)

    def _handle_objects(self, exchange: Exchange, channel: Channel) -> Reply | None:
        """Carry the request out in this thread; return the answer, None where it was large and has been streamed."""
        if self._gateway.s3 is None:
            raise Unsupported("This server serves no objects.")
        request = _s3_request(exchange, channel)
        exchange.operation, _ = OPERATIONS.get(route_of(request), ("", None))
        authorize(self._gateway, exchange)
        response = self._gateway.s3.handle(request)
        body = response.body
        if not isinstance(body, bytes):
            length = response.headers.get("content-length")
            if length is None or int(length) > self._gateway.limits.whole_bytes:
                _stream(response.status, response.headers, body, channel)
                return None
            body = _whole(body)
        return Reply(status=response.status, headers=response.headers, body=body)

    async def _invoke(self, exchange: Exchange, channel: Channel, scope: Scope) -> None:
        if self._gateway.invocations is None:
            raise Unsupported("This server serves no endpoints.")
        authorize(self._gateway, exchange)
        passed = {**scope, "towpath.caller": exchange.caller, "towpath.request_id": exchange.request_id}
        await self._gateway.invocations(passed, _body_of(exchange, channel), channel.watched_send)

    async def _tell(self, exchange: Exchange, channel: Channel, error: Exception) -> None:
        """Answer with an error; one that nobody foresaw goes into the log with its trace."""
        protocol = protocol_of(exchange)
        if isinstance(error, TowpathError):
            told = with_status(self._gateway, exchange, wire_error(error, protocol, exchange.service))
        else:
            told = internal_error(exchange.request_id, protocol)
            LOG.error(
                "request %s (%s %s) failed",
                exchange.request_id,
                exchange.service,
                exchange.operation or exchange.head.method,
                exc_info=error,
            )
        if channel.status is None:
            await channel.reply(serialize_error(exchange, told))
        # An answer that was begun cannot be taken back. Leaving it incomplete makes the server cut the connection.

    def _health(self, exchange: Exchange) -> Reply:
        """Answer whoever asks that the server works; what more there is to tell is for this host alone."""
        status: dict[str, object] = {"status": "ok"}
        if exchange.from_here:
            status |= {"version": towpath.__version__, "home": self._gateway.home_id, "pid": os.getpid()}
        return Reply(headers={"content-type": "application/json"}, body=msgspec.json.encode(status))


async def _first_of(change: Coroutine[Any, Any, object], gone: "asyncio.Future[Any]", *, timeout_s: float) -> None:
    """Wait for a change, for the client to go away, or for the time to pass."""
    changed = asyncio.ensure_future(change)
    try:
        await asyncio.wait({changed, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()


def _most_bytes(exchange: Exchange, limits: Limits) -> int:
    """Return how large the body of a request may be that is read before it is carried out."""
    if exchange.service == "sagemaker-runtime":
        return limits.invocation_bytes
    return limits.function_bytes if exchange.service == "lambda" else limits.document_bytes


def _is_streamed(exchange: Exchange) -> bool:
    """Return whether the body is passed on as it comes instead of being read before the caller is known."""
    if exchange.service == "s3":
        return True
    if exchange.service != "sagemaker-runtime":
        return False
    head = exchange.head
    return bearer_token(head) is not None or head.headers.get("x-amz-content-sha256") == UNSIGNED_PAYLOAD


def _body_of(exchange: Exchange, channel: Channel) -> Receive:
    """Return what another application reads the body from: what was read already, or the channel."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if exchange.body is not None and not given:
            given = True
            return {"type": "http.request", "body": exchange.body, "more_body": False}
        if channel.complete:
            return await channel.wait_for_the_end()
        try:
            return {"type": "http.request", "body": await channel.chunk(), "more_body": not channel.complete}
        except Disconnected:
            return {"type": "http.disconnect"}

    return receive


def _s3_request(exchange: Exchange, channel: Channel) -> S3Request:
    head = exchange.head
    bucket, slash, key = head.path.removeprefix("/").partition("/")
    try:
        bucket, key = unquote(bucket, errors="strict"), unquote(key, errors="strict")
    except UnicodeDecodeError as error:
        raise Invalid("The path is not percent-encoded UTF-8.", code="InvalidURI") from error
    return S3Request(
        method=head.method,
        bucket=bucket or None,
        key=key if slash and key else None,
        query=[(name, value) for name, value in head.parameters if name not in _OF_SIGNATURES],
        headers={**v2.headers_in_query(head), **head.headers} if v2.signature_of(head) else head.headers,
        body=channel.chunks() if exchange.body is None else (exchange.body,) if exchange.body else (),
        has_come=exchange.body is not None,
        signatures=exchange.chunks,
        caller=exchange.caller,
    )


def _stream(status: int, headers: Mapping[str, str], body: Iterator[bytes], channel: Channel) -> None:
    """Send an answer from a worker thread, no faster than the client takes it."""
    run = anyio.from_thread.run
    with _closing(body):
        run(channel.begin, status, headers)
        for chunk in body:
            run(channel.more, chunk)
        run(channel.last, b"")


def _whole(body: Iterator[bytes]) -> bytes:
    """Return a small answer in one piece."""
    with _closing(body):
        return b"".join(body)


def _closing(body: Iterator[bytes]) -> AbstractContextManager[object]:
    return closing(body) if hasattr(body, "close") else nullcontext()  # type: ignore[type-var]


def _log(exchange: Exchange, channel: Channel, seconds: float) -> None:
    """Write the access line. Neither query nor headers stand in it: both may hold secrets."""
    status = channel.status or 0
    level = logging.DEBUG if exchange.service in _FREQUENT and status < 400 else logging.INFO
    if not ACCESS.isEnabledFor(level):
        return
    told = {
        "method": exchange.head.method,
        "service": exchange.service,
        "operation": exchange.operation or "-",
        "status": status,
        "ms": round(seconds * 1000, 2),
        "principal": exchange.key.principal if exchange.key else "-",
        "request_id": exchange.request_id,
    }
    ACCESS.log(level, " ".join(f"{name}={_loggable(value)}" for name, value in told.items()), extra={"access": told})


def _loggable(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text and len(text) <= 128 else repr(text[:128])
