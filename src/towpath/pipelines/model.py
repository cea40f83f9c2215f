"""The values of a running execution: statuses, step rows and what its history holds."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.resource import Document, Uid
from towpath.pipelines.evaluation import StepYield


class StepStatus(StrEnum):
    """How a step stands. A step that never starts has no row and no status."""

    STARTING = "Starting"  #: waits for its next attempt
    EXECUTING = "Executing"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"

    @property
    def is_terminal(self) -> bool:
        """Whether the step has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset({StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED})


class ExecutionStatus(StrEnum):
    """How an execution stands."""

    EXECUTING = "Executing"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"
    COMPLETED_WITH_FAILURES = "CompletedWithFailures"

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended."""
        return self not in {ExecutionStatus.EXECUTING, ExecutionStatus.STOPPING}


class CacheNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the cache did for a step."""

    why: str  #: in a sentence: why the step runs, or whose result it took over
    key: str | None = None
    settled: str | None = None  #: of what is looked up again when it has ended: digest of what the key was made of
    source: str | None = None  #: ARN of the execution whose result was taken over; None where the step ran


class StepRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an execution, as it stands."""

    name: str  #: of the step; in a round of a ForEach with the number of the round behind it: `Train[2]`
    status: StepStatus
    attempt: int = 1  #: tries begun so far, the first one included
    position: int = 0  #: order in which the steps began
    started_at: datetime | None = None  #: when the first attempt began
    ended_at: datetime | None = None
    due_at: datetime | None = None  #: when the next attempt begins; while it runs: when its end is judged again
    failed_at: datetime | None = None  #: when the last attempt failed that is followed by another
    unsettled_at: datetime | None = (
        None  #: what this attempt started has ended, and since then its end cannot be judged
    )
    resource: Uid | None = None  #: what this attempt started
    resource_arn: str | None = None
    outcome: bool | None = None  #: of a condition
    failure_reason: str | None = None
    exception_type: str | None = None  #: of the last failure, in the words of retry policies
    first_failed_at: datetime | None = None
    retries: dict[str, int] = msgspec.field(default_factory=dict)  #: exception type -> retries made because of it
    yielded: StepYield | None = None  #: frozen when the step succeeded
    metadata: Document = msgspec.field(default_factory=dict)  #: as ListPipelineExecutionSteps shows it
    cache: CacheNote | None = None  #: None where nothing asked for the cache
    taken_from: str | None = None  #: ARN of the execution whose result a selective one took over
    each: str | None = None  #: the ForEach step in one of whose rounds this one runs
    round: int | None = None  #: number of that round, from 0
    item: str | None = None  #: of that round, as it is shown
    items: list[Any] | None = None  #: of a ForEach: frozen when it began, one for each round
    max_concurrency: int | None = None  #: of a ForEach: rounds that may run at one time
    picked: int | None = None  #: of a ForEach that has succeeded: the round that its Selector picked

    @property
    def step(self) -> str:
        """The name that the step has in the definition."""
        return self.name.partition("[")[0]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is settled: a step has ended, or was set back to wait for its next attempt. `row` is as it was
    left by it."""

    at: datetime
    row: StepRow


class Parallelism(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From here on, another number of steps may run at one time. What was decided before it heeded the old number,
    what was decided after it the new one."""

    at: datetime
    before: int | None = None  #: None: as many as there are; where nothing had been decided before, as many as now
    max_parallel: int | None = None  #: likewise


HistoryEntry: TypeAlias = Fact | Parallelism
