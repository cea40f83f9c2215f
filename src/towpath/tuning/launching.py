"""The training jobs that a tuning job starts: their names, and the requests that create them. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

from towpath.kernel.resource import Document, Resource
from towpath.tuning.plan import Arm

_HASH_CHARACTERS = 8
#: Members of a definition that are members of CreateTrainingJob too.
_ALIKE = (
    "AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig",
    "StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining", "RetryStrategy", "Environment",
)  # fmt: skip
_INSTANCES = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
OBJECTIVE_PARAMETER = "_tuning_objective_metric"  #: tells the training toolkit which metric it is about


def child_name(tuning: Resource, number: int) -> str:
    """Return the name of a training job: the tuning job's, the number, and a digest that another life of the tuning
    job's name does not have."""
    digest = hashlib.sha256(f"{tuning.uid}/{number}".encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{tuning.name}-{number:03d}-{digest}"


def child_request(
    tuning: Resource, arm: Arm, index: int, number: int, hyper_parameters: Mapping[str, str], tags: Mapping[str, str]
) -> Document:
    """Return the CreateTrainingJob request of a training job.

    Args:
        arm: what it belongs to.
        index: of the arm's definition in the request.
        hyper_parameters: those that were chosen for it.
        tags: of the tuning job; its training jobs get them too.
    """
    name = child_name(tuning, number)
    static = definitions_of(tuning.spec)[index]
    request = training_request(static, name, {OBJECTIVE_PARAMETER: arm.objective.metric_name}, hyper_parameters)
    if "CheckpointConfig" in static:
        checkpoints = static["CheckpointConfig"]
        # Each has its own: another one's checkpoint would be taken for its own, and be gone on from.
        request["CheckpointConfig"] = {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}/{name}"}
    if tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return request


def training_request(definition: Document, name: str, before: Mapping[str, str], chosen: Mapping[str, str]) -> Document:
    """Return the request of a training job as its definition gives it, without checkpoints and tags.

    Args:
        before: hyperparameters that those of the definition may replace.
        chosen: those that replace them.
    """
    request: Document = {member: definition[member] for member in _ALIKE if member in definition}
    request["TrainingJobName"] = name
    request["HyperParameters"] = {**before, **(definition.get("StaticHyperParameters") or {}), **chosen}
    if "ResourceConfig" not in request:
        request["ResourceConfig"] = _resources(definition.get("HyperParameterTuningResourceConfig") or {})
    return request


def definitions_of(spec: Document) -> list[Document]:
    """Return the definitions of training jobs in a request, in its order."""
    one = spec.get("TrainingJobDefinition")
    return [one] if one is not None else list(spec.get("TrainingJobDefinitions") or ())


def _resources(asked: Mapping[str, Any]) -> Document:
    """Return a ResourceConfig. Of several InstanceConfigs the first is preferred, and there is always room for it."""
    chosen = {member: asked[member] for member in _INSTANCES if member in asked}
    if asked.get("InstanceConfigs"):
        chosen |= asked["InstanceConfigs"][0]
    return chosen
