"""What `towpath ps` lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli import listing
from towpath.cli.listing import served
from towpath.sdk.errors import RequestFailed, ServerFault, request_failed

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


def lists() -> dict[str, Any]:
    execution = f"{ARN}:pipeline/reviews/execution/abc"
    return {
        "ListPipelines": {"PipelineSummaries": [{"PipelineName": "reviews"}]},
        "ListPipelineExecutions": {
            "PipelineExecutionSummaries": [
                {
                    "PipelineExecutionArn": execution,
                    "PipelineExecutionStatus": "Succeeded",
                    "PipelineExecutionDisplayName": "execution-1795348800599",
                }
            ]
        },
        "ListPipelineExecutionSteps": {
            "PipelineExecutionSteps": [
                {"StepName": "Train", "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/t-1"}}}
            ]
        },
        "ListTrainingJobs": {
            "TrainingJobSummaries": [
                {
                    "TrainingJobName": name,
                    "TrainingJobArn": f"{ARN}:training-job/{name}",
                    "TrainingJobStatus": "Completed",
                }
                for name in ("t-1", "by-hand")
            ]
        },
        "ListProcessingJobs": {"ProcessingJobSummaries": []},
        "ListHyperParameterTuningJobs": {"HyperParameterTuningJobSummaries": []},
        "ListTransformJobs": {
            "TransformJobSummaries": [
                {
                    "TransformJobName": "score",
                    "TransformJobArn": f"{ARN}:transform-job/score",
                    "TransformJobStatus": "InProgress",
                }
            ]
        },
        "DescribeHeldUpWork": {"HeldUp": []},
        "ListEndpoints": {"Endpoints": [{"EndpointName": "shop", "EndpointStatus": "InService"}]},
        "DescribeEndpoint": {"EndpointConfigName": "c"},
        "DescribeEndpointConfig": {"ProductionVariants": [{"ModelName": "m"}, {"ModelName": "n"}]},
        "DescribeModel": lambda request: {
            "ModelName": request["ModelName"],
            "PrimaryContainer": {"ModelPackageName": f"{ARN}:model-package/reviews/3"}
            if request["ModelName"] == "m"
            else {"Image": "x"},
        },
    }


def test_jobs_are_listed_by_their_step_and_endpoints_with_what_they_serve(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "connect", lambda home: answers(**lists()))
    listing.ps()
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert ["reviews/abc", "Succeeded"] in lines, "a name that nobody gave is left out"
    assert ["reviews/abc/Train", "Completed"] in lines
    assert ["by-hand", "Completed"] in lines
    assert ["score", "InProgress"] in lines
    assert ["shop", "InService", "reviews/3,", "n"] in lines


ASKS = {
    "StepName": "Ask",
    "StepStatus": "Executing",
    "StepDescription": "The message is not delivered yet: refused; tried 2 times, next try at 2026-01-01 00:00:04 UTC",
    "Metadata": {"Callback": {"CallbackToken": "0123456789", "SqsQueueUrl": "https://q"}},
}
DEFINITION = {"Steps": [{"Name": "Ask", "Type": "Callback", "OutputParameters": [{"OutputName": "ok"}]}]}


def waiting() -> dict[str, Any]:
    told = lists()
    told["ListPipelineExecutions"]["PipelineExecutionSummaries"][0]["PipelineExecutionStatus"] = "Executing"
    told["ListPipelineExecutionSteps"]["PipelineExecutionSteps"].append(ASKS)
    return told | {"DescribePipelineDefinitionForExecution": {"PipelineDefinition": json.dumps(DEFINITION)}}


def test_an_execution_that_waits_for_an_answer_says_so_and_why_nobody_gives_it(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "connect", lambda home: answers(**waiting()))
    listing.ps()
    out = capsys.readouterr().out
    assert re.search(r"^reviews/abc +Executing +waits for answer: Ask$", out, re.M)
    assert f"reviews/abc/Ask: {ASKS['StepDescription']}\nWhat to type to answer: towpath answer\n" in out


def test_a_step_that_waits_for_an_answer_is_described_with_what_to_type(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    described = {"PipelineExecutionArn": f"{ARN}:pipeline/reviews/execution/abc"}
    client = answers(**waiting(), DescribePipelineExecution=described)
    monkeypatch.setattr(listing, "connect", lambda home: client)
    listing.describe("reviews/abc/Ask")
    out = capsys.readouterr().out
    assert str(ASKS["StepDescription"]) in out
    assert out.endswith(
        "It waits for its answer: towpath answer reviews/abc/Ask -o ok=…\n"
        "Or let it fail:          towpath answer reviews/abc/Ask --fail REASON\n"
    )


def tuned() -> dict[str, Any]:
    """Return a server with twelve executions, and a tuning job of one of them with three trials, one of which waits."""
    told = lists()
    (execution,) = told["ListPipelineExecutions"]["PipelineExecutionSummaries"]
    told["ListPipelineExecutions"]["PipelineExecutionSummaries"] = [
        {**execution, "PipelineExecutionArn": f"{ARN}:pipeline/reviews/execution/e{number}", "StartTime": 100 - number}
        for number in range(12)
    ]
    tuning = f"{ARN}:hyper-parameter-tuning-job/tune-1"
    steps = told["ListPipelineExecutionSteps"]["PipelineExecutionSteps"]
    told["ListPipelineExecutionSteps"] = lambda asked: {
        "PipelineExecutionSteps": [*steps, {"StepName": "Tune", "Metadata": {"TuningJob": {"Arn": tuning}}}]
        if asked["PipelineExecutionArn"].endswith("/e0")
        else []
    }
    told["ListHyperParameterTuningJobs"]["HyperParameterTuningJobSummaries"] = [
        {
            "HyperParameterTuningJobName": "tune-1",
            "HyperParameterTuningJobArn": tuning,
            "HyperParameterTuningJobStatus": "InProgress",
        }
    ]
    told["ListTrainingJobs"]["TrainingJobSummaries"] += [
        {
            "TrainingJobName": f"tune-1-00{number}-571e2217",
            "TrainingJobArn": f"{ARN}:training-job/tune-1-00{number}-571e2217",
            "TrainingJobStatus": "InProgress" if number == 3 else "Completed",
            "SecondaryStatus": "Pending" if number == 3 else "Completed",
        }
        for number in (3, 2, 1)
    ]
    pending = {"Status": "Pending", "StatusMessage": "Waiting for 1 core"}
    return told | {
        "DescribePipeline": {"PipelineName": "reviews"},
        "DescribeTrainingJob": {"SecondaryStatusTransitions": [pending]},
    }


def test_what_is_not_listed_is_counted_and_a_tuning_job_stands_for_its_trials(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "connect", lambda home: answers(**tuned()))
    listing.ps()
    out = capsys.readouterr().out
    assert "\n2 more: towpath ps --all\n" in out, "of twelve executions"
    assert re.search(r"^reviews/e0/Tune +InProgress +Waiting for 1 core$", out, re.M)
    assert "571e2217" not in out and "Tune/" not in out
    assert "\n3 more, training jobs of tuning jobs: towpath ps --all\n" in out
    listing.ps(everything=True)
    out = capsys.readouterr().out
    assert re.search(r"^reviews/e0/Tune/1 +Completed$", out, re.M)
    assert "571e2217" not in out and "more" not in out


def test_what_one_pipeline_ran_can_be_listed_alone(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = answers(**tuned())
    monkeypatch.setattr(listing, "connect", lambda home: client)
    listing.ps("reviews")
    out = capsys.readouterr().out
    assert "reviews/e0/Train" in out and "reviews/e0/Tune " in out
    assert "by-hand" not in out and "score" not in out and "shop" not in out
    assert "\n2 more: towpath ps reviews --all\n" in out
    assert "ListEndpoints" not in [name for name, _ in client.asked]
    client.answers["ListPipelineExecutions"] = {"PipelineExecutionSummaries": []}
    listing.ps("reviews")
    assert "pipeline 'reviews' has no execution yet" in capsys.readouterr().out


def test_what_a_fault_holds_up_is_listed(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = f"{ARN}:pipeline/reviews/execution/abc"
    held = {"ResourceArn": arn, "Since": 1.0, "Tries": 7, "NextTryAt": 2.0, "Reason": "Held up by a fault"}
    monkeypatch.setattr(
        listing, "connect", lambda home: answers(**lists() | {"DescribeHeldUpWork": {"HeldUp": [held]}})
    )
    listing.ps()
    out = capsys.readouterr().out
    assert re.search(r"^HELD UP +SINCE +TRIES +NEXT TRY$", out, re.M)
    assert re.search(r"^reviews/abc +\S+ \S+ +7 +\S+ \S+$", out, re.M)
    assert out.endswith("Why: towpath doctor\n")


def refuse(refused: RequestFailed) -> Callable[[Any], Any]:
    def answer(request: Any) -> Any:
        raise refused

    return answer


@pytest.mark.parametrize(
    "refused",
    [
        request_failed("AccessDeniedException", "The role reader has no right to DescribeHeldUpWork.", status=403),
        request_failed("UnknownOperationException", "towpath has no operation 'DescribeHeldUpWork'.", status=400),
    ],
)
def test_the_rest_is_listed_where_what_is_held_up_is_not_told(
    answers: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: RequestFailed,
) -> None:
    told = lists() | {"DescribeHeldUpWork": refuse(refused)}
    monkeypatch.setattr(listing, "connect", lambda home: answers(**told))
    listing.ps()
    shown = capsys.readouterr()
    assert "reviews/abc" in shown.out and "held up" not in shown.out
    assert shown.err == "", "nothing that runs could be held up"
    told["ListPipelineExecutions"]["PipelineExecutionSummaries"][0]["PipelineExecutionStatus"] = "Executing"
    listing.ps()
    assert capsys.readouterr().err == f"Whether a fault of the platform holds an execution up is not told: {refused}\n"
    listing.ps(as_json=True)
    shown = capsys.readouterr()
    assert (json.loads(shown.out)["HeldUp"], shown.err) == (None, "")


def test_what_is_held_up_fails_the_list_where_the_server_itself_fails(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = request_failed("InternalFailure", "The server failed.", status=500)
    monkeypatch.setattr(listing, "connect", lambda home: answers(**lists() | {"DescribeHeldUpWork": refuse(fault)}))
    with pytest.raises(ServerFault):
        listing.ps()


def test_an_endpoint_that_is_gone_serves_nothing(answers: Callable[..., Any]) -> None:
    assert served(answers(), "shop") == []


def test_a_pipeline_is_described_by_its_parameters_and_steps(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    definition = {
        "Parameters": [{"Name": "Rows", "Type": "Integer", "DefaultValue": 3000}, {"Name": "Who", "Type": "String"}],
        "Steps": [
            {"Name": "Train", "Type": "Training", "Arguments": {}},
            {"Name": "Each", "Type": "ForEach", "Arguments": {"ForEachBody": [{"Name": "Try", "Type": "Training"}]}},
            {
                "Name": "Gate",
                "Type": "Condition",
                "Arguments": {"IfSteps": [{"Name": "Register", "Type": "RegisterModel"}], "ElseSteps": []},
            },
        ],
    }
    client = answers(DescribePipeline={"PipelineName": "reviews", "PipelineDefinition": json.dumps(definition)})
    monkeypatch.setattr(listing, "connect", lambda home: client)
    listing.describe("pipeline/reviews")
    assert capsys.readouterr().out.splitlines() == [
        "Pipeline reviews",
        "PipelineName  reviews",
        "PipelineDefinition (whole with --json):",
        "  Parameters:",
        "    Rows  Integer, 3000",
        "    Who   String, required",
        "  Steps:",
        "    Train  Training",
        "    Each:",
        "      each:",
        "        Try  Training",
        "    Gate:",
        "      then:",
        "        Register  RegisterModel",
    ]
    listing.describe("pipeline/reviews", as_json=True)
    assert json.loads(json.loads(capsys.readouterr().out)["PipelineDefinition"]) == definition
