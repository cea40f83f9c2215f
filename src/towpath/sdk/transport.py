"""HTTP to one server: a kept-alive connection for each thread, and errors of the right kind."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from towpath.sdk.errors import NoServer, RequestFailed, TimedOut, request_failed

_LARGEST_ERROR = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


class Transport:
    """Sends requests to one server.

    Args:
        url: of the server, for example `http://127.0.0.1:7400`.
        token: sent as a bearer token.
        ca: PEM file that the certificate of an https server is checked by; default: what this system trusts.
        timeout_s: longest silence of the server before a request is given up.
        advice: what to do where no server answers; asked then.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: str | None = None,
        timeout_s: float = 120.0,
        advice: Callable[[], str] = lambda: "start one: towpath up",
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise NoServer(f"{url!r} is not the address of a server; expected http://HOST:PORT")
        self.url = url.rstrip("/")
        self._tls = _tls(ca) if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port
        self._token = token
        self._timeout_s = timeout_s
        self._advice = advice
        self._local = threading.local()
        self._opened: set[http.client.HTTPConnection] = set()
        # A client that is dropped without a word takes its connections along.
        weakref.finalize(self, _close_all, self._opened)

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        length: int | None = None,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            path: with its query, percent-encoded.
            length: bytes of `body` where that is a file.
        Raises:
            RequestFailed: the server answered with an error.
            NoServer: it cannot be reached, or went away.
            TimedOut: it was silent for too long.
        """
        with self.stream(method, path, headers=headers, body=body, length=length) as answer:
            return Answer(status=answer.status, headers=_lower(answer), body=answer.read())

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        length: int | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and give its answer as a stream; as `send` otherwise."""
        sent = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        if body is not None and not isinstance(body, bytes) and length is not None:
            sent["Content-Length"] = str(length)
        connection = self._connection()
        finished = False
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise _failure(answer, answer.read(_LARGEST_ERROR))
            yield answer
            finished = answer.isclosed()
        except RequestFailed:
            finished = True
            raise
        except TimeoutError as fault:
            raise TimedOut(
                f"{self.url} did not answer within {self._timeout_s:g} s ({method} {path.partition('?')[0]})"
            ) from fault
        except ssl.SSLCertVerificationError as fault:
            raise NoServer(
                f"the certificate of {self.url} is not trusted ({fault.verify_message}); name the PEM file of its "
                "authority in AWS_CA_BUNDLE"
            ) from fault
        except (OSError, http.client.HTTPException) as fault:
            raise NoServer(
                f"no server answers at {self.url} ({fault or type(fault).__name__}); {self._advice()}"
            ) from fault
        finally:
            # What is left unread would be taken for the next answer.
            if not finished:
                self.close()

    def close(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._opened.discard(connection)
            self._local.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        # A server closes idle connections. Looking before sending means that no request is ever sent twice.
        if connection is not None and connection.sock is not None and _is_readable(connection.sock):
            self.close()
            connection = None
        if connection is None:
            if self._tls is None:
                connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            else:
                connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout_s, context=self._tls
                )
            self._local.connection = connection
            self._opened.add(connection)
        return connection


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as fault:
        raise NoServer(f"the certificates in {ca} cannot be read ({fault}); see AWS_CA_BUNDLE") from fault


def _close_all(connections: set[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _lower(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _failure(answer: http.client.HTTPResponse, body: bytes) -> RequestFailed:
    """Return the error that an answer tells of, in JSON or in the XML of S3."""
    headers = _lower(answer)
    request_id = headers.get("x-amzn-requestid") or headers.get("x-amz-request-id") or ""
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    message = ""
    text = body.decode(errors="replace").strip()
    if text.startswith("{"):
        with contextlib.suppress(ValueError):
            told: dict[str, Any] = json.loads(text)
            code = str(told.get("__type") or told.get("Code") or code).rpartition("#")[2]
            message = str(told.get("message") or told.get("Message") or told.get("OriginalMessage") or "")
    elif text.startswith("<"):
        from xml.etree import ElementTree  # for errors of the lake alone

        with contextlib.suppress(ElementTree.ParseError):
            tree = ElementTree.fromstring(text)
            found = tree if tree.tag == "Error" else tree.find(".//Error")
            if found is not None:
                code = found.findtext("Code") or code
                message = found.findtext("Message") or ""
    else:
        message = text[:500]
    return request_failed(
        code or f"HTTP{answer.status}", message or answer.reason, status=answer.status, request_id=request_id
    )
