"""What identity needs of the store beyond what every feature gets."""

from datetime import datetime
from typing import Protocol

from towpath.kernel import ports
from towpath.kernel.principals import AccessKey


class KeyRows(Protocol):
    """The access keys, inside one transaction."""

    def add(self, new: AccessKey) -> None:
        """Add a key."""

    def find(self, name: str) -> AccessKey | None:
        """Return the key of that name."""

    def of(self, principal: str) -> list[AccessKey]:
        """Return the keys of a principal, oldest first."""

    def all(self) -> list[AccessKey]:
        """Return every key."""

    def set_active(self, name: str, *, active: bool) -> None:
        """Let a key be good, or not."""

    def remove(self, name: str) -> None:
        """Forget a key."""

    def rights_changed(self) -> None:
        """Let those who hold keys in memory read them anew, since a user's rights have changed."""

    def remove_expired(self, before: datetime) -> None:
        """Forget the keys whose time was over before `before`."""


class Transaction(ports.Transaction, Protocol):
    """A transaction with keys."""

    @property
    def keys(self) -> KeyRows: ...
