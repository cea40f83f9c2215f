"""Executions side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from towpath.sdk import Client
from towpath.sdk.comparison import compare
from towpath.sdk.executions import Execution

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


def train(status: str, source: str | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "StepName": "Train",
        "StepStatus": status,
        "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/pipelines-{source or 'own'}-Train-1f"}},
    }
    if source is not None:
        shown["CacheHitResult"] = {"SourcePipelineExecutionArn": f"{ARN}:pipeline/words/execution/{source}"}
    return shown


STEPS = {
    "first": [train("Succeeded"), {"StepName": "Register", "StepStatus": "Succeeded"}],
    "again": [train("Succeeded", source="first"), {"StepName": "Register", "StepStatus": "Succeeded"}],
    "tuned": [
        {
            "StepName": "Tune",
            "StepStatus": "Succeeded",
            "Metadata": {"TuningJob": {"Arn": f"{ARN}:hyper-parameter-tuning-job/t"}},
        }
    ],
    "gated": [{"StepName": "Gate", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}}],
    "bad": [train("Failed"), {"StepName": "TooLow", "StepStatus": "Failed", "FailureReason": "no"}],
}


class Server(Client):
    """Answers of three executions, all with a training step."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", token="t")

    def call(self, operation: str, request: Any = None) -> Any:
        execution = str((request or {}).get("PipelineExecutionArn", "")).rpartition("/")[2]
        if operation.endswith("DescribePipelineExecution"):
            trial = {"TrialName": execution}
            return {"PipelineExecutionStatus": "Succeeded", "CreationTime": 1.0, "PipelineExperimentConfig": trial}
        if operation.endswith("DescribeTrialComponent"):
            execution = request["TrialComponentName"]
            by = "first" if execution == "again" else execution
            job = f"pipelines-{'first' if execution == 'again' else 'own'}-Train-1f"
            return {
                "Source": {"SourceArn": f"{ARN}:training-job/{job}"},
                "OutputArtifacts": {
                    "SageMaker.ModelArtifact": {"Value": f"s3://b/words/{by}/Train/{job}/output/model.tar.gz"}
                },
            }
        if operation.endswith("DescribeHyperParameterTuningJob"):
            best = {"Type": "Maximize", "MetricName": "accuracy", "Value": 0.75}
            return {
                "BestTrainingJob": {
                    "TrainingJobName": "t-002-ab",
                    "TunedHyperParameters": {"trees": "12"},
                    "FinalHyperParameterTuningJobObjectiveMetric": best,
                }
            }
        if operation.endswith("ListPipelineExecutionSteps"):
            return {"PipelineExecutionSteps": STEPS[request["PipelineExecutionArn"].rpartition("/")[2]]}
        raise AssertionError(operation)

    def pages(self, operation: str, member: str, request: Any = None) -> Iterator[Any]:
        if member == "TrialComponentSummaries":
            yield {"TrialComponentName": request["TrialName"]}


def rows(*executions: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    client = Server()
    found = compare(client, [Execution(client, f"{ARN}:pipeline/words/execution/{each}") for each in executions])
    return {(row.group, row.name): row.values for row in found}


def test_a_file_of_a_result_that_was_taken_over_lies_where_the_first_one_wrote_it() -> None:
    found = rows("first", "again")
    assert found["Train", "output ModelArtifact"] == ("Train/model.tar.gz", "Train/model.tar.gz")
    assert found["Train", "taken over from"] == (None, "first")


def test_of_a_tuning_step_the_best_training_job_is_told() -> None:
    found = rows("first", "tuned")
    assert found["Tune", "best accuracy"] == (None, 0.75)
    assert found["Tune", "best trees"] == (None, "12")


def test_a_condition_has_a_status_like_all_steps_and_an_outcome_of_its_own() -> None:
    found = rows("first", "gated")
    assert found["Gate", "status"] == (None, "Succeeded")
    assert found["Gate", "outcome"] == (None, "True")


def test_of_a_step_that_failed_no_file_is_told_since_it_left_none() -> None:
    assert rows("first", "bad")["Train", "output ModelArtifact"] == ("Train/model.tar.gz", None)


@pytest.mark.parametrize("order", [("first", "again", "bad"), ("bad", "first", "again")])
def test_what_is_told_of_a_step_stands_together(order: tuple[str, ...]) -> None:
    groups = [group for group, _ in rows(*order)]
    assert groups == sorted(groups, key=groups.index)
    assert [group for at, group in enumerate(groups) if groups.index(group) == at][-2:] in (
        ["Register", "TooLow"],
        ["TooLow", "Register"],
    )
