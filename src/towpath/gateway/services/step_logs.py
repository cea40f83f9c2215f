"""The operation that tells where the log of a step is: which streams hold what it printed."""

from typing import cast

from towpath.functions import FUNCTION_INVOCATION, LOG_GROUPS
from towpath.gateway.services.log_streams import GROUPS, streams_of
from towpath.kernel import generic
from towpath.kernel.errors import NotFound
from towpath.kernel.operations import Operation, Operations, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.kinds import PIPELINE_EXECUTION
from towpath.pipelines.ports import Transaction as WithSteps

_GROUP_OF = {noun: group for group, noun in GROUPS.items()}


def step_log_operations() -> Operations:
    """Return the operation of the service `towpath`."""
    operation = Operation(name="DescribePipelineExecutionStepLogs", function=describe_step_logs, writes=False)
    return {operation.name: operation}


def describe_step_logs(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribePipelineExecutionStepLogs: the streams of what the last attempt of a step began.

    A step that began something without a log of its own has none: the training jobs of a tuning job have theirs.
    """
    execution = generic.find(transaction, PIPELINE_EXECUTION, request.input["PipelineExecutionArn"])
    name = request.input["StepName"]
    row = cast(WithSteps, transaction).steps.find(execution.uid, name)
    if row is None:
        raise NotFound(f"no step {name!r} of {execution.arn} has begun", code="ResourceNotFound")
    started = None if row.resource is None else transaction.resources.get(row.resource)
    group = None if started is None or not started.is_live else _group(started)
    if started is None or group is None:
        streams = []  # nothing yet, or it went with its log
    else:
        streams = [{"LogGroupName": group, "LogStreamName": stream.name} for stream in streams_of(started)]
    return {"AttemptCount": row.attempt, "Streams": streams}


def _group(started: Resource) -> str | None:
    """Return the log group of what a step began, None where that has no log."""
    if started.kind == FUNCTION_INVOCATION.noun:
        return LOG_GROUPS + str(started.spec["FunctionName"])
    return _GROUP_OF.get(started.kind)
