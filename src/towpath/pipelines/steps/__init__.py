"""The table of step types. Adding one is adding a declaration."""

from collections.abc import Mapping

from towpath.pipelines.steps.callouts import CALLBACK, EMR, EMR_SERVERLESS, LAMBDA
from towpath.pipelines.steps.control import CONDITION, FAIL, FOR_EACH
from towpath.pipelines.steps.declaration import StepType
from towpath.pipelines.steps.hosting import ENDPOINT, ENDPOINT_CONFIG, INFERENCE_COMPONENT
from towpath.pipelines.steps.jobs import AUTO_ML, JOB, PROCESSING, TRAINING, TRANSFORM, TUNING
from towpath.pipelines.steps.models import MODEL, REGISTER_MODEL
from towpath.pipelines.steps.quality import CLARIFY_CHECK, QUALITY_CHECK
from towpath.pipelines.steps.records import CLEANUP, LINEAGE

_ALL = (
    PROCESSING,
    TRAINING,
    TUNING,
    TRANSFORM,
    AUTO_ML,
    JOB,
    MODEL,
    REGISTER_MODEL,
    CONDITION,
    FAIL,
    FOR_EACH,
    QUALITY_CHECK,
    CLARIFY_CHECK,
    LAMBDA,
    CALLBACK,
    EMR,
    EMR_SERVERLESS,
    ENDPOINT_CONFIG,
    ENDPOINT,
    INFERENCE_COMPONENT,
    LINEAGE,
    CLEANUP,
)

STEP_TYPES: Mapping[str, StepType] = {step_type.name: step_type for step_type in _ALL}

__all__ = ["STEP_TYPES", "StepType"]
