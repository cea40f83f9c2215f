"""Sends messages to webhooks. One request each, no redirects, no proxies but those of the environment."""

import http.client
import io
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from towpath.triggers.ports import Answer, Message

#: How long it may take to connect, to take the message, and to answer. Source: Amazon EventBridge User Guide, "API
#: destinations": five seconds
TIMEOUT_S = 5.0
_MOST_TOLD = 512  #: characters of an answer that a failure tells of
_SILENT = f"has not answered within {TIMEOUT_S:.0f} s"


class _Reader(io.RawIOBase):
    """Reads from a socket until a time: who sends a byte now and then is waited for no longer than who is silent."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._raw = connection.makefile("rb", buffering=0)
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(_SILENT)
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Within:
    """Stands for a connection where an answer is read from it: gives a file that ends when the time is over."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, time.monotonic() + TIMEOUT_S))


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(_Within(sock), *arguments, **options)  # type: ignore[arg-type]  # it only makes a file of it

    def _read_status(self) -> tuple[str, int, str]:
        # What comes before the answer, RFC 9110 section 15.2. Of it `http.client` passes over 100 alone.
        version, status, reason = super()._read_status()  # type: ignore[misc]  # it is not published
        is_meanwhile = 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        return version, http.HTTPStatus.CONTINUE if is_meanwhile else status, reason


class _Http(http.client.HTTPConnection):
    response_class = _Answer


class _Https(http.client.HTTPSConnection):
    response_class = _Answer


class _Connections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections whose answers are not waited for longer than `TIMEOUT_S`."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for an answer: what was sent to one host is not sent on to another."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request that would follow it."""


_OPENER = urllib.request.build_opener(_Connections, _NoRedirects)


def post(message: Message) -> Answer:
    """Implements `triggers.ports.Post` over HTTP and HTTPS."""
    request = urllib.request.Request(
        message.url, data=message.body.encode(), headers={"User-Agent": "towpath", **message.headers}, method="POST"
    )
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            return Answer(status=answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, reason=_told(error))
    except (OSError, http.client.HTTPException) as error:
        # The address may hold secrets in its path and query, and whoever looks knows it: the host is enough.
        return Answer(reason=f"{urlsplit(message.url).netloc} {in_words(error)}")


def _told(error: urllib.error.HTTPError) -> str:
    """Return the beginning of what an answer says, in one line."""
    if 300 <= error.code < 400:
        return f"(to {error.headers.get('Location', 'nowhere')[:_MOST_TOLD]}; redirects are not followed)"
    try:
        told = error.read(_MOST_TOLD)
    except (OSError, http.client.HTTPException):
        # The status is the answer. What it says beside that has not come, and is for readers alone.
        return "(the rest of the answer has not come)"
    return " ".join(told.decode("utf-8", "replace").split())


def in_words(error: BaseException) -> str:
    """Return what happened instead of an answer, so that a sentence can begin with the host."""
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, BaseException) else OSError(None, str(error.reason))
    match error:
        case TimeoutError():
            return _SILENT
        case ConnectionRefusedError():
            return "refuses connections"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return "has closed the connection without an answer"
        case socket.gaierror(strerror=str() as told):
            return f"cannot be found: {told.lower()}"
        case ssl.SSLCertVerificationError():
            return f"has a certificate that is not trusted: {error.verify_message}"
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or "no reason given"  # set where OpenSSL made the error
            return f"does not speak TLS as expected: {reason.lower().replace('_', ' ')}"
        case http.client.HTTPException():
            return "has answered what is not HTTP"
        case OSError(strerror=str() as told):
            return f"cannot be reached: {told.lower()}"
        case _:
            return f"cannot be reached: {error}"
