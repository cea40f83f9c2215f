"""What house-keeping needs of the store, the objects and the back end."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from towpath.housekeeping.model import Attempt, Layer, Node, OldRows, OldVersion, OpenUpload, Tombstone, VersionKey
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.resource import Resource, Uid

R = TypeVar("R")


class HousekeepingRows(Protocol):
    """The rows that house-keeping looks at and removes, inside one transaction."""

    def revisions(self) -> dict[Uid, int]:
        """Return the revision of every resource, tombstones included."""

    def live(self) -> frozenset[Uid]:
        """Return the resources that are not deleted."""

    def tombstones(self) -> list[Tombstone]:
        """Return the deleted resources, the latest deleted first."""

    def tombstone(self, kind: str, name: str) -> Resource | None:
        """Return the resource of that name that was deleted last."""

    def old_versions(self) -> list[OldVersion]:
        """Return the versions and delete markers that a reader of their key does not get."""

    def references(
        self, among: frozenset[VersionKey], uids: Iterable[Uid] | None = None
    ) -> dict[Uid, frozenset[VersionKey]]:
        """Return which of `among` the documents of resources name, by resource.

        Args:
            uids: only these resources; None: all.
        """

    def told_of(self, among: frozenset[VersionKey]) -> set[VersionKey]:
        """Return those of `among` that the lineage graph has a node for."""

    def nodes(self) -> list[Node]:
        """Return the nodes of the lineage graph."""

    def edges(self) -> list[tuple[str, str]]:
        """Return (source, destination) of the edges of the lineage graph."""

    def open_uploads(self) -> list[OpenUpload]:
        """Return the multipart uploads that were never completed."""

    def old_lines(self, before: datetime) -> OldRows | None:
        """Return how many lines of log groups came before `before`, None where none did."""

    def old_accesses(self, before: datetime) -> OldRows | None:
        """Return how many records of access to objects tell of nothing since `before`, None where none does."""

    def drop_accesses(self, before: datetime, *, limit: int) -> int:
        """Remove at most `limit` of the records of access to objects that tell of nothing since; return how many."""

    def drop_tombstones(self, uids: Iterable[Uid]) -> int:
        """Remove those of `uids` that are still deleted, with tags, index and work; return how many those were."""

    def drop_versions(self, refs: Iterable[VersionKey]) -> tuple[int, list[str]]:
        """Remove those of `refs` that a reader of their key does not get, bare delete markers included.

        Returns:
            How many those were, and the blobs that nothing refers to any more.
        """

    def drop_uploads(self, upload_ids: Iterable[str]) -> tuple[int, list[str]]:
        """Remove uploads that are still open; return how many those were and the blobs of their parts."""

    def drop_nodes(self, ids: Mapping[str, datetime]) -> int:
        """Remove lineage nodes that were not written to since the time given, with their edges; return how many."""


class Transaction(KernelTransaction, Protocol):
    """A transaction that knows what house-keeping asks."""

    @property
    def housekeeping(self) -> HousekeepingRows:
        """The rows of house-keeping."""


class Store(Protocol):
    """Runs functions in transactions."""

    def read(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` on a consistent snapshot; it must not write."""

    def write(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction; return when it is durable."""


class Blobs(Protocol):
    """The bytes of objects."""

    def discard(self, blob: str) -> None:
        """Remove a blob that no row names."""


class Attempts(Protocol):
    """What ended attempts left on this host."""

    def all(self) -> list[Attempt]:
        """Return every attempt that has a folder."""

    def trim(self, key: str) -> None:
        """Remove everything of an ended attempt but its log, metrics and manifest."""

    def forget(self, key: str) -> None:
        """Remove all of an ended attempt."""


class Layers(Protocol):
    """The environment layers of this host."""

    def all(self) -> list[Layer]:
        """Return every layer."""

    def remove(self, name: str) -> None:
        """Remove a layer; a process that dies meanwhile leaves none that looks whole."""
