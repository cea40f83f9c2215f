"""What the request chain works on: the head of an HTTP request, and what the links found out about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from towpath.kernel.principals import AccessKey, Caller
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from towpath.gateway.signing.chunks import ChunkSignatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The request line and the headers, as they came."""

    method: str
    path: str  #: percent-encoded, as sent
    query: str  #: percent-encoded, as sent, without the question mark
    headers: Mapping[str, str]  #: names in lower case; values of a repeated header joined by commas

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's parameters, decoded, in order."""
        return parse_qsl(self.query, keep_blank_values=True, errors="replace")

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def head_of(scope: Mapping[str, Any]) -> Head:
    """Return the head of an ASGI request."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw_path = scope.get("raw_path") or scope["path"].encode()
    return Head(
        method=scope["method"],
        path=raw_path.decode("latin-1"),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
    )


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through the chain. Each link fills in what the links behind it need."""

    head: Head
    request_id: str
    service: str = "sagemaker"  #: as botocore names it
    operation: str = ""  #: as the client named it, empty where the path says it
    body: bytes | None = None  #: None until it was read; bodies that are streamed are never read here
    key: AccessKey | None = None  #: that the caller is known by
    chunks: "ChunkSignatures | None" = None  #: where the chunks of the body are signed one by one
    document: Document = field(default_factory=dict)  #: the parsed request
    answer: Document = field(default_factory=dict)  #: what the operation returned

    @property
    def caller(self) -> Caller:
        """Who asks; only after the caller was authenticated."""
        assert self.key is not None
        return Caller(self.key.principal, self.request_id, self.key.access_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
