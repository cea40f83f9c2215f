"""The kinds of jobs: how they are described, listed, sorted, and when they may be deleted."""

from enum import StrEnum

from towpath.jobs.requests import TrainingJobRequest
from towpath.jobs.training import model_location
from towpath.jobs.transform import MODEL
from towpath.jobs.tuned import TUNED, TUNING_JOB, indexed
from towpath.kernel.errors import InUse
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view

RUN = "Run"  #: member of the state that holds the platform's own record of the attempts; never shown
PINNED = "Pinned"  #: member of the state of a job whose inputs were looked up before it was created; never shown
WAITING = "WaitingFor"  #: member of the state of a job that waits for room on the host: a sentence that says for what
PENDING = "Pending"  #: SecondaryStatus of a training job that waits for room on the host


class JobStatus(StrEnum):
    """The status of a job, the same words for all kinds."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED})
_DEFAULT_STOPPING = {"MaxRuntimeInSeconds": 86_400}


def is_terminal(status: str | None) -> bool:
    """Return whether a job with this status has ended."""
    return status in TERMINAL


def refuse_running(_: Transaction, resource: Resource) -> None:
    """Raise InUse unless the job has ended."""
    if not is_terminal(resource.status):
        raise InUse(
            f"{resource.kind} {resource.name!r} is {resource.status}; stop it, and delete it when it has ended",
            code="ResourceInUse",
        )


def _refuse_training_job(transaction: Transaction, job: Resource) -> None:
    refuse_running(transaction, job)
    parent = None if job.parent is None else transaction.resources.heading(job.parent)
    if parent is not None and parent.kind == TUNING_JOB and parent.is_live and not is_terminal(parent.status):
        raise InUse(
            f"The training job {job.name!r} is one of the tuning job {parent.arn}, which is {parent.status} and needs "
            "its result; delete it when the tuning job has ended",
            code="ResourceInUse",
        )


def _training_members(resource: Resource) -> Document:
    # SageMaker tells an empty key where none was asked for, and its SDK reads it without looking whether it is there.
    members: Document = {"OutputDataConfig": {"KmsKeyId": "", **resource.spec["OutputDataConfig"]}}
    if "ModelArtifacts" not in resource.state:
        bucket, key = model_location(view(TrainingJobRequest, resource.spec), resource.name)
        members["ModelArtifacts"] = {"S3ModelArtifacts": f"s3://{bucket}/{key}"}
    if "StoppingCondition" not in resource.spec:
        members["StoppingCondition"] = _DEFAULT_STOPPING
    return members


def _processing_members(resource: Resource) -> Document:
    # The one text of a processing job that its list shows too; a training job has its transitions for that.
    waiting = resource.state.get(WAITING)
    return {} if waiting is None or is_terminal(resource.status) else {"ExitMessage": waiting}


PROCESSING_JOB = Kind(
    noun="ProcessingJob",
    arn_type="processing-job",
    name_member="ProcessingJobName",
    arn_member="ProcessingJobArn",
    status_member="ProcessingJobStatus",
    describe="DescribeProcessingJob",
    listing="ListProcessingJobs",
    list_member="ProcessingJobSummaries",
    delete="DeleteProcessingJob",
    view=View(computed=_processing_members, hidden=frozenset({RUN, WAITING, PINNED})),
    sort_by=COMMON_SORT,
    filters=COMMON_FILTERS,
    ascending=True,
    refuse_delete=refuse_running,
    controlled=True,
)

TRAINING_JOB = Kind(
    noun="TrainingJob",
    arn_type="training-job",
    name_member="TrainingJobName",
    arn_member="TrainingJobArn",
    status_member="TrainingJobStatus",
    describe="DescribeTrainingJob",
    listing="ListTrainingJobs",
    list_member="TrainingJobSummaries",
    delete="DeleteTrainingJob",
    view=View(computed=_training_members, hidden=frozenset({RUN, WAITING, PINNED, TUNED})),
    sort_by=COMMON_SORT,
    filters={
        **COMMON_FILTERS,
        # No job here has either, so that a list narrowed by them is empty.
        "WarmPoolStatusEquals": ("WarmPoolStatus", "="),
        "TrainingPlanArnEquals": ("TrainingPlanArn", "="),
    },
    ascending=True,
    indexed=indexed,
    refuse_delete=_refuse_training_job,
    controlled=True,
)

TRANSFORM_JOB = Kind(
    noun="TransformJob",
    arn_type="transform-job",
    name_member="TransformJobName",
    arn_member="TransformJobArn",
    status_member="TransformJobStatus",
    describe="DescribeTransformJob",
    listing="ListTransformJobs",
    list_member="TransformJobSummaries",
    view=View(hidden=frozenset({RUN, WAITING, PINNED, MODEL})),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime", "Status")},
    page=10,
    filters=COMMON_FILTERS,
    controlled=True,
)

KINDS = (PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB)
