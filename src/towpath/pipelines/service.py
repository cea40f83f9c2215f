"""The operations on pipelines and their executions."""

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from towpath.experiments.record import begin_execution
from towpath.kernel import generic, paging
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.faults import SEEN_AFTER, sentence
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Store
from towpath.kernel.priorities import PRIORITY, priority_of
from towpath.kernel.repeats import TOKENS, digest_of, is_repeated, token_of
from towpath.kernel.resource import Document, Resource
from towpath.pipelines import selection, versions
from towpath.pipelines.attempts import tried_again
from towpath.pipelines.checks import accept_executed
from towpath.pipelines.compiling import Compiling
from towpath.pipelines.definition import Definition, Step
from towpath.pipelines.evaluation import as_text
from towpath.pipelines.graph import Plan
from towpath.pipelines.kinds import (
    ALIASES,
    CREATE_DIGEST,
    CREATE_TOKEN,
    LATEST,
    NOTED_PARALLELISM,
    OF_PIPELINE,
    PIPELINE,
    PIPELINE_EXECUTION,
    RETRY_DIGEST,
    RETRY_TOKEN,
    START_DIGEST,
    TURN,
    VERSION,
)
from towpath.pipelines.model import ExecutionStatus, Fact, HistoryEntry, Parallelism, StepRow
from towpath.pipelines.parameters import bind
from towpath.pipelines.plans import experiment_config, max_parallel_of, plan_for, plan_of, variables
from towpath.pipelines.ports import CheckArguments, Definitions, NoShapes, Shapes, Transaction, accept_arguments
from towpath.pipelines.rights import rights_of_execution
from towpath.pipelines.standing import Standings
from towpath.pipelines.step_lists import found_execution, list_pipeline_execution_steps
from towpath.pipelines.waiting import step_operations

_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12


class Pipelines:
    """What creates and changes pipelines."""

    def __init__(self, definitions: Definitions | None, check_arguments: CheckArguments, shapes: Shapes) -> None:
        self._definitions = definitions
        self._check_arguments = check_arguments
        self._shapes = shapes

    def checked_definition(self, request: Request) -> str | None:
        """Return the definition in a request, None where there is none.

        It is checked whole, which of ten thousand steps takes a second, and needs nothing of the store: the front door
        has it done before the transaction, so that others can write meanwhile.
        """
        text = self._definition_text(request.input)
        if text is not None:
            self._accept(text)
        return text

    def create_pipeline(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreatePipeline: record a definition that was checked."""
        asked = request.input
        text = request.prepared or self.checked_definition(request)
        if text is None:
            raise Invalid("CreatePipeline needs PipelineDefinition or PipelineDefinitionS3Location")
        existing = transaction.resources.find(PIPELINE.noun, asked["PipelineName"])
        if existing is not None and is_repeated(
            request,
            token=existing.state.get(CREATE_TOKEN),
            digest=existing.state.get(CREATE_DIGEST),
            arn=existing.arn,
        ):
            return {"PipelineArn": existing.arn}  # the answer to an earlier try of this request was lost
        left_out = {*TOKENS, "Tags", "PipelineDefinitionS3Location", "PipelineVersionAliases"}
        spec = {name: value for name, value in asked.items() if name not in left_out}
        spec["PipelineDefinition"] = text
        token = token_of(request)
        state = {} if token is None else {CREATE_TOKEN: token, CREATE_DIGEST: digest_of(request)}
        pipeline = generic.create(transaction, PIPELINE, request, spec=spec, state=state, status="Active")
        number = versions.record(transaction, request, pipeline, text)
        aliases = versions.with_aliases(pipeline, number, asked.get("PipelineVersionAliases") or (), ())
        transaction.resources.replace(pipeline, state={**state, LATEST: number, ALIASES: aliases})
        return {"PipelineArn": pipeline.arn}

    def update_pipeline(self, transaction: Transaction, request: Request) -> Document:
        """Carry out UpdatePipeline: a new definition is the next version, and executions that run keep theirs."""
        pipeline = generic.find(transaction, PIPELINE, request.input["PipelineName"])
        text = request.prepared or self.checked_definition(request)
        left_out = {"PipelineName", "PipelineDefinitionS3Location", "PipelineVersionAliases"}
        changes = {name: value for name, value in request.input.items() if name not in left_out and value is not None}
        if text is not None:
            changes["PipelineDefinition"] = text
        versions.record_first(transaction, request, pipeline)
        number = versions.latest(pipeline)
        if text not in {None, pipeline.spec["PipelineDefinition"]}:
            assert text is not None
            number = versions.record(transaction, request, pipeline, text)
        aliases = versions.with_aliases(pipeline, number, request.input.get("PipelineVersionAliases") or (), ())
        pipeline = transaction.resources.replace(
            pipeline,
            spec={**pipeline.spec, **changes},
            state={
                **pipeline.state,
                "LastModifiedBy": request.caller.principal,
                LATEST: number,
                ALIASES: aliases,
            },
            generation=pipeline.generation + 1,
            modified_at=transaction.now,
        )
        generic.record(transaction, pipeline, request, request.operation, changed=sorted(changes))
        return {"PipelineArn": pipeline.arn, "PipelineVersionId": number}

    def _definition_text(self, asked: Document) -> str | None:
        text, location = asked.get("PipelineDefinition"), asked.get("PipelineDefinitionS3Location")
        if text is not None and location is not None:
            raise Invalid("PipelineDefinition and PipelineDefinitionS3Location exclude each other; give one of them")
        if location is None:
            return text
        if self._definitions is None:
            raise Unsupported("Definitions cannot be read from S3 here; send it as PipelineDefinition")
        return self._definitions.read(location["Bucket"], location["ObjectKey"], location.get("VersionId"))

    def _accept(self, text: str) -> Definition:
        definition = accept_executed(text, self._shapes)
        for step in definition.all_steps():
            self._check_step(step)
        return definition

    def _check_step(self, step: Step) -> None:
        try:
            self._check_arguments(step)
        except Invalid as error:
            raise Invalid(f"Step {step.name!r} ({step.place}): {error.message}", code=error.code) from error


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
    priority = priority_of(transaction.resources.tags(pipeline.uid))
    parallelism = asked.get("ParallelismConfiguration") or pipeline.spec.get("ParallelismConfiguration")
    spec: Document = {
        "PipelineUid": pipeline.uid,
        "PipelineName": pipeline.name,
        "PipelineArn": pipeline.arn,
        "PipelineVersionId": number,
        "PipelineDefinition": text,
        "Values": values,
        **rights_of_execution(versions.author_roles(transaction, pipeline, number), request.caller.roles),
        **({} if experiment is None else {"PipelineExperimentConfig": experiment}),
        **({} if parallelism is None else {"ParallelismConfiguration": parallelism}),
        **({} if not priority else {PRIORITY: priority}),
        **{
            name: asked[name]
            for name in (
                "PipelineExecutionDisplayName",
                "PipelineExecutionDescription",
                "RoleArn",
                "SelectiveExecutionConfig",
            )
            if asked.get(name) is not None
        },
        **({} if selected is None else {selection.STEPS: list(selected.steps)}),
        **({} if token is None else {START_DIGEST: digest_of(request)}),
    }
    spec.setdefault("PipelineExecutionDisplayName", f"execution-{int(transaction.now.timestamp() * 1000)}")
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


def stop_pipeline_execution(transaction: Transaction, request: Request) -> Document:
    """Carry out StopPipelineExecution: no more steps start, and the controller stops those that run."""
    execution = found_execution(transaction, request)
    status = ExecutionStatus(execution.status or "")
    if status.is_terminal:
        raise Conflict(
            f"Pipeline execution {execution.arn} has ended already: {status.value}", code="ConflictException"
        )
    if status is ExecutionStatus.EXECUTING:
        execution = transaction.resources.replace(
            execution,
            status=ExecutionStatus.STOPPING.value,
            state={**execution.state, "LastModifiedBy": request.caller.principal},
            generation=execution.generation + 1,
        )
        generic.record(transaction, execution, request, request.operation)
        transaction.work.schedule(execution.uid, transaction.now)
    return {"PipelineExecutionArn": execution.arn}


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


def update_pipeline_execution(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdatePipelineExecution: names and parallelism of an execution."""
    execution = found_execution(transaction, request)
    changes = {name: value for name, value in request.input.items() if name != "PipelineExecutionArn"}
    execution = transaction.resources.replace(
        execution,
        spec={**execution.spec, **changes},
        state={**execution.state, "LastModifiedBy": request.caller.principal},
        generation=execution.generation + 1,
    )
    generic.record(transaction, execution, request, request.operation, changed=sorted(changes))
    transaction.work.schedule(execution.uid, transaction.now)
    return {"PipelineExecutionArn": execution.arn}


def list_pipelines(transaction: Transaction, request: Request) -> Document:
    """Carry out ListPipelines. All of them are the users' own."""
    if request.input.get("ManagedBy") == "AWS":
        return {"PipelineSummaries": []}
    return generic.page_of(PIPELINE, transaction, request)


def describe_pipeline(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribePipeline: with the version that is asked for, or the latest."""
    pipeline = generic.find(transaction, PIPELINE, request.input["PipelineName"])
    number = versions.asked_for(pipeline, request.input) or versions.latest(pipeline)
    return {**generic.document(PIPELINE, pipeline), **versions.shown(transaction, pipeline, number)}


def list_pipeline_executions(transaction: Transaction, request: Request) -> Document:
    """Carry out ListPipelineExecutions: those of one pipeline, the latest first."""
    pipeline = generic.find(transaction, PIPELINE, request.input["PipelineName"])
    narrowed = [Filter(OF_PIPELINE, "=", pipeline.uid)]
    number = versions.asked_for(pipeline, request.input)
    if number is not None:
        narrowed.append(Filter(VERSION, "=", float(number)))
    answer = generic.page_of(PIPELINE_EXECUTION, transaction, request, *narrowed)
    shown = [versions.shown_of_execution(pipeline, found) for found in answer["PipelineExecutionSummaries"]]
    return {**answer, "PipelineExecutionSummaries": shown}


def describe_pipeline_execution(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribePipelineExecution. One that a fault holds up says so; its status is what it was."""
    execution = found_execution(transaction, request)
    pipeline = transaction.resources.get(execution.spec["PipelineUid"])
    shown = generic.document(PIPELINE_EXECUTION, execution)
    fault = transaction.work.fault(execution.uid)
    goes_on = execution.status in {ExecutionStatus.EXECUTING, ExecutionStatus.STOPPING}
    if goes_on and fault is not None and fault.tries >= SEEN_AFTER:
        shown = {**shown, "FailureReason": sentence(fault)}
    return versions.shown_of_execution(pipeline, shown)


def list_pipeline_parameters(transaction: Transaction, request: Request) -> Document:
    """Carry out ListPipelineParametersForExecution: every parameter with the value that the execution has."""
    execution = found_execution(transaction, request)
    parameters = [{"Name": name, "Value": as_text(value)} for name, value in execution.spec["Values"].items()]
    page, token = paging.oldest_first(parameters, request.input.get("NextToken"), paging.size(request.input))
    answer: Document = {"PipelineParameters": page}
    return answer if token is None else {**answer, "NextToken": token}


def describe_definition(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribePipelineDefinitionForExecution: the definition that an execution started with."""
    execution = found_execution(transaction, request)
    return {
        "PipelineDefinition": execution.spec["PipelineDefinition"],
        "CreationTime": execution.created_at.timestamp(),
    }


def operations(
    *,
    definitions: Definitions | None = None,
    check_arguments: CheckArguments = accept_arguments,
    shapes: Shapes | None = None,
    store: Store | None = None,
) -> list[Operation]:
    """Return every operation on pipelines and executions.

    Args:
        definitions: reads definitions that stand in S3; without it they are refused.
        check_arguments: refuses steps that could never start, when a pipeline is created or updated.
        shapes: the API's shapes, to check arguments by.
        store: what plans are compiled from before the transactions that need them; without it, they are in these.
    """
    compiling = None if store is None else Compiling(store)
    pipelines = Pipelines(definitions, check_arguments, shapes or NoShapes())
    return [
        Operation(name="CreatePipeline", function=pipelines.create_pipeline, prepare=pipelines.checked_definition),
        Operation(name="UpdatePipeline", function=pipelines.update_pipeline, prepare=pipelines.checked_definition),
        Operation(name="DescribePipeline", function=describe_pipeline, writes=False),
        Operation(name="ListPipelines", function=list_pipelines, writes=False),
        generic.delete_operation(PIPELINE),
        Operation(name="ListPipelineVersions", function=versions.list_pipeline_versions, writes=False),
        Operation(name="UpdatePipelineVersion", function=versions.update_pipeline_version),
        Operation(
            name="StartPipelineExecution",
            function=start_pipeline_execution,
            prepare=None if compiling is None else compiling.before_start,
        ),
        Operation(name="StopPipelineExecution", function=stop_pipeline_execution),
        Operation(
            name="RetryPipelineExecution",
            function=retry_pipeline_execution,
            prepare=None if compiling is None else compiling.before_retry,
        ),
        Operation(name="UpdatePipelineExecution", function=update_pipeline_execution),
        Operation(name="DescribePipelineExecution", function=describe_pipeline_execution, writes=False),
        Operation(name="ListPipelineExecutions", function=list_pipeline_executions, writes=False),
        *step_operations(),
        Operation(name="ListPipelineExecutionSteps", function=list_pipeline_execution_steps, writes=False),
        Operation(name="ListPipelineParametersForExecution", function=list_pipeline_parameters, writes=False),
        Operation(name="DescribePipelineDefinitionForExecution", function=describe_definition, writes=False),
    ]
