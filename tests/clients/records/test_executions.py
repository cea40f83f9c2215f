"""Pipeline executions that are stopped, retried and renamed, through unmodified boto3."""

import json
from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import IMAGE, ROLE, Aws

pytestmark = pytest.mark.slow


def definition() -> str:
    """Return a pipeline whose only job runs until it is stopped."""
    arguments = {
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", "import signal; signal.pause()"],
            "ContainerArguments": [{"Get": "Parameters.Word"}],
        },
    }
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [
                {"Name": "Word", "Type": "String", "DefaultValue": "go"},
                {"Name": "Count", "Type": "Integer", "DefaultValue": 3},
            ],
            "Steps": [{"Name": "Wait", "Type": "Processing", "Arguments": arguments}],
        }
    )


def running_job(aws: Aws, execution: str, after: str = "") -> str:
    """Return the name of the job of an execution's step once the step has begun.

    Args:
        after: the job of the attempt before.
    """
    while True:
        steps = aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
        if steps and "ProcessingJob" in steps[0]["Metadata"]:
            job: str = steps[0]["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
            if job != after:
                return job


@pytest.mark.shows("sagemaker", "StopPipelineExecution", "RetryPipelineExecution", how="executes")
@pytest.mark.shows(
    "sagemaker", "UpdatePipelineExecution", "DescribePipelineExecution", "ListPipelineParametersForExecution"
)
def test_an_execution_is_renamed_stopped_and_tried_again(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    sagemaker.create_pipeline(PipelineName="waits", PipelineDefinition=definition(), RoleArn=ROLE)
    given: Any = [{"Name": "Word", "Value": "stop"}]
    execution = sagemaker.start_pipeline_execution(PipelineName="waits", PipelineParameters=given)[
        "PipelineExecutionArn"
    ]
    parameters = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution, MaxResults=1)
    assert parameters["PipelineParameters"] == [{"Name": "Word", "Value": "stop"}]
    rest = sagemaker.list_pipeline_parameters_for_execution(
        PipelineExecutionArn=execution, NextToken=parameters["NextToken"]
    )
    assert rest["PipelineParameters"] == [{"Name": "Count", "Value": "3"}]

    sagemaker.update_pipeline_execution(
        PipelineExecutionArn=execution,
        PipelineExecutionDisplayName="patient",
        PipelineExecutionDescription="waits for ever",
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
    )
    shown = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert shown["PipelineExecutionDisplayName"] == "patient"
    assert shown["PipelineExecutionDescription"] == "waits for ever"
    assert shown["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}

    def stopped_job() -> str:
        """Stop the execution while its job runs, and return the job's name once both have stopped."""
        job = running_job(aws, execution)
        assert sagemaker.describe_processing_job(ProcessingJobName=job)["ProcessingJobStatus"] == "InProgress"
        sagemaker.stop_pipeline_execution(PipelineExecutionArn=execution)
        assert wait_for_execution(sagemaker, execution)["PipelineExecutionStatus"] == "Stopped"
        assert sagemaker.describe_processing_job(ProcessingJobName=job)["ProcessingJobStatus"] == "Stopped"
        return job

    first = stopped_job()
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=execution)
    assert running_job(aws, execution, after=first) != first
    assert stopped_job() != first
