"""A real server, and signed requests to it as bytes: what is sent is exactly what a test says."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.acceptance.conftest import Machine

from towpath.gateway.errors import Protocol
from towpath.gateway.gateway import SERVICES
from towpath.gateway.service_models import ServiceModels

MODELS = ServiceModels()
STUCK_S = 60.0  #: an answer that takes longer than this does not come


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a JSON error."""
        return str(json.loads(self.body).get("__type", "")) if self.body else ""


@dataclass
class Door:
    """A running server, and one connection to it that is opened anew where the server has closed it."""

    machine: Machine
    url: str
    #: What documents name -> what is there by that name, where the server has chosen it.
    known: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def signed(
        self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """Return the headers of a request with its signature."""
        keys = self.machine.home.credentials()
        assert keys is not None
        request = AWSRequest(method, self.url + path, headers=dict(headers), data=body)
        credentials = Credentials(keys.access_key, keys.secret_key)
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(credentials, SERVICES[service].signing_name, "us-east-1").add_auth(request)
        return {name: str(value) for name, value in request.headers.items()}

    def send(self, service: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request, signed, and return the answer; a connection that stays silent is a failure."""
        given = self.signed(service, method, path, headers, body)
        for again in (True, False):
            connection = self._connection or http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=STUCK_S)
            self._connection = connection
            try:
                connection.request(method, path, body=body, headers=dict(given))
                response = connection.getresponse()
                answer = Answer(response.status, dict(response.headers), response.read())
            except (ConnectionError, http.client.RemoteDisconnected, http.client.CannotSendRequest):
                # It may have been closed after the answer before; a new one may not be closed without an answer.
                self.hang_up()
                if not again:
                    raise
                continue
            if response.will_close:
                self.hang_up()
            return answer
        raise AssertionError("not reached")

    def hang_up(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def ask(self, service: str, operation: str, document: Any) -> Answer:
        """Send the document of an operation in the protocol of its service."""
        body = document if isinstance(document, bytes) else encoded(document)
        for placeholder, real in self.known.items():
            body = body.replace(placeholder.encode(), real.encode())
        match SERVICES[service].protocol:
            case Protocol.JSON:
                target = f"{SERVICES[service].target}.{operation}"
                headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
                return self.send(service, "POST", "/", headers, body)
            case Protocol.QUERY:
                return self.send(
                    service, "POST", "/", {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, body
                )
            case Protocol.REST_JSON:
                model = MODELS.operation(service, operation)
                assert model is not None
                method, path = model.http["method"], model.http["requestUri"]
                return self.send(service, method, path, {"content-type": "application/json"}, body)
        raise AssertionError(f"{service} is not asked by documents")

    def check(self, answer: Answer, *also: int) -> Answer:
        """Return an answer; fail where it tells of an error of the server, with what the server's log says of it.

        Args:
            also: statuses that are answers too.
        """
        if answer.status < 200 or (answer.status >= 500 and answer.status not in also):
            log = self.machine.home.server_log.read_text("utf-8", errors="replace")
            raise AssertionError(f"{answer.status}: {answer.body[:500]!r}\n{log[-4000:]}")
        return answer

    def health(self) -> dict[str, Any]:
        """Return what the server says of itself, on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=STUCK_S)
        try:
            connection.request("GET", "/health")
            response = connection.getresponse()
            assert response.status == 200
            told: dict[str, Any] = json.loads(response.read())
            return told
        finally:
            connection.close()


def encoded(document: Any) -> bytes:
    """Return a document as JSON, lone surrogates and numbers that are none included, as careless clients write it."""
    return json.dumps(document).encode()


def fields(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the form fields of a document in the query protocol."""
    if isinstance(value, dict):
        for member, inner in value.items():
            yield from fields(inner, f"{name}.{member}" if name else member)
    elif isinstance(value, list):
        for position, inner in enumerate(value, start=1):
            yield from fields(inner, f"{name}.member.{position}")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, str(value)


def form(operation: str, document: Any) -> bytes:
    """Return a document as the body of the query protocol."""
    if isinstance(document, bytes):
        return document
    named = [("Action", operation), ("Version", "2010-05-08")]
    return urlencode([*named, *fields(document)], errors="surrogatepass").encode()
