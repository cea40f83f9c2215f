"""A model, as a job runs it: what it is made of, and what its process finds around it, whoever asks it."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from towpath.jobs.channels import PinnedInput
from towpath.jobs.contract import Surroundings, environment
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Uid


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is made of, looked up once."""

    uid: Uid
    image: str
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    inputs: tuple[PinnedInput, ...] = ()  #: model archive and code by exact version
    network: bool = True


#: (transaction, name or ARN) -> the model; raises NotFound
ModelNamed: TypeAlias = Callable[[Transaction, str], ServedModel]


def model_environment(
    surroundings: Surroundings, asked: Mapping[str, str], own: Mapping[str, str], *, cores: int
) -> dict[str, str]:
    """Return the variables of a job whose model is loaded as the model server loads it.

    Args:
        asked: those of the model, which may say how many threads its libraries use.
        own: those of the kind of job, which nobody overrides.
    """
    threads = str(cores)
    return environment(
        surroundings,
        {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **asked},
        {"SAGEMAKER_BASE_DIR": "/opt/ml", "SAGEMAKER_REGION": surroundings.home.region, **own},
    )


def model_requirements(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return where the requirements file of a serving script may lie: where the model server looks for the script."""
    submitted = environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or ""
    if submitted.startswith("s3://"):
        return ("code/requirements.txt",)
    local = submitted.removeprefix("file://").rstrip("/")
    if local.startswith("/opt/ml/"):
        return (f"{local.removeprefix('/opt/ml/')}/requirements.txt",)
    return () if local else ("model/code/requirements.txt",)
