"""What pipelines need of the rest of the platform."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.resource import Uid
from towpath.pipelines.definition import Step
from towpath.pipelines.model import Fact, StepRow

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
        """Return some steps in the order in which they began, or the other way round.

        Args:
            after: `position` of the last step of the page before; None: begin with the first.
        """

    def put(self, execution: Uid, rows: Iterable[StepRow]) -> None:
        """Add steps, or write them anew."""

    def append(self, execution: Uid, facts: Iterable[Fact]) -> None:
        """Append to the history."""

    def history(self, execution: Uid) -> list[Fact]:
        """Return the history in the order in which its facts were applied."""


class Transaction(KernelTransaction, Protocol):
    """A transaction that knows the steps of executions."""

    @property
    def steps(self) -> StepRows:
        """The steps of executions."""


class Documents(Protocol):
    """Reads JSON documents from S3."""

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        """Return the JSON document at an S3 URI.

        Args:
            written_by: the job whose version is meant, whatever was written there since; None: the latest version.
        Raises:
            Invalid: there is no such object, or it does not hold JSON; the message says which.
        """


class Definitions(Protocol):
    """Reads definitions that were uploaded to S3."""

    def read(self, bucket: str, key: str, version_id: str | None) -> str:
        """Return the text of an object.

        Raises:
            Invalid: there is no such object, or it is not text.
        """


class CheckArguments(Protocol):
    """Refuses steps that could never start, as far as that is known when a pipeline is created."""

    def __call__(self, step: Step) -> None:
        """Raise Invalid when a literal in the step's arguments (an image, say) cannot be resolved."""


def accept_arguments(step: Step) -> None:
    """Refuse nothing."""
