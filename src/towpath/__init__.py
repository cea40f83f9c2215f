"""Towpath: a self-hosted MLOps platform with the SageMaker API.

What a pipeline's author needs is here: `from towpath import Pipeline, Processing, Training, …`. Names are imported when
they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from towpath.sdk.build import Defaults
    from towpath.sdk.client import Client
    from towpath.sdk.datasets import Dataset, dataset
    from towpath.sdk.errors import (
        ClientError,
        Conflict,
        DefinitionError,
        Denied,
        ExecutionFailed,
        ModelError,
        NoServer,
        NotFound,
        RequestFailed,
        TimedOut,
    )
    from towpath.sdk.execution import Execution
    from towpath.sdk.expressions import execution, join
    from towpath.sdk.parameters import (
        Parameter,
        ParameterBoolean,
        ParameterFloat,
        ParameterInteger,
        ParameterString,
        parameter,
    )
    from towpath.sdk.pipeline import Pipeline
    from towpath.sdk.steps import Condition, CreateModel, Fail, Processing, Register, Step, Training

#: Where each public name lives.
_HOMES = {
    "Client": "client",
    "ClientError": "errors",
    "Condition": "steps",
    "Conflict": "errors",
    "CreateModel": "steps",
    "Dataset": "datasets",
    "Defaults": "build",
    "DefinitionError": "errors",
    "Denied": "errors",
    "Execution": "execution",
    "ExecutionFailed": "errors",
    "Fail": "steps",
    "ModelError": "errors",
    "NoServer": "errors",
    "NotFound": "errors",
    "Parameter": "parameters",
    "ParameterBoolean": "parameters",
    "ParameterFloat": "parameters",
    "ParameterInteger": "parameters",
    "ParameterString": "parameters",
    "Pipeline": "pipeline",
    "Processing": "steps",
    "Register": "steps",
    "RequestFailed": "errors",
    "Step": "steps",
    "TimedOut": "errors",
    "Training": "steps",
    "dataset": "datasets",
    "execution": "expressions",
    "join": "expressions",
    "parameter": "parameters",
}

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
    "Execution",
    "ExecutionFailed",
    "Fail",
    "ModelError",
    "NoServer",
    "NotFound",
    "Parameter",
    "ParameterBoolean",
    "ParameterFloat",
    "ParameterInteger",
    "ParameterString",
    "Pipeline",
    "Processing",
    "Register",
    "RequestFailed",
    "Step",
    "TimedOut",
    "Training",
    "dataset",
    "execution",
    "join",
    "parameter",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'towpath' has no attribute {name!r}")
    return getattr(import_module(f"towpath.sdk.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
