"""Jobs are created, refused, listed, stopped and deleted as the API says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from towpath.jobs import KINDS
from towpath.jobs.service import Jobs
from towpath.kernel.errors import Conflict, InUse, Invalid, NotFound, Unsupported
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

    from towpath.jobs.images import Environment, Images

ROLE = "arn:aws:iam::000000000000:role/any"
TRAINING: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {
        "TrainingImage": "towpath",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "-c", "pass"],
    },
    "OutputDataConfig": {"S3OutputPath": "s3://models"},
    "RoleArn": ROLE,
}
PROCESSING: Document = {
    "ProcessingJobName": "prepare",
    "AppSpecification": {"ImageUri": "python", "ContainerEntrypoint": ["python3", "-c", "pass"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    "RoleArn": ROLE,
}
TRANSFORM: Document = {
    "TransformJobName": "score",
    "ModelName": "wine",
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/rows.csv"}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://data/scored"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}


def test_creating_answers_with_the_arn(world: World) -> None:
    assert world.call("CreateTrainingJob", TRAINING) == {
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/train"
    }
    assert world.call("CreateProcessingJob", PROCESSING) == {
        "ProcessingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:processing-job/prepare"
    }


def test_a_name_is_taken_once(world: World) -> None:
    world.call("CreateTrainingJob", TRAINING)
    with pytest.raises(Conflict, match="already exists"):
        world.call("CreateTrainingJob", TRAINING)


def test_an_unknown_image_is_refused_when_the_job_is_created(world: World) -> None:
    document = TRAINING | {"AlgorithmSpecification": {"TrainingImage": "nobody/knows:1", "TrainingInputMode": "File"}}
    with pytest.raises(Invalid, match=r"under \[images\] in towpath\.toml"):
        world.call("CreateTrainingJob", document)
    with pytest.raises(NotFound, match="Could not find TrainingJob 'train'"):
        world.call("DescribeTrainingJob", {"TrainingJobName": "train"})


@pytest.mark.parametrize(
    ("step_type", "arguments"),
    [
        ("Processing", {"AppSpecification": {"ImageUri": "nobody/knows:1"}}),
        ("Training", {"AlgorithmSpecification": {"TrainingImage": "nobody/knows:1"}}),
        ("Model", {"PrimaryContainer": {"Image": "nobody/knows:1"}}),
        ("Model", {"Containers": [{"Image": "towpath"}, {"Image": "nobody/knows:1"}]}),
    ],
)
def test_a_pipeline_step_with_an_unknown_literal_image_is_refused(
    world: World, step_type: str, arguments: Document
) -> None:
    with pytest.raises(Invalid, match="'nobody/knows:1' is not mapped"):
        world.jobs.check_step_arguments(step_type, arguments)


class Noted:
    """The images of a world, and which of them were resolved."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.resolved: list[str] = []

    def resolve(self, image: str) -> Environment:
        found = self.images.resolve(image)
        self.resolved.append(image)
        return found


@pytest.mark.parametrize(
    ("step_type", "arguments", "judged"),
    [
        ("Processing", {"AppSpecification": {"ImageUri": {"Get": "Parameters.Image"}}}, []),
        ("Processing", {"AppSpecification": {"Get": "Parameters.All"}}, []),
        ("Training", {"AlgorithmSpecification": {"TrainingImage": "towpath"}}, ["towpath"]),
        ("Model", {"PrimaryContainer": {"Image": {"Get": "Parameters.Image"}}}, []),
        ("RegisterModel", {"InferenceSpecification": {"Containers": [{"Image": "nobody/knows:1"}]}}, []),
        ("Fail", {"ErrorMessage": "no"}, []),
    ],
)
def test_images_that_are_known_only_later_are_not_judged_yet(
    world: World, step_type: str, arguments: Document, judged: list[str]
) -> None:
    noted = Noted(world.images)
    Jobs(noted, lambda *_: world.model).check_step_arguments(step_type, arguments)
    assert noted.resolved == judged


def test_every_image_of_the_golden_processing_and_training_steps_resolves(world: World) -> None:
    noted = Noted(world.images)
    jobs = Jobs(noted, lambda *_: world.model)
    folder = Path(__file__).parents[2] / "golden" / "definitions"
    for name in ("v2_bert.json", "v3_bert.json"):
        for step in json.loads((folder / name).read_text(encoding="utf-8"))["Steps"]:
            jobs.check_step_arguments(step["Type"], step["Arguments"])
    assert len(noted.resolved) == 8, "one for each Processing and Training step"


def test_stopping_a_job_that_has_ended_is_refused_in_awss_words(world: World) -> None:
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    world.move("TrainingJob", "train", world.finished())
    with pytest.raises(Conflict, match="because the training job is in status Completed") as refused:
        world.call("StopTrainingJob", {"TrainingJobName": "train"})
    assert refused.value.code == "ValidationException"


def test_only_a_job_that_has_ended_can_be_deleted(world: World) -> None:
    world.call("CreateProcessingJob", PROCESSING)
    world.run()
    with pytest.raises(InUse, match="is InProgress; stop it"):
        world.call("DeleteProcessingJob", {"ProcessingJobName": "prepare"})
    world.move("ProcessingJob", "prepare", world.finished())
    world.call("DeleteProcessingJob", {"ProcessingJobName": "prepare"})
    with pytest.raises(NotFound):
        world.call("DescribeProcessingJob", {"ProcessingJobName": "prepare"})


def test_lists_are_filtered_by_status_and_name(world: World) -> None:
    for name in ("first", "second"):
        world.call("CreateTrainingJob", TRAINING | {"TrainingJobName": name})
        world.run()
    world.move("TrainingJob", "first", world.finished())

    def names(**asked: Any) -> list[str]:
        return [item["TrainingJobName"] for item in world.call("ListTrainingJobs", asked)["TrainingJobSummaries"]]

    assert names(StatusEquals="Completed") == ["first"]
    assert names(NameContains="sec") == ["second"]
    assert names(SortBy="Name", SortOrder="Descending") == ["second", "first"]
    assert names() == ["first", "second"], "the oldest first, as on SageMaker"


def test_a_training_job_may_be_told_to_do_what_it_does_anyway(world: World) -> None:
    world.call("CreateTrainingJob", TRAINING)
    name = {"TrainingJobName": "train"}
    for member, value in (
        ("ProfilerConfig", {"DisableProfiler": True}),
        ("ResourceConfig", {"KeepAlivePeriodInSeconds": 0}),
        ("RemoteDebugConfig", {"EnableRemoteDebug": False}),
    ):
        world.call("UpdateTrainingJob", {**name, member: value})
        assert world.call("DescribeTrainingJob", name)[member] == value
    world.run()
    world.move("TrainingJob", "train", world.finished())
    assert world.resource("TrainingJob", "train").status == "Completed"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ProfilerConfig": {"ProfilingIntervalInMilliseconds": 500}}, "not profiled"),
        ({"ProfilerRuleConfigurations": [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]}, "not profiled"),
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}, "no warm pools"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "debugged from afar"),
    ],
)
def test_what_a_training_job_would_have_to_do_for_an_update_is_refused(
    world: World, asked: Document, words: str
) -> None:
    world.call("CreateTrainingJob", TRAINING)
    before = world.call("DescribeTrainingJob", {"TrainingJobName": "train"})
    with pytest.raises(Unsupported, match=words):
        world.call("UpdateTrainingJob", {"TrainingJobName": "train", **asked})
    assert world.call("DescribeTrainingJob", {"TrainingJobName": "train"}) == before


def test_an_update_of_a_training_job_says_what_to_change(world: World) -> None:
    world.call("CreateTrainingJob", TRAINING)
    with pytest.raises(Invalid, match="what to change"):
        world.call("UpdateTrainingJob", {"TrainingJobName": "train", "ResourceConfig": {}})


def _missing(shape: Any, value: Any, path: str) -> list[str]:
    """Return the required members of a botocore shape that a document lacks."""
    if shape.type_name == "structure":
        found = [f"{path}.{name}" for name in shape.required_members if name not in value]
        for name, member in shape.members.items():
            if name in value:
                found += _missing(member, value[name], f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [gap for item in value for gap in _missing(shape.member, item, f"{path}[]")]
    return []


def test_describe_and_list_hold_every_required_member_at_every_time(world: World) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    world.call("CreateTrainingJob", TRAINING)
    world.call("CreateProcessingJob", PROCESSING)
    world.put("s3://data/rows.csv", b"1")
    world.call("CreateTransformJob", TRANSFORM)
    for _ in range(3):
        for kind in KINDS:
            assert kind.describe is not None
            assert kind.listing is not None
            name = {"TrainingJob": "train", "ProcessingJob": "prepare", "TransformJob": "score"}[kind.noun]
            described = world.call(kind.describe, {kind.name_member: name})
            assert _missing(model.operation_model(kind.describe).output_shape, described, kind.describe) == []
            listed = world.call(kind.listing, {})
            assert _missing(model.operation_model(kind.listing).output_shape, listed, kind.listing) == []
        if not world.run():
            world.move("TrainingJob", "train", world.finished())
            world.move("ProcessingJob", "prepare", world.finished(exit_code=1, reason="no"))
            world.move("TransformJob", "score", world.finished())
