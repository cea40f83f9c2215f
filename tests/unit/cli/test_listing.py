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
