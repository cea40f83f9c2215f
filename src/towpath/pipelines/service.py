"""The operations on pipelines and their executions."""

from functools import partial

from towpath.jobs.waiting import WhatFor, no_queue
from towpath.kernel import generic, paging
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.faults import SEEN_AFTER, sentence
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Store
from towpath.kernel.repeats import TOKENS, digest_of, is_repeated, token_of
from towpath.kernel.resource import Document
from towpath.pipelines import versions
from towpath.pipelines.checks import accept_executed
from towpath.pipelines.compiling import Compiling
from towpath.pipelines.definition import Definition, Step
from towpath.pipelines.evaluation import as_text
from towpath.pipelines.kinds import (
    ALIASES,
    CREATE_DIGEST,
    CREATE_TOKEN,
    LATEST,
    OF_PIPELINE,
    PIPELINE,
    PIPELINE_EXECUTION,
    VERSION,
)
from towpath.pipelines.model import ExecutionStatus
from towpath.pipelines.ports import CheckArguments, Definitions, NoShapes, Shapes, Transaction, accept_arguments
from towpath.pipelines.starting import retry_pipeline_execution, start_pipeline_execution
from towpath.pipelines.step_lists import found_execution, list_pipeline_execution_steps
from towpath.pipelines.waiting import step_operations


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
        transaction.work.hurry(execution.uid)
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
    what_for: WhatFor = no_queue,
) -> list[Operation]:
    """Return every operation on pipelines and executions.

    Args:
        definitions: reads definitions that stand in S3; without it they are refused.
        check_arguments: refuses steps that could never start, when a pipeline is created or updated.
        shapes: the API's shapes, to check arguments by.
        store: what plans are compiled from before the transactions that need them; without it, they are in these.
        what_for: tells what a job that waits for room on the host is waiting for now.
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
        Operation(
            name="ListPipelineExecutionSteps",
            function=partial(list_pipeline_execution_steps, what_for=what_for),
            writes=False,
        ),
        Operation(name="ListPipelineParametersForExecution", function=list_pipeline_parameters, writes=False),
        Operation(name="DescribePipelineDefinitionForExecution", function=describe_definition, writes=False),
    ]
