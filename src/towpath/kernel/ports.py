"""What features may do to the store, inside one transaction. The store implements it; tests use the store in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from towpath.kernel.accesses import AccessRows
from towpath.kernel.arns import Home
from towpath.kernel.events import Event
from towpath.kernel.faults import Fault
from towpath.kernel.objects import ObjectRows
from towpath.kernel.resource import Document, Resource, Uid

R = TypeVar("R")


class Filter(msgspec.Struct, frozen=True):
    """A condition on an indexed member: `member` is name, status, parent, created_at, modified_at or a sort member."""

    member: str
    operator: str  #: "=", "contains", "begins", ">", "<", ">=", "<="
    value: Any


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A page of resources of one kind, in keyset order."""

    kind: str
    filters: tuple[Filter, ...] = ()
    sort_by: str = "created_at"
    descending: bool = True
    limit: int = 100
    token: str | None = None  #: as returned with the page before


class Page(msgspec.Struct, frozen=True):
    """Resources and the token of the next page, None at the end."""

    items: list[Resource]
    token: str | None


class Heading(NamedTuple):
    """What a resource is and how it stands, without its documents: much less work to read than all of a large one."""

    uid: Uid
    kind: str
    arn: str
    status: str | None
    is_live: bool


class Resources(Protocol):
    """The rows of all kinds."""

    def find(self, kind: str, name: str) -> Resource | None:
        """Return the live resource of that name."""

    def get(self, uid: Uid) -> Resource | None:
        """Return a resource, tombstones included."""

    def by_arn(self, arn: str) -> Resource | None:
        """Return the live resource of that ARN."""

    def query(self, query: Query) -> Page:
        """Return a page of live resources."""

    def heading(self, uid: Uid) -> Heading | None:
        """Return the heading of a resource, tombstones included."""

    def headings(self, parent: Uid) -> list[Heading]:
        """Return the headings of what was started by `parent` and is live, oldest first."""

    def children(self, parent: Uid) -> list[Resource]:
        """Return what was started by `parent` and is live, oldest first; `headings` is much less work."""

    def by_member(self, kind: str, member: str) -> list[Resource]:
        """Return the live resources of a kind that have an indexed member, whatever its value, oldest first."""

    def insert(self, new: Resource) -> None:
        """Add a resource. Raises Conflict when a live one has the name."""

    def replace(self, before: Resource, **changes: Any) -> Resource:
        """Write `changes` and return the new resource, its revision raised.

        The row must still have the revision of `before`, else StaleRevision. When `status` changes, the parent's work
        is made due in the same transaction.
        """

    def has_changed(self, kind: str) -> bool:
        """Return whether resources of a kind were made or changed in this transaction, or before it by one whose commit
        is the same: what it reads of them may still be undone."""

    def tags(self, uid: Uid) -> dict[str, str]:
        """Return the tags of a resource."""

    def set_tags(self, uid: Uid, tags: dict[str, str | None]) -> None:
        """Set tags; None removes one."""

    def next_number(self, name: str) -> int:
        """Return 1, 2, 3, … for a named counter; a number is never given twice."""


class Events(Protocol):
    """The append-only record of what happened."""

    def append(self, new: Event) -> None:
        """Add an event."""

    def of(self, subject: Uid) -> list[Event]:
        """Return what happened to one resource, oldest first."""

    def newest(self, subject: Uid, of_type: str, *, before: int | None, limit: int) -> list[tuple[int, Event]]:
        """Return the events of a type that happened to one resource, each with its position, newest first.

        Args:
            before: only those at smaller positions, which never change; None: from the newest on.
        """


class Work(Protocol):
    """Resources that the engine shall look at."""

    def schedule(self, uid: Uid, due_at: datetime, *, because: Uid | None = None) -> None:
        """Make `uid` due at `due_at`, or earlier when it was due earlier; what a fault holds up when its next try is.

        Args:
            because: the child whose status has changed, or that was deleted.
        """

    def hurry(self, uid: Uid) -> None:
        """Make `uid` due at once, also what a fault holds up: somebody wants something else of it now.

        For what a person asks for, which is rare; what a fault holds up would else be tried again and again.
        """

    def changed(self, uid: Uid) -> list[Uid]:
        """Return the children of a resource that have changed so since the last turn that it ended well began.

        A child may be among them that has changed earlier, and may be named twice; none is missing.
        """

    def fault(self, uid: Uid) -> Fault | None:
        """Return why nothing could be decided about a resource the last time, None where something could."""

    def faults(self, least: int, most: int) -> list[tuple[Uid, Fault]]:
        """Return up to `most` resources about which `least` tries in a row have failed, the longest first."""


class LineageNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the lineage graph, with what it is in SageMaker's words."""

    id: str
    type: str
    properties: Document
    lineage_type: str
    entity: str  #: what stands in its ARN behind the type
    entity_type: str
    source_uri: str
    created_at: datetime
    modified_at: datetime


class LineageEdge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of the lineage graph, between nodes that are there."""

    source: LineageNode
    destination: LineageNode
    association: str
    created_at: datetime
    created_by: str | None  #: None: the platform itself


class LineageRows(Protocol):
    """The lineage graph: nodes are known by a stable id, edges by (source, destination, association)."""

    def put_node(self, node_id: str, type_: str, properties: Document, at: datetime) -> None:
        """Add a node, or merge `properties` into it."""

    def put_edge(self, source: str, destination: str, association: str, at: datetime, *, by: str | None = None) -> None:
        """Add an edge; adding it again changes nothing.

        Args:
            by: the user who says so, None for the platform itself.
        """

    def put_nodes(self, nodes: Sequence[tuple[str, str, Document]], at: datetime) -> None:
        """Add or merge many nodes (id, type, properties), at a fraction of the cost of one by one."""

    def put_edges(self, edges: Sequence[tuple[str, str, str]], at: datetime) -> None:
        """Add many edges (source, destination, association); adding one again changes nothing."""

    def node(self, node_id: str) -> tuple[str, Document] | None:
        """Return (type, properties)."""

    def edges_into(self, node_id: str) -> list[tuple[str, str]]:
        """Return (source, association) of the edges that end here."""

    def edges_out_of(self, node_id: str) -> list[tuple[str, str]]:
        """Return (destination, association) of the edges that start here."""

    def is_recorded(self, source: str, destination: str, association: str) -> bool:
        """Return whether the platform itself saw this happen, whatever users say of it."""

    def find(self, node_id: str) -> LineageNode | None:
        """Return a node with everything that is known of it."""

    def by_entity(self, lineage_type: str, entity: str) -> LineageNode | None:
        """Return the node that an ARN names."""

    def entities(self, filters: Sequence[Filter], query: Query) -> tuple[list[LineageNode], str | None]:
        """Return a page of nodes and the token of the next one.

        Args:
            filters: on lineage_type, entity_type, source_uri and created_at.
            query: its sort_by (created_at, entity), descending, limit and token.
        """

    def associations(self, filters: Sequence[Filter], query: Query) -> tuple[list[LineageEdge], str | None]:
        """Return a page of edges and the token of the next one.

        Args:
            filters: on source, destination, association, source_type, destination_type and created_at.
            query: its sort_by (created_at, source_arn, destination_arn, source_type, destination_type), descending,
                limit and token.
        """

    def remove_node(self, node_id: str) -> None:
        """Remove a node that has no edges."""

    def remove_edges(self, source: str, destination: str) -> int:
        """Remove what users said of two nodes; return how many edges went."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric."""

    name: str
    value: float
    at: datetime
    step: int | None = None  #: of the training; a job's values are counted from 0 for each metric


class MetricSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All values of one metric of one subject, in short."""

    subject: Uid
    name: str
    count: int
    least: float
    greatest: float
    mean: float
    deviation: float  #: standard deviation of the values, as all there are
    last: float  #: the value of the latest time
    at: datetime  #: of the last value


class MetricRows(Protocol):
    """Values of metrics, of jobs and trial components."""

    def put(self, subject: Uid, values: Sequence[Measured]) -> None:
        """Add values."""

    def summaries(self, subjects: Sequence[Uid]) -> list[MetricSummary]:
        """Return the metrics of some subjects in short, by name."""

    def values(self, subject: Uid, name: str) -> Iterator[Measured]:
        """Yield the values of one metric, the earliest first."""


class SeriesKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which metric, as CloudWatch tells metrics apart."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()  #: (name, value), by name


class Datum(msgspec.Struct, frozen=True, kw_only=True):
    """One or more values of a metric of CloudWatch, as they came together."""

    at: datetime
    count: float  #: of values
    total: float  #: their sum
    least: float
    greatest: float
    unit: str = "None"


class SeriesRows(Protocol):
    """The values of metrics of CloudWatch."""

    def put(self, key: SeriesKey, data: Sequence[Datum], now: datetime) -> None:
        """Add values that have come now."""

    def data(self, key: SeriesKey, start: datetime, end: datetime, unit: str | None = None) -> Iterator[Datum]:
        """Yield the values from a time on and before another one, the earliest first."""

    def has_data(self, key: SeriesKey, start: datetime) -> bool:
        """Return whether there is any value from a time on."""

    def keys(
        self, *, namespace: str | None, name: str | None, since: datetime | None, after: int
    ) -> Iterator[tuple[int, SeriesKey]]:
        """Yield metrics with their numbers, those behind a number, in order.

        Args:
            since: only those of which values have come since then.
        """

    def drop(self, before: datetime, most: int) -> int:
        """Remove values of times before `before`, some of them where they are more than `most`; return how many."""


class StoredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that an event has written to a log group."""

    number: int  #: grows with each line of any group
    at: datetime
    text: str  #: may hold line breaks


class LineRows(Protocol):
    """The lines of log groups that events are written to."""

    def append(self, group: Uid, at: datetime, text: str, now: datetime) -> None:
        """Add a line to a group; `at` is the time that it says of itself, `now` when it came."""

    def after(self, group: Uid, number: int, limit: int) -> Sequence[StoredLine]:
        """Return lines of a group behind a number, the earliest first."""

    def newest(self, group: Uid, count: int) -> int:
        """Return the number behind which the last `count` lines of a group begin, 0 where it has no more than these."""

    def drop(self, before: datetime, most: int) -> int:
        """Remove lines that came before `before`, some of them where they are more than `most`; return how many."""

    def forget(self, group: Uid) -> None:
        """Remove all lines of a group."""


class Transaction(Protocol):
    """One transaction: everything in it becomes durable and visible together, or not at all."""

    @property
    def home(self) -> Home: ...

    @property
    def now(self) -> datetime: ...

    @property
    def resources(self) -> Resources: ...

    @property
    def events(self) -> Events: ...

    @property
    def work(self) -> Work: ...

    @property
    def objects(self) -> ObjectRows: ...

    @property
    def accesses(self) -> AccessRows: ...

    @property
    def lineage(self) -> LineageRows: ...

    @property
    def metrics(self) -> MetricRows: ...

    @property
    def series(self) -> SeriesRows: ...

    @property
    def lines(self) -> LineRows: ...

    def nested(self) -> AbstractContextManager[None]:
        """Open a savepoint: an exception that leaves the block undoes what was written in it, and only that."""


class Store(Protocol):
    """Runs functions in transactions."""

    def read(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` on a consistent snapshot; it must not write."""

    def write(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction; return when it is durable. An exception undoes all of it and is raised here."""
