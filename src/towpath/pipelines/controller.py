"""The controller of pipeline executions: shows `Course` how things stand, and has done what it decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_found
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, cast

from msgspec.structs import replace

from towpath.kernel import decisions as kernel
from towpath.kernel import generic, shapes
from towpath.kernel.errors import Absent, DiskFull, Invalid, TowpathError, Unavailable
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operations
from towpath.kernel.ports import Heading, Store
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.acting import EXECUTION_EVENT, Acting, event, is_over, with_baseline
from towpath.pipelines.attempts import next_due, unsettled_now
from towpath.pipelines.caching import Asked, Lookup
from towpath.pipelines.decisions import Ended, FinishExecution, Situation, Unanswered, Unreadable
from towpath.pipelines.evaluation import DocumentRef
from towpath.pipelines.execution import Course
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.kinds import NOTED_PARALLELISM, PIPELINE_EXECUTION, TURN
from towpath.pipelines.memory import Memory
from towpath.pipelines.model import ExecutionStatus, StepRow, StepStatus
from towpath.pipelines.plans import execution_variables, max_parallel_of, plan_for
from towpath.pipelines.ports import Documents, EarlierResults, NoResults, Shapes, Transaction
from towpath.pipelines.quality_checks import VIOLATION_REPORT, verdict, violations_at
from towpath.pipelines.rights import refusal_of_step
from towpath.pipelines.standing import Standings
from towpath.pipelines.steps import StepType

#: (transaction, resource) -> members that a step yields of it beside those of its Describe answer
Extras: TypeAlias = Callable[[KernelTransaction, Resource], Document]

#: Steps that one decision starts or stops. More would hold up everybody else who writes.
_AT_ONCE = 50
#: How often one turn looks for what its decisions show to be needed.
_LOOKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """An execution's steps, and everything else that decides what comes next."""

    standings: Standings
    situation: Situation


class ExecutionController:
    """Implements `kernel.decisions.Controller` for PipelineExecution."""

    kind = PIPELINE_EXECUTION.noun

    def __init__(
        self,
        *,
        store: Store,
        operations: Operations,
        kinds: Mapping[str, Kind],
        documents: Documents,
        shapes: Shapes,
        results: EarlierResults | None = None,
        extras: Mapping[str, Extras] | None = None,
    ) -> None:
        """
        Args:
            extras: noun of a kind -> what steps yield of such a resource beside what Describe shows.
        """
        self._store = store
        self._kinds = kinds
        self._documents = documents
        self._shapes = shapes
        self._results = results or NoResults()
        self._extras = extras or {}
        self._memory = Memory()
        self._acting = Acting(operations, shapes, self._results, self._memory)

    def observe(self, resource: Resource) -> Observation:
        """Read the steps, what became of what they started, and the JSON documents that are about to be needed."""
        standings, situation, now = self._store.read(
            lambda transaction: (*self._look(transaction, resource), transaction.now)
        )
        situation = self._settled(resource, standings, situation)
        if _looks_elsewhere(standings.plan) and not is_over(resource):
            situation = self._looked_up(resource, standings, situation, now)
        return Observation(standings=standings, situation=situation)

    def observe_within(self, transaction: KernelTransaction, resource: Resource) -> Observation | None:
        """Look at the steps in a transaction.

        None where JSON documents or results of earlier executions may have to be looked up for what comes next, or the
        reports of checks.
        """
        if _looks_elsewhere(plan_for(resource)):
            return None
        standings, situation = self._look(transaction, resource)
        return Observation(standings=standings, situation=situation)

    def unobserved(self, resource: Resource) -> None:
        """Do nothing: what is remembered of an execution counts only under the turn that stands in the store."""

    def _settled(self, resource: Resource, standings: Standings, situation: Situation) -> Situation:
        """Return the situation with how each step has ended whose job has, where that can be found out."""
        ended: dict[str, Ended] = {}
        unsettled: dict[str, str] = {}
        for name, ending in situation.ended.items():
            told = ending
            try:
                told = self._judged(standings, name, ending)
                ended[name] = self._compared(resource, standings, name, told)
            except DiskFull:
                raise
            except Unavailable as error:
                if situation.stopping:  # nobody waits for the answer any more
                    ended[name] = _unanswered(standings.node(name), told, error)
                else:
                    unsettled[name] = f"{error.message} The job has ended, and how the step ends is asked again"
        return with_found(situation, ended=ended, unsettled=unsettled)

    def _look(self, transaction: KernelTransaction, resource: Resource) -> tuple[Standings, Situation]:
        """Return how the steps stand, and what the store tells of everything else that decides what comes next."""
        standings = self._memory.take(resource)
        changed: list[Uid] | None = None
        if standings is None:
            standings = Standings(plan_for(resource), cast(Transaction, transaction).steps.of(resource.uid))
        else:  # what it remembers knows of every change of what its steps have started, up to the turn that wrote it
            changed = transaction.work.changed(resource.uid)
        stopping = resource.status == ExecutionStatus.STOPPING
        situation = Situation(
            execution_id=resource.name,
            parameters=resource.spec["Values"],
            variables=execution_variables(resource),
            ended=self._ended(transaction, resource, standings, changed, stopping=stopping),
            stopping=stopping,
            max_parallel=max_parallel_of(resource.spec),
            noted_parallel=resource.state.get(NOTED_PARALLELISM),
            shapes=self._shapes,
        )
        return standings, situation

    def _looked_up(self, resource: Resource, standings: Standings, situation: Situation, now: datetime) -> Situation:
        # What is found may show that more is needed: a condition in the branch that a condition takes, the step behind
        # one that takes the result of an earlier execution over. What is left is looked up in the next turn.
        documents: dict[DocumentRef, Any] = {}
        lookups: dict[str, Lookup] = {}
        unanswered: dict[str, str] = {}
        # A step that becomes due between here and the decision is missing there, and looked up in the next turn.
        course = Course(standings.copy(), now, situation, at_once=_AT_ONCE)
        course.run()
        for _ in range(_LOOKS):
            if not course.wanted and not course.unlooked:
                break
            documents |= {ref: self._read(ref, course.standings) for ref in course.wanted}
            for name, asked in course.unlooked.items():
                try:
                    lookups[name] = self._look_up(resource, course.standings.node(name), asked)
                except DiskFull:
                    raise
                except Unavailable as error:
                    unanswered[name] = _not_now(error)
            situation = with_found(
                situation, documents=dict(documents), lookups=dict(lookups), unanswered=dict(unanswered)
            )
            course.go_on(situation)
        return situation

    def _look_up(self, resource: Resource, node: Node, asked: Asked) -> Lookup:
        assert node.type is not None
        refused = refusal_of_step(resource.spec, resource.created_by, node.type.create or "", asked.request)
        if refused is not None:
            # Who may not run a step may not have its result either: the step begins, and is refused.
            return Lookup(asked=asked, keyless=refused.message)
        request, told = asked.request, cast(Document, {})
        if node.type.checks:
            row = StepRow(name=node.name, status=StepStatus.STARTING)

            def prepare(transaction: KernelTransaction) -> tuple[Document, Document]:
                call = partial(self._acting.call, cast(Transaction, transaction), resource, row)
                return with_baseline(call, node.step.type, asked.request, asked.members)

            try:
                request, told = self._store.read(prepare)
            except Unavailable:
                raise  # the step asks again, as for every look-up
            except TowpathError as error:  # the step begins, and fails with this very error in its place
                return Lookup(asked=asked, keyless=f"it has no key: {error.message}")
        return self._results.look_up(resource, node, asked, request, told)

    def _read(self, ref: DocumentRef, standings: Standings) -> Any:
        writer = None if ref.step is None else standings.rows[ref.step].resource
        try:
            return self._documents.read(ref.uri, written_by=writer)
        except Invalid as error:
            return Unreadable(error.message)
        except DiskFull:
            raise
        except Unavailable as error:
            return Unanswered(_not_now(error))

    def _ended(
        self,
        transaction: KernelTransaction,
        resource: Resource,
        standings: Standings,
        changed: list[Uid] | None,
        *,
        stopping: bool,
    ) -> dict[str, Ended]:
        """Return what has ended of what steps have started.

        Args:
            changed: look at these alone; None: at all.
            stopping: look also at what is to be judged again later.
        """
        again = standings.unsettled() if stopping else unsettled_now(standings, transaction.now)
        later = {row.name for row in standings.unsettled()} - {row.name for row in again}
        if changed is None:
            running = [row for row in standings.running() if row.resource is not None and row.name not in later]
        else:
            running = [*again, *(row for row in standings.awaiting(changed) if row.unsettled_at is None)]
        children = _children(transaction, resource, running, len(standings.rows))
        found = {row.name: self._ending(transaction, standings, row, children.get(row.resource)) for row in running}
        return {name: ending for name, ending in found.items() if ending is not None}

    def _judged(self, standings: Standings, name: str, ended: Ended) -> Ended:
        """Return the end of a check as its report says it: where the baseline is violated its Metadata name the report,
        and it has failed when that was wished for."""
        node, row = standings.node(name), standings.rows[name]
        if node.type is None or not node.type.checks or ended.status is not StepStatus.SUCCEEDED:
            return ended
        ((kind, told),) = row.metadata.items()
        if told.get("SkipCheck"):
            return ended
        uri = violations_at(told)
        try:
            report = self._documents.read(uri, written_by=row.resource)
        except Absent:
            return ended  # a job that found nothing need not write a report
        except Invalid as error:
            return Ended(status=StepStatus.FAILED, failure_reason=f"CheckFailed: {error.message}")
        reason = verdict(report, uri)
        if reason is None:
            return ended
        metadata = {kind: {**told, VIOLATION_REPORT: uri}}
        if not told.get("FailOnViolation", True):
            return replace(ended, metadata=metadata)
        return Ended(status=StepStatus.FAILED, failure_reason=reason, metadata=metadata)

    def _compared(self, resource: Resource, standings: Standings, name: str, ended: Ended) -> Ended:
        """Return the end of a step with whether its result may be kept, where that shows only now."""
        if ended.status is not StepStatus.SUCCEEDED:
            return ended
        row = standings.rows[name]
        return replace(ended, as_looked_up=self._results.is_as_looked_up(resource, standings.node(name), row))

    def _ending(
        self, transaction: KernelTransaction, standings: Standings, row: StepRow, child: Heading | Resource | None
    ) -> Ended | None:
        """Return how a running step has ended, None when what it started goes on."""
        step_type = standings.node(row.name).type
        assert step_type is not None, "only steps of known types are started"
        if child is None or not child.is_live:
            reason = f"{row.resource_arn} was deleted while the step ran"
            return Ended(status=StepStatus.FAILED, failure_reason=reason)
        status = StepStatus.SUCCEEDED if not step_type.ends else step_type.ends.get(child.status or "")
        if status is None:
            return None
        whole = child if isinstance(child, Resource) else transaction.resources.get(child.uid)
        assert whole is not None, "its heading was read in this transaction"
        document = self._document(transaction, step_type, whole)
        if status is StepStatus.SUCCEEDED:
            # A change that failed leaves what was there before, in service as ever.
            missed = [name for name in step_type.confirmed if whole.spec.get(name) != document.get(name)]
            status = StepStatus.FAILED if missed else status
        if step_type.checks and status is StepStatus.SUCCEEDED:
            (told,) = row.metadata.values()
            document = {**document, **{name: told[name] for name in step_type.yields or () if name in told}}
        told = None if step_type.told is None else {step_type.metadata or "": step_type.told(whole)}
        return Ended(status=status, document=document, failure_reason=document.get("FailureReason"), metadata=told)

    def _document(self, transaction: KernelTransaction, step_type: StepType, child: Resource) -> Document:
        document = generic.document(self._kinds[child.kind], child)
        shape = None if step_type.describe is None else self._shapes.output(step_type.describe)
        described = document if shape is None else cast(Document, shapes.project(document, shape))
        extras = self._extras.get(child.kind)
        return described if extras is None else {**described, **extras(transaction, child)}

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> kernel.Decision:
        """Return what to do next: the decisions on the steps as facts, and the end of the execution as its status."""
        if is_over(resource):
            return kernel.Decision()
        # They were taken out of memory for this observation, so that they can be changed: a copy costs as much as there
        # are steps.
        standings = observation.standings
        course = Course(standings, now, observation.situation, at_once=_AT_ONCE)
        decided = course.run()
        due_at = now if course.is_short_of_facts or course.has_more else next_due(standings)
        if not decided:
            self._memory.put_back(resource, standings)
            return kernel.Decision(due_at=due_at)
        steps = tuple(decision for decision in decided if not isinstance(decision, FinishExecution))
        finish = next((decision for decision in decided if isinstance(decision, FinishExecution)), None)
        state = _noting(resource.state, observation.situation.max_parallel)
        if finish is None:
            state[TURN] = self._memory.keep(resource.uid, standings)
            return kernel.Decision(state=state, facts=steps, due_at=due_at)
        self._memory.forget(resource.uid)
        state.pop(TURN, None)
        if finish.failure_reason is not None:
            state["FailureReason"] = finish.failure_reason
        detail = {
            "currentPipelineExecutionStatus": finish.status.value,
            "previousPipelineExecutionStatus": resource.status,
        }
        return kernel.Decision(
            status=finish.status.value,
            state=state,
            facts=steps,
            events=(event(EXECUTION_EVENT, resource, now, detail),),
        )

    def apply(self, transaction: KernelTransaction, resource: Resource, decision: kernel.Decision) -> None:
        """Write the steps with their history and events, and call the operations that they stand for."""
        self._acting.carry_out(transaction, resource, decision)

    def act(self, resource: Resource, decision: kernel.Decision) -> None:
        """Do nothing: an execution reaches the outside only through the resources that it creates."""


#: Reading a heading by itself costs as much as reading this many in one query.
_READS_IN_ONE = 6


def _children(
    transaction: KernelTransaction, resource: Resource, running: list[StepRow], begun: int
) -> dict[Uid | None, Heading | Resource]:
    """Return what running steps have started: whole and one by one when they are few among many, else all in one query.

    The few are mostly those whose status has changed: they have ended, and the whole of them is wanted.
    """
    if len(running) * _READS_IN_ONE > begun:
        return {child.uid: child for child in transaction.resources.headings(resource.uid)}
    found = (transaction.resources.get(row.resource) for row in running if row.resource is not None)
    return {child.uid: child for child in found if child is not None}


def _unanswered(node: Node, ended: Ended, error: Unavailable) -> Ended:
    """Return how a step ends that is stopped before it is known: a check is no success without its report, and the
    result of any other step is only not kept."""
    if node.type is None or not node.type.checks:
        return ended
    reason = f"{error.message} The step was stopped before it was known how it ends"
    return Ended(status=StepStatus.STOPPED, failure_reason=reason)


def _not_now(error: Unavailable) -> str:
    """Return what is told of a step that waits for an answer."""
    return f"{error.message} The step has not begun, and asks again"


def _looks_elsewhere(plan: Plan) -> bool:
    """Return whether what comes next may depend on more than the store's rows."""
    return plan.reads_documents or plan.uses_cache or plan.judges


def _noting(state: Document, max_parallel: int | None) -> Document:
    """Return the state of an execution with what its history tells of parallelism from a decision on."""
    left = {name: value for name, value in state.items() if name != NOTED_PARALLELISM}
    return left if max_parallel is None else {**left, NOTED_PARALLELISM: max_parallel}
