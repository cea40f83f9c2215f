"""What triggers need of the rest of the platform."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Resource, Uid


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a webhook."""

    url: str
    body: str  #: JSON, or text
    headers: dict[str, str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message."""

    status: int | None = None  #: of the HTTP answer; None: there was none
    reason: str = ""  #: why there was none, or what the answer said


#: Sends a message of a delivery to a webhook, once, and tells what came of it: None where the delivery was withdrawn
#: before. Returns at once: another side that is slow must hold up nothing here. It tells from any thread.
Send: TypeAlias = Callable[[Uid, Message, Callable[[Answer | None], None]], None]


class Tombstones(Protocol):
    """What is known of resources that are gone."""

    def tombstone(self, kind: str, name: str) -> Resource | None:
        """Return the resource of a kind and name that was deleted last."""


class RememberingTransaction(Transaction, Protocol):
    """A transaction that knows what is gone as well."""

    @property
    def housekeeping(self) -> Tombstones:
        """What is kept of resources that are gone."""
