"""One transaction: the repositories of all nouns on one connection."""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from towpath.kernel.arns import Home
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Measured, Transaction
from towpath.kernel.resource import Uid
from towpath.store.accesses import AccessTable
from towpath.store.cache import CacheTable
from towpath.store.events import EventTable
from towpath.store.housekeeping import HousekeepingTable
from towpath.store.keys import KeyTable
from towpath.store.lineage import LineageTable
from towpath.store.lines import LineTable
from towpath.store.long_specs import DecodedSpecs
from towpath.store.metrics import MetricTable
from towpath.store.objects import ObjectTable
from towpath.store.prepared import RELEASE, ROLL_BACK, SAVEPOINT, is_undone
from towpath.store.resources import ResourceTable
from towpath.store.series import SeriesTable
from towpath.store.steps import StepTable
from towpath.store.work import WorkTable


class Subscriber(Protocol):
    """Is told of what happens, inside the transaction in which it happens; what it writes is part of it."""

    def happened(self, transaction: Transaction, event: Event) -> None:
        """An event was recorded."""

    def created(self, transaction: Transaction, versions: Sequence[ObjectVersion]) -> None:
        """Versions of objects were recorded."""

    def measured(self, transaction: Transaction, subject: Uid, values: Sequence[Measured]) -> None:
        """Values of metrics of a job or trial component were recorded."""


class Subscribers:
    """Implements `Subscriber`: tells each of several, in order; of none, nobody."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._subscribers = subscribers

    def happened(self, transaction: Transaction, event: Event) -> None:
        """Tell of an event."""
        for each in self._subscribers:
            each.happened(transaction, event)

    def created(self, transaction: Transaction, versions: Sequence[ObjectVersion]) -> None:
        """Tell of versions of objects."""
        for each in self._subscribers:
            each.created(transaction, versions)

    def measured(self, transaction: Transaction, subject: Uid, values: Sequence[Measured]) -> None:
        """Tell of values of metrics."""
        for each in self._subscribers:
            each.measured(transaction, subject, values)


class SqlTransaction:
    """Implements `kernel.ports.Transaction`, and what features add to it in their own ports."""

    def __init__(
        self,
        connection: Connection,
        home: Home,
        now: datetime,
        decoded: DecodedSpecs,
        subscriber: Subscriber | None = None,
        changed_before: Set[str] = frozenset(),
    ) -> None:
        """`changed_before`: kinds of resources that those have changed who came before and are committed with it."""
        self.connection = connection
        self.home = home
        self.now = now
        self.work = WorkTable(connection)
        self.resources = ResourceTable(connection, home, now, self._wake, decoded, changed_before)
        subscriber = subscriber or Subscribers()
        self.events = EventTable(connection, lambda event: subscriber.happened(self, event))
        self.objects = ObjectTable(connection, lambda versions: subscriber.created(self, versions))
        self.accesses = AccessTable(connection)
        self.lineage = LineageTable(connection)
        self.metrics = MetricTable(connection, lambda subject, values: subscriber.measured(self, subject, values))
        self.series = SeriesTable(connection)
        self.lines = LineTable(connection)
        self.steps = StepTable(connection)
        self.cache = CacheTable(connection)
        self.keys = KeyTable(connection)
        self.housekeeping = HousekeepingTable(connection, self.resources, self.objects)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Open a savepoint: an exception that leaves the block undoes what was written in it, and only that."""
        scheduled = set(self.work.scheduled)
        SAVEPOINT(self.connection)
        try:
            yield
        except BaseException:
            self.work.scheduled = scheduled
            ROLL_BACK(self.connection)
            RELEASE(self.connection)
            raise
        RELEASE(self.connection)

    def is_undone(self) -> bool:
        """Whether the database itself has undone the whole transaction, as SQLite may where the disk is full.

        Source: SQLite documentation, "Transaction", section 2.1.
        """
        return is_undone(self.connection)

    def _wake(self, parent: Uid, child: Uid) -> None:
        self.work.schedule(parent, self.now, because=child)
