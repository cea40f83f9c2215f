"""Recorded histories, decided again: today's rules must start what was started then, and end as it ended then.

Each execution leaves the facts that were applied to it, in their order, and how many steps might run at one time when
they were. Fed with those one by one, the decisions have to begin every attempt that a fact tells of, decide conditions
as they were decided, and come to the same end.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.events import Event
from towpath.kernel.ports import Query, Store
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.queries import every
from towpath.kernel.resource import Resource
from towpath.pipelines.acting import STEP_EVENT
from towpath.pipelines.caching import Lookup
from towpath.pipelines.decisions import FinishExecution, Situation, Unreadable
from towpath.pipelines.execution import Course
from towpath.pipelines.kinds import PIPELINE_EXECUTION
from towpath.pipelines.model import ExecutionStatus, Fact, HistoryEntry, Parallelism, StepRow, StepStatus
from towpath.pipelines.plans import execution_variables, plan_for
from towpath.pipelines.ports import Documents, Shapes, Transaction
from towpath.pipelines.standing import Standings

_PAGE = 100
_STOP, _RETRY = "StopPipelineExecution", "RetryPipelineExecution"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of deciding executions again."""

    executions: int = 0
    left_out: tuple[tuple[str, str], ...] = ()  #: (ARN, why it could not be decided again)
    complaints: tuple[str, ...] = ()  #: what came out otherwise than then


class _CannotBeReplayed(Exception):
    """What an execution was decided by is not there any more."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """An execution with all that it left."""

    execution: Resource
    rows: dict[str, StepRow]
    history: list[HistoryEntry]
    events: list[Event]

    @property
    def facts(self) -> list[Fact]:
        return [entry for entry in self.history if isinstance(entry, Fact)]

    @property
    def first_parallelism(self) -> int | None:
        """How many steps might run at one time when the first of them began."""
        noted = next((entry for entry in self.history if isinstance(entry, Parallelism)), None)
        return None if noted is None else noted.before

    def has_begun_at(self, moment: datetime) -> bool:
        """Whether anything was decided before a moment."""
        began = [row.started_at for row in self.rows.values()] + [fact.at for fact in self.facts]
        return any(at is not None and at <= moment for at in began)


def replay_all(store: Store, documents: Documents, shapes: Shapes) -> Replayed:
    """Decide all executions of a home again."""
    executions = 0
    left_out: list[tuple[str, str]] = []
    complaints: list[str] = []
    for recorded in _all(store):
        arn = recorded.execution.arn
        try:
            found = _Replay(recorded, documents, shapes).run()
        except _CannotBeReplayed as error:
            left_out.append((arn, str(error)))
            continue
        executions += 1
        complaints += [f"{arn}: {complaint}" for complaint in found]
    return Replayed(executions=executions, left_out=tuple(left_out), complaints=tuple(complaints))


def _all(store: Store) -> Iterator[_Recorded]:
    for execution in every(store, Query(kind=PIPELINE_EXECUTION.noun, limit=_PAGE)):

        def look(transaction: KernelTransaction, execution: Resource = execution) -> _Recorded:
            steps = cast(Transaction, transaction).steps
            return _Recorded(
                transaction.resources.get(execution.uid) or execution,
                steps.of(execution.uid),
                steps.history(execution.uid),
                transaction.events.of(execution.uid),
            )

        yield store.read(look)


class _Replay:
    """One execution, decided again."""

    def __init__(self, recorded: _Recorded, documents: Documents, shapes: Shapes) -> None:
        self.recorded = recorded
        self.documents = documents
        execution = recorded.execution
        self.situation = Situation(
            execution_id=execution.name,
            parameters=execution.spec["Values"],
            variables=execution_variables(execution),
            max_parallel=recorded.first_parallelism,
            noted_parallel=recorded.first_parallelism,
            shapes=shapes,
        )
        taken = {fact.row.name: fact.row for fact in recorded.facts if fact.row.taken_from is not None}
        self.standings = Standings(plan_for(execution), taken)
        self.now = execution.created_at
        self.result: ExecutionStatus | None = None
        self.complaints: list[str] = []
        #: Step -> how its facts that are still to come left it.
        self.ahead: dict[str, deque[StepRow]] = defaultdict(deque)
        for fact in recorded.facts:
            if fact.row.taken_from is None:
                self.ahead[fact.row.name].append(fact.row)

    def run(self) -> list[str]:
        """Return what came out otherwise."""
        put_off = {
            (name, row.attempt + 1) for name, rows in self.ahead.items() for row in rows if _is_put_off(row, None)
        }
        untold = [event for event in self.recorded.events if _leaves_no_fact(event, put_off)]
        if untold and not self.recorded.has_begun_at(untold[0].at):
            self._reach(untold.pop(0))  # a stop that came before the first decision
        else:
            self._decide()
        again: list[StepRow] = []  #: steps of one retry, which begin together
        for fact in self.recorded.history:
            if isinstance(fact, Fact) and fact.row.taken_from is not None:
                continue
            if again and not (isinstance(fact, Fact) and self._is_retry(fact.row)):
                self._retry(again)
                again = []
            if isinstance(fact, Parallelism) and self.result is not None:
                self._let_run(fact)  # its retry comes with it, and is what is decided next
                continue
            while untold and untold[0].at <= fact.at:
                self._reach(untold.pop(0))
            self.now = fact.at
            if isinstance(fact, Parallelism):
                self._let_run(fact)
                self._decide()
            elif self._is_retry(fact.row):
                again.append(fact.row)
                self.ahead[fact.row.name].popleft()
            else:
                self._apply(fact.row)
        if again:
            self._retry(again)
        for event in untold:
            self._reach(event)
        self._compare()
        return self.complaints

    def _decide(self) -> None:
        rows = self.standings.rows
        # What could not be had then is told by the history, too.
        put_off = {name for name, ahead in self.ahead.items() if ahead and _is_put_off(ahead[0], rows.get(name))}
        self.situation = replace(self.situation, unanswered=dict.fromkeys(put_off, ""))
        for _ in range(len(self.standings.plan.nodes) + 2):  # a document may show that another one is needed
            course = Course(self.standings.copy(), self.now, self.situation)
            course.run()
            if not course.wanted and not course.unlooked:
                break
            # What was taken over from an earlier execution is told by the history, not by today's cache.
            lookups = {name: Lookup(asked=asked, keyless="") for name, asked in course.unlooked.items()}
            self.situation = replace(self.situation, lookups={**self.situation.lookups, **lookups})
            read = {}
            for ref in course.wanted:
                writer = None if ref.step is None else self.standings.rows[ref.step].resource
                try:
                    read[ref] = self.documents.read(ref.uri, written_by=writer)
                except Invalid as error:
                    read[ref] = Unreadable(error.message)
            self.situation = replace(self.situation, documents={**self.situation.documents, **read})
        for decision in Course(self.standings, self.now, self.situation).run():
            if isinstance(decision, FinishExecution):
                self.result = decision.status

    def _reach(self, event: Event) -> None:
        self.now = event.at
        if event.type == _RETRY:
            self._retry([])
            return
        if event.type == _STOP:
            self.situation = replace(self.situation, stopping=True)
        self._decide()

    def _let_run(self, parallelism: Parallelism) -> None:
        most = parallelism.max_parallel
        self.situation = replace(self.situation, max_parallel=most, noted_parallel=most)

    def _is_retry(self, row: StepRow) -> bool:
        before = self.standings.rows.get(row.name)
        return before is not None and before.status.is_terminal and row.status is StepStatus.STARTING

    def _retry(self, rows: list[StepRow]) -> None:
        self.standings = Standings(self.standings.plan, {**self.standings.rows, **{row.name: row for row in rows}})
        self.situation = replace(self.situation, stopping=False)
        self.result = None
        self._decide()

    def _apply(self, row: StepRow) -> None:
        before = self.standings.rows.get(row.name)
        if before is not None and before.status is StepStatus.STARTING and row.attempt > before.attempt:
            self._decide()  # its time has come since
            before = self.standings.rows.get(row.name)
        self.ahead[row.name].popleft()
        if before is None:
            self.complaints.append(f"{row.name} is {row.status} in its history, and would not have begun today")
        elif _outline(before) == _outline(row):
            self.standings.put(row)  # decided alike; what was frozen then is what others read
        elif before.status.is_terminal:
            unreadable = self._unreadable()
            if unreadable is not None:
                raise _CannotBeReplayed(unreadable.reason)
            self.complaints.append(f"{row.name}: {_outline(row)} in its history, {_outline(before)} today")
        elif before.attempt != row.attempt:
            self.complaints.append(f"{row.name}: attempt {row.attempt} in its history, {before.attempt} today")
        else:
            self.standings.put(row)
            self._decide()

    def _unreadable(self) -> Unreadable | None:
        found = (read for read in self.situation.documents.values() if isinstance(read, Unreadable))
        return next(found, None)

    def _compare(self) -> None:
        stored, today = self.recorded.rows, self.standings.rows
        self.complaints += [f"{name} would have begun today" for name in today if name not in stored]
        self.complaints += [f"{name} would not have begun today" for name in stored if name not in today]
        for name in stored.keys() & today.keys():
            begun, now = stored[name], today[name]
            if begun.status.is_terminal and _outline(begun) != _outline(now):
                self.complaints.append(f"{name}: {_outline(begun)} as it stands, {_outline(now)} today")
        status = ExecutionStatus(self.recorded.execution.status or "")
        if status.is_terminal and self.result is not status:
            self.complaints.append(f"it is {status}, and would be {self.result} today")


def _is_put_off(row: StepRow, before: StepRow | None) -> bool:
    """Whether a fact left a step as one that could not begin, since what has to be known first could not be had."""
    attempt = before.attempt if before is not None and before.status is StepStatus.STARTING else 0
    return row.status is StepStatus.STARTING and row.attempt == attempt


def _leaves_no_fact(event: Event, put_off: Set[tuple[str, int]]) -> bool:
    """Whether something was decided at an event that the history does not tell of.

    Args:
        put_off: steps and first attempts that could not begin when it was their turn.
    """
    if event.type == STEP_EVENT:  # a step that had waited for its time is tried again
        attempt = event.detail.get("attempt", 1)
        begins = event.detail.get("currentStepStatus") == StepStatus.EXECUTING
        return begins and (attempt > 1 or (event.detail["stepName"], attempt) in put_off)
    # A retry that finds steps to begin anew is told by those; one that only undoes a stop, by its event.
    return event.type == _STOP or (event.type == _RETRY and event.detail["steps"] == [])


def _outline(row: StepRow) -> tuple[StepStatus, int, bool | None, int | None]:
    return row.status, row.attempt, row.outcome, row.picked
