"""Carries out what an execution has decided: writes its steps, and calls the operations that they stand for."""

from datetime import datetime
from functools import partial
from typing import cast

from msgspec.structs import replace

from towpath.kernel import decisions as kernel
from towpath.kernel import shapes
from towpath.kernel.errors import InProgress, Invalid, NotFound, StaleRevision, TowpathError
from towpath.kernel.events import Event
from towpath.kernel.operations import Operations, Request
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.principals import PLATFORM, Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines import retry
from towpath.pipelines.attempts import after_failure, waiting
from towpath.pipelines.caching import Lookup
from towpath.pipelines.decisions import (
    EndStep,
    NoteParallelism,
    OpenRounds,
    PerformStep,
    PostponeStep,
    PutOffEnd,
    StartStep,
    StopStep,
)
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.graph import Node
from towpath.pipelines.kinds import PIPELINE_EXECUTION
from towpath.pipelines.memory import Memory
from towpath.pipelines.model import ExecutionStatus, Fact, Parallelism, StepRow, StepStatus
from towpath.pipelines.naming import request_id_of
from towpath.pipelines.performing import Call, Performance
from towpath.pipelines.plans import plan_for
from towpath.pipelines.ports import EarlierResults, Shapes, Transaction
from towpath.pipelines.quality_checks import needs_baseline, prepared, registered, supplied
from towpath.pipelines.quality_checks import shown as told_of
from towpath.pipelines.rights import refusal_of_step, roles_of_steps
from towpath.pipelines.steps import StepType

EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"
STEP_EVENT = "SageMaker Model Building Pipeline Execution Step Status Change"


class Acting:
    """Acts for executions, each time within the transaction of a decision."""

    def __init__(self, operations: Operations, shapes: Shapes, results: EarlierResults, memory: Memory) -> None:
        self._operations = operations
        self._shapes = shapes
        self._results = results
        self._memory = memory

    def carry_out(self, transaction: KernelTransaction, resource: Resource, decision: kernel.Decision) -> None:
        """Write the steps that an execution has decided on, with history and events, and call what they stand for."""
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
                case PutOffEnd(row=row):
                    self._put(wide, resource, row)
                case OpenRounds(row=row):
                    self._write(wide, resource, row, settled=False)
                case StopStep(row=row):
                    self._stop(wide, resource, plan.step(row.step), row)
                case NoteParallelism(before=before, max_parallel=most):
                    noted = Parallelism(at=transaction.now, before=before, max_parallel=most)
                    wide.steps.append(resource.uid, [noted])

    def _end(self, transaction: Transaction, resource: Resource, node: Node, end: EndStep) -> None:
        if end.lookup is not None and end.lookup.found is not None:
            self._compare_again(transaction, resource, node, end.row, end.lookup)
            self._results.take_over(transaction, resource, end.row, end.lookup.found.displaced)
        elif end.as_looked_up:
            self._results.keep(transaction, resource, end.row)
        self._write(transaction, resource, end.row, settled=True)

    def _compare_again(
        self, transaction: Transaction, resource: Resource, node: Node, row: StepRow, lookup: Lookup
    ) -> None:
        """Raise StaleRevision where a check whose result was found would judge against another baseline by now."""
        if node.type is None or not node.type.checks:
            return
        call = partial(self.call, transaction, resource, row)
        try:
            request, told = with_baseline(call, node.step.type, lookup.asked.request, lookup.asked.members)
        except TowpathError as error:  # the next look-up meets it, too: then the step begins, and fails with it
            raise StaleRevision(f"What {node.name!r} compares with cannot be had any more: {error.message}") from error
        _refuse_another_baseline(node, lookup, request, told)

    def _start(self, transaction: Transaction, resource: Resource, node: Node, start: StartStep) -> None:
        assert node.type is not None
        call = partial(self.call, transaction, resource, start.row)
        told: Document = {}
        request = start.input
        try:
            with transaction.nested():
                if node.type.checks:
                    request, told = with_baseline(call, node.step.type, start.input, start.members)
                    _refuse_another_baseline(node, start.lookup, request, told)
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
            call=partial(self.call, transaction, resource, step.row),
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
                self.call(transaction, resource, row, node.type.stop, {node.type.name_member: child.name})
        except StaleRevision:
            raise
        except TowpathError as error:
            # It has ended by itself meanwhile, or cannot be stopped: its own end will tell.
            detail = {"stepName": row.name, "operation": node.type.stop, "refused": error.message}
            transaction.events.append(event(STEP_EVENT, resource, transaction.now, detail))

    def call(
        self, transaction: Transaction, resource: Resource, row: StepRow, operation: str, asked: Document
    ) -> Document:
        """Carry out an operation for a step, with the rights of who made the execution; return the answer.

        Raises:
            Invalid: this server does not offer it.
            TowpathError: it is refused.
        """
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

    def _put(self, transaction: Transaction, resource: Resource, row: StepRow) -> None:
        transaction.steps.put(resource.uid, [row])
        remembered = self._memory.find(resource)
        if remembered is not None and remembered.rows.get(row.name) != row:
            remembered.put(row)  # what the decision could not know: what was created, or that it was refused

    def _write(self, transaction: Transaction, resource: Resource, row: StepRow, *, settled: bool) -> None:
        self._put(transaction, resource, row)
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
        transaction.events.append(event(STEP_EVENT, resource, transaction.now, detail))


def with_baseline(call: Call, step_type: str, asked: Document, members: Document) -> tuple[Document, Document]:
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


def _refuse_another_baseline(node: Node, lookup: Lookup | None, request: Document, told: Document) -> None:
    """Raise StaleRevision where the key that was looked up is not that of a check as it would be now."""
    if lookup is not None and lookup.key is not None and (request, told) != (lookup.request, lookup.told):
        raise StaleRevision(f"What {node.name!r} compares with was changed while it was looked up")


def _refuse_awaited(transaction: Transaction, execution: Resource, wanted: Resource) -> None:
    """Refuse to change what a step of another execution has changed and has not seen the end of.

    Changes of a resource's status wake one execution, so the other one would never hear of it.

    Raises:
        InProgress: names that execution.
    """
    owner = None if wanted.parent in {None, execution.uid} else transaction.resources.get(Uid(wanted.parent or ""))
    if owner is None or owner.kind != PIPELINE_EXECUTION.noun or is_over(owner):
        return
    rows = transaction.steps.of(owner.uid).values()
    if any(row.resource == wanted.uid and not row.status.is_terminal for row in rows):
        raise InProgress(f"{wanted.arn} is being changed by {owner.arn}; wait until its step has ended")


def is_over(execution: Resource) -> bool:
    """Return whether an execution has ended."""
    return ExecutionStatus(execution.status or "").is_terminal


def event(type_: str, resource: Resource, at: datetime, detail: Document) -> Event:
    """Return an event of an execution, or of a step of it."""
    shown = {"pipelineArn": resource.spec["PipelineArn"], "pipelineExecutionArn": resource.arn, **detail}
    return Event(
        type=type_,
        subject=resource.uid,
        subject_arn=resource.arn,
        principal=PLATFORM.principal,
        at=at,
        detail=shown,
    )
