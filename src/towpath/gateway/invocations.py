"""The invocation path: `POST /endpoints/{name}/invocations` as raw ASGI, straight to a model server's Unix socket."""

import json
import random
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from towpath.gateway.model_client import HungUp, ModelClient, ModelResponse, Overloaded, Unreachable
from towpath.hosting.routing import Routes, Target
from towpath.kernel.arns import Home

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
#: (endpoint, variant, status of the model's answer or what stands for none, seconds that the model took)
Note = Callable[[str, str, int, float | None], None]

PATH = re.compile(r"/endpoints/([^/]+)/invocations")
BODY_LIMIT = 6 * 1024 * 1024  #: bytes, as on SageMaker
TIMEOUT_S = 60.0  #: for the model's whole answer, as on SageMaker
IN_FLIGHT_LIMIT = 256  #: requests to one instance; its own queue says no before that
MESSAGE_CHARACTERS = 1024

_SAGEMAKER = b"x-amzn-sagemaker-"
_TARGET_VARIANT = b"x-amzn-sagemaker-target-variant"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes


class Failed(Exception):
    """An invocation that ends in an error of the runtime API."""

    def __init__(self, status: int, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.members = {"Message": message, **members}

    def answer(self) -> Answer:
        """Return the error in the shape of the rest-json protocol."""
        headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", self.code.encode())]
        return Answer(self.status, headers, json.dumps(self.members).encode())


class Invocations:
    """Answers InvokeEndpoint. Authentication has been done before."""

    def __init__(
        self,
        routes: Routes,
        home: Home,
        *,
        body_limit: int = BODY_LIMIT,
        timeout_s: float = TIMEOUT_S,
        position: Callable[[], float] = random.random,
        note: Note | None = None,
    ) -> None:
        """
        Args:
            position: tells where a request falls among the variants, 0 to 1.
            note: is told of each request that was sent to an instance.
        """
        self._note = note or (lambda endpoint, variant, status, model_s: None)
        self._routes = routes
        self._home = home
        self._body_limit = body_limit
        self._timeout_s = timeout_s
        self._position = position
        self._client = ModelClient()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request of the path."""
        found = PATH.fullmatch(scope["path"])
        try:
            if found is None or scope["method"] != "POST":
                raise Failed(
                    404, "UnknownOperationException", "Invoke an endpoint with POST /endpoints/NAME/invocations"
                )
            body = await self._body(scope["headers"], receive)
            answer = await self.invoke(found[1], scope["headers"], body)
        except Failed as failed:
            answer = failed.answer()
        length = (b"content-length", str(len(answer.body)).encode())
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
        await send({"type": "http.response.body", "body": answer.body})

    async def invoke(self, endpoint: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Return the endpoint's answer to a request; header names are in lower case.

        Raises:
            Failed: there is no such endpoint, it cannot answer now, or its model answered with an error.
        """
        if len(body) > self._body_limit:
            raise self._too_large(len(body))
        wanted, head = _head(headers, len(body))
        tried: frozenset[str] = frozenset()
        position = self._position()
        while True:
            with self._routes.target(endpoint, wanted=wanted, position=position, without=tried) as target:
                if target is None:
                    raise self._no_target(endpoint, wanted, tried)
                if self._routes.in_flight(target.key) > IN_FLIGHT_LIMIT:
                    raise _busy(endpoint)
                begun = perf_counter()
                try:
                    response = await self._client.exchange(target.address, head, body, timeout_s=self._timeout_s)
                except Unreachable:
                    # The instance has just died and its routes are about to say so; another one may answer.
                    tried |= {target.key}
                    continue
                except Overloaded:
                    self._note(endpoint, target.variant, 503, None)
                    raise _busy(endpoint) from None
                except HungUp:
                    self._note(endpoint, target.variant, 500, None)
                    raise self._model_error(endpoint, 500, "The model server ended while it answered") from None
                except TimeoutError:
                    self._note(endpoint, target.variant, 504, self._timeout_s)
                    text = f"The model did not answer within {self._timeout_s:g} s"
                    raise self._model_error(endpoint, 504, text) from None
                self._routes.answered(target.key)
                self._note(endpoint, target.variant, response.status, perf_counter() - begun)
            return self._answer(endpoint, target, response)

    def close(self) -> None:
        """Close idle connections to model servers."""
        self._client.close()

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        for name, value in headers:
            if name == b"content-length" and value.isdigit() and int(value) > self._body_limit:
                raise self._too_large(int(value))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Failed(400, "ValidationError", "The request ended before its body was complete.")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._body_limit:
                raise self._too_large(size)
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _answer(self, endpoint: str, target: Target, response: ModelResponse) -> Answer:
        if response.status == 503:
            raise _busy(endpoint)
        if not 200 <= response.status < 300:
            raise self._model_error(endpoint, response.status, response.body.decode("utf-8", "replace"))
        headers = [(b"x-amzn-invoked-production-variant", target.variant.encode())]
        headers += [
            (name, value) for name, value in response.headers if name == b"content-type" or name.startswith(_SAGEMAKER)
        ]
        return Answer(200, headers, response.body)

    def _no_target(self, endpoint: str, wanted: str | None, tried: frozenset[str]) -> Failed:
        entry = self._routes.entry(endpoint)
        where = f"Endpoint {endpoint} of account {self._home.account}"
        if entry is None:
            return Failed(400, "ValidationError", f"{where} not found.")
        if entry.status not in {"InService", "Updating"}:
            return Failed(400, "ValidationError", f"{where} is {entry.status}, not InService; see DescribeEndpoint.")
        if wanted is not None and entry.targets and all(target.variant != wanted for target in entry.targets):
            present = ", ".join(sorted({target.variant for target in entry.targets}))
            return Failed(400, "ValidationError", f"Variant {wanted} of {where} not found; it serves {present}.")
        return Failed(
            503,
            "ServiceUnavailable",
            f"{where} has no instance that answers just now{' (one has just ended)' if tried else ''}; "
            "it is being started again. Try again in a moment.",
        )

    def _model_error(self, endpoint: str, status: int, text: str) -> Failed:
        text = text[:MESSAGE_CHARACTERS]
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        side = "client" if 400 <= status < 500 else "server"
        return Failed(
            424,
            "ModelError",
            f'Received {side} error ({status}) from primary with message "{text}". See the log group {group} in '
            f"account {self._home.account} for more information.",
            OriginalStatusCode=status,
            OriginalMessage=text,
            LogStreamArn=f"arn:aws:logs:{self._home.region}:{self._home.account}:log-group:{group}",
        )

    def _too_large(self, size: int) -> Failed:
        return Failed(
            413, "ValidationError", f"The body has {size} bytes; an endpoint takes at most {self._body_limit}."
        )


def _busy(endpoint: str) -> Failed:
    return Failed(503, "ServiceUnavailable", f"Endpoint {endpoint} is busy: too many requests wait. Try again.")


def _head(headers: Iterable[tuple[bytes, bytes]], length: int) -> tuple[str | None, bytes]:
    """Return (TargetVariant, head of the request to the model server)."""
    wanted = None
    lines = [b"POST /invocations HTTP/1.1\r\nHost: model"]
    for name, value in headers:
        if name == b"content-type" or name == b"accept" or name.startswith(_SAGEMAKER):
            lines.append(name + b": " + value)
            if name == _TARGET_VARIANT:
                wanted = value.decode("latin-1")
    lines.append(b"Content-Length: %d\r\n\r\n" % length)
    return wanted, b"\r\n".join(lines)
