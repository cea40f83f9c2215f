"""The kinds Pipeline and PipelineExecution: how they are described, listed and sorted, and when they may be deleted."""

from towpath.kernel.errors import Conflict
from towpath.kernel.kinds import COMMON_SORT, CREATED_FILTERS, Kind, View, resource_not_found
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.priorities import PRIORITY
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.callbacks import yielded_by
from towpath.pipelines.model import ExecutionStatus
from towpath.pipelines.selection import STEPS

OF_PIPELINE = "pipeline"  #: indexed member of an execution and of a version: uid of its pipeline
VERSION = "version"  #: indexed member of an execution and of a version: number of the version
LATEST = "LatestVersion"  #: member of a pipeline's state: number of its latest version; never shown
TOKEN = "CallbackToken"  #: indexed member of a callback: what it is answered by
ALIASES = "VersionOfAlias"  #: member of a pipeline's state: alias -> number of the version; never shown

#: Member of an execution's state that changes with every write of its step rows; never shown.
TURN = "Turn"

#: Member of an execution's state: how many steps may run at one time, as its history tells it last; never shown.
NOTED_PARALLELISM = "NotedParallelism"

#: Member of a pipeline's state: the token of the request that made it; never shown.
CREATE_TOKEN = "ClientRequestToken"

#: Member of an execution's state: the token of the last RetryPipelineExecution; never shown.
RETRY_TOKEN = "RetryToken"

#: Members of the states of pipelines and executions: digests of the requests that the tokens came with; never shown.
CREATE_DIGEST = "ClientRequestDigest"
RETRY_DIGEST = "RetryDigest"

#: Member of an execution's spec: digest of the request that started it with a token; never shown.
START_DIGEST = "StartDigest"


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
                filters=(Filter(OF_PIPELINE, "=", pipeline.uid), Filter("status", "=", status.value)),
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
    return {OF_PIPELINE: execution.spec["PipelineUid"], VERSION: execution.spec.get("PipelineVersionId")}


def _version_shown(version: Resource) -> Document:
    last = version.state.get("LastExecutionPipelineExecutionArn")
    return {
        "PipelineArn": version.spec["PipelineArn"],
        "CreatedBy": user_context(version, version.created_by),
        "LastModifiedBy": user_context(version, version.created_by),
        **({} if last is None else {"LastExecutedPipelineExecutionArn": last}),
    }


def _version_index(version: Resource) -> dict[str, str | float | None]:
    return {OF_PIPELINE: version.spec["PipelineUid"], VERSION: version.spec["PipelineVersionId"]}


PIPELINE = Kind(
    noun="Pipeline",
    arn_type="pipeline",
    name_member="PipelineName",
    arn_member="PipelineArn",
    status_member="PipelineStatus",
    describe="DescribePipeline",
    listing="ListPipelines",
    list_member="PipelineSummaries",
    delete="DeletePipeline",
    missing=resource_not_found,
    view=View(computed=_pipeline_shown, hidden=frozenset({CREATE_TOKEN, CREATE_DIGEST, LATEST, ALIASES})),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime")},
    filters={"PipelineNamePrefix": ("name", "begins"), **CREATED_FILTERS},
    refuse_delete=_refuse_with_running_executions,
)

PIPELINE_EXECUTION = Kind(
    noun="PipelineExecution",
    arn_type="pipeline",  # the rest of the ARN is NAME/execution/ID
    name_member="PipelineExecutionId",
    arn_member="PipelineExecutionArn",
    status_member="PipelineExecutionStatus",
    describe="DescribePipelineExecution",
    listing="ListPipelineExecutions",
    list_member="PipelineExecutionSummaries",
    missing=resource_not_found,
    # The definition is large, and has an operation of its own.
    view=View(
        computed=_execution_shown,
        hidden=frozenset(
            {
                "PipelineDefinition",
                "Values",
                PRIORITY,
                TURN,
                NOTED_PARALLELISM,
                START_DIGEST,
                RETRY_TOKEN,
                RETRY_DIGEST,
                STEPS,
            }
        ),
    ),
    sort_by={"CreationTime": "created_at", "PipelineExecutionArn": "name"},
    filters=CREATED_FILTERS,
    indexed=_execution_index,
    controlled=True,
)

#: A version's name is UID/NUMBER, with the uid of its pipeline.
PIPELINE_VERSION = Kind(
    noun="PipelineVersion",
    arn_type="pipeline",  # the rest of the ARN is NAME/version/NUMBER
    name_member="PipelineVersionName",
    arn_member="PipelineArn",
    listing="ListPipelineVersions",
    list_member="PipelineVersionSummaries",
    missing=resource_not_found,
    view=View(computed=_version_shown),
    default_sort=VERSION,
    filters=CREATED_FILTERS,
    indexed=_version_index,
)


def _index_callback(callback: Resource) -> dict[str, str | float | None]:
    return {TOKEN: callback.spec["CallbackToken"]}


#: The wait for the answer to a Callback step. A step yields its document, so that only what is answered is shown.
CALLBACK = Kind(
    noun="Callback",
    arn_type="callback",
    name_member="CallbackName",
    arn_member="CallbackArn",
    status_member="CallbackStatus",
    view=View(
        computed=yielded_by,
        hidden=frozenset(
            {"Arguments", "SqsQueueUrl", "CallbackToken", "PipelineExecutionArn", "Delivery", "Outputs", "AnswerToken"}
        ),
    ),
    indexed=_index_callback,
    controlled=True,
)

KINDS = (PIPELINE, PIPELINE_EXECUTION, PIPELINE_VERSION, CALLBACK)
