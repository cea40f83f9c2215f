"""Signature Version 2 in the query of S3's presigned URLs, which boto3 still makes where nobody chose a version.

Source: Amazon S3 User Guide, "Signing and authenticating REST requests (AWS signature version 2)", query string request
authentication.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

from towpath.gateway.exchange import Head
from towpath.gateway.signing.keys import Keys, key_named
from towpath.gateway.signing.model import Reason, Refused, mismatch, too_late
from towpath.kernel.principals import AccessKey

_LATEST = 253_402_300_799  #: epoch seconds at the end of the year 9999
#: Parameters that are part of what is signed: those that name another resource, and those that change the answer.
_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "restore", "select", "select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId",
        "versioning", "versions", "website", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySignature:
    """What a presigned URL of version 2 says."""

    access_key: str
    expires: int  #: epoch seconds
    digest: str  #: base64


def signature_of(head: Head) -> QuerySignature | None:
    """Return the signature in the query, None when there is none.

    Raises:
        Refused: it claims to be one and cannot be read.
    """
    if "authorization" in head.headers or "Signature=" not in head.query:
        return None
    given = dict(head.parameters)
    if "Signature" not in given:
        return None
    for name in ("AWSAccessKeyId", "Expires"):
        if not given.get(name):
            raise Refused(Reason.MALFORMED, f"A presigned URL of version 2 requires the parameter {name}.")
    expires = given["Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 13 and int(expires) <= _LATEST):
        raise Refused(Reason.MALFORMED, f"Expires is {expires[:20]!r}; expected a time in epoch seconds.")
    return QuerySignature(access_key=given["AWSAccessKeyId"], expires=int(expires), digest=given["Signature"])


def verify(head: Head, signature: QuerySignature, keys: Keys, *, now: datetime) -> AccessKey:
    """Return the key that the URL was signed with.

    Raises:
        Refused: with the reason.
    """
    headers = {**headers_in_query(head), **head.headers}
    token = headers.get("x-amz-security-token", "")
    key = key_named(signature.access_key, keys, session_token=token, now=now)
    text = string_to_sign(head, headers, signature.expires)
    digest = hmac.new(key.secret_key.encode(), text.encode("latin-1"), hashlib.sha1).digest()
    if not hmac.compare_digest(base64.b64encode(digest), signature.digest.encode("latin-1", "replace")):
        raise mismatch(signature.access_key)
    until = datetime.fromtimestamp(signature.expires, UTC)
    if now > until:
        raise too_late(until, now)
    return key


def string_to_sign(head: Head, headers: dict[str, str], expires: int) -> str:
    """Return what the URL's maker signed."""
    amazon = sorted((name, value.strip()) for name, value in headers.items() if name.startswith("x-amz-"))
    lines = "".join(f"{name}:{value}\n" for name, value in amazon)
    parts = [part.partition("=") for part in head.query.split("&")]
    signed = sorted((part for part in parts if part[0] in _SUBRESOURCES), key=lambda part: part[0])
    resource = head.path
    if signed:
        resource += "?" + "&".join(f"{name}{equals}{unquote(value, 'latin-1')}" for name, equals, value in signed)
    about = f"{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{expires}\n"
    return f"{head.method}\n{about}{lines}{resource}"


def headers_in_query(head: Head) -> dict[str, str]:
    """Return the headers that the URL's maker put into its query, where they count as headers."""
    return {
        name.lower(): value
        for name, value in parse_qsl(head.query, keep_blank_values=True, encoding="latin-1")
        if name.lower().startswith("x-amz-") or name.lower() in {"content-md5", "content-type"}
    }
