"""Who is calling: Signature Version 4 in the Authorization header, and bearer tokens.

Source: AWS General Reference, "Create a signed AWS API request"; Amazon S3 API Reference, "Authenticating Requests:
Using the Authorization Header".
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote, unquote_plus

from towpath.gateway.exchange import Head
from towpath.kernel.errors import Denied
from towpath.kernel.principals import Principal

ALGORITHM = "AWS4-HMAC-SHA256"
LARGEST_SKEW = timedelta(minutes=15)
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_UNRESERVED = "-_.~"
_SHA256 = re.compile("[0-9a-f]{64}")
_CREDENTIAL = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")


class Principals(Protocol):
    """Finds who keys belong to. Asked for each request on the event loop, so it answers from memory."""

    def by_access_key(self, access_key: str) -> Principal | None:
        """Return whom an access key belongs to."""

    def by_token(self, token: str) -> Principal | None:
        """Return whom a bearer token belongs to; the comparison must not tell by its time how much was right."""


class KnownPrincipals:
    """Principals held in memory, as a home reads them at its start."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        known = list(principals)
        self._by_access_key = {principal.access_key: principal for principal in known}
        # Looked up by digest: how long a look-up takes then says nothing about the token itself.
        self._by_token = {_token_digest(principal.token): principal for principal in known if principal.token}

    def by_access_key(self, access_key: str) -> Principal | None:
        return self._by_access_key.get(access_key)

    def by_token(self, token: str) -> Principal | None:
        return self._by_token.get(_token_digest(token))


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Reason(Enum):
    """Why a caller is refused; each protocol has its own word for it."""

    MISSING = "missing"  #: nothing says who is calling
    MALFORMED = "malformed"  #: the Authorization header cannot be read
    UNKNOWN = "unknown"  #: no such access key or token
    MISMATCH = "mismatch"  #: the signature is not the one we work out
    SKEWED = "skewed"  #: signed too long ago, or in the future
    WRONG_SCOPE = "wrong scope"  #: signed for another region or service
    WRONG_BODY = "wrong body"  #: the body is not the one that was signed


class Refused(Denied):
    """The caller is not known."""

    def __init__(self, reason: Reason, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = dict(details or {})  #: more elements of the error document, for example the right region


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What the Authorization header of a signed request says."""

    access_key: str
    date: str  #: YYYYMMDD
    region: str
    service: str  #: signing name
    signed_headers: tuple[str, ...]
    digest: str  #: hex

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def signature_of(head: Head) -> Signature | None:
    """Return the signature in the Authorization header, None when the header holds none.

    Raises:
        Refused: it claims to be one and cannot be read.
    """
    header = head.headers.get("authorization", "")
    algorithm, _, rest = header.partition(" ")
    if not algorithm.startswith("AWS4-"):
        return None
    if algorithm != ALGORITHM:
        raise Refused(Reason.MALFORMED, f"Signing algorithm {algorithm!r} is not supported; expected {ALGORITHM}.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise Refused(Reason.MALFORMED, f"Authorization header requires '{name}' parameter.")
    credential = _CREDENTIAL.fullmatch(parts["Credential"])
    if credential is None:
        raise Refused(
            Reason.MALFORMED, "Credential must have the form ACCESS-KEY/YYYYMMDD/REGION/SERVICE/aws4_request."
        )
    access_key, date, region, service = credential.groups()
    return Signature(
        access_key=access_key,
        date=date,
        region=region,
        service=service,
        signed_headers=tuple(parts["SignedHeaders"].lower().split(";")),
        digest=parts["Signature"],
    )


def bearer_token(head: Head) -> str | None:
    """Return the bearer token in the Authorization header, None when the header holds none."""
    scheme, _, token = head.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def identify_token(token: str, principals: Principals) -> Principal:
    """Return whom a bearer token belongs to.

    Raises:
        Refused: nobody.
    """
    principal = principals.by_token(token)
    if principal is None:
        raise Refused(Reason.UNKNOWN, "The bearer token included in the request is invalid.")
    return principal


def verify(
    head: Head,
    signature: Signature,
    principals: Principals,
    *,
    body: bytes | None,
    regions: tuple[str, ...],
    service: str,
    now: datetime,
) -> Principal:
    """Return who signed the request.

    Args:
        body: the whole body, compared with what was signed; None for one that is streamed later, whose announced digest
            (x-amz-content-sha256) is taken as signed and has to be compared by whoever reads it.
        regions: those that a request may be signed for, the home's own first.
        service: signing name that the request must be signed for.
    Raises:
        Refused: in all other cases, with the reason.
    """
    principal = principals.by_access_key(signature.access_key)
    if principal is None:
        raise Refused(
            Reason.UNKNOWN,
            f"The access key {signature.access_key!r} does not exist here; `towpath env` prints one that does.",
            {"AWSAccessKeyId": signature.access_key},
        )
    _check_scope(signature, regions, service)
    stamp = _check_time(head, signature, now)
    _check_signed_headers(head, signature)
    payload = _payload_hash(head, body)
    key = _signing_key(principal.secret_key, signature.date, signature.region, signature.service)
    for canonical in canonical_requests(head, signature, payload):
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{signature.scope}\n{digest}"
        expected = hmac.new(key, text.encode("latin-1"), hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), signature.digest.encode("latin-1")):
            return principal
    raise Refused(
        Reason.MISMATCH,
        "The request signature we calculated does not match the signature you provided. "
        "Check your secret key and signing method.",
        {"AWSAccessKeyId": signature.access_key},
    )


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
    stamp = head.headers.get("x-amz-date")
    try:
        if stamp is not None:
            at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        else:
            at = parsedate_to_datetime(head.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as error:
        raise Refused(
            Reason.MALFORMED, "A signed request needs the header X-Amz-Date (YYYYMMDD'T'HHMMSS'Z') or Date."
        ) from error
    stamp = f"{at:%Y%m%dT%H%M%SZ}"
    if not stamp.startswith(signature.date):
        raise Refused(
            Reason.MALFORMED, f"Date in Credential scope ({signature.date}) does not match the one of {stamp}."
        )
    if abs(now - at) > LARGEST_SKEW:
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
    if "x-amz-date" not in head.headers and "date" not in signed:
        unsigned.add("date")
    if unsigned:
        raise Refused(
            Reason.MISMATCH, f"There were headers present in the request which were not signed: {sorted(unsigned)}."
        )


def _payload_hash(head: Head, body: bytes | None) -> str:
    announced = head.headers.get("x-amz-content-sha256")
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
