"""How values stand in columns: documents as JSON bytes, times as epoch seconds."""

from datetime import UTC, datetime
from typing import Any

import msgspec


def to_json(value: Any) -> bytes:
    """Return `value` as JSON bytes."""
    return msgspec.json.encode(value)


def from_json(data: bytes) -> Any:
    """Return the document that `to_json` wrote."""
    return msgspec.json.decode(data)


def to_epoch(at: datetime) -> float:
    """Return an aware time as epoch seconds."""
    return at.timestamp()


def from_epoch(seconds: float) -> datetime:
    """Return epoch seconds as an aware time, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def optional_time(seconds: float | None) -> datetime | None:
    """Return the time, or None for None."""
    return None if seconds is None else from_epoch(seconds)
