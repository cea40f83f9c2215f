"""Declarations of step types agree with the API that they name."""

import re

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from towpath.pipelines.steps import STEP_TYPES, StepType

MODEL = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
CREATING = [step_type for step_type in STEP_TYPES.values() if step_type.create in MODEL.operation_names]
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=64)
IDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=12)


@pytest.mark.parametrize("step_type", CREATING, ids=lambda step_type: step_type.name)
def test_a_step_type_names_members_that_the_api_has(step_type: StepType) -> None:
    create = MODEL.operation_model(step_type.create)
    if step_type.name_member is not None:
        assert step_type.name_member in create.input_shape.members
    assert step_type.arn_member in create.output_shape.members
    if step_type.stop is not None:
        assert set(MODEL.operation_model(step_type.stop).input_shape.required_members) == {step_type.name_member}
    if step_type.describe is not None:
        described = MODEL.operation_model(step_type.describe).output_shape
        for path, naming in step_type.names.items():
            shape = described
            for member in path.split("."):
                shape = shape.members[member]
            assert naming in shape.member.members


@pytest.mark.parametrize("step_type", STEP_TYPES.values(), ids=lambda step_type: step_type.name)
def test_the_metadata_of_a_step_type_is_known_to_the_api(step_type: StepType) -> None:
    assert step_type.metadata in MODEL.shape_for("PipelineExecutionStepMetadata").members


@given(IDS, NAMES, st.integers(1, 99), st.none() | NAMES)
def test_every_name_of_a_job_or_model_is_one_that_aws_allows(
    execution_id: str, step: str, attempt: int, prefix: str | None
) -> None:
    name = STEP_TYPES["Training"].resource_name(execution_id, step, attempt, prefix)
    tuning = STEP_TYPES["Tuning"].resource_name(execution_id, step, attempt, prefix)
    assert re.fullmatch(MODEL.shape_for("HyperParameterTuningJobName").metadata["pattern"], tuning), tuning
    for shape in ("TrainingJobName", "ProcessingJobName", "ModelName"):
        rules = MODEL.shape_for(shape).metadata
        assert len(name) <= rules["max"]
        assert re.fullmatch(rules["pattern"], name), name


@given(IDS, NAMES, NAMES, st.integers(1, 9), st.integers(1, 9))
def test_only_the_same_attempt_of_the_same_step_has_the_same_name(
    execution_id: str, one: str, other: str, first: int, second: int
) -> None:
    same = (one, first) == (other, second)
    for naming in (STEP_TYPES["Processing"].resource_name, STEP_TYPES["Tuning"].resource_name):
        assert (naming(execution_id, one, first) == naming(execution_id, other, second)) is same


def test_a_name_that_the_user_chose_can_be_recognised() -> None:
    name = STEP_TYPES["Training"].resource_name("abcdefghijkl", "NB", 1, "notebook-2026")
    assert name.startswith("notebook-2026-abcdefghijkl-")


@pytest.mark.parametrize("step_type", STEP_TYPES.values(), ids=lambda step_type: step_type.name)
def test_a_type_is_executed_or_says_what_to_use_instead(step_type: StepType) -> None:
    assert not (step_type.executed and step_type.instead), "one of them"
    if step_type.update is not None:
        create, update = (MODEL.operation_model(name) for name in (step_type.create, step_type.update))
        assert step_type.arn_member in update.output_shape.members
        assert {step_type.name_member, *step_type.confirmed} <= {
            *create.input_shape.members,
            *update.input_shape.members,
        }
