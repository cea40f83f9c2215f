"""What pipelines need of the rest of the platform."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from towpath.jobs.channels import PinnedObject
from towpath.kernel.objects import ObjectRef
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.caching import Asked, Lookup
from towpath.pipelines.definition import Step
from towpath.pipelines.graph import Node
from towpath.pipelines.model import HistoryEntry, StepRow

if TYPE_CHECKING:
    from botocore.model import Shape


class Shapes(Protocol):
    """The shapes of the API's operations."""

    def input(self, operation: str) -> "Shape | None":
        """Return the input shape of an operation, None when it is not known."""

    def output(self, operation: str) -> "Shape | None":
        """Return the output shape of an operation, None when it is not known."""


class NoShapes:
    """Knows no shapes: arguments are neither checked nor coerced."""

    def input(self, operation: str) -> None:
        """Return None."""

    def output(self, operation: str) -> None:
        """Return None."""


class StepRows(Protocol):
    """The steps of executions and what has happened to them."""

    def of(self, execution: Uid) -> dict[str, StepRow]:
        """Return the steps that have begun, in the order in which they began."""

    def page(self, execution: Uid, *, after: int | None, limit: int, descending: bool) -> list[StepRow]:
        """Return some steps in the order in which they began, or the other way round, to be shown.

        A step whose record is damaged is among them, with a reason that says so: nothing may be decided by these.

        Args:
            after: `position` of the last step of the page before; None: begin with the first.
        """

    def find(self, execution: Uid, name: str) -> StepRow | None:
        """Return a step, None when it has not begun."""

    def put(self, execution: Uid, rows: Iterable[StepRow]) -> None:
        """Add steps, or write them anew."""

    def append(self, execution: Uid, entries: Iterable[HistoryEntry]) -> None:
        """Append to the history."""

    def history(self, execution: Uid) -> list[HistoryEntry]:
        """Return the history in the order in which it was written."""


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The newest success of a step of a pipeline with a key."""

    pipeline: Uid
    step: str
    key: str
    execution: Uid
    ended_at: datetime
    outputs: tuple[
        PinnedObject, ...
    ]  #: what it left, each object in the version that it wrote; house-keeping keeps them


class CacheRows(Protocol):
    """What later executions of a pipeline may take over."""

    def put(self, entry: CacheEntry) -> None:
        """Add an entry in place of the one of its step and key."""

    def find(self, pipeline: Uid, step: str, key: str) -> CacheEntry | None:
        """Return the entry of a step and a key."""


class Transaction(KernelTransaction, Protocol):
    """A transaction that knows the steps of executions, and what later ones may take over."""

    @property
    def cache(self) -> CacheRows:
        """What later executions may take over."""

    @property
    def steps(self) -> StepRows:
        """The steps of executions."""


class EarlierResults(Protocol):
    """Finds results of earlier executions that stand for steps, and keeps those of new ones."""

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        """Return the key of a step that would start now, and the newest success with this key.

        Args:
            request: that its job would be created with.
            told: what its metadata would tell of it.
        """

    def hand_over(self, transaction: Transaction, job: Uid, lookup: Lookup) -> None:
        """Have the job of a step that runs read what its key was made of."""

    def take_over(
        self, transaction: Transaction, execution: Resource, row: StepRow, displaced: Iterable[ObjectRef]
    ) -> None:
        """Record that a step took the result of another execution's job over, and put outputs back into their places.

        Raises:
            StaleRevision: an output is gone since it was looked up; the decision is void.
        """

    def is_as_looked_up(self, execution: Resource, node: Node, row: StepRow) -> bool:
        """Return whether what a step started, which has succeeded, was made of what its key says.

        False where the step has no key, and where that cannot be found out any more. No archive is read for it.

        Raises:
            Unavailable: it cannot be found out just now.
        """

    def keep(self, transaction: Transaction, execution: Resource, row: StepRow) -> None:
        """Keep the result of a step that ran, if it succeeded and has a key, for later executions of its pipeline."""


class NoResults:
    """Implements `EarlierResults` for a platform without a cache: every step runs."""

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        """Return that there is no key."""
        return Lookup(asked=asked, keyless="there is no cache here")

    def hand_over(self, transaction: Transaction, job: Uid, lookup: Lookup) -> None:
        """Hand nothing over."""

    def take_over(
        self, transaction: Transaction, execution: Resource, row: StepRow, displaced: Iterable[ObjectRef]
    ) -> None:
        """Record nothing."""

    def is_as_looked_up(self, execution: Resource, node: Node, row: StepRow) -> bool:
        """Return that nothing was looked up."""
        return False

    def keep(self, transaction: Transaction, execution: Resource, row: StepRow) -> None:
        """Keep nothing."""


class Documents(Protocol):
    """Reads JSON documents from S3."""

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        """Return the JSON document at an S3 URI.

        Args:
            written_by: the job whose version is meant, whatever was written there since; None: the latest version.
        Raises:
            Absent: there is no such object.
            Invalid: it does not hold JSON, or is too large.
            Unavailable: it cannot be had just now.
        """


class Definitions(Protocol):
    """Reads definitions that were uploaded to S3."""

    def read(self, bucket: str, key: str, version_id: str | None) -> str:
        """Return the text of an object.

        Raises:
            Absent: there is no such object.
            Invalid: it is not text.
        """


class CheckArguments(Protocol):
    """Refuses steps that could never start, as far as that is known when a pipeline is created."""

    def __call__(self, step: Step) -> None:
        """Raise Invalid when a literal in the step's arguments (an image, say) cannot be resolved."""


def accept_arguments(step: Step) -> None:
    """Refuse nothing."""
