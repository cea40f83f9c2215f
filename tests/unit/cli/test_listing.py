"""What `towpath ps` lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli import listing
from towpath.cli.listing import served

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
    assert ["shop", "InService", "reviews/3,", "n"] in lines


def test_an_endpoint_that_is_gone_serves_nothing(answers: Callable[..., Any]) -> None:
    assert served(answers(), "shop") == []
