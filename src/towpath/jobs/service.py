"""The operations on jobs: create and stop; describe, list and delete are those that all kinds share."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from towpath.experiments.record import begin_job
from towpath.jobs import processing, training, transform
from towpath.jobs.images import Images
from towpath.jobs.kinds import KINDS, PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, JobStatus, is_terminal
from towpath.jobs.requests import ProcessingJobRequest, TrainingJobRequest, TransformJobRequest
from towpath.jobs.served import ModelNamed
from towpath.jobs.waiting import WhatFor, no_queue, with_todays_wait
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Function, Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view

#: Where the arguments of a pipeline step name images: step type -> paths; of a list every item is meant. A registered
#: model may be served elsewhere, so that the images of RegisterModel need not be known here.
_IMAGE_MEMBERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Processing": (("AppSpecification", "ImageUri"),),
    "QualityCheck": (("AppSpecification", "ImageUri"),),
    "ClarifyCheck": (("AppSpecification", "ImageUri"),),
    "Training": (("AlgorithmSpecification", "TrainingImage"),),
    "Tuning": (
        ("TrainingJobDefinition", "AlgorithmSpecification", "TrainingImage"),
        ("TrainingJobDefinitions", "AlgorithmSpecification", "TrainingImage"),
    ),
    "Model": (("PrimaryContainer", "Image"), ("Containers", "Image")),
}


class Jobs:
    """What creates and stops jobs."""

    def __init__(self, images: Images, model_named: ModelNamed, what_for: WhatFor = no_queue) -> None:
        self._images = images
        self._model_named = model_named
        self._what_for = what_for

    def create_processing_job(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreateProcessingJob."""
        asked = typed(ProcessingJobRequest, request.input)
        self._images.resolve(asked.app_specification.image_uri)
        processing.check(asked)
        resource = generic.create(transaction, PROCESSING_JOB, request, status=JobStatus.IN_PROGRESS)
        begin_job(transaction, request, resource)
        return {"ProcessingJobArn": resource.arn}

    def create_training_job(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreateTrainingJob."""
        self.check_training_job(request.input)
        started = {"Status": "Starting", "StartTime": transaction.now.timestamp(), "StatusMessage": "Starting the job"}
        resource = generic.create(
            transaction,
            TRAINING_JOB,
            request,
            state={"SecondaryStatus": "Starting", "SecondaryStatusTransitions": [started]},
            status=JobStatus.IN_PROGRESS,
        )
        begin_job(transaction, request, resource)
        return {"TrainingJobArn": resource.arn}

    def check_training_job(self, document: Document) -> None:
        """Raise Invalid or Unsupported when a CreateTrainingJob request cannot become a job on this platform."""
        asked = typed(TrainingJobRequest, document)
        training.check(asked)
        image = asked.algorithm_specification.training_image
        assert image is not None, "checked"
        training.command(asked, self._images.resolve(image))

    def create_transform_job(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreateTransformJob. What the model is made of is looked up here, once: deleting it later, or
        creating another of its name, changes nothing of the job."""
        asked = typed(TransformJobRequest, request.input)
        transform.check(asked)
        model = self._model_named(transaction, asked.model_name)
        self._images.resolve(model.image)
        resource = generic.create(
            transaction,
            TRANSFORM_JOB,
            request,
            state={transform.MODEL: msgspec.to_builtins(model)},
            status=JobStatus.IN_PROGRESS,
        )
        begin_job(transaction, request, resource)
        return {"TransformJobArn": resource.arn}

    def operations(self) -> list[Operation]:
        """Return every operation on jobs."""
        found = [
            Operation(name="CreateProcessingJob", function=self.create_processing_job),
            Operation(name="CreateTrainingJob", function=self.create_training_job),
            Operation(name="CreateTransformJob", function=self.create_transform_job),
            Operation(name="UpdateTrainingJob", function=update_training_job),
            Operation(name="StopProcessingJob", function=stopping(PROCESSING_JOB)),
            Operation(name="StopTrainingJob", function=stopping(TRAINING_JOB)),
            Operation(name="StopTransformJob", function=stopping(TRANSFORM_JOB)),
        ]
        for kind in KINDS:
            found += generic.operations_of(kind, self._as_shown)
        return found

    def _as_shown(self, job: Resource) -> Resource:
        return with_todays_wait(job, self._what_for)

    def check_step_arguments(self, step_type: str, arguments: Mapping[str, Any]) -> None:
        """Refuse a pipeline step whose image is named literally and cannot be resolved.

        Raises:
            Invalid: nothing maps the image; the message says how to.
        """
        for path in _IMAGE_MEMBERS.get(step_type, ()):
            for image in _literals(arguments, path):
                self._images.resolve(image)


def _literals(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the texts at a path; what is an expression has no value yet."""
    if isinstance(value, list):
        for entry in value:
            yield from _literals(entry, path)
    elif not path:
        if isinstance(value, str):
            yield value
    elif isinstance(value, Mapping):
        yield from _literals(value.get(path[0]), path[1:])


def typed(kind: type[Any], document: Document) -> Any:
    """Return a request as a typed view. Raises Invalid when it is not one."""
    try:
        return view(kind, document)
    except msgspec.ValidationError as error:
        raise Invalid(f"The request is not valid: {error}") from error


def stopping(kind: Kind) -> Function:
    """Return the function of the Stop operation of a kind that is run to an end."""

    def stop(transaction: Transaction, request: Request) -> Document:
        resource = generic.find(transaction, kind, request.input[kind.name_member])
        if resource.status == JobStatus.STOPPING:
            return {}
        if resource.status != JobStatus.IN_PROGRESS:
            noun = kind.arn_type.replace("-", " ")
            raise Conflict(
                f"The request was rejected because the {noun} is in status {resource.status}.",
                code="ValidationException",
            )
        resource = transaction.resources.replace(
            resource, status=JobStatus.STOPPING, generation=resource.generation + 1
        )
        transaction.work.hurry(resource.uid)
        generic.record(transaction, resource, request, request.operation)
        return {}

    return stop


def update_training_job(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateTrainingJob. What is asked has to be true of a job here, where nothing is profiled, debugged from
    afar or kept warm: it can be said that none of it shall be.

    Raises:
        Unsupported: a profiler, a warm pool or remote debugging is asked for.
        Conflict: the job has ended, and what is asked is for one that runs.
    """
    asked = request.input
    job = generic.find(transaction, TRAINING_JOB, asked["TrainingJobName"])
    changes = _updates(asked)
    if not changes:
        raise Invalid("UpdateTrainingJob needs ProfilerConfig, ResourceConfig or RemoteDebugConfig: what to change")
    if is_terminal(job.status) and set(changes) != {"ResourceConfig"}:
        raise Conflict(
            f"The training job {job.name!r} is {job.status}; profiling and debugging can be changed while one runs",
            code="ValidationException",
        )
    spec = dict(job.spec)
    for member, value in changes.items():
        spec[member] = {**(spec.get(member) or {}), **value}
    state = job.state if "ProfilerConfig" not in changes else {**job.state, "ProfilingStatus": "Disabled"}
    job = transaction.resources.replace(job, spec=spec, state=state, generation=job.generation + 1)
    generic.record(transaction, job, request, request.operation, changed=sorted(changes))
    return {"TrainingJobArn": job.arn}


def _updates(asked: Document) -> Document:
    """Return the members of a job that an UpdateTrainingJob request changes. Pure."""
    changes: Document = {}
    profiler = asked.get("ProfilerConfig") or {}
    if asked.get("ProfilerRuleConfigurations") or (profiler and profiler.get("DisableProfiler") is not True):
        raise Unsupported("Training jobs are not profiled yet; of ProfilerConfig only DisableProfiler true is taken")
    if profiler:
        changes["ProfilerConfig"] = {"DisableProfiler": True}
    keep_s = (asked.get("ResourceConfig") or {}).get("KeepAlivePeriodInSeconds")
    if keep_s:
        raise Unsupported(
            f"There are no warm pools here: nothing is kept alive for {keep_s} s after a job; a next one starts in "
            "a moment anyway. KeepAlivePeriodInSeconds can be 0"
        )
    if keep_s is not None:
        changes["ResourceConfig"] = {"KeepAlivePeriodInSeconds": 0}
    debugged = (asked.get("RemoteDebugConfig") or {}).get("EnableRemoteDebug")
    if debugged:
        raise Unsupported("Training jobs cannot be debugged from afar yet; EnableRemoteDebug can be false")
    if debugged is not None:
        changes["RemoteDebugConfig"] = {"EnableRemoteDebug": False}
    return changes
