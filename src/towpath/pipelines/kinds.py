"""The kinds Pipeline and PipelineExecution: how they are described, listed and sorted, and when they may be deleted."""

from towpath.kernel.errors import Conflict
from towpath.kernel.kinds import COMMON_SORT, Kind, View, resource_not_found
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.model import ExecutionStatus

#: Member of an execution's `sort` that holds the uid of its pipeline.
PIPELINE_UID = "pipeline"


#: Member of an execution's state that changes with every write of its step rows; never shown.
TURN = "Turn"


def user_context(resource: Resource, principal: str) -> Document:
    """Return SageMaker's UserContext of a principal of ours."""
    return {
        "UserProfileName": principal,
        "IamIdentity": {"Arn": f"arn:aws:iam::{resource.account}:user/{principal}", "PrincipalId": principal},
    }


def _refuse_with_running_executions(transaction: Transaction, pipeline: Resource) -> None:
    for status in (ExecutionStatus.EXECUTING, ExecutionStatus.STOPPING):
        running = transaction.resources.query(
            Query(
                kind="PipelineExecution",
                filters=(Filter(PIPELINE_UID, "=", pipeline.uid), Filter("status", "=", status.value)),
                limit=1,
            )
        )
        if running.items:
            raise Conflict(
                f"Pipeline {pipeline.name!r} cannot be deleted while an execution runs: {running.items[0].arn}; "
                "stop it, or wait for its end",
                code="ConflictException",
            )


def _pipeline_shown(pipeline: Resource) -> Document:
    last_run = pipeline.state.get("LastRunTime")
    return {
        "PipelineDisplayName": pipeline.spec.get("PipelineDisplayName") or pipeline.name,
        "CreatedBy": user_context(pipeline, pipeline.created_by),
        "LastModifiedBy": user_context(pipeline, pipeline.state.get("LastModifiedBy") or pipeline.created_by),
        **({} if last_run is None else {"LastExecutionTime": last_run}),
    }


def _execution_shown(execution: Resource) -> Document:
    reason = execution.state.get("FailureReason")
    return {
        "StartTime": execution.created_at.timestamp(),
        "CreatedBy": user_context(execution, execution.created_by),
        "LastModifiedBy": user_context(execution, execution.state.get("LastModifiedBy") or execution.created_by),
        **({} if reason is None else {"PipelineExecutionFailureReason": reason}),
    }


def _execution_index(execution: Resource) -> dict[str, str | float | None]:
    return {PIPELINE_UID: execution.spec["PipelineUid"]}


PIPELINE = Kind(
    noun="Pipeline",
    arn_type="pipeline",
    name_member="PipelineName",
    arn_member="PipelineArn",
    status_member="PipelineStatus",
    describe="DescribePipeline",
    delete="DeletePipeline",
    missing=resource_not_found,
    view=View(computed=_pipeline_shown, hidden=frozenset({"ClientRequestToken"})),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime")},
    refuse_delete=_refuse_with_running_executions,
)

PIPELINE_EXECUTION = Kind(
    noun="PipelineExecution",
    arn_type="pipeline",  # the rest of the ARN is NAME/execution/ID
    name_member="PipelineExecutionId",
    arn_member="PipelineExecutionArn",
    status_member="PipelineExecutionStatus",
    describe="DescribePipelineExecution",
    missing=resource_not_found,
    # The definition is large, and has an operation of its own.
    view=View(computed=_execution_shown, hidden=frozenset({"PipelineDefinition", "Values", TURN})),
    sort_by={"CreationTime": "created_at", "PipelineExecutionArn": "name"},
    indexed=_execution_index,
    controlled=True,
)

KINDS = (PIPELINE, PIPELINE_EXECUTION)
