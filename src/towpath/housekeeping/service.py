"""Carries out what the plan says: rows first, then bytes, so that a process that dies in between harms nothing."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec

from towpath.functions import FUNCTION_INVOCATION, InvocationStatus
from towpath.hosting.kinds import state_of as endpoint_state
from towpath.hosting.model import attempts_of
from towpath.housekeeping.model import Attempt, Facts, Item, Retention, VersionKey, What
from towpath.housekeeping.plan import plan, version_of
from towpath.housekeeping.ports import Attempts, Blobs, Layers, Store, Transaction
from towpath.housekeeping.uses import changed_since
from towpath.jobs.kinds import is_terminal
from towpath.kernel.clock import Clock
from towpath.kernel.errors import Conflict
from towpath.kernel.events import Event
from towpath.kernel.resource import Resource, Uid

COLLECTED = "Garbage Collected"
BATCH = 1000  #: rows removed in one transaction; nobody else can write meanwhile

T = TypeVar("T")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go, of one sort."""

    what: What
    count: int
    size: int  #: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection did, or would do."""

    items: list[Item]  #: the plan
    groups: list[Group]  #: of the plan in a dry run; else of what really went


class Collector:
    """Collects the garbage of one home, one collection at a time."""

    def __init__(
        self, *, store: Store, blobs: Blobs, attempts: Attempts, layers: Layers, retention: Retention, clock: Clock
    ) -> None:
        self.retention = retention
        self._store = store
        self._blobs = blobs
        self._attempts = attempts
        self._layers = layers
        self._clock = clock
        self._running = threading.Lock()

    def plan(self) -> list[Item]:
        """Return what a collection would remove now."""
        facts, _ = self._look()
        return plan(facts, self.retention, self._clock.now())

    def dry_run(self) -> Outcome:
        """Return what a collection would do now; it changes nothing."""
        items = self.plan()
        return Outcome(items=items, groups=_grouped(items))

    def collect(self, *, principal: str) -> Outcome:
        """Remove what nothing needs any more, and record by whom that was asked.

        What came into use since the plan was made is left alone.

        Raises:
            Conflict: a collection is under way.
        """
        if not self._running.acquire(blocking=False):
            raise Conflict("A collection is under way already; wait for its end.")
        try:
            return self._collect(principal)
        finally:
            self._running.release()

    def _look(self) -> tuple[Facts, dict[Uid, int]]:
        """Return how things stand, and the revision of each resource at that moment."""
        # The folders are looked at first: an attempt that is new is then not taken for one that nobody knows.
        attempts = tuple(self._attempts.all())
        layers = tuple(self._layers.all())

        def read(transaction: Transaction) -> tuple[Facts, dict[Uid, int]]:
            rows = transaction.housekeeping
            versions, nodes = tuple(rows.old_versions()), tuple(rows.nodes())
            told_of = (ref for node in nodes if (ref := version_of(node)) is not None)
            facts = Facts(
                live=rows.live(),
                tombstones=tuple(rows.tombstones()),
                versions=versions,
                references=rows.references(frozenset((*(version.ref for version in versions), *told_of))),
                nodes=nodes,
                edges=tuple(rows.edges()),
                uploads=tuple(rows.open_uploads()),
                attempts=attempts,
                needed=frozenset(needed_attempts(transaction, attempts)),
                layers=layers,
                accesses=rows.old_accesses(self._oldest_access()),
                lines=rows.old_lines(self._oldest_line()),
            )
            return facts, rows.revisions()

        return self._store.read(read)

    def _oldest_access(self) -> datetime:
        """Return the time before which records of access to objects are not kept."""
        return self._clock.now() - timedelta(days=self.retention.accesses_days)

    def _oldest_line(self) -> datetime:
        """Return the time before which lines of log groups are not kept."""
        return self._clock.now() - timedelta(days=self.retention.logs_days)

    def _collect(self, principal: str) -> Outcome:
        facts, revisions = self._look()
        items = plan(facts, self.retention, self._clock.now())
        by_what: dict[What, list[Item]] = defaultdict(list)
        for item in items:
            by_what[item.what].append(item)
        went = [
            *self._drop_tombstones(by_what[What.TOMBSTONE]),
            *self._drop_versions(by_what[What.VERSION], revisions),
            *self._drop_uploads(by_what[What.UPLOAD]),
            *self._drop_nodes(by_what[What.LINEAGE]),
            *self._drop_accesses(by_what[What.ACCESS]),
            *self._drop_lines(by_what[What.LINE]),
        ]
        for item in by_what[What.ATTEMPT]:
            self._attempts.forget(item.id[0])
        for item in by_what[What.ATTEMPT_FILES]:
            self._attempts.trim(item.id[0])
        for item in by_what[What.LAYER]:
            self._layers.remove(item.id[0])
        went += _grouped([*by_what[What.ATTEMPT], *by_what[What.ATTEMPT_FILES], *by_what[What.LAYER]])
        groups = [group for group in went if group.count]
        if groups:
            self._store.write(lambda transaction: _record(transaction, groups, principal))
        return Outcome(items=items, groups=groups)

    def _drop_tombstones(self, items: Sequence[Item]) -> Iterator[Group]:
        count = 0
        for some in _batches(items):
            uids = [Uid(item.id[0]) for item in some]
            count += self._store.write(lambda transaction, uids=uids: transaction.housekeeping.drop_tombstones(uids))  # type: ignore[misc]
        yield Group(what=What.TOMBSTONE, count=count, size=0)

    def _drop_versions(self, items: Sequence[Item], revisions: dict[Uid, int]) -> Iterator[Group]:
        count = size = 0
        # Delete markers go when the versions of their keys are gone.
        for some in _batches(sorted(items, key=lambda item: item.reason.startswith("a delete marker"))):
            sizes = {VersionKey(*item.id): item.size for item in some}

            def drop(transaction: Transaction, sizes: dict[VersionKey, int] = sizes) -> tuple[int, int, list[str]]:
                changed = changed_since(transaction, revisions)
                named = transaction.housekeeping.references(frozenset(sizes), changed).values()
                going = set(sizes).difference(*named)
                dropped, blobs = transaction.housekeeping.drop_versions(going)
                return dropped, sum(sizes[ref] for ref in going), blobs

            dropped, freed, blobs = self._store.write(drop)
            count, size = count + dropped, size + freed
            for blob in blobs:
                self._blobs.discard(blob)
        yield Group(what=What.VERSION, count=count, size=size)

    def _drop_uploads(self, items: Sequence[Item]) -> Iterator[Group]:
        count = 0
        for some in _batches(items):
            ids = [item.id[0] for item in some]
            dropped, blobs = self._store.write(
                lambda transaction, ids=ids: transaction.housekeeping.drop_uploads(ids)  # type: ignore[misc]
            )
            count += dropped
            for blob in blobs:
                self._blobs.discard(blob)
        yield Group(what=What.UPLOAD, count=count, size=sum(item.size for item in items))

    def _drop_nodes(self, items: Sequence[Item]) -> Iterator[Group]:
        count = 0
        for some in _batches(items):
            ids = {item.id[0]: item.since for item in some}
            count += self._store.write(lambda transaction, ids=ids: transaction.housekeeping.drop_nodes(ids))  # type: ignore[misc]
        yield Group(what=What.LINEAGE, count=count, size=0)

    def _drop_accesses(self, items: Sequence[Item]) -> Iterator[Group]:
        before = self._oldest_access()
        if items:
            drop = partial(_drop_accesses, before)
            yield Group(what=What.ACCESS, count=self._repeated(drop), size=0)

    def _drop_lines(self, items: Sequence[Item]) -> Iterator[Group]:
        before = self._oldest_line()
        if items:
            drop = partial(_drop_lines, before)
            yield Group(what=What.LINE, count=self._repeated(drop), size=0)

    def _repeated(self, drop: Callable[[Transaction], int]) -> int:
        """Drop a batch of rows after the other until there is none; return how many went."""
        count = 0
        while True:
            dropped = self._store.write(drop)
            count += dropped
            if dropped < BATCH:
                return count


def needed_attempts(transaction: Transaction, attempts: Sequence[Attempt]) -> Iterator[str]:
    """Yield the keys of the attempts that a live resource still looks after: it observes them, or their logs."""
    owners: dict[Uid, Resource | None] = {}
    for attempt in attempts:
        if attempt.uid not in owners:
            owners[attempt.uid] = transaction.resources.get(attempt.uid)
        owner = owners[attempt.uid]
        if owner is None or not owner.is_live:
            continue
        if owner.kind == "Endpoint":
            if attempt.key in attempts_of(owner.uid, endpoint_state(owner)):
                yield attempt.key
        elif owner.kind == FUNCTION_INVOCATION.noun:
            if not InvocationStatus(owner.status or "").is_over:
                yield attempt.key
        elif not is_terminal(owner.status):
            yield attempt.key


def _drop_accesses(before: datetime, transaction: Transaction) -> int:
    return transaction.housekeeping.drop_accesses(before, limit=BATCH)


def _drop_lines(before: datetime, transaction: Transaction) -> int:
    return transaction.lines.drop(before, BATCH)


def _record(transaction: Transaction, groups: Sequence[Group], principal: str) -> None:
    transaction.events.append(
        Event(
            type=COLLECTED,
            subject=None,
            principal=principal,
            at=transaction.now,
            detail={group.what.value: {"count": group.count, "bytes": group.size} for group in groups},
        )
    )


def _grouped(items: Sequence[Item]) -> list[Group]:
    groups: dict[What, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.what].append(item)
    return [
        Group(what=what, count=sum(item.count for item in some), size=sum(item.size for item in some))
        for what, some in groups.items()
    ]


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
