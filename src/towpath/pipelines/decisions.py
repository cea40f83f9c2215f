"""The words of an execution's decisions: what may be decided, and what it is decided by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.resource import Document
from towpath.pipelines.caching import Lookup
from towpath.pipelines.evaluation import DocumentRef
from towpath.pipelines.model import ExecutionStatus, StepRow, StepStatus
from towpath.pipelines.ports import NoShapes, Shapes

Steps: TypeAlias = Mapping[str, StepRow]


class StartStep(msgspec.Struct, frozen=True, kw_only=True):
    """Call a Create operation; `row` is how the step stands then."""

    row: StepRow
    operation: str
    input: Document
    members: Document = msgspec.field(default_factory=dict)  #: of a check: what stands beside the Arguments
    lookup: Lookup | None = None  #: of a step that the cache was asked for: the job reads what its key was made of


class PerformStep(msgspec.Struct, frozen=True, kw_only=True):
    """Carry out what the step stands for, and end it."""

    row: StepRow
    arguments: Document
    steps: dict[str, StepRow]  #: those that it waited for


class OpenRounds(msgspec.Struct, frozen=True, kw_only=True):
    """A ForEach has begun: its items are known, and the steps of its rounds may begin."""

    row: StepRow


class EndStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step has ended: its job did, its condition was evaluated, it took the result of an earlier execution over, or
    it failed before anything was started."""

    row: StepRow
    lookup: Lookup | None = None  #: that found a result which is taken over
    as_looked_up: bool = False  #: what it started is known to be made of what its key says, so that it may be kept


class PostponeStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step has failed and waits for its next attempt."""

    row: StepRow


class StopStep(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what the step started to stop."""

    row: StepRow


class PutOffEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What a step started has ended, and how the step ends cannot be found out just now."""

    row: StepRow


class NoteParallelism(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the history that another number of steps may run at one time from here on."""

    before: int | None
    max_parallel: int | None


class FinishExecution(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is left to do."""

    status: ExecutionStatus
    failure_reason: str | None = None


Decision: TypeAlias = (
    StartStep
    | PerformStep
    | OpenRounds
    | EndStep
    | PutOffEnd
    | PostponeStep
    | StopStep
    | NoteParallelism
    | FinishExecution
)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of what a step's attempt had started."""

    status: StepStatus
    document: Document = msgspec.field(default_factory=dict)  #: the Describe document and the named extras
    failure_reason: str | None = None
    as_looked_up: bool = False  #: it is known to be made of what the key of the step says
    metadata: Document | None = None  #: what the step's Metadata tell now; None: what they told before


class Unreadable(msgspec.Struct, frozen=True):
    """Stands for a JSON document that could not be read."""

    reason: str


class Unanswered(msgspec.Struct, frozen=True):
    """Stands for a JSON document that cannot be had just now."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an execution is decided by, beside its plan and its rows."""

    execution_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)  #: execution variables that do not change
    ended: Mapping[str, Ended] = field(default_factory=dict)  #: step -> what its running attempt ended with
    unsettled: Mapping[str, str] = field(default_factory=dict)  #: step whose end cannot be judged just now -> why
    documents: Mapping[DocumentRef, Any] = field(default_factory=dict)  #: or `Unreadable`, `Unanswered`
    lookups: Mapping[str, Lookup] = field(default_factory=dict)  #: step that asks for the cache -> what is known of it
    unanswered: Mapping[str, str] = field(default_factory=dict)  #: step that cannot be looked up just now -> why
    stopping: bool = False
    max_parallel: int | None = None  #: steps that may run at one time
    noted_parallel: int | None = None  #: what the history tells of that
    shapes: Shapes = field(default_factory=NoShapes)
