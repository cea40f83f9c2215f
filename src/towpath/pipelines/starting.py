"""Executions are started, of all steps or of some, and begun anew where they failed or were stopped."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from towpath.experiments.record import begin_execution
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.operations import Request
from towpath.kernel.priorities import PRIORITY, priority_of
from towpath.kernel.repeats import digest_of, is_repeated, token_of
from towpath.kernel.resource import Document, Resource
from towpath.pipelines import selection, versions
from towpath.pipelines.attempts import tried_again
from towpath.pipelines.graph import Plan
from towpath.pipelines.kinds import (
    NOTED_PARALLELISM,
    PIPELINE,
    PIPELINE_EXECUTION,
    RETRY_DIGEST,
    RETRY_TOKEN,
    START_DIGEST,
    TURN,
)
from towpath.pipelines.model import ExecutionStatus, Fact, HistoryEntry, Parallelism, StepRow
from towpath.pipelines.parameters import bind
from towpath.pipelines.plans import experiment_config, max_parallel_of, plan_for, plan_of, variables
from towpath.pipelines.ports import Transaction
from towpath.pipelines.rights import rights_of_execution
from towpath.pipelines.standing import Standings
from towpath.pipelines.step_lists import found_execution

_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
#: Members of a request that its execution keeps as they are.
_KEPT = ("PipelineExecutionDisplayName", "PipelineExecutionDescription", "RoleArn", "SelectiveExecutionConfig")


def start_pipeline_execution(transaction: Transaction, request: Request) -> Document:
    """Carry out StartPipelineExecution. The same request with the same token gives the execution that it started.

    Raises:
        Conflict: the token came with another request before.
    """
    asked = request.input
    pipeline = generic.find(transaction, PIPELINE, asked["PipelineName"])
    token = token_of(request)
    execution_id = _execution_id(pipeline, token)
    existing = transaction.resources.find(PIPELINE_EXECUTION.noun, execution_id)
    if existing is not None and is_repeated(
        request, token=token, digest=existing.spec.get(START_DIGEST), arn=existing.arn
    ):
        return {"PipelineExecutionArn": existing.arn}
    number = versions.asked_for(pipeline, asked) or versions.latest(pipeline)
    text = versions.definition_of(transaction, pipeline, number)
    plan = plan_of(text)
    given = _given(asked.get("PipelineParameters") or [])
    source, selected = _selection(transaction, pipeline, plan, asked.get("SelectiveExecutionConfig"))
    values = bind(plan.definition.parameters, given, {} if source is None else source.spec["Values"])
    arn = f"{pipeline.arn}/execution/{execution_id}"
    known = variables(
        pipeline_name=pipeline.name,
        pipeline_arn=pipeline.arn,
        execution_id=execution_id,
        execution_arn=arn,
        started_at=transaction.now,
    )
    experiment = experiment_config(plan, values, known, transaction.now)
    spec: Document = {
        **_of_the_pipeline(transaction, request, pipeline, number),
        "PipelineDefinition": text,
        "Values": values,
        **_as_asked(asked, transaction.now),
        **({} if experiment is None else {"PipelineExperimentConfig": experiment}),
        **({} if selected is None else {selection.STEPS: list(selected.steps)}),
        **({} if token is None else {START_DIGEST: digest_of(request)}),
    }
    execution = generic.create(
        transaction,
        PIPELINE_EXECUTION,
        request,
        name=execution_id,
        arn=arn,
        spec=spec,
        status=ExecutionStatus.EXECUTING.value,
    )
    if selected is not None and source is not None:
        _take_over(transaction, execution, source, selected.kept)
    if experiment is not None:
        begin_execution(transaction, request, execution, experiment, pipeline.arn)
    versions.ran(transaction, pipeline, number, execution.arn)
    transaction.resources.replace(
        pipeline,
        state={**pipeline.state, "LastRunTime": transaction.now.timestamp()},
        modified_at=pipeline.modified_at,
    )
    return {"PipelineExecutionArn": execution.arn}


def _of_the_pipeline(transaction: Transaction, request: Request, pipeline: Resource, number: int) -> Document:
    """Return what an execution has of its pipeline, in a version, and keeps whatever becomes of that."""
    parallelism = request.input.get("ParallelismConfiguration") or pipeline.spec.get("ParallelismConfiguration")
    priority = priority_of(transaction.resources.tags(pipeline.uid))
    return {
        "PipelineUid": pipeline.uid,
        "PipelineName": pipeline.name,
        "PipelineArn": pipeline.arn,
        "PipelineVersionId": number,
        **rights_of_execution(versions.author_roles(transaction, pipeline, number), request.caller.roles),
        **({} if parallelism is None else {"ParallelismConfiguration": parallelism}),
        **({} if not priority else {PRIORITY: priority}),
    }


def _as_asked(asked: Document, now: datetime) -> Document:
    """Return what is kept of a request as it stands there; an execution without a name is called after its time."""
    kept = {name: asked[name] for name in _KEPT if asked.get(name) is not None}
    return {"PipelineExecutionDisplayName": f"execution-{int(now.timestamp() * 1000)}", **kept}


def _selection(
    transaction: Transaction, pipeline: Resource, plan: Plan, config: Document | None
) -> tuple[Resource | None, selection.Selection | None]:
    """Return the execution that results are taken from, and what is run and taken over; None where all steps run."""
    if config is None:
        return None, None
    selected = [step["StepName"] for step in config["SelectedSteps"]]
    arn = config.get("SourcePipelineExecutionArn")
    if arn is None:
        return None, selection.select(plan, selected, None)
    source = generic.find(transaction, PIPELINE_EXECUTION, arn)
    if source.spec["PipelineUid"] != pipeline.uid:
        raise Invalid(f"{arn} is not an execution of the pipeline {pipeline.name!r}; results are taken from its own")
    if not ExecutionStatus(source.status or "").is_terminal:
        raise Conflict(
            f"Pipeline execution {arn} is {source.status}; results are taken from one that has ended",
            code="ValidationException",
        )
    return source, selection.select(plan, selected, transaction.steps.of(source.uid))


def _take_over(transaction: Transaction, execution: Resource, source: Resource, kept: Sequence[StepRow]) -> None:
    rows = [
        replace(row, position=position, taken_from=row.taken_from or source.arn) for position, row in enumerate(kept)
    ]
    transaction.steps.put(execution.uid, rows)
    transaction.steps.append(execution.uid, [Fact(at=transaction.now, row=row) for row in rows])


def _execution_id(pipeline: Resource, token: str | None) -> str:
    digest = hashlib.sha256(f"{pipeline.uid}/{token or uuid4().hex}".encode()).digest()
    number = int.from_bytes(digest, "big")
    characters = []
    for _ in range(_ID_LENGTH):
        number, index = divmod(number, len(_ID_CHARACTERS))
        characters.append(_ID_CHARACTERS[index])
    return "".join(characters)


def _given(parameters: list[Document]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for parameter in parameters:
        if parameter["Name"] in given:
            raise Invalid(f"The parameter {parameter['Name']!r} is given twice")
        given[parameter["Name"]] = parameter["Value"]
    return given


def retry_pipeline_execution(transaction: Transaction, request: Request) -> Document:
    """Carry out RetryPipelineExecution: steps that failed or were stopped begin anew, what succeeded is kept.

    A failure that another step has followed up on is settled, too: both ways would be gone otherwise.
    """
    execution = found_execution(transaction, request)
    kept = execution.state
    if is_repeated(request, token=kept.get(RETRY_TOKEN), digest=kept.get(RETRY_DIGEST), arn=execution.arn):
        return {"PipelineExecutionArn": execution.arn}  # the answer to an earlier try of this request was lost
    if execution.status not in {ExecutionStatus.FAILED, ExecutionStatus.STOPPED}:
        raise Conflict(
            f"Pipeline execution {execution.arn} is {execution.status}; only a Failed or Stopped one can be retried",
            code="ConflictException",
        )
    token = token_of(request)
    if token is not None:
        state = {**execution.state, RETRY_TOKEN: token, RETRY_DIGEST: digest_of(request)}
        execution = replace(execution, state=state)
    standings = Standings(plan_for(execution), transaction.steps.of(execution.uid))
    again = tried_again(standings, transaction.now)
    transaction.steps.put(execution.uid, again)
    # Without its turn, the controller does not take what it remembers of the rows for what they are now.
    state = {name: value for name, value in execution.state.items() if name not in {"FailureReason", TURN}}
    spec = execution.spec
    if request.input.get("ParallelismConfiguration") is not None:
        spec = {**spec, "ParallelismConfiguration": request.input["ParallelismConfiguration"]}
    entries: list[HistoryEntry] = [Fact(at=transaction.now, row=row) for row in again]
    noted, most = state.get(NOTED_PARALLELISM), max_parallel_of(spec)
    if most != noted:
        before = most if standings.is_untouched else noted
        entries.insert(0, Parallelism(at=transaction.now, before=before, max_parallel=most))
        state[NOTED_PARALLELISM] = most
    transaction.steps.append(execution.uid, entries)
    execution = transaction.resources.replace(
        execution,
        spec=spec,
        state={**state, "LastModifiedBy": request.caller.principal},
        status=ExecutionStatus.EXECUTING.value,
        generation=execution.generation + 1,
    )
    generic.record(transaction, execution, request, request.operation, steps=[row.name for row in again])
    transaction.work.schedule(execution.uid, transaction.now)
    return {"PipelineExecutionArn": execution.arn}
