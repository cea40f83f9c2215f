"""How executions go: selected steps, steps that follow on failures, rounds; through boto3, with real jobs."""

import json
from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import IMAGE, ROLE, Aws

pytestmark = pytest.mark.slow


def job(name: str, script: str, *arguments: Any, outputs: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a Processing step that runs a script; `outputs` are folders by S3 URI."""
    resources = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    asked: dict[str, Any] = {
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": resources},
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", script]},
    }
    if arguments:
        asked["AppSpecification"]["ContainerArguments"] = list(arguments)
    if outputs:
        folder = "/opt/ml/processing/output"
        asked["ProcessingOutputConfig"] = {
            "Outputs": [
                {
                    "OutputName": output,
                    "S3Output": {"S3Uri": uri, "LocalPath": f"{folder}/{output}", "S3UploadMode": "EndOfJob"},
                }
                for output, uri in outputs.items()
            ]
        }
    return {"Name": name, "Type": "Processing", "Arguments": asked, **more}


def create(aws: Aws, name: str, *steps: Any, **members: Any) -> None:
    """Create a pipeline."""
    definition = json.dumps({"Version": "2020-12-01", "Steps": list(steps), **members})
    aws.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)


def run(aws: Aws, name: str, **members: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a pipeline to its end; return how the execution ended, and its steps in the order in which they began."""
    arn = aws.sagemaker.start_pipeline_execution(PipelineName=name, **members)["PipelineExecutionArn"]
    return wait_for_execution(aws.sagemaker, arn), steps_of(aws, arn)


def steps_of(aws: Aws, arn: str) -> list[dict[str, Any]]:
    """Return all steps of an execution in the order in which they began."""
    pages = aws.sagemaker.get_paginator("list_pipeline_execution_steps")
    listed = pages.paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
    return [step for page in listed for step in page["PipelineExecutionSteps"]]


def statuses(steps: list[dict[str, Any]]) -> dict[str, str]:
    return {step["StepName"]: step["StepStatus"] for step in steps}


OUT = "/opt/ml/processing/output/out"
WRITE = f"import pathlib, sys; pathlib.Path('{OUT}/n').write_text(sys.argv[1])"


@pytest.mark.shows("sagemaker", "StartPipelineExecution", how="executes")
def test_selected_steps_use_what_an_earlier_execution_made(aws: Aws) -> None:
    made = {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    use = job("Use", "import sys; assert sys.argv[1:] == ['s3://flow-selected/out', '7'], sys.argv", made, number())
    create(
        aws,
        "selected",
        job("Make", WRITE, number(), outputs={"out": "s3://flow-selected/out"}),
        use,
        job("After", "", DependsOn=["Use"]),
        Parameters=[{"Name": "Number", "Type": "Integer", "DefaultValue": 3}],
    )
    aws.s3.create_bucket(Bucket="flow-selected")
    given = [{"Name": "Number", "Value": "7"}]
    first, steps = run(aws, "selected", PipelineParameters=given)
    assert statuses(steps) == {"Make": "Succeeded", "Use": "Succeeded", "After": "Succeeded"}
    config = {"SourcePipelineExecutionArn": first["PipelineExecutionArn"], "SelectedSteps": [{"StepName": "Use"}]}
    second, again = run(aws, "selected", SelectiveExecutionConfig=config)
    assert second["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(again) == {"Make": "Succeeded", "Use": "Succeeded"}
    assert again[0]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first["PipelineExecutionArn"]}
    assert again[0]["Metadata"] == steps[0]["Metadata"], "its job is the one of the source"
    assert again[1]["Metadata"] != steps[1]["Metadata"]


def number() -> Any:
    return {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Number"}]}}


def test_a_failure_that_is_followed_up_completes_with_failures(aws: Aws) -> None:
    create(
        aws,
        "followed",
        job("Breaks", "raise SystemExit(3)"),
        job("Never", "", DependsOn=["Breaks"]),
        job("Report", "", DependsOn=[{"Step": "Breaks", "Trigger": "Failed"}]),
        job("Tidy", "", DependsOn=[{"Step": "Breaks", "Trigger": "Any"}]),
        job("IfStopped", "", DependsOn=[{"Step": "Breaks", "Trigger": "Stopped"}]),
    )
    ended, steps = run(aws, "followed")
    assert ended["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert statuses(steps) == {"Breaks": "Failed", "Report": "Succeeded", "Tidy": "Succeeded"}
