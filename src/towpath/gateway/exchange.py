"""What the request chain works on: the head of an HTTP request, and what the links found out about it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from towpath.kernel.principals import AccessKey, Caller
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from towpath.gateway.signing.chunks import ChunkSignatures


_FORWARDED = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})


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


def is_from_here(scope: Mapping[str, Any], head: Head) -> bool:
    """Return whether a request came from a process of this host, and no proxy says that it only passes it on.

    A connection of this host to one of its own addresses has that address at both ends. Source for the headers: RFC
    7239, and the X-Forwarded-For that came before it.
    """
    client, server = scope.get("client"), scope.get("server")
    if client is None or not _FORWARDED.isdisjoint(head.headers):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback or (server is not None and client[0] == server[0])
    except ValueError:
        return False


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way through the chain. Each link fills in what the links behind it need."""

    head: Head
    request_id: str
    from_here: bool = False  #: whether it came from this host itself, and not through a proxy
    service: str = "sagemaker"  #: as botocore names it
    operation: str = ""  #: as the client named it, empty where the path says it
    body: bytes | None = None  #: None until it was read; bodies that are streamed are never read here
    key: AccessKey | None = None  #: that the caller is known by
    chunks: "ChunkSignatures | None" = None  #: where the chunks of the body are signed one by one
    document: Document = field(default_factory=dict)  #: the parsed request
    begun: Document | None = None  #: what the operation returned, where it is done and what is answered comes later
    answer: Document = field(default_factory=dict)  #: what is answered

    @property
    def caller(self) -> Caller:
        """Who asks; only after the caller was authenticated."""
        assert self.key is not None
        return Caller(self.key.principal, self.request_id, self.key.access_key, self.key.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
