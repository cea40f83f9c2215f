"""Checks, coercions and projections by botocore shapes."""

import json
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel import shapes
from towpath.kernel.errors import Invalid


@pytest.fixture(scope="module")
def sagemaker() -> Any:
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def structure(members: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> Any:
    """Return a structure shape whose members are given as inline shape definitions."""
    definitions: dict[str, Any] = {}

    def define(name: str, definition: dict[str, Any]) -> dict[str, Any]:
        definition = dict(definition)
        for inner in ("member", "key", "value"):
            if inner in definition:
                definition[inner] = define(f"{name}_{inner}", definition[inner])
        if definition["type"] == "structure":
            definition["members"] = {
                key: define(f"{name}_{key}", value) for key, value in definition["members"].items()
            }
        token = definition.pop("idempotencyToken", None)
        definitions[name] = definition
        return {"shape": name} | ({"idempotencyToken": token} if token else {})

    define("Root", {"type": "structure", "members": members, "required": list(required), **more})
    return ServiceModel({"metadata": {}, "operations": {}, "shapes": definitions}).shape_for("Root")


TEXT = {"type": "string"}
TRAINING_JOB: dict[str, Any] = {
    "TrainingJobName": "reviews-1",
    "AlgorithmSpecification": {"TrainingImage": "sklearn", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::123456789012:role/anyone-at-all",
    "OutputDataConfig": {"S3OutputPath": "s3://lake/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def training_job(sagemaker: Any) -> Any:
    return sagemaker.operation_model("CreateTrainingJob").input_shape


def test_a_well_formed_request_has_no_faults(sagemaker: Any) -> None:
    assert shapes.check(TRAINING_JOB, training_job(sagemaker)) == []


def test_members_that_the_shape_does_not_know_are_kept(sagemaker: Any) -> None:
    newer = {**TRAINING_JOB, "InventedLater": {"A": [1]}}
    assert shapes.checked(newer, training_job(sagemaker)) == newer


@pytest.mark.parametrize(
    ("change", "place", "aws_place", "words"),
    [
        ({"RoleArn": None}, "RoleArn", "roleArn", "Value 'null'"),
        (
            {"TrainingJobName": "no_underscores"},
            "TrainingJobName",
            "trainingJobName",
            "Member must satisfy regular expression pattern: ",
        ),
        ({"TrainingJobName": "x" * 64}, "TrainingJobName", "trainingJobName", "less than or equal to 63"),
        ({"TrainingJobName": 5}, "TrainingJobName", "trainingJobName", "Member must be a string"),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Carrier pigeon"}},
            "AlgorithmSpecification.TrainingInputMode",
            "algorithmSpecification.trainingInputMode",
            "Member must satisfy enum value set: [",
        ),
        (
            {"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}, {"DataSource": {}}]},
            "InputDataConfig[1].ChannelName",
            "inputDataConfig.2.member.channelName",
            "Member must not be null",
        ),
        ({"Tags": {}}, "Tags", "tags", "Member must be a list"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "StoppingCondition.MaxRuntimeInSeconds",
            "stoppingCondition.maxRuntimeInSeconds",
            "greater than or equal to 1",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": True}},
            "StoppingCondition.MaxRuntimeInSeconds",
            "stoppingCondition.maxRuntimeInSeconds",
            "a number",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 1 << 31}},
            "StoppingCondition.MaxRuntimeInSeconds",
            "stoppingCondition.maxRuntimeInSeconds",
            "32 bits",
        ),
        ({"HyperParameters": {"depth": 3}}, "HyperParameters.depth", "hyperParameters.depth", "a string"),
        ({"HyperParameters": {"k" * 257: "v"}}, "HyperParameters", "hyperParameters", "Map keys must satisfy"),
    ],
)
def test_a_fault_names_its_place_and_what_was_expected(
    sagemaker: Any, change: dict[str, Any], place: str, aws_place: str, words: str
) -> None:
    (fault,) = shapes.check({**TRAINING_JOB, **change}, training_job(sagemaker))
    assert fault.place == place
    assert f"at '{aws_place}' failed to satisfy constraint" in str(fault)
    assert words in str(fault)


def test_the_message_reads_like_the_one_of_aws(sagemaker: Any) -> None:
    with pytest.raises(Invalid) as caught:
        shapes.checked({**TRAINING_JOB, "TrainingJobName": "a b"}, training_job(sagemaker))
    assert caught.value.code == "ValidationException"
    assert caught.value.message == (
        "1 validation error detected: Value 'a b' at 'trainingJobName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )
    with pytest.raises(Invalid, match=r"^3 validation errors detected: Value .*; Value .*; Value "):
        shapes.checked({"TrainingJobName": "ok", "AlgorithmSpecification": {}}, training_job(sagemaker))


def test_an_idempotency_token_may_be_absent() -> None:
    token = {"type": "string", "idempotencyToken": True}
    shape = structure({"Token": token, "Name": TEXT}, required=("Token", "Name"))
    assert [fault.place for fault in shapes.check({}, shape)] == ["Name"]


def test_a_sensitive_value_is_not_repeated_in_the_message() -> None:
    shape = structure({"Password": {"type": "string", "min": 20, "sensitive": True}})
    (fault,) = shapes.check({"Password": "hunter2"}, shape)
    assert "hunter2" not in str(fault)


def test_a_union_takes_one_member_only() -> None:
    shape = structure({"A": TEXT, "B": TEXT}, union=True)
    assert shapes.check({"A": "x"}, shape) == []
    assert len(shapes.check({"A": "x", "B": "y"}, shape)) == 1


@pytest.mark.parametrize("seconds", ["soon", True, 1e300, float("inf"), -1e12])
def test_a_timestamp_outside_of_the_calendar_is_a_fault(seconds: Any) -> None:
    shape = structure({"At": {"type": "timestamp"}})
    assert len(shapes.check({"At": seconds}, shape)) == 1
    assert shapes.check({"At": 1_800_000_000.5}, shape) == []


def test_a_bottomless_document_is_a_fault_and_no_crash(sagemaker: Any) -> None:
    shape = sagemaker.operation_model("Search").input_shape
    expression: dict[str, Any] = {}
    for _ in range(400):
        expression = {"SubExpressions": [expression]}
    faults = shapes.check({"Resource": "TrainingJob", "SearchExpression": expression}, shape)
    assert "levels deep" in str(faults[0])


def test_every_pattern_of_the_served_models_can_be_checked_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for service in ("sagemaker", "logs", "sts"):
            for name, shape in Loader().load_service_model(service, "service-2")["shapes"].items():
                pattern = shape.get("pattern")
                if pattern is not None and pattern not in shapes._ANY_TEXT:
                    assert shapes.compile_pattern(pattern) is not None, (service, name, pattern)


@pytest.mark.timeout(300)  # one that backtracks would not end at all
def test_no_pattern_can_be_made_to_run_for_long() -> None:
    hostile = ["a", "a-", "-", "0", "aA0", " a", "/a", "a.", "arn:aws:sagemaker:us-east-1:123456789012:", "é", ":"]
    tried = set()
    for shape in Loader().load_service_model("sagemaker", "service-2")["shapes"].values():
        if "pattern" in shape and (compiled := shapes.compile_pattern(shape["pattern"])):
            length = min(shape.get("max", 2048), 4096)
            for piece in hostile:
                compiled.fullmatch((piece * length)[: length - 1] + "\x00")
            tried.add(shape["pattern"])
    assert len(tried) > 150, "not for want of patterns"


def test_unicode_categories_of_java_patterns_are_understood(sagemaker: Any) -> None:
    shape = sagemaker.shape_for("Tag")
    assert shapes.check({"Key": "größe/Straße 1", "Value": "日本"}, shape) == []
    assert [fault.place for fault in shapes.check({"Key": "bell\x07", "Value": "x"}, shape)] == ["Key"]
    assert shapes.check({"Key": "pointing-hand-\U0001f449", "Value": ""}, shape)


def test_resolved_values_take_the_types_that_the_shape_wants(sagemaker: Any) -> None:
    resolved = {
        "HyperParameters": {"depth": 3, "rate": 0.1, "shuffle": True, "name": "x"},
        "ResourceConfig": {"InstanceCount": "2", "VolumeSizeInGB": 30.0, "InstanceType": "ml.m5.large"},
        "EnableNetworkIsolation": "True",
        "EnableManagedSpotTraining": "false",
        "InventedLater": 7,
    }
    assert shapes.coerce(resolved, training_job(sagemaker)) == {
        "HyperParameters": {"depth": "3", "rate": "0.1", "shuffle": "True", "name": "x"},
        "ResourceConfig": {"InstanceCount": 2, "VolumeSizeInGB": 30, "InstanceType": "ml.m5.large"},
        "EnableNetworkIsolation": True,
        "EnableManagedSpotTraining": False,
        "InventedLater": 7,
    }


def test_what_cannot_be_turned_stays_for_the_check_to_report(sagemaker: Any) -> None:
    resolved = {"ResourceConfig": {"InstanceCount": "many"}, "EnableNetworkIsolation": "perhaps"}
    assert shapes.coerce(resolved, training_job(sagemaker)) == resolved


def test_timestamps_and_numbers_are_read_from_text() -> None:
    shape = structure({"At": {"type": "timestamp"}, "Rate": {"type": "double"}, "Count": {"type": "long"}})
    coerced = shapes.coerce({"At": "2026-01-01T00:00:00Z", "Rate": "0.5", "Count": "3.0"}, shape)
    assert coerced == {"At": datetime(2026, 1, 1, tzinfo=UTC).timestamp(), "Rate": 0.5, "Count": 3}
    assert shapes.coerce({"At": "17.5", "Count": "3.5"}, shape) == {"At": 17.5, "Count": "3.5"}


@pytest.mark.parametrize("kind", ["double", "float", "long", "integer", "timestamp"])
@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["huge", "tiny"])
def test_a_number_beyond_every_number_is_a_fault_and_no_accident(kind: str, value: int) -> None:
    (fault,) = shapes.check({"At": value}, structure({"At": {"type": kind}}))
    assert "Member must be a" in fault.constraint
    assert len(str(fault)) < 500


def test_a_projection_keeps_what_the_output_shape_knows(sagemaker: Any) -> None:
    shape = sagemaker.operation_model("DescribeTrainingJob").output_shape
    stored = {
        **TRAINING_JOB,
        "AttemptKey": "abc-1",
        "FailureReason": None,
        "TrainingStartTime": datetime(2026, 1, 1, tzinfo=UTC),
        "FinalMetricDataList": [{"MetricName": "f1", "Value": 0.5, "Internal": 1}],
    }
    shown = shapes.project(stored, shape)
    assert "AttemptKey" not in shown and "FailureReason" not in shown
    assert shown["TrainingJobName"] == "reviews-1"
    assert shown["TrainingStartTime"] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert shown["FinalMetricDataList"] == [{"MetricName": "f1", "Value": 0.5}]
    assert {fault.place for fault in shapes.check(shown, shape)} == {
        "TrainingJobArn", "ModelArtifacts", "TrainingJobStatus", "SecondaryStatus", "CreationTime"
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(document=st.dictionaries(st.sampled_from(sorted([*TRAINING_JOB, "Tags", "HyperParameters"])), JSON))
def test_any_json_is_checked_coerced_and_projected_without_an_exception(document: dict[str, Any]) -> None:
    shape = _model().operation_model("CreateTrainingJob").input_shape
    shapes.check(document, shape)
    coerced = shapes.coerce(document, shape)
    assert shapes.coerce(coerced, shape) == coerced
    json.dumps(shapes.project(coerced, shape))


_MODELS: list[Any] = []


def _model() -> Any:
    if not _MODELS:
        _MODELS.append(ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker"))
    return _MODELS[0]


def test_of_very_many_allowed_values_the_nearest_are_named() -> None:
    allowed = [f"ml.m{number}.large" for number in range(40)]
    kind = {"Kind": {"type": "string", "enum": allowed}}
    (fault,) = shapes.check({"Kind": "ml.m7.larg"}, structure(kind))
    assert "ml.m7.large" in fault.constraint
    assert "and 28 more" in fault.constraint
