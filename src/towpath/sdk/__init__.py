"""What users import, by way of `towpath`: typed steps that emit the published definition, and a client of the API.

Standard library only, so that importing it stays quick.
"""

from towpath.sdk.build import Defaults
from towpath.sdk.client import Client
from towpath.sdk.datasets import Dataset, dataset
from towpath.sdk.errors import (
    ClientError,
    Conflict,
    DefinitionError,
    Denied,
    EndpointFailed,
    ExecutionFailed,
    FunctionFailed,
    ModelError,
    NoServer,
    NotFound,
    RequestFailed,
    ResultUnreadable,
    TimedOut,
)
from towpath.sdk.executions import Execution
from towpath.sdk.explanations import Explanation
from towpath.sdk.expressions import execution, join
from towpath.sdk.hosting import Deployment, Prediction
from towpath.sdk.parameters import (
    Parameter,
    ParameterBoolean,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
    parameter,
)
from towpath.sdk.pipeline import Pipeline
from towpath.sdk.ranges import choice, integers, numbers
from towpath.sdk.registry import ModelVersion
from towpath.sdk.secrets import secret
from towpath.sdk.step_runs import StepRun
from towpath.sdk.steps import (
    Callback,
    Condition,
    CreateModel,
    Endpoint,
    EndpointConfig,
    Fail,
    ForEach,
    Lambda,
    Processing,
    Register,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    Step,
    StepExceptionTypeEnum,
    StepFunction,
    StepRetryPolicy,
    Training,
    Transform,
    Tuning,
    Value,
    ended,
    failed,
    files,
    step,
    stopped,
)

__all__ = [
    "Callback",
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
    "Endpoint",
    "EndpointConfig",
    "EndpointFailed",
    "Execution",
    "ExecutionFailed",
    "Explanation",
    "Fail",
    "ForEach",
    "FunctionFailed",
    "Lambda",
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
    "ResultUnreadable",
    "SageMakerJobExceptionTypeEnum",
    "SageMakerJobStepRetryPolicy",
    "Step",
    "StepExceptionTypeEnum",
    "StepFunction",
    "StepRetryPolicy",
    "StepRun",
    "TimedOut",
    "Training",
    "Transform",
    "Tuning",
    "Value",
    "choice",
    "dataset",
    "ended",
    "execution",
    "failed",
    "files",
    "integers",
    "join",
    "numbers",
    "parameter",
    "secret",
    "step",
    "stopped",
]
