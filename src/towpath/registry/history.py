"""What happened to a model package, as an append-only list of entries: who decided what, when and why."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Topic(StrEnum):
    """What an entry tells of."""

    REGISTERED = "Registered"
    APPROVAL = "Approval"
    METADATA = "Metadata"


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """One thing that happened to a model package."""

    topic: Topic
    at: datetime
    by: str  #: name of the principal
    before: str | None = None  #: approval status before an approval entry
    after: str | None = None  #: approval status after it, and the first one in a Registered entry
    note: str = ""
    members: tuple[str, ...] = ()  #: request members that a Metadata entry changed


def approvals(history: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the approval decisions alone, oldest first."""
    return tuple(entry for entry in history if entry.topic is Topic.APPROVAL)


def status_at(history: tuple[Entry, ...], moment: datetime) -> str | None:
    """Return the approval status that held at `moment`, None before the package was registered or where it has none."""
    standing = None
    for entry in history:
        if entry.at > moment:
            break
        if entry.topic in {Topic.REGISTERED, Topic.APPROVAL}:
            standing = entry.after
    return standing
