"""What a job tells of itself as a trial component, under the API's names.

Source: Amazon SageMaker API Reference, "DescribeTrialComponent"; the names of the platform's own parameters and
artifacts (`SageMaker.InstanceType`, `SageMaker.ModelArtifact`) are those that SageMaker Studio shows.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from towpath.jobs.kinds import PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB
from towpath.kernel.generic import document
from towpath.kernel.resource import Document, Resource

#: What becomes a parameter of its own where a request says it.
_NAMED = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "ModelName", "BatchStrategy", "MaxPayloadInMB")


def training_component(job: Resource) -> Document:
    """Return what a training job tells: hyperparameters, channels and the model."""
    shown = document(TRAINING_JOB, job)
    algorithm = shown.get("AlgorithmSpecification") or {}
    channels = {
        channel["ChannelName"]: _artifact(
            (channel.get("DataSource") or {}).get("S3DataSource", {}).get("S3Uri"), channel.get("ContentType")
        )
        for channel in shown.get("InputDataConfig") or ()
    }
    model = (shown.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
    return {
        **_ran(job, "SageMakerTrainingJob", shown, "Training"),
        "Parameters": {
            **{name: _parameter(value) for name, value in (shown.get("HyperParameters") or {}).items()},
            **_resources(algorithm.get("TrainingImage"), shown.get("ResourceConfig") or {}),
        },
        "InputArtifacts": {**_image(algorithm.get("TrainingImage")), **_present(channels)},
        "OutputArtifacts": _present({"SageMaker.ModelArtifact": _artifact(model)}),
    }


def processing_component(job: Resource) -> Document:
    """Return what a processing job tells: its inputs and outputs by name."""
    shown = document(PROCESSING_JOB, job)
    image = (shown.get("AppSpecification") or {}).get("ImageUri")
    cluster = (shown.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    inputs = _uris(shown.get("ProcessingInputs") or (), "InputName", "S3Input")
    outputs = _uris((shown.get("ProcessingOutputConfig") or {}).get("Outputs") or (), "OutputName", "S3Output")
    return {
        **_ran(job, "SageMakerProcessingJob", shown, "Processing"),
        "Parameters": _resources(image, cluster),
        "InputArtifacts": {**_image(image), **inputs},
        "OutputArtifacts": outputs,
    }


def transform_component(job: Resource) -> Document:
    """Return what a transform job tells: its model, what it read and where the answers went."""
    shown = document(TRANSFORM_JOB, job)
    read, written = shown.get("TransformInput") or {}, shown.get("TransformOutput") or {}
    source = (read.get("DataSource") or {}).get("S3DataSource") or {}
    asked = {
        **(shown.get("TransformResources") or {}),
        **{member: shown[member] for member in ("ModelName", "BatchStrategy", "MaxPayloadInMB") if member in shown},
    }
    return {
        **_ran(job, "SageMakerTransformJob", shown, "Transform"),
        "Parameters": _resources(None, asked),
        "InputArtifacts": _present(
            {"SageMaker.TransformInput": _artifact(source.get("S3Uri"), read.get("ContentType"))}
        ),
        "OutputArtifacts": _present(
            {"SageMaker.TransformOutput": _artifact(written.get("S3OutputPath"), written.get("Accept"))}
        ),
    }


JOBS_TELL = {
    TRAINING_JOB.noun: training_component,
    PROCESSING_JOB.noun: processing_component,
    TRANSFORM_JOB.noun: transform_component,
}


def _ran(job: Resource, source_type: str, shown: Document, word: str) -> Document:
    reason = job.state.get("FailureReason")
    found: Document = {
        "Source": {"SourceArn": job.arn, "SourceType": source_type},
        "Status": {"PrimaryStatus": job.status, **({} if reason is None else {"Message": reason})},
        "StartTime": shown.get(f"{word}StartTime"),
        "EndTime": shown.get(f"{word}EndTime"),
    }
    return _present(found)


def _resources(image: str | None, asked: Mapping[str, Any]) -> Document:
    return _present(
        {
            "SageMaker.ImageUri": None if image is None else {"StringValue": image},
            **{f"SageMaker.{member}": _parameter(asked[member]) for member in _NAMED if asked.get(member) is not None},
        }
    )


def _image(image: str | None) -> Document:
    return {} if image is None else {"SageMaker.ImageUri": {"Value": image}}


def _uris(items: Iterable[Mapping[str, Any]], name: str, place: str) -> Document:
    return _present({item[name]: _artifact((item.get(place) or {}).get("S3Uri")) for item in items})


def _artifact(uri: str | None, media_type: str | None = None) -> Document | None:
    if uri is None:
        return None
    return {"Value": uri} if media_type is None else {"Value": uri, "MediaType": media_type}


def _parameter(value: object) -> Document:
    """Return a value as a number where it is one."""
    try:
        number = float(str(value))
    except ValueError:
        return {"StringValue": str(value)}
    return {"NumberValue": number} if math.isfinite(number) else {"StringValue": str(value)}


def _present(found: Document) -> Document:
    return {name: value for name, value in found.items() if value is not None}
