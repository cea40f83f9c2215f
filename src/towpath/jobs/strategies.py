"""What the kinds of jobs do differently, as data for the one controller that looks after all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from towpath.jobs import processing, training, transform
from towpath.jobs.channels import PinnedInput, WantedInput
from towpath.jobs.cluster import Cluster
from towpath.jobs.contract import Attempt
from towpath.jobs.kinds import PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB
from towpath.jobs.model import JobSpec, Phase
from towpath.jobs.requests import ProcessingJobRequest, TrainingJobRequest, TransformJobRequest
from towpath.jobs.script_mode import hyperparameters
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Document, Resource, Uid, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One kind of job."""

    kind: Kind
    event: str  #: type of the event that tells of a new status
    start_member: str  #: of the Describe document
    end_member: str
    duration_members: tuple[str, ...]
    exit_message: bool  #: the text of a failure is shown as ExitMessage too
    secondary: bool  #: has a SecondaryStatus and its transitions
    roles: Mapping[str, str]  #: output name -> what the lineage calls what comes of it, "data" when not named
    image: Callable[[Document, Document], str]  #: named by spec and state
    cluster: Callable[[Document], Cluster]  #: the machines that it asks for
    wanted_inputs: Callable[[Document], tuple[WantedInput, ...]]
    job: Callable[[Resource, Attempt], JobSpec]  #: translates the request
    parameters: Callable[[Document], dict[str, Any]]  #: what the lineage keeps of the request
    packs_only: Callable[[Document], bool] = lambda _: False
    given: Callable[[Resource], tuple[PinnedInput, ...]] = lambda _: ()  #: inputs that were looked up at its creation
    models: Callable[[Resource], tuple[Uid, ...]] = lambda _: ()  #: that it runs


def _training(spec: Document) -> TrainingJobRequest:
    return view(TrainingJobRequest, spec)


def _processing(spec: Document) -> ProcessingJobRequest:
    return view(ProcessingJobRequest, spec)


def _transform(spec: Document) -> TransformJobRequest:
    return view(TransformJobRequest, spec)


PROCESSING = Strategy(
    kind=PROCESSING_JOB,
    event="SageMaker Processing Job State Change",
    start_member="ProcessingStartTime",
    end_member="ProcessingEndTime",
    duration_members=(),
    exit_message=True,
    secondary=False,
    roles={},
    image=lambda spec, _: _processing(spec).app_specification.image_uri,
    cluster=lambda spec: processing.cluster(_processing(spec)),
    wanted_inputs=lambda spec: processing.wanted_inputs(_processing(spec)),
    job=processing.job,
    parameters=lambda spec: {"arguments": list(_processing(spec).app_specification.container_arguments)},
)

TRAINING = Strategy(
    kind=TRAINING_JOB,
    event="SageMaker Training Job State Change",
    start_member="TrainingStartTime",
    end_member="TrainingEndTime",
    duration_members=("TrainingTimeInSeconds", "BillableTimeInSeconds"),
    exit_message=False,
    secondary=True,
    roles={"model": "model", "checkpoints": "checkpoint"},
    image=lambda spec, _: _training(spec).algorithm_specification.training_image or "",
    cluster=lambda spec: training.cluster(_training(spec)),
    wanted_inputs=lambda spec: training.wanted_inputs(_training(spec)),
    job=training.job,
    parameters=lambda spec: dict(hyperparameters(_training(spec))[0]),
    packs_only=lambda spec: training.is_repack(_training(spec)),
)

TRANSFORM = Strategy(
    kind=TRANSFORM_JOB,
    event="SageMaker Transform Job State Change",
    start_member="TransformStartTime",
    end_member="TransformEndTime",
    duration_members=(),
    exit_message=False,
    secondary=False,
    roles={},
    image=lambda _, state: transform.model_in(state).image,
    cluster=lambda spec: transform.cluster(_transform(spec)),
    wanted_inputs=lambda spec: transform.wanted_inputs(_transform(spec)),
    job=transform.job,
    parameters=lambda spec: transform.parameters(_transform(spec)),
    given=lambda job: transform.model_of(job).inputs,
    models=lambda job: (transform.model_of(job).uid,),
)

STRATEGIES = (PROCESSING, TRAINING, TRANSFORM)


def secondary_status(phase: Phase, activity: str) -> str:
    """Return SecondaryStatus for what a back end sees of a running job."""
    if phase is Phase.STARTING:
        return "Starting"
    return activity if activity in {"Starting", "Downloading", "Training", "Uploading"} else "Training"
