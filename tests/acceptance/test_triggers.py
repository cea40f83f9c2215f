"""A user's story: new data and times start pipelines, by the command line; a server that was away catches up."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.acceptance.conftest import Machine, clients, wait_for_execution

pytestmark = pytest.mark.acceptance

LOOK = {"Name": "Look", "Type": "Condition", "Arguments": {
    "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], "IfSteps": [], "ElseSteps": []}}  # fmt: skip
ROLE = "arn:aws:iam::000000000000:role/any"


def started(machine: Machine, pipeline: str) -> list[str]:
    """Return the descriptions of a pipeline's executions, oldest first."""
    sagemaker = clients(machine)["sagemaker"]
    listed = sagemaker.list_pipeline_executions(PipelineName=pipeline, SortOrder="Ascending")
    arns = [each["PipelineExecutionArn"] for each in listed["PipelineExecutionSummaries"]]
    return [wait_for_execution(sagemaker, arn)["PipelineExecutionDescription"] for arn in arns]


@pytest.mark.shows("towpath", "ListTriggerDeliveries", how="stores")
def test_triggers_from_the_command_line(machine: Machine) -> None:
    machine.up()
    aws = clients(machine)
    definition = {"Version": "2020-12-01", "Parameters": [{"Name": "Key", "Type": "String"}], "Steps": [LOOK]}
    aws["sagemaker"].create_pipeline(PipelineName="arrivals", PipelineDefinition=json.dumps(definition), RoleArn=ROLE)
    told = machine.towpath(
        "triggers",
        "create",
        "data",
        "--new-data",
        "s3://lake/raw/",
        "--pipeline",
        "arrivals",
        "-p",
        "Key=$.detail.object.key",
    )
    assert told == "data waits for new data in s3://lake/raw/ and then starts arrivals\n"
    aws["s3"].create_bucket(Bucket="lake")
    aws["s3"].put_object(Bucket="lake", Key="raw/1.csv", Body=b"1")
    machine.towpath("triggers", "disable", "data")
    aws["s3"].put_object(Bucket="lake", Key="raw/2.csv", Body=b"1")
    assert machine.json("triggers", "ls")[0]["enabled"] is False

    # A server that was down when a schedule was due starts what was missed.
    soon = datetime.now(UTC) + timedelta(seconds=2)
    target = {
        "Arn": aws["sagemaker"].describe_pipeline(PipelineName="arrivals")["PipelineArn"],
        "RoleArn": ROLE,
        "SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "Key", "Value": "by time"}]},
    }
    aws["scheduler"].create_schedule(
        Name="soon",
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )
    machine.towpath("down")
    machine.up()
    aws = clients(machine)
    while len(log := machine.json("triggers", "log", "soon")) < 1:
        pass
    assert [each["delivered"] for each in log] == [True]
    assert started(machine, "arrivals") == [
        "Started by the rule data: Object Created of s3://lake/raw/1.csv",
        "Started by the schedule soon: Scheduled Event of "
        "arn:aws:scheduler:us-east-1:000000000000:schedule/default/soon",
    ]
    assert "approved versions of reviews" in machine.towpath(
        "triggers", "create", "gate", "--approved", "reviews", "--webhook", "http://127.0.0.1:9/none"
    )
    shown = machine.towpath("triggers", "ls")
    assert "calls http://127.0.0.1:9/none" in shown
    assert "disabled" in shown
    assert "give one of --new-data, --approved, --pattern, --schedule" in machine.towpath(
        "triggers", "create", "none", "--pipeline", "arrivals", code=2
    )
    assert "no member" not in machine.towpath(
        "triggers", "create", "bad", "--pattern", "{", "--pipeline", "arrivals", code=2
    )
    assert "does not exist" in machine.towpath("triggers", "rm", "nothing", code=1)
    machine.towpath("triggers", "enable", "data")
    machine.towpath("triggers", "rm", "data")
    machine.towpath("triggers", "rm", "gate")
