"""What `towpath run` says at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.cli import run
from towpath.cli.progress import Look
from towpath.cli.run import how_it_ended, report, unmatched_metrics
from towpath.home import HomeFolder
from towpath.pipelines.steps import STEP_TYPES
from towpath.sdk import Pipeline, Processing, Register
from towpath.sdk.errors import DataMissing
from towpath.sdk.executions import Execution
from towpath.sdk.step_runs import StepRun
from towpath.sdk.steps.step import TAKEN_OVER

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
TRAINED = {
    "AlgorithmSpecification": {
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}, {"Name": "f1", "Regex": "F1=(.*)"}]
    },
    "FinalMetricDataList": [{"MetricName": "loss", "Value": 0.5}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeFolder:
    monkeypatch.setenv("TOWPATH_HOME", str(tmp_path))
    return HomeFolder(tmp_path)


def step(name: str, status: str, **members: Any) -> StepRun:
    return StepRun(**{"name": name, "type": "TrainingJob", "arn": f"{ARN}:training-job/t", "status": status, **members})


@pytest.mark.parametrize(
    ("approval", "next_command"),
    [
        ("PendingManualApproval", "towpath approve reviews/3 --note WHY"),
        ("Approved", "towpath deploy reviews/3"),
        ("Rejected", "Registered reviews/3, Rejected"),
    ],
)
def test_a_success_names_what_was_registered_and_what_to_do_with_it(
    answers: Callable[..., Any],
    home: HomeFolder,
    capsys: pytest.CaptureFixture[str],
    approval: str,
    next_command: str,
) -> None:
    client = answers(
        DescribeModelPackageGroup={"ModelPackageGroupArn": f"{ARN}:model-package-group/reviews"},
        DescribeModelPackage={
            "ModelPackageGroupName": "reviews",
            "ModelPackageVersion": 3,
            "ModelPackageArn": f"{ARN}:model-package/reviews/3",
            "ModelApprovalStatus": approval,
        },
    )
    look = Look(
        steps=[step("Register", "Succeeded", type="RegisterModel", arn=f"{ARN}:model-package/reviews/3")],
        described={"PipelineExecutionStatus": "Succeeded", "CreationTime": 10.0, "LastModifiedTime": 13.5},
    )
    report(look, Execution(client, f"{ARN}:pipeline/reviews/execution/abc"), client, home)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["reviews/abc Succeeded in 3.5 s", f"Registered reviews/3, {approval}"]
    assert lines[-1].endswith(next_command)


def test_of_a_failed_job_the_cause_is_told_once_and_its_log_beside_it(
    answers: Callable[..., Any], home: HomeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    client = answers(
        DescribeLogStreams={"logStreams": [{"logStreamName": "t/1"}]},
        GetLogEvents=lambda request: (
            {} if request["startFromHead"] else {"events": [{"timestamp": 1, "message": "ValueError: no good"}]}
        ),
    )
    reason = 'ExitCode 1: ValueError: no good (train.py line 4)\n  File "/opt/ml/code/train.py", line 4\n    raise'
    look = Look(
        steps=[step("Train", "Failed", failure_reason=reason)],
        described={"PipelineExecutionStatus": "Failed"},
    )
    report(look, Execution(client, f"{ARN}:pipeline/reviews/execution/abc"), client, home)
    assert capsys.readouterr().out.splitlines() == [
        "reviews/abc Failed: step Train failed: ExitCode 1: ValueError: no good (train.py line 4)",
        "",
        "The last lines of Train:",
        "  ValueError: no good",
        "All of them: towpath logs reviews/abc/Train",
        "Log stream:  /aws/sagemaker/TrainingJobs/t/1",
    ]


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"PipelineExecutionStatus": "Stopped"}, "p/1 Stopped"),
        (
            {"PipelineExecutionStatus": "Failed", "FailureReason": "Step 'A' was stopped: MaxRuntimeExceeded"},
            "p/1 Failed: Step 'A' was stopped: MaxRuntimeExceeded",
        ),
    ],
)
def test_how_an_execution_ended_is_told_once(described: dict[str, str], told: str) -> None:
    assert how_it_ended("p/1", described, [step("A", "Stopped")]) == told


def test_of_a_step_without_a_log_of_its_own_the_reason_is_told_in_a_line_too(
    answers: Callable[..., Any], home: HomeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = (
        'No training job succeeded. The first one: ValueError: no good (train.py line 4)\n  File "train.py"\n raise'
    )
    tune = step("Tune", "Failed", type="TuningJob", arn=f"{ARN}:hyper-parameter-tuning-job/t", failure_reason=reason)
    look = Look(steps=[tune], described={"PipelineExecutionStatus": "Failed"})
    client = answers()
    report(look, Execution(client, f"{ARN}:pipeline/reviews/execution/abc"), client, home)
    assert capsys.readouterr().out.splitlines() == [
        "reviews/abc Failed: step Tune failed: "
        "No training job succeeded. The first one: ValueError: no good (train.py line 4)"
    ]


def test_of_a_failed_search_the_last_lines_of_its_training_jobs_are_shown(
    answers: Callable[..., Any], home: HomeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    client = answers(
        ListTrainingJobsForHyperParameterTuningJob={
            "TrainingJobSummaries": [
                {"TrainingJobName": f"t-00{number}-ab", "TrainingJobStatus": "Failed", "TrainingEndTime": number}
                for number in (1, 2)
            ]
        },
        DescribeLogStreams=lambda request: {"logStreams": [{"logStreamName": f"{request['logStreamNamePrefix']}1"}]},
        GetLogEvents={"events": [{"timestamp": 1, "message": "ValueError: no good"}]},
    )
    tune = step("Tune", "Failed", type="TuningJob", arn=f"{ARN}:hyper-parameter-tuning-job/t", failure_reason="no")
    look = Look(steps=[tune], described={"PipelineExecutionStatus": "Failed"})
    report(look, Execution(client, f"{ARN}:pipeline/reviews/execution/abc"), client, home)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "The last lines of Tune:",
        "  002: ValueError: no good",
        "  001: ValueError: no good",
        "All of them: towpath logs reviews/abc/Tune",
        "Log stream:  /aws/sagemaker/TrainingJobs/t-001-ab/1",
    ]


def test_a_metric_whose_pattern_matched_nothing_is_told(answers: Callable[..., Any]) -> None:
    client = answers(DescribeTrainingJob=TRAINED)
    assert unmatched_metrics(client, step("Train", "Succeeded")) == [
        "Warning: Train has no metric 'f1': nothing it printed matches F1=(.*)"
    ]
    assert unmatched_metrics(client, step("Train", "Failed")) == []
    assert unmatched_metrics(client, step("Prepare", "Succeeded", type="ProcessingJob")) == []


def test_create_stores_the_pipeline_and_starts_nothing(
    answers: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = answers(CreatePipeline={"PipelineArn": f"{ARN}:pipeline/p"})
    monkeypatch.setattr(run, "client_with_server", lambda home: client)
    (tmp_path / "pipeline.py").write_text(
        "from towpath import Fail, Pipeline, parameter\n"
        "pipeline = Pipeline('p', steps=[Fail('A', message=parameter('Why', type=str))], "
        "parameters=[parameter('Who', 'me')])\n"
    )
    run.create(tmp_path, home=tmp_path)
    assert [name for name, _ in client.asked] == ["CreatePipeline"]
    assert capsys.readouterr().out == "p can be started; each start has to give Why\n"
    run.create(tmp_path, as_json=True, home=tmp_path)
    assert json.loads(capsys.readouterr().out) == {"PipelineArn": f"{ARN}:pipeline/p"}


def test_a_cache_that_is_asked_for_and_not_used_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    asks = Register("Register", model="s3://lake/model.tar.gz", group="reviews", cache="P30D")
    run.say_what_is_not_cached(
        Pipeline("reviews", steps=[Processing("Prepare", script="test_run.py", cache="P30D"), asks])
    )
    told = "The cache of step Register is not used: steps of the type RegisterModel run every time.\n"
    assert capsys.readouterr().err == told


def test_the_cache_is_used_of_the_types_that_are_said_to_use_it() -> None:
    assert {name for name, kind in STEP_TYPES.items() if kind.executed and kind.cache is not None} == TAKEN_OVER


@pytest.mark.parametrize("beside", [True, False])
def test_where_data_is_missing_the_script_of_the_project_that_fetches_it_is_named(
    answers: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    beside: bool,
) -> None:
    (tmp_path / "pipeline.py").write_text(
        "from towpath import Pipeline, Processing, dataset\n"
        "(__import__('pathlib').Path(__file__).parent / 'p.py').touch()\n"
        'pipeline = Pipeline("p", steps=[Processing("P", script="p.py", inputs={"raw": dataset("reviews")})])\n'
    )
    if beside:
        (tmp_path / "data.py").touch()
    client = answers(ListDatasets={"Datasets": []})
    monkeypatch.setattr(client, "_has_objects", lambda uri: False)
    monkeypatch.setattr(run, "client_with_server", lambda home: client)
    with pytest.raises(DataMissing, match="reads the dataset 'reviews', which is not there"):
        run.run(tmp_path, home=tmp_path)
    script = tmp_path / "data.py"
    told = f"{script} fetches what this project reads. How, and what to put then: python {script} --help\n"
    assert capsys.readouterr().err == (told if beside else "")
