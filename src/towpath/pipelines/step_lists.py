"""The list of an execution's steps: those that have begun, and those that wait for a slot or a round to begin in."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from msgspec.structs import replace

from towpath.jobs.kinds import WAITING
from towpath.jobs.waiting import WhatFor, no_queue, with_todays_wait
from towpath.kernel import generic, paging
from towpath.kernel.errors import Invalid
from towpath.kernel.operations import Request
from towpath.kernel.resource import Document, Resource, view
from towpath.pipelines.callbacks import CallbackState
from towpath.pipelines.definition import Step
from towpath.pipelines.graph import Node
from towpath.pipelines.kinds import CALLBACK, PIPELINE_EXECUTION
from towpath.pipelines.model import ExecutionStatus, StepRow, StepStatus
from towpath.pipelines.plans import plan_for
from towpath.pipelines.ports import Transaction
from towpath.pipelines.rounds import item_text, round_node
from towpath.pipelines.standing import Standings
from towpath.triggers.deliveries import undelivered

_LONGEST_REASON = 1024  #: of a step's FailureReason in the API
_SHOWN_WAITING = 100  #: of the steps that wait for others to end, those whose turn comes first are listed
_STOPPED = "Stopped before it started"  #: why a step is Stopped that never began; jobs say the same of themselves
_NAMED = 3  #: steps that a sentence names at most


def found_execution(transaction: Transaction, request: Request) -> Resource:
    """Return the execution that a request is about."""
    arn = request.input.get("PipelineExecutionArn")
    if not arn:
        raise Invalid(f"{request.operation} needs PipelineExecutionArn")
    return generic.find(transaction, PIPELINE_EXECUTION, arn)


class _Entry(NamedTuple):
    """A step as it is listed; one that waits for others has the position at which it would begin next."""

    position: int
    shown: Document


def list_pipeline_execution_steps(
    transaction: Transaction, request: Request, *, what_for: WhatFor = no_queue
) -> Document:
    """Carry out ListPipelineExecutionSteps: the steps that have begun, the latest first unless asked otherwise.

    Behind the latest stand those that could begin but for MaxParallelExecutionSteps or MaxConcurrency, with what they
    wait for; once the execution is stopped, they are Stopped.

    Args:
        what_for: tells what a job that waits for room on the host is waiting for now.
    """
    execution = found_execution(transaction, request)
    descending = request.input.get("SortOrder", "Descending") == "Descending"
    after, count = paging.position(request.input.get("NextToken")), paging.size(request.input)
    rows = transaction.steps.page(execution.uid, after=after, limit=count + 1, descending=descending)
    begun = _begun(transaction, execution, rows, what_for)
    if descending:
        # Behind the page before there is something else than rows only where no row follows on it.
        behind_all = after is None or not rows or rows[0].position < after - 1
        waiting = _waiting(transaction, execution) if behind_all else []
        entries = [entry for entry in reversed(waiting) if after is None or entry.position < after] + begun
    else:
        waiting = _waiting(transaction, execution) if len(rows) <= count else []
        entries = begun + [entry for entry in waiting if after is None or entry.position > after]
    more, entries = entries[count:], entries[:count]
    answer: Document = {"PipelineExecutionSteps": [entry.shown for entry in entries]}
    return {**answer, "NextToken": str(entries[-1].position)} if more else answer


def _begun(transaction: Transaction, execution: Resource, rows: list[StepRow], what_for: WhatFor) -> list[_Entry]:
    plan = plan_for(execution)
    return [
        _Entry(row.position, _step_document(row, plan.step(row.step).step, _waiting_for(transaction, row, what_for)))
        for row in rows
    ]


def _waiting(transaction: Transaction, execution: Resource) -> list[_Entry]:
    """Return the steps that could begin now if more were allowed to run, in the order in which they will.

    First those that wait for a slot of the execution, then the first ones of rounds that wait for other rounds.
    """
    plan = plan_for(execution)
    most = (execution.spec.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps")
    is_stopped = execution.status in {ExecutionStatus.STOPPING, ExecutionStatus.STOPPED}
    if (most is None and not plan.bodies) or not (is_stopped or execution.status == ExecutionStatus.EXECUTING):
        return []
    if transaction.work.fault(execution.uid) is not None:
        return []  # nothing can be decided about it now, so neither whose turn is next
    rows = transaction.steps.of(execution.uid)
    standings = Standings(plan, _before_the_stop(rows) if is_stopped else rows)
    if standings.fatal():
        return []
    slots = _jobs(standings) if is_stopped and most is not None else _for_a_slot(standings, most)
    entries = []
    for number, (node, said) in enumerate(islice(chain(slots, _for_rounds(standings)), _SHOWN_WAITING)):
        row = _to_come(standings, node)
        if is_stopped:
            shown = _step_document(replace(row, status=StepStatus.STOPPED, failure_reason=_STOPPED), node.step, None)
        else:
            shown = _step_document(row, node.step, said)
        entries.append(_Entry(len(rows) + number, shown))
    return entries


def _before_the_stop(rows: dict[str, StepRow]) -> dict[str, StepRow]:
    """Return the rows of a stopped execution as if what was stopped still ran: others waited for those."""
    return {
        name: replace(row, status=StepStatus.EXECUTING) if row.status is StepStatus.STOPPED else row
        for name, row in rows.items()
    }


def _for_a_slot(standings: Standings, most: int | None) -> Iterator[tuple[Node, str]]:
    """Yield the steps that wait for MaxParallelExecutionSteps, each with what it waits for."""
    if most is None or standings.running_count < most:
        return
    users = _named([row.name for row in standings.running()])
    slots = "the only slot" if most == 1 else f"one of {most:,} slots"
    said = f"Waiting for {slots} (MaxParallelExecutionSteps), in use by {users}"
    for ahead, (node, _) in enumerate(_jobs(standings)):
        yield node, said + _before_it(ahead)


def _jobs(standings: Standings) -> Iterator[tuple[Node, str]]:
    """Yield the steps that need nothing but a slot to begin, with nothing to say of them."""
    for node in standings.startable():
        if node.type is not None and node.type.create is not None:
            yield node, ""


def _for_rounds(standings: Standings) -> Iterator[tuple[Node, str]]:
    """Yield the steps with which the rounds begin that wait for MaxConcurrency, each with what it waits for."""
    for row in standings.looping():
        if standings.fatal(row.name):
            continue  # no further round begins
        going_on = standings.open_rounds(row.name)
        turns = f"{'round' if len(going_on) == 1 else 'one of the rounds'} {_named(map(str, going_on))}"
        said = f"Waiting for {turns} to end (MaxConcurrency {row.max_concurrency} of {row.name})"
        first = [node for node in standings.plan.bodies[row.name].nodes.values() if not node.needs]
        for ahead, number in enumerate(standings.waiting_rounds(row.name)):
            for node in first:
                yield round_node(node, number), said + _before_it(ahead)


def _to_come(standings: Standings, node: Node) -> StepRow:
    """Return the row of a step that has none yet, as it is listed."""
    if node.each is None or node.round is None:
        return StepRow(name=node.name, status=StepStatus.STARTING, attempt=0)
    items = standings.rows[node.each].items or ()
    item = item_text(items[node.round])
    return StepRow(name=node.name, status=StepStatus.STARTING, attempt=0, each=node.each, round=node.round, item=item)


def _named(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")


def _before_it(ahead: int) -> str:
    return f"; {ahead:,} {'is' if ahead == 1 else 'are'} before it" if ahead else ""


def _waiting_for(transaction: Transaction, row: StepRow, what_for: WhatFor) -> str | None:
    """Return what the job of a step waits for before it may start, or the next attempt of one that a retry policy gives
    several, or why nobody has the message of a Callback step; None where there is nothing of the kind."""
    if row.status is StepStatus.STARTING and row.exception_type is not None and row.due_at is not None:
        return f"Waiting for {row.due_at:%Y-%m-%dT%H:%M:%SZ} to begin attempt {row.attempt + 1}"
    if row.status is not StepStatus.EXECUTING or row.resource is None:
        return None
    made = transaction.resources.get(row.resource)
    if made is None:
        return None
    if made.kind != CALLBACK.noun:
        return with_todays_wait(made, what_for).state.get(WAITING)
    delivery = view(CallbackState, made.state).delivery
    said = None if delivery is None else undelivered(transaction, delivery)
    return None if said is None else f"The message is not delivered yet: {said}"


def _step_document(row: StepRow, step: Step, waiting_for: str | None) -> Document:
    shown: Document = {
        "StepName": row.step,
        "StepStatus": row.status.value,
        "AttemptCount": row.attempt,
        "Metadata": row.metadata,
    }
    for name, text in (("StepDisplayName", step.display_name), ("StepDescription", step.description)):
        if text is not None:
            shown[name] = text
    for name, at in (("StartTime", row.started_at), ("EndTime", row.ended_at)):
        if at is not None:
            shown[name] = at.timestamp()
    if row.each is not None:
        shown["IterationContext"] = {"ParentStepName": row.each, "Index": row.round, "Item": row.item or ""}
    if row.taken_from is not None:
        shown["SelectiveExecutionResult"] = {"SourcePipelineExecutionArn": row.taken_from}
    if row.cache is not None and row.cache.source is not None:
        shown["CacheHitResult"] = {"SourcePipelineExecutionArn": row.cache.source}
    if waiting_for is not None:
        if CALLBACK.noun not in row.metadata:  # that one waits for its answer, which may come by hand
            shown["StepStatus"] = StepStatus.STARTING.value
        # The only text of a step that has not failed; that of the definition comes back when it goes on.
        shown["StepDescription"] = "\n".join(filter(None, [waiting_for, step.description]))
    if row.failure_reason is not None and row.status is not StepStatus.SUCCEEDED:
        shown["FailureReason"] = row.failure_reason[:_LONGEST_REASON]
    return shown
