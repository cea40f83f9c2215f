"""Which part of an object is wanted, and whether it is wanted at all: ranges and conditional requests.

Source: RFC 9110, sections 13 and 14; Amazon S3 API Reference, GetObject.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from towpath.gateway.services.s3.model import S3Error
from towpath.kernel.objects import ObjectVersion

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.ASCII)
_MOST_DIGITS = 20


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes wanted as (start, end), `end` not included; None when the whole is wanted.

    A header that is not one range of bytes is ignored, as HTTP asks.

    Raises:
        S3Error: InvalidRange, the range lies behind the object's end.
    """
    found = _RANGE.fullmatch(header.strip()) if header is not None else None
    if found is None or found[1] == found[2] == "":
        return None
    # Python refuses to read thousands of digits, and no object has a size of more than nineteen.
    first, last = (digits if len(digits) < _MOST_DIGITS else "9" * _MOST_DIGITS for digits in found.groups())
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), size if last == "" else min(int(last) + 1, size)
        if last != "" and int(last) < start:
            return None
    if start >= end:
        raise S3Error(
            "InvalidRange",
            f"The range {header} lies outside the object, which has {size} bytes.",
            headers={"content-range": f"bytes */{size}"},
        )
    return start, end


def is_unchanged(headers: Mapping[str, str], version: ObjectVersion) -> bool:
    """Return whether the client has this version already, so that 304 is the answer.

    Raises:
        S3Error: PreconditionFailed.
    """
    modified_at = version.created_at.replace(microsecond=0)
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, version.etag):
            raise _failed("If-Match", wanted, version)
    elif (since := _date(headers.get("if-unmodified-since"))) is not None and modified_at > since:
        raise _failed("If-Unmodified-Since", headers["if-unmodified-since"], version)
    if (known := headers.get("if-none-match")) is not None:
        return _matches(known, version.etag)
    since = _date(headers.get("if-modified-since"))
    return since is not None and modified_at <= since


def check_write(headers: Mapping[str, str], current: ObjectVersion | None) -> None:
    """Refuse a write whose condition does not hold for what is there now (None: nothing, or deleted).

    Raises:
        S3Error: PreconditionFailed, or NoSuchKey for If-Match on nothing.
    """
    unwanted, wanted = headers.get("if-none-match"), headers.get("if-match")
    if unwanted is not None and current is not None and _matches(unwanted, current.etag):
        raise _failed("If-None-Match", unwanted, current)
    if wanted is not None:
        if current is None:
            raise S3Error("NoSuchKey", f"If-Match is {wanted}, but there is no object.")
        if not _matches(wanted, current.etag):
            raise _failed("If-Match", wanted, current)


def _matches(header: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or etag in tags


def _date(value: str | None) -> datetime | None:
    """Return an HTTP date; one that cannot be read counts as absent, as HTTP asks."""
    if value is None:
        return None
    try:
        at = parsedate_to_datetime(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _failed(name: str, value: str, version: ObjectVersion) -> S3Error:
    return S3Error(
        "PreconditionFailed",
        f'{name} is {value}, but the object has the ETag "{version.etag}" and is of {version.created_at:%c} UTC.',
    )
