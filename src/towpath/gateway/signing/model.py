"""What a signature says, and why a caller is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from towpath.kernel.errors import Denied


class Reason(Enum):
    """Why a caller is refused; each protocol has its own word for it."""

    MISSING = "missing"  #: nothing says who is calling
    MALFORMED = "malformed"  #: what says so cannot be read
    UNKNOWN = "unknown"  #: no such access key or token
    WRONG_TOKEN = "wrong token"  #: the session token does not belong to the access key
    EXPIRED = "expired"  #: the session is over
    MISMATCH = "mismatch"  #: the signature is not the one we work out
    SKEWED = "skewed"  #: signed too long ago, or in the future
    TOO_LATE = "too late"  #: the presigned URL was good until a time that has passed
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
    """What a request that is signed by version 4 says of its signature."""

    access_key: str
    date: str  #: YYYYMMDD
    region: str
    service: str  #: signing name
    signed_headers: tuple[str, ...]
    digest: str  #: hex
    presigned_at: str | None = None  #: X-Amz-Date of a presigned URL; None where the header is signed
    expires_s: int = 0  #: how long a presigned URL is good
    session_token: str = ""

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def mismatch(access_key: str) -> Refused:
    """Return the refusal of a signature that is not the one we work out."""
    return Refused(
        Reason.MISMATCH,
        "The request signature we calculated does not match the signature you provided. "
        "Check your secret key and signing method.",
        {"AWSAccessKeyId": access_key},
    )


def too_late(until: datetime, now: datetime) -> Refused:
    """Return the refusal of a presigned URL whose time has passed."""
    return Refused(
        Reason.TOO_LATE,
        f"Request has expired: the URL was good until {until:%Y-%m-%dT%H:%M:%SZ}, and it is {now:%Y-%m-%dT%H:%M:%SZ}.",
        {"Expires": f"{until:%Y-%m-%dT%H:%M:%SZ}", "ServerTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"},
    )
