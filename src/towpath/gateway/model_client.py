"""A small pooled HTTP/1.1 client for model servers on Unix sockets: one request, one whole response.

General HTTP clients cost more than small models themselves do: measured, httpx came to 2 % of a direct call's rate.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools


class Unreachable(Exception):
    """Nobody listens at the address, or whoever did was gone before the request was read; no model has seen it."""


class Overloaded(Exception):
    """So many connections wait at the address that the kernel takes no more; the request was not sent."""


class HungUp(Exception):
    """The server read the request and closed the connection before its response was complete."""


@dataclass(slots=True)
class ModelResponse:
    """What a model server answered."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


def connect(path: str, *, timeout_s: float | None = 2.0) -> socket.socket:
    """Return a socket connected to the Unix socket at `path`; with `timeout_s=0` it does not block, now or later.

    Raises:
        OSError: nobody listens there; BlockingIOError: without blocking, its queue of connections is full.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def ping(path: str, *, timeout_s: float = 2.0) -> bool:
    """Return whether the server at the socket `path` answers `GET /ping` with 200 in time."""
    try:
        with connect(path, timeout_s=timeout_s) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False  # absent, refused or too slow: all of them mean that it cannot answer now


class ModelClient:
    """Exchanges requests with model servers, and keeps idle connections to them. Belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_Connection]] = {}

    async def exchange(self, address: str, head: bytes, body: bytes, *, timeout_s: float) -> ModelResponse:
        """Send a request and return the response.

        Raises:
            Unreachable, Overloaded: no model has seen the request.
            HungUp: the server went away while it answered. It may be this request that ended it, so it is sent nowhere
                else: it would end the next server too.
            TimeoutError: no complete response within `timeout_s`.
        """
        connection = self._reusable(address)
        if connection is not None:
            try:
                return await self._on(connection, head, body, timeout_s)
            except Unreachable:
                pass  # a server that ends closes idle connections, also at the moment when one is used again
        return await self._on(await self._connect(address), head, body, timeout_s)

    def close(self) -> None:
        """Close all idle connections."""
        for connections in list(self._idle.values()):
            for connection in list(connections):
                connection.close()
        self._idle.clear()

    def _reusable(self, address: str) -> "_Connection | None":
        connections = self._idle.get(address)
        return connections.pop() if connections else None

    async def _connect(self, address: str) -> "_Connection":
        try:
            # Without waiting: a Unix socket takes a connection at once or not at all.
            opened = connect(address, timeout_s=0)
        except BlockingIOError as error:
            raise Overloaded(address) from error
        except OSError as error:
            raise Unreachable(f"{address}: {error}") from error
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(lambda: _Connection(self._gone, address), sock=opened)
        return connection

    async def _on(self, connection: "_Connection", head: bytes, body: bytes, timeout_s: float) -> ModelResponse:
        try:
            async with asyncio.timeout(timeout_s):
                response = await connection.exchange(head, body)
        except BaseException:
            connection.close()  # whatever still comes on it belongs to nobody
            raise
        if connection.reusable:
            self._idle.setdefault(connection.address, []).append(connection)
        else:
            connection.close()
        return response

    def _gone(self, connection: "_Connection") -> None:
        connections = self._idle.get(connection.address)
        if connections is not None:
            with contextlib.suppress(ValueError):
                connections.remove(connection)
            if not connections:
                del self._idle[connection.address]


class _Connection(asyncio.Protocol):
    """One connection; takes one request at a time. The `on_…` methods are called by the parser."""

    def __init__(self, gone: "Callable[[_Connection], None]", address: str) -> None:
        self.address = address
        self.reusable = False
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[ModelResponse] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._response = ModelResponse()
        self._chunks: list[bytes] = []
        self._answering = False  #: whether anything of the response has come

    async def exchange(self, head: bytes, body: bytes) -> ModelResponse:
        """Send a request and wait for its response."""
        if self._transport is None or self._transport.is_closing():
            raise Unreachable(self.address)
        self._waiter = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._response = ModelResponse()
        self._chunks = []
        self._answering = False
        self.reusable = False
        self._transport.writelines((head, body) if body else (head,))
        return await self._waiter

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self.close()  # bytes that nobody asked for: the connection cannot be trusted
            return
        self._answering = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(HungUp(f"{self.address} does not speak HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        # A Unix socket tells by an error (EPIPE, ECONNRESET) that the other end closed with bytes of ours unread.
        # Without one, all was read. Source: Linux, net/unix/af_unix.c, unix_release_sock.
        unread = isinstance(exc, OSError) and not self._answering
        self._fail(Unreachable(f"{self.address}: {exc}") if unread else HungUp(self.address))
        self._transport = None
        self._gone(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        response = self._response
        response.status = self._parser.get_status_code()
        if response.status == 100:
            self._response = ModelResponse()
            return
        response.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self.reusable = self._parser.should_keep_alive()
        self._parser = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(response)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
