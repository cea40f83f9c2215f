"""The controller of pipeline executions: shows `Course` how things stand, and writes what it decides."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_found
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, cast
from uuid import uuid4

from msgspec.structs import replace

from towpath.kernel import decisions as kernel
from towpath.kernel import generic, shapes
from towpath.kernel.errors import InProgress, Invalid, NotFound, StaleRevision, TowpathError
from towpath.kernel.events import Event
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operations, Request
from towpath.kernel.ports import Heading, Store
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.principals import PLATFORM, Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines import retry
from towpath.pipelines.attempts import after_failure, next_due, waiting
from towpath.pipelines.caching import Asked, Lookup
from towpath.pipelines.decisions import (
    Ended,
    EndStep,
    FinishExecution,
    NoteParallelism,
    OpenRounds,
    PerformStep,
    PostponeStep,
    Situation,
    StartStep,
    StopStep,
    Unreadable,
)
from towpath.pipelines.evaluation import DocumentRef, StepYield
from towpath.pipelines.execution import Course
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.kinds import NOTED_PARALLELISM, PIPELINE_EXECUTION, TURN
from towpath.pipelines.model import ExecutionStatus, Fact, Parallelism, StepRow, StepStatus
from towpath.pipelines.naming import request_id_of
from towpath.pipelines.performing import Call, Performance
from towpath.pipelines.plans import execution_variables, max_parallel_of, plan_for
from towpath.pipelines.ports import Documents, EarlierResults, NoResults, Shapes, Transaction
from towpath.pipelines.quality_checks import needs_baseline, prepared, registered, supplied, verdict, violations_at
from towpath.pipelines.quality_checks import shown as told_of
from towpath.pipelines.rights import refusal_of_step, roles_of_steps
from towpath.pipelines.standing import Standings
from towpath.pipelines.steps import StepType

EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"
STEP_EVENT = "SageMaker Model Building Pipeline Execution Step Status Change"


#: (transaction, resource) -> members that a step yields of it beside those of its Describe answer
Extras: TypeAlias = Callable[[KernelTransaction, Resource], Document]

#: Steps that have begun, of all executions whose standings are kept in memory; of others they are worked out anew from
#: the rows. The execution that was looked at last is always kept.
_REMEMBERED = 50_000
#: Steps that one decision starts or stops. More would hold up everybody else who writes.
_AT_ONCE = 50
#: How often one turn looks for what its decisions show to be needed.
_LOOKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """An execution's steps, and everything else that decides what comes next."""

    standings: Standings
    situation: Situation


class _Memory:
    """The standings of executions as they were written last, each under the turn that wrote them.

    The turn is a member of the execution's state and is written with the rows. Each decision has a turn that no other
    one ever has, so what is remembered under the turn that stands in the store is what stands in the store.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Uid, tuple[str, Standings]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, execution: Uid, standings: Standings) -> str:
        """Remember standings and return the turn under which they are found again."""
        turn = uuid4().hex
        with self._lock:
            self._kept[execution] = turn, standings
            self._kept.move_to_end(execution)
            self._forget_oldest()
        return turn

    def _forget_oldest(self) -> None:
        kept = sum(len(standings.rows) + 1 for _, standings in self._kept.values())
        while kept > _REMEMBERED and len(self._kept) > 1:
            _, (_, oldest) = self._kept.popitem(last=False)
            kept -= len(oldest.rows) + 1

    def find(self, resource: Resource) -> Standings | None:
        """Return the standings of an execution whose rows are as its last turn left them."""
        with self._lock:
            turn, standings = self._kept.get(resource.uid, (None, None))
        return standings if turn is not None and turn == resource.state.get(TURN) else None

    def take(self, resource: Resource) -> Standings | None:
        """Return the same, and leave it to the caller: it is remembered again when it is kept."""
        found = self.find(resource)
        if found is not None:
            self.forget(resource.uid)
        return found

    def put_back(self, resource: Resource, standings: Standings) -> None:
        """Remember what was taken, with which nothing was done."""
        turn = resource.state.get(TURN)
        if turn is not None:
            with self._lock:
                self._kept[resource.uid] = turn, standings

    def forget(self, execution: Uid) -> None:
        """Remember an execution no longer."""
        with self._lock:
            self._kept.pop(execution, None)


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
        self._operations = operations
        self._kinds = kinds
        self._documents = documents
        self._shapes = shapes
        self._results = results or NoResults()
        self._extras = extras or {}
        self._memory = _Memory()

    def observe(self, resource: Resource) -> Observation:
        """Read the steps, what became of what they started, and the JSON documents that are about to be needed."""
        standings, situation = self._store.read(lambda transaction: self._look(transaction, resource))
        ended = {name: self._judged(standings, name, ending) for name, ending in situation.ended.items()}
        situation = with_found(situation, ended=ended)
        if _looks_elsewhere(standings.plan) and not _is_over(resource):
            situation = self._looked_up(resource, standings, situation)
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

    def _look(self, transaction: KernelTransaction, resource: Resource) -> tuple[Standings, Situation]:
        """Return how the steps stand, and what the store tells of everything else that decides what comes next."""
        standings = self._memory.take(resource)
        changed: list[Uid] | None = None
        if standings is None:
            standings = Standings(plan_for(resource), cast(Transaction, transaction).steps.of(resource.uid))
        else:  # what it remembers knows of every change of what its steps have started, up to the turn that wrote it
            changed = transaction.work.changed(resource.uid)
        situation = Situation(
            execution_id=resource.name,
            parameters=resource.spec["Values"],
            variables=execution_variables(resource),
            ended=self._ended(transaction, resource, standings, changed),
            stopping=resource.status == ExecutionStatus.STOPPING,
            max_parallel=max_parallel_of(resource.spec),
            noted_parallel=resource.state.get(NOTED_PARALLELISM),
            shapes=self._shapes,
        )
        return standings, situation

    def _looked_up(self, resource: Resource, standings: Standings, situation: Situation) -> Situation:
        # What is found may show that more is needed: a condition in the branch that a condition takes, the step behind
        # one that takes the result of an earlier execution over. What is left is looked up in the next turn.
        documents: dict[DocumentRef, Any] = {}
        lookups: dict[str, Lookup] = {}
        # What is wanted does not depend on the time, but for steps that are due again: take them as due.
        at = next_due(standings) or resource.modified_at
        course = Course(standings.copy(), at, situation, at_once=_AT_ONCE)
        course.run()
        for _ in range(_LOOKS):
            if not course.wanted and not course.unlooked:
                break
            documents |= {ref: self._read(ref, course.standings) for ref in course.wanted}
            for name, asked in course.unlooked.items():
                lookups[name] = self._look_up(resource, course.standings.node(name), asked)
            situation = with_found(situation, documents=dict(documents), lookups=dict(lookups))
            course.go_on(situation)
        return situation

    def _look_up(self, resource: Resource, node: Node, asked: Asked) -> Lookup:
        assert node.type is not None
        refused = refusal_of_step(resource.spec, resource.created_by, node.type.create or "", asked.request)
        if (
            refused is not None
        ):  # who may not run a step may not have its result either: the step begins, and is refused
            return Lookup(asked=asked, keyless=refused.message)
        request, told = asked.request, cast(Document, {})
        if node.type.checks:
            row = StepRow(name=node.name, status=StepStatus.STARTING)

            def prepare(transaction: KernelTransaction) -> tuple[Document, Document]:
                call = partial(self._call, cast(Transaction, transaction), resource, row)
                return _prepared(call, node.step.type, asked.request, asked.members)

            try:
                request, told = self._store.read(prepare)
            except TowpathError as error:  # the step begins, and fails with this very error in its place
                return Lookup(asked=asked, keyless=f"it has no key: {error.message}")
        return self._results.look_up(resource, node, asked, request, told)

    def _read(self, ref: DocumentRef, standings: Standings) -> Any:
        writer = None if ref.step is None else standings.rows[ref.step].resource
        try:
            return self._documents.read(ref.uri, written_by=writer)
        except Invalid as error:
            return Unreadable(error.message)

    def _ended(
        self, transaction: KernelTransaction, resource: Resource, standings: Standings, changed: list[Uid] | None
    ) -> dict[str, Ended]:
        """Return what has ended of what steps have started.

        Args:
            changed: look at these alone; None: at all.
        """
        if changed is None:
            running = [row for row in standings.running() if row.resource is not None]
        else:
            running = standings.awaiting(changed)
        children = _children(transaction, resource, running, len(standings.rows))
        found = {row.name: self._ending(transaction, standings, row, children.get(row.resource)) for row in running}
        return {name: ending for name, ending in found.items() if ending is not None}

    def _judged(self, standings: Standings, name: str, ended: Ended) -> Ended:
        """Return the end of a check as its report says it: failed, when that was wished for and it is violated."""
        node, row = standings.node(name), standings.rows[name]
        if node.type is None or not node.type.checks or ended.status is not StepStatus.SUCCEEDED:
            return ended
        (told,) = row.metadata.values()
        if told.get("SkipCheck") or not told.get("FailOnViolation", True):
            return ended
        uri = violations_at(told)
        try:
            report = self._documents.read(uri, written_by=row.resource)
        except Invalid:
            return ended  # a job that found nothing need not write a report
        reason = verdict(report, uri)
        return ended if reason is None else Ended(status=StepStatus.FAILED, failure_reason=reason)

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
        if _is_over(resource):
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
        state = {**resource.state, **_noted(observation.situation)}
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
            events=(_event(EXECUTION_EVENT, resource, now, detail),),
        )

    def apply(self, transaction: KernelTransaction, resource: Resource, decision: kernel.Decision) -> None:
        """Write the steps with their history and events, and call the operations that they stand for."""
        wide = cast(Transaction, transaction)
        plan = plan_for(resource)
        for fact in decision.facts:
            match fact:
                case StartStep():
                    self._start(wide, resource, plan.step(fact.row.step), fact)
                case PerformStep():
                    self._perform(wide, resource, plan.step(fact.row.step), fact)
                case EndStep(row=row):
                    self._end(wide, resource, plan.step(row.step), fact)
                case PostponeStep(row=row):
                    self._write(wide, resource, row, settled=True)
                case OpenRounds(row=row):
                    self._write(wide, resource, row, settled=False)
                case StopStep(row=row):
                    self._stop(wide, resource, plan.step(row.step), row)
                case NoteParallelism(before=before, max_parallel=most):
                    noted = Parallelism(at=transaction.now, before=before, max_parallel=most)
                    wide.steps.append(resource.uid, [noted])

    def _end(self, transaction: Transaction, resource: Resource, node: Node, end: EndStep) -> None:
        note = end.row.cache
        if note is not None and note.source is not None:
            self._results.take_over(transaction, resource, end.row, end.displaced)
        else:
            self._results.keep(transaction, resource, node, end.row)
        self._write(transaction, resource, end.row, settled=True)

    def act(self, resource: Resource, decision: kernel.Decision) -> None:
        """Do nothing: an execution reaches the outside only through the resources that it creates."""

    def _start(self, transaction: Transaction, resource: Resource, node: Node, start: StartStep) -> None:
        assert node.type is not None
        call = partial(self._call, transaction, resource, start.row)
        told: Document = {}
        request = start.input
        try:
            with transaction.nested():
                if node.type.checks:
                    request, told = _prepared(call, node.step.type, start.input, start.members)
                if start.lookup is not None and start.lookup.request not in (None, request):
                    raise StaleRevision(f"What {node.name!r} compares with was changed while it was looked up")
                child = self._create(transaction, resource, node.type, start.operation, request, call)
        except StaleRevision:
            raise  # the whole decision is void and is taken again
        except TowpathError as error:
            self._refused(transaction, resource, node, start.row, error)
            return
        if node.type.checks:
            told = {**told, "CheckJobArn": child.arn}
        else:
            told = {"Arn": child.arn} if node.type.told is None else node.type.told(child)
        metadata = {} if node.type.metadata is None else {node.type.metadata: told}
        row = replace(start.row, resource=child.uid, resource_arn=child.arn, metadata=metadata)
        if start.lookup is not None:
            self._results.hand_over(transaction, child.uid, start.lookup)
        self._write(transaction, resource, row, settled=False)
        if not node.type.ends or (child.status or "") in node.type.ends:
            # It was ready at once, so no change of its status will wake the execution.
            transaction.work.schedule(resource.uid, transaction.now, because=child.uid)

    def _create(
        self,
        transaction: Transaction,
        resource: Resource,
        step_type: StepType,
        operation: str,
        request: Document,
        call: Call,
    ) -> Resource:
        """Return what a step starts: made now, or changed where it is there already and its type allows that."""
        name = request.get(step_type.name_member or "")
        there = None
        if step_type.update is not None and step_type.noun is not None and name is not None:
            there = transaction.resources.find(step_type.noun, name)
        if there is not None:
            _refuse_awaited(transaction, resource, there)
            operation = str(step_type.update)
            shape = self._shapes.input(operation)
            if shape is not None:
                request = cast(Document, shapes.project(request, shape))
        answer = call(operation, request)
        child = transaction.resources.by_arn(answer[step_type.arn_member or ""])
        assert child is not None, "an operation answers with the ARN of what it made or changed"
        if child.parent != resource.uid:
            # Whoever works on it is woken when its status changes.
            child = transaction.resources.replace(child, parent=resource.uid)
        return child

    def _refused(
        self, transaction: Transaction, resource: Resource, node: Node, row: StepRow, error: TowpathError
    ) -> None:
        if isinstance(error, InProgress):
            row = waiting(row, error.message, transaction.now)
        else:
            row = after_failure(node, row, error.message, retry.of_error(error), transaction.now)
        self._write(transaction, resource, row, settled=True)
        transaction.work.schedule(resource.uid, row.due_at or transaction.now)

    def _perform(self, transaction: Transaction, resource: Resource, node: Node, step: PerformStep) -> None:
        assert node.type is not None
        assert node.type.perform is not None
        performance = Performance(
            transaction=transaction,
            call=partial(self._call, transaction, resource, step.row),
            principal=resource.created_by,
            steps=step.steps,
        )
        try:
            with transaction.nested():
                document = node.type.perform(performance, step.arguments)
        except StaleRevision:
            raise  # the whole decision is void and is taken again
        except TowpathError as error:
            self._refused(transaction, resource, node, step.row, error)
            return
        row = replace(
            step.row,
            status=StepStatus.SUCCEEDED,
            ended_at=transaction.now,
            yielded=StepYield(document=document),
            metadata={node.type.metadata or "": document},
            failure_reason=None,
        )
        self._write(transaction, resource, row, settled=True)
        transaction.work.schedule(resource.uid, transaction.now)

    def _stop(self, transaction: Transaction, resource: Resource, node: Node, row: StepRow) -> None:
        assert node.type is not None
        child = None if row.resource is None else transaction.resources.get(row.resource)
        self._write(transaction, resource, row, settled=False)
        if node.type.stop is None or node.type.name_member is None or child is None or not child.is_live:
            return
        try:
            with transaction.nested():
                self._call(transaction, resource, row, node.type.stop, {node.type.name_member: child.name})
        except StaleRevision:
            raise
        except TowpathError as error:
            # It has ended by itself meanwhile, or cannot be stopped: its own end will tell.
            detail = {"stepName": row.name, "operation": node.type.stop, "refused": error.message}
            transaction.events.append(_event(STEP_EVENT, resource, transaction.now, detail))

    def _call(
        self, transaction: Transaction, resource: Resource, row: StepRow, operation: str, asked: Document
    ) -> Document:
        if operation not in self._operations:
            raise Invalid(f"This server does not offer {operation}, which step {row.name!r} needs")
        refused = refusal_of_step(resource.spec, resource.created_by, operation, asked)
        if refused is not None:
            raise refused
        request = Request(
            operation=operation,
            input=asked,
            caller=Caller(
                resource.created_by,
                request_id=request_id_of(resource.name, row.name, row.attempt),
                roles=roles_of_steps(resource.spec),
            ),
            parent=resource.uid,
        )
        return self._operations[operation].function(transaction, request)

    def _write(self, transaction: Transaction, resource: Resource, row: StepRow, *, settled: bool) -> None:
        transaction.steps.put(resource.uid, [row])
        remembered = self._memory.find(resource)
        if remembered is not None and remembered.rows.get(row.name) != row:
            remembered.put(row)  # what the decision could not know: what was created, or that it was refused
        if settled:
            transaction.steps.append(resource.uid, [Fact(at=transaction.now, row=row)])
        detail: Document = {"stepName": row.name, "currentStepStatus": row.status.value, "attempt": row.attempt}
        for name, at in (("stepStartTime", row.started_at), ("stepEndTime", row.ended_at)):
            if at is not None:
                detail[name] = at.isoformat()
        if row.failure_reason is not None:
            detail["failureReason"] = row.failure_reason
        if row.resource_arn is not None:
            detail["metadata"] = row.metadata
        if row.cache is not None and row.cache.source is not None:
            detail["cacheHitResult"] = {"pipelineExecutionArn": row.cache.source}
        transaction.events.append(_event(STEP_EVENT, resource, transaction.now, detail))


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


def _prepared(call: Call, step_type: str, asked: Document, members: Document) -> tuple[Document, Document]:
    """Return the request of a check's job with the baseline that it compares with, and the step's metadata."""
    baseline = supplied(members)
    group = members.get("ModelPackageGroupName")
    if needs_baseline(members) and not baseline and group is not None:
        latest = {"ModelPackageGroupName": group, "ModelApprovalStatus": "Approved", "MaxResults": 1}
        try:
            found = call("ListModelPackages", {**latest, "SortBy": "CreationTime", "SortOrder": "Descending"})
        except NotFound:
            found = {}  # the first run registers the first version
        for package in found.get("ModelPackageSummaryList") or ():
            shown = call("DescribeModelPackage", {"ModelPackageName": package["ModelPackageArn"]})
            baseline = registered(members["CheckType"], shown.get("DriftCheckBaselines") or {})
    request = prepared(step_type, asked, members, baseline)
    return request, told_of(step_type, request, members, baseline)


def _looks_elsewhere(plan: Plan) -> bool:
    """Return whether what comes next may depend on more than the store's rows."""
    return plan.reads_documents or plan.uses_cache or plan.judges


def _refuse_awaited(transaction: Transaction, execution: Resource, wanted: Resource) -> None:
    """Refuse to change what a step of another execution has changed and has not seen the end of.

    Changes of a resource's status wake one execution, so the other one would never hear of it.

    Raises:
        InProgress: names that execution.
    """
    owner = None if wanted.parent in {None, execution.uid} else transaction.resources.get(Uid(wanted.parent or ""))
    if owner is None or owner.kind != PIPELINE_EXECUTION.noun or _is_over(owner):
        return
    rows = transaction.steps.of(owner.uid).values()
    if any(row.resource == wanted.uid and not row.status.is_terminal for row in rows):
        raise InProgress(f"{wanted.arn} is being changed by {owner.arn}; wait until its step has ended")


def _noted(situation: Situation) -> Document:
    """Return what the state of an execution keeps of what its history tells from a decision on."""
    return {} if situation.max_parallel is None else {NOTED_PARALLELISM: situation.max_parallel}


def _is_over(resource: Resource) -> bool:
    return ExecutionStatus(resource.status or "").is_terminal


def _event(type_: str, resource: Resource, at: datetime, detail: Document) -> Event:
    shown = {"pipelineArn": resource.spec["PipelineArn"], "pipelineExecutionArn": resource.arn, **detail}
    return Event(
        type=type_,
        subject=resource.uid,
        subject_arn=resource.arn,
        principal=PLATFORM.principal,
        at=at,
        detail=shown,
    )
