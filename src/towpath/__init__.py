"""Towpath: a self-hosted MLOps platform with the SageMaker API.

What a pipeline's author needs is here: `from towpath import Pipeline, Processing, Training, …`. The names come from
`towpath.sdk` when they are first used, so that importing the package alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, which takes a while to load

if TYPE_CHECKING:
    from typing import Any

    from towpath.sdk import (
        Client,
        ClientError,
        Condition,
        Conflict,
        CreateModel,
        Dataset,
        Defaults,
        DefinitionError,
        Denied,
        Deployment,
        EndpointFailed,
        Execution,
        ExecutionFailed,
        Fail,
        ModelError,
        ModelVersion,
        NoServer,
        NotFound,
        Parameter,
        ParameterBoolean,
        ParameterFloat,
        ParameterInteger,
        ParameterString,
        Pipeline,
        Prediction,
        Processing,
        Register,
        RequestFailed,
        Step,
        StepRun,
        TimedOut,
        Training,
        dataset,
        execution,
        join,
        parameter,
        secret,
    )

__all__ = [
    "Client",
    "ClientError",
    "Condition",
    "Conflict",
    "CreateModel",
    "Dataset",
    "Defaults",
    "DefinitionError",
    "Denied",
    "Deployment",
    "EndpointFailed",
    "Execution",
    "ExecutionFailed",
    "Fail",
    "ModelError",
    "ModelVersion",
    "NoServer",
    "NotFound",
    "Parameter",
    "ParameterBoolean",
    "ParameterFloat",
    "ParameterInteger",
    "ParameterString",
    "Pipeline",
    "Prediction",
    "Processing",
    "Register",
    "RequestFailed",
    "Step",
    "StepRun",
    "TimedOut",
    "Training",
    "dataset",
    "execution",
    "join",
    "parameter",
    "secret",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("towpath.sdk"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
