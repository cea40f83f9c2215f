"""The story of a model version, told in lines."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli import registry
from towpath.cli.console import when
from towpath.cli.registry import decided_by, facts, files, show_lineage
from towpath.sdk import NotFound

DIGEST = "ab12cd34ef56" + "0" * 52


def artifact(uri: str, **more: object) -> dict[str, object]:
    return {"S3Uri": uri, "VersionId": "v", "Sha256": DIGEST, "Size": 2_408_611, **more}


EXECUTION = "arn:aws:sagemaker:r:a:pipeline/reviews/execution/abc"
STORY = {
    "Models": [artifact("s3://b/reviews/abc/Train/pipelines-abc-Train-1f/output/model.tar.gz")],
    "TrainingJob": {
        "Arn": "arn:t",
        "Name": "pipelines-abc-Train-1f",
        "Parameters": {"epochs": "2", "sagemaker_program": "train.py"},
        "Metrics": {"validation:accuracy": 0.66666},
        "StartTime": 1_700_000_000.0,
        "EndTime": 1_700_000_061.0,
    },
    "Data": [artifact("s3://b/reviews/abc/Prepare/train/train.csv", Name="train"), artifact("s3://other/x", Name="x")],
    "SourceData": [artifact("s3://b/datasets/reviews/", Dataset="reviews/1", FileCount=2)],
    "Code": {
        "Commit": "f" * 40,
        "Dirty": "true",
        "Repository": "https://example.com/a.git",
        "TreeDigest": f"sha256:{DIGEST}",
    },
    "Environment": {"PythonVersion": "3.11.7", "Fingerprint": "x", "Packages": {"numpy": "2"}},
    "Evaluations": [artifact("s3://b/reviews/abc/Evaluate/evaluation.json", Job="evaluate-1")],
    "Approval": {"ModelApprovalStatus": "Approved", "By": "admin", "ApprovalDescription": "good"},
    "Endpoints": [{"EndpointName": "reviews", "EndpointStatus": "InService", "Serving": True}],
    "PipelineExecution": {"PipelineExecutionArn": EXECUTION},
}


def test_every_part_of_the_story_is_told() -> None:
    told = facts(STORY, {"arn:t": "reviews/abc/Train"})
    assert [name for name, _ in told] == [
        "approval", "serves", "trained by", "parameters", "metrics", "execution", "code", "code", "environment",
    ]  # fmt: skip
    text = "\n".join(f"{name} {each}" for name, each in told)
    for part in (
        "approval Approved by admin: good",
        "serves endpoint reviews (InService)",
        "trained by reviews/abc/Train at 2023-11-1",
        ", in 1 min 01 s",
        "epochs 2",
        "validation:accuracy 0.6667",
        "commit ffffffffffff of https://example.com/a.git, changed since",
        "scripts with sha256 ab12cd34ef56",
        "Python 3.11.7, 1 packages",
        "execution reviews/abc",
    ):
        assert part in text
    assert "sagemaker_program" not in text


def test_an_endpoint_that_serves_another_version_by_now_is_told_in_the_past() -> None:
    endpoints = [
        {"EndpointName": "reviews", "EndpointStatus": "InService", "Serving": False},
        {"EndpointName": "old", "EndpointStatus": "Deleted", "Serving": False},
    ]
    assert facts({"Endpoints": endpoints}, {}) == [
        ("served", "endpoint reviews (InService), which has another version now"),
        ("served", "endpoint old (Deleted)"),
    ]


def test_a_training_job_of_no_step_is_told_by_its_name() -> None:
    assert ("trained by", "by-hand") in facts({"TrainingJob": {"Name": "by-hand"}}, {})


def test_files_are_told_from_the_execution_or_the_dataset_on_with_size_and_digest() -> None:
    size, digest = "2.4 MB", "ab12cd34ef56"
    assert files(STORY) == [
        ("model", "Train/model.tar.gz", size, digest),
        ("read train", "Prepare/train/train.csv", size, digest),
        ("read x", "s3://other/x", size, digest),
        ("made from", "dataset reviews/1, 2 files", size, digest),
        ("evaluation", "Evaluate/evaluation.json", size, digest),
    ]


def test_files_of_an_execution_whose_result_was_taken_over_are_told_by_its_name(answers: Callable[..., Any]) -> None:
    entries = {
        "abc": [
            {
                "StepName": "Train",
                "Metadata": {"TrainingJob": {"Arn": "arn:aws:sagemaker:r:a:training-job/pipelines-old-Train-1f"}},
                "CacheHitResult": {"SourcePipelineExecutionArn": EXECUTION.replace("abc", "old")},
            }
        ],
        "old": [
            {
                "StepName": "Train",
                "Metadata": {"TrainingJob": {"Arn": "arn:aws:sagemaker:r:a:training-job/pipelines-old-Train-1f"}},
            }
        ],
    }
    client = answers(
        ListPipelineExecutionSteps=lambda asked: {
            "PipelineExecutionSteps": entries[asked["PipelineExecutionArn"].rpartition("/")[2]]
        }
    )
    story = {
        **STORY,
        "Models": [artifact("s3://b/reviews/old/Train/pipelines-old-Train-1f/output/model.tar.gz")],
        "Data": [artifact("s3://b/reviews/older/Prepare/train.csv", Name="train")],
        "TrainingJob": {"Arn": "arn:aws:sagemaker:r:a:training-job/pipelines-old-Train-1f", "Name": "unused"},
    }
    steps = registry.steps_in(client, story)
    assert ("trained by", "reviews/old/Train") in facts(story, steps)
    told = [where for _, where, _, _ in files(story, steps)]
    assert told[:2] == ["reviews/old/Train/model.tar.gz", "s3://b/reviews/older/Prepare/train.csv"]
    del entries["old"]  # its record is gone, and the story is told all the same
    client.answers["ListPipelineExecutionSteps"] = lambda asked: (
        {"PipelineExecutionSteps": entries["abc"]} if asked["PipelineExecutionArn"].endswith("/abc") else None
    )
    assert ("trained by", "unused") in facts(story, registry.steps_in(client, story))


def test_parts_that_nobody_recorded_are_left_out() -> None:
    document = {"Approval": {"ModelApprovalStatus": "PendingManualApproval"}, "Endpoints": []}
    assert facts(document, {}) == [("approval", "PendingManualApproval, nobody has decided")]
    assert files(document) == []


def test_who_registered_a_version_has_not_decided_on_it() -> None:
    approval = {"ModelApprovalStatus": "PendingManualApproval", "By": "admin", "At": 1.0}
    ((_, told),) = facts({"Approval": approval}, {})
    assert told == f"PendingManualApproval since {when(1.0)}, nobody has decided"


@pytest.mark.parametrize("width", [80, 100])
def test_the_story_is_readable_on_a_screen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("towpath.cli.console.is_terminal", lambda: True)
    story = {**STORY, "Approval": {"ModelApprovalStatus": "Approved", "ApprovalDescription": "very " * 30 + "good"}}
    show_lineage(story, {"arn:t": "reviews/abc/Train"})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.startswith("  ") for line in lines if line), "what goes on in the next line stays in its column"
    assert any(line.split() == ["model", "Train/model.tar.gz", "2.4", "MB", "ab12cd34ef56"] for line in lines)


def test_versions_are_listed_by_group_newest_first(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def versions(request: Any) -> Any:
        group = request["ModelPackageGroupName"]
        return {
            "ModelPackageSummaryList": [
                {"ModelPackageGroupName": group, "ModelPackageVersion": number, "ModelApprovalStatus": "Approved"}
                for number in range(12, 0, -1)
            ]
        }

    groups = {"ModelPackageGroupSummaryList": [{"ModelPackageGroupName": "a"}, {"ModelPackageGroupName": "b"}]}
    client = answers(ListModelPackageGroups=groups, ListModelPackages=versions)
    monkeypatch.setattr(registry, "connect", lambda home: client)
    registry.models()
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert listed == [f"{group}/{number}" for group in "ab" for number in range(12, 2, -1)]
    registry.models(group="b", everything=True)
    assert len(capsys.readouterr().out.splitlines()) == 13
    del client.answers["ListModelPackages"]
    with pytest.raises(NotFound, match="there is no model group 'c'; known: a, b"):
        registry.models(group="c")


def test_a_decision_is_told_with_who_and_why_as_far_as_they_are_known() -> None:
    assert decided_by({}) == ""
    assert decided_by({"LastModifiedBy": {"UserProfileName": "ada"}, "ApprovalDescription": "good"}) == ", by ada: good"
