"""The model server as a raw ASGI application: `GET /ping` and `POST /invocations`."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from towpath.serving.content import UnreadableBody, UnsupportedAccept, UnsupportedContentType
from towpath.serving.handlers import Handlers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MESSAGE_CHARACTERS = 1024  #: of the error text sent to the caller; the log holds all of it


class Refused(Exception):
    """A request that is answered without asking the model."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ModelApplication:
    """Answers invocations of one loaded model.

    Predictions run one after another in a worker thread: most models are not safe to call from two threads, and their
    own libraries use the cores. Beyond `queue` waiting requests the caller hears 503 at once, so that a slow model
    never builds up a backlog that nobody waits for any more.
    """

    def __init__(self, handlers: Handlers, *, queue: int = 100, body_limit: int = 6 * 1024 * 1024) -> None:
        self._handlers = handlers
        self._queue = queue
        self._body_limit = body_limit
        self._waiting = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        route = (scope["method"], scope["path"])
        try:
            if route == ("GET", "/ping"):
                await respond(send, 200, b"", "text/plain")
            elif route == ("POST", "/invocations"):
                await self._invoke(scope, receive, send)
            else:
                raise Refused(404, f"{route[0]} {route[1]} is not served; use GET /ping or POST /invocations")
        except Refused as refused:
            await respond(send, refused.status, str(refused).encode(), "text/plain")

    async def _invoke(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        content_type = headers.get(b"content-type") or "application/json"
        accept = headers.get(b"accept") or "*/*"
        body = await read_body(receive, int(headers.get(b"content-length") or 0), self._body_limit)
        if self._waiting >= self._queue:
            raise Refused(503, f"The model is busy: {self._queue} requests are waiting already")
        self._waiting += 1
        try:
            answer, answer_type = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._handlers.answer, body, content_type, accept
            )
        except UnreadableBody as error:
            raise Refused(400, str(error)[:MESSAGE_CHARACTERS]) from error
        except UnsupportedContentType as error:
            raise Refused(415, str(error)) from error
        except UnsupportedAccept as error:
            raise Refused(406, str(error)) from error
        except (Exception, SystemExit) as error:  # a script that calls sys.exit() over a request has failed over it
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            text = f"{type(error).__name__}: {error}"
            raise Refused(500, text[:MESSAGE_CHARACTERS]) from error
        finally:
            self._waiting -= 1
        await respond(send, 200, answer, answer_type)


async def read_body(receive: Receive, announced: int, limit: int) -> bytes:
    """Return the whole body of a request.

    Raises:
        Refused: it is longer than `limit` bytes, or the caller hung up.
    """
    if announced > limit:
        raise Refused(413, f"The body has {announced} bytes; at most {limit} are taken")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The caller hung up before its body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise Refused(413, f"The body has more than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def respond(send: Send, status: int, body: bytes, content_type: str) -> None:
    """Send a whole response."""
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
