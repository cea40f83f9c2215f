"""The two directions of one HTTP request: its body, read within limits, and its answer, sent once."""

from collections.abc import Iterator, Mapping

import anyio
import anyio.from_thread

from towpath.gateway.exchange import Head, Reply
from towpath.gateway.gateway import Limits, Message, Receive, Send
from towpath.kernel.errors import Invalid


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Channel:
    """One request's body and answer."""

    def __init__(self, head: Head, receive: Receive, send: Send, *, request_id: str, limits: Limits) -> None:
        self._head = head
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._limits = limits
        self._asked = False  #: whether anything of the body was asked for; until then a client that expects 100 waits
        self._close = False  #: whether the connection cannot carry another request
        self.complete = False  #: whether the whole body was read
        self.status: int | None = None  #: of the answer, once it was begun

    @property
    def _is_announced(self) -> bool:
        """Whether the request has a body. Source: RFC 9112, section 6."""
        return "content-length" in self._head.headers or "transfer-encoding" in self._head.headers

    async def chunk(self) -> bytes:
        """Return the next bytes of the body, nothing at its end.

        Raises:
            Disconnected: the client went away.
            Invalid: nothing came for too long (code RequestTimeout).
        """
        while not self.complete:
            self._asked = True
            with anyio.move_on_after(self._limits.body_idle_s) as patience:
                message = await self._receive()
            if patience.cancelled_caught:
                self._close = True
                raise Invalid(
                    f"No byte of the request's body came for {self._limits.body_idle_s:g} s.", code="RequestTimeout"
                )
            if message["type"] == "http.disconnect":
                self._close = True
                raise Disconnected
            self.complete = not message.get("more_body", False)
            if message.get("body"):
                return bytes(message["body"])
        return b""

    async def body(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            Invalid: it is larger than `limit` (code RequestEntityTooLarge).
        """
        announced = self._head.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while part := await self.chunk():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)

    async def small_body(self, limit: int) -> bytes | None:
        """Return the whole body where the request says that it has at most `limit` bytes; else None, nothing was read.

        Raises:
            Invalid: it is larger than it says (code RequestEntityTooLarge).
        """
        if not self._is_announced:
            return b""
        announced = self._head.headers.get("content-length", "")
        is_number = announced.isascii() and announced.isdigit() and len(announced) < 19
        return await self.body(limit) if is_number and int(announced) <= limit else None

    def chunks(self) -> Iterator[bytes]:
        """Yield the body in a worker thread, as it comes: nothing is read ahead.

        Raises:
            Disconnected: the client went away.
        """
        while part := anyio.from_thread.run(self.chunk):
            yield part

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers, after what is left of the body was taken out of the way."""
        await self._discard()
        self.status = status
        lines = {"x-amzn-requestid": self._request_id, **headers}
        if self._close:
            lines["connection"] = "close"
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def more(self, data: bytes) -> None:
        """Send a part of the answer's body; waits while the client is slow to take it."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def last(self, data: bytes) -> None:
        """Send the last part of the answer's body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def reply(self, reply: Reply) -> None:
        """Send a whole answer."""
        headers = {"content-length": str(len(reply.body)), **reply.headers}
        await self.begin(reply.status, headers)
        await self.last(b"" if self._head.method == "HEAD" else reply.body)

    async def wait_for_the_end(self) -> Message:
        """Return the message that the client went away, when it does."""
        return await self._receive()

    async def watched_send(self, message: Message) -> None:
        """Pass on a message of another application's answer, and note its status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-amzn-requestid", self._request_id.encode())]
        await self._send(message)

    async def _discard(self) -> None:
        """Read what the client still sends of a refused body: one that is cut off while it sends may never see why.

        One that waits for 100 Continue, or sends without end, is cut off.
        """
        if self.complete or self._close or not (self._asked or self._is_announced):
            return
        if not self._asked and "expect" in self._head.headers:
            self._close = True
            return
        left = self._limits.discarded_bytes
        try:
            while part := await self.chunk():
                left -= len(part)
                if left < 0:
                    self._close = True
                    return
        except (Disconnected, Invalid):
            self._close = True


def _too_large(limit: int) -> Invalid:
    return Invalid(f"The request's body is larger than {limit} bytes.", code="RequestEntityTooLarge")
