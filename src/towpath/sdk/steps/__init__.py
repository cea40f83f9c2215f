"""Typed steps of a pipeline. Each emits one step of the published definition document.

A role, an account, an instance type or an image need not be named; what is left out is filled in from the pipeline's
defaults.
"""

from towpath.sdk.steps.arguments import Files, files
from towpath.sdk.steps.callback import Callback
from towpath.sdk.steps.flow import Condition, Fail
from towpath.sdk.steps.function import StepFunction, step
from towpath.sdk.steps.lambda_step import Lambda
from towpath.sdk.steps.model import CreateModel, Register
from towpath.sdk.steps.processing import Processing
from towpath.sdk.steps.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from towpath.sdk.steps.rounds import ForEach
from towpath.sdk.steps.serving import Endpoint, EndpointConfig
from towpath.sdk.steps.sources import Source
from towpath.sdk.steps.step import After, Step, ended, failed, stopped
from towpath.sdk.steps.training import Training
from towpath.sdk.steps.transform import Transform
from towpath.sdk.steps.tuning import Tuning
from towpath.sdk.steps.value import Value

__all__ = [
    "After",
    "Callback",
    "Condition",
    "CreateModel",
    "Endpoint",
    "EndpointConfig",
    "Fail",
    "Files",
    "ForEach",
    "Lambda",
    "Processing",
    "Register",
    "SageMakerJobExceptionTypeEnum",
    "SageMakerJobStepRetryPolicy",
    "Source",
    "Step",
    "StepExceptionTypeEnum",
    "StepFunction",
    "StepRetryPolicy",
    "Training",
    "Transform",
    "Tuning",
    "Value",
    "ended",
    "failed",
    "files",
    "step",
    "stopped",
]
