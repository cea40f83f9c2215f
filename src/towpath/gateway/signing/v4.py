"""Signature Version 4, in the Authorization header and in the query of presigned URLs.

Source: AWS General Reference, "Create a signed AWS API request"; Amazon S3 API Reference, "Authenticating Requests:
Using the Authorization Header" and "Using Query Parameters".
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus

from towpath.gateway.exchange import Head
from towpath.gateway.signing.chunks import SIGNED_CHUNKS, ChunkSignatures
from towpath.gateway.signing.keys import Keys, key_named
from towpath.gateway.signing.model import Reason, Refused, Signature, mismatch, too_late
from towpath.kernel.principals import AccessKey

ALGORITHM = "AWS4-HMAC-SHA256"
LARGEST_SKEW = timedelta(minutes=15)
LONGEST_S = 604_800  #: seven days, for which a presigned URL can be good at most
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_UNRESERVED = "-_.~"
_SHA256 = re.compile("[0-9a-f]{64}")
_CREDENTIAL = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_STAMP = "%Y%m%dT%H%M%SZ"
_IN_QUERY = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
             "X-Amz-Signature")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A request whose signature is right."""

    key: AccessKey
    chunks: ChunkSignatures | None = None  #: has to be given each chunk of the body, where those are signed


def signature_of(head: Head) -> Signature | None:
    """Return the signature in the Authorization header or in the query, None when there is none.

    Raises:
        Refused: something claims to be one and cannot be read.
    """
    algorithm, _, rest = head.headers.get("authorization", "").partition(" ")
    if algorithm.startswith("AWS4-"):
        return _in_header(head, algorithm, rest)
    if "authorization" not in head.headers and "X-Amz-Signature=" in head.query:
        return _in_query(head)
    return None


def _in_header(head: Head, algorithm: str, rest: str) -> Signature:
    if algorithm != ALGORITHM:
        raise Refused(Reason.MALFORMED, f"Signing algorithm {algorithm!r} is not supported; expected {ALGORITHM}.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise Refused(Reason.MALFORMED, f"Authorization header requires '{name}' parameter.")
    access_key, date, region, service = _credential(parts["Credential"])
    return Signature(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(parts["SignedHeaders"].lower().split(";")),
        digest=parts["Signature"],
        session_token=head.headers.get("x-amz-security-token", ""),
    )


def _in_query(head: Head) -> Signature:
    given = dict(head.parameters)
    for name in _IN_QUERY:
        if not given.get(name):
            raise Refused(Reason.MALFORMED, f"A presigned URL of version 4 requires the parameter {name}.")
    if given["X-Amz-Algorithm"] != ALGORITHM:
        algorithm = given["X-Amz-Algorithm"]
        raise Refused(Reason.MALFORMED, f"Signing algorithm {algorithm!r} is not supported; expected {ALGORITHM}.")
    access_key, date, region, service = _credential(given["X-Amz-Credential"])
    expires = given["X-Amz-Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 10 and int(expires) <= LONGEST_S):
        raise Refused(Reason.MALFORMED, f"X-Amz-Expires is {expires[:20]!r}; expected 0 to {LONGEST_S} seconds.")
    return Signature(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(given["X-Amz-SignedHeaders"].lower().split(";")),
        digest=given["X-Amz-Signature"],
        presigned_at=given["X-Amz-Date"],
        expires_s=int(expires),
        session_token=given.get("X-Amz-Security-Token", ""),
    )


def _credential(text: str) -> tuple[str, str, str, str]:
    credential = _CREDENTIAL.fullmatch(text)
    if credential is None:
        raise Refused(
            Reason.MALFORMED, "Credential must have the form ACCESS-KEY/YYYYMMDD/REGION/SERVICE/aws4_request."
        )
    access_key, date, region, service = credential.groups()
    return access_key, date, region, service


def verify(
    head: Head,
    signature: Signature,
    keys: Keys,
    *,
    body: bytes | None,
    regions: tuple[str, ...],
    service: str,
    now: datetime,
) -> Verified:
    """Return who signed the request.

    Args:
        body: the whole body, compared with what was signed; None for one that is streamed later, whose announced digest
            (x-amz-content-sha256) is taken as signed and has to be compared by whoever reads it.
        regions: those that a request may be signed for, the home's own first.
        service: signing name that the request must be signed for.
    Raises:
        Refused: in all other cases, with the reason.
    """
    key = key_named(signature.access_key, keys, session_token=signature.session_token, now=now)
    _check_scope(signature, regions, service)
    stamp = _check_time(head, signature, now)
    _check_signed_headers(head, signature)
    payload = _payload_hash(head, signature, body)
    signing_key = _signing_key(key.secret_key, signature.date, signature.region, signature.service)
    for canonical in canonical_requests(head, signature, payload):
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{signature.scope}\n{digest}"
        expected = hmac.new(signing_key, text.encode("latin-1"), hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), signature.digest.encode("latin-1")):
            signed = payload in SIGNED_CHUNKS
            chunks = ChunkSignatures(signing_key, stamp, signature.scope, seed=expected) if signed else None
            return Verified(key=key, chunks=chunks)
    raise mismatch(signature.access_key)


def canonical_requests(head: Head, signature: Signature, payload: str) -> Iterator[str]:
    """Yield the canonical forms that clients sign a request in: as AWS documents it, then with path and query as sent.

    Both name the same request. S3 signs the path as it is; all other services normalise it and encode it once more.
    """
    values = (" ".join(head.headers.get(name, "").split()) for name in signature.signed_headers)
    headers = "".join(f"{name}:{value}\n" for name, value in sorted(zip(signature.signed_headers, values, strict=True)))
    names = ";".join(sorted(signature.signed_headers))
    if signature.service == "s3":
        documented, as_sent = _encoded(unquote(head.path, "latin-1"), safe="/"), head.path
    else:
        documented = as_sent = _encoded(_normalised(head.path), safe="/")
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in head.query.split("&"))]
    if signature.presigned_at is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    pairs = pairs if head.query else []
    encoded = [(_encoded(unquote_plus(n, "latin-1")), _encoded(unquote_plus(v, "latin-1"))) for n, v in pairs if n or v]
    seen = set()
    for path, query in ((documented, encoded), (as_sent, pairs)):
        text = "&".join(f"{name}={value}" for name, value in sorted(query))
        canonical = f"{head.method}\n{path or '/'}\n{text}\n{headers}\n{names}\n{payload}"
        if canonical not in seen:
            seen.add(canonical)
            yield canonical


def _encoded(text: str, safe: str = "") -> str:
    """Return text whose characters stand for bytes, percent-encoded."""
    return quote(text.encode("latin-1"), safe=safe + _UNRESERVED)


def _normalised(path: str) -> str:
    """Return a path without empty, `.` and `..` segments, with its last slash kept."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _check_scope(signature: Signature, regions: tuple[str, ...], service: str) -> None:
    if signature.region not in regions:
        raise Refused(
            Reason.WRONG_SCOPE,
            f"The credential is scoped to the region '{signature.region}', which is wrong; "
            f"expecting '{regions[0]}', the region of this home.",
            {"Region": regions[0]},
        )
    if signature.service != service:
        raise Refused(
            Reason.WRONG_SCOPE,
            f"Credential should be scoped to correct service: '{service}', not '{signature.service}'.",
        )


def _check_time(head: Head, signature: Signature, now: datetime) -> str:
    """Return the time of signing in the form that is signed."""
    stamp = signature.presigned_at or head.headers.get("x-amz-date")
    try:
        if stamp is not None:
            at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        else:
            at = parsedate_to_datetime(head.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as error:
        raise Refused(
            Reason.MALFORMED, "A signed request needs the header X-Amz-Date (YYYYMMDD'T'HHMMSS'Z') or Date."
        ) from error
    stamp = f"{at:{_STAMP}}"
    if not stamp.startswith(signature.date):
        raise Refused(
            Reason.MALFORMED, f"Date in Credential scope ({signature.date}) does not match the one of {stamp}."
        )
    if signature.presigned_at is not None and at - now <= LARGEST_SKEW:
        until = at + timedelta(seconds=signature.expires_s)
        if now > until:
            raise too_late(until, now)
    elif abs(now - at) > LARGEST_SKEW:
        raise Refused(
            Reason.SKEWED,
            f"Signature expired: {stamp} differs from the server's time {now:%Y%m%dT%H%M%SZ} by more than 15 minutes.",
            {"ServerTime": f"{now:%Y-%m-%dT%H:%M:%SZ}", "MaxAllowedSkewMilliseconds": "900000"},
        )
    return stamp


def _check_signed_headers(head: Head, signature: Signature) -> None:
    """Refuse a request whose meaning could be changed without changing its signature."""
    signed = set(signature.signed_headers)
    unsigned = {name for name in head.headers if name.startswith("x-amz-")} - signed
    if "host" not in signed:
        unsigned.add("host")
    if signature.presigned_at is None and "x-amz-date" not in head.headers and "date" not in signed:
        unsigned.add("date")
    if unsigned:
        raise Refused(
            Reason.MISMATCH, f"There were headers present in the request which were not signed: {sorted(unsigned)}."
        )


def _payload_hash(head: Head, signature: Signature, body: bytes | None) -> str:
    """Return what stands for the body in the canonical request."""
    announced = head.headers.get("x-amz-content-sha256")
    if announced is None and signature.presigned_at is not None and signature.service == "s3":
        return UNSIGNED_PAYLOAD  # whoever makes the URL does not know what will be sent to it
    if body is None:
        if announced is None:
            raise Refused(Reason.MALFORMED, "Missing required header for this request: x-amz-content-sha256.")
        return announced
    found = hashlib.sha256(body).hexdigest()
    if announced is not None and _SHA256.fullmatch(announced) and announced != found:
        raise Refused(Reason.WRONG_BODY, "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return announced or found


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode("latin-1"), hashlib.sha256).digest()
    return key
