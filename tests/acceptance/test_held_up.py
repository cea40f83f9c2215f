"""A fault of the platform that holds an execution up is seen, and when it is gone the execution goes on."""

import json
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from tests.acceptance.conftest import Machine, clients, wait_for_execution

pytestmark = pytest.mark.acceptance

WAIT_S = 60
ROLE = "arn:aws:iam::000000000000:role/any"
BROKEN = b"{"


def swap(machine: Machine, data: bytes) -> bytes:
    """Write other bytes as the step of the execution, as a broken disk or a defect might; return those before."""
    with closing(sqlite3.connect(machine.home.database)) as store, store:
        ((before,),) = store.execute("SELECT data FROM step WHERE name = 'Ask'").fetchall()
        store.execute("UPDATE step SET data = ? WHERE name = 'Ask'", (data,))
    return bytes(before)


@pytest.mark.shows("towpath", "DescribeHeldUpWork", how="stores")
def test_an_execution_about_which_nothing_can_be_decided_says_so_until_it_can(machine: Machine) -> None:
    machine.up()
    aws = clients(machine)
    queue = aws["sqs"].create_queue(QueueName="desk")["QueueUrl"]
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {}, "OutputParameters": []}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [ask]})
    aws["sagemaker"].create_pipeline(PipelineName="desk", PipelineDefinition=definition, RoleArn=ROLE)
    arn = aws["sagemaker"].start_pipeline_execution(PipelineName="desk")["PipelineExecutionArn"]
    (message,) = aws["sqs"].receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert checked(machine) == [{"Name": "work", "State": "ok", "Detail": "nothing is held up"}]

    machine.towpath("down")
    sound = swap(machine, BROKEN)
    machine.up()
    aws = clients(machine)
    # The answer makes the execution due; nothing can be decided about it.
    aws["sagemaker"].send_pipeline_execution_step_success(CallbackToken=json.loads(message["Body"])["token"])
    shown = held_up(aws, arn)
    assert shown["PipelineExecutionStatus"] == "Executing"
    reason = shown["FailureReason"]
    assert reason.startswith("Held up by a fault of the platform, not of what was asked for: what comes next could not")
    assert "(DecodeError: " in reason and "What runs goes on. The next try is at" in reason
    (told,) = aws["towpath"].describe_held_up_work()["HeldUp"]
    assert (told["ResourceKind"], told["ResourceArn"]) == ("PipelineExecution", arn)
    assert told["Tries"] >= 3 and told["Since"] < told["NextTryAt"]
    name = arn.partition(":pipeline/")[2].replace("/execution/", "/")
    described = machine.json("describe", name)
    assert described["FailureReason"].startswith("Held up by a fault of the platform")
    (step,) = described["PipelineExecutionSteps"]
    assert (step["StepName"], step["StepStatus"]) == ("Ask", "Executing")
    assert step["FailureReason"].startswith("What is recorded of this step cannot be read (DecodeError: ")
    assert [each["ResourceArn"] for each in machine.json("ps")["HeldUp"]] == [arn]
    (check,) = checked(machine, code=1)
    assert check["State"] == "wrong" and check["Detail"].startswith(f"{arn}: Held up by a fault of the platform")

    machine.towpath("down")
    assert swap(machine, sound) == BROKEN
    machine.up()
    aws = clients(machine)
    assert wait_for_execution(aws["sagemaker"], arn)["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in aws["sagemaker"].describe_pipeline_execution(PipelineExecutionArn=arn)
    assert aws["towpath"].describe_held_up_work()["HeldUp"] == []


def checked(machine: Machine, code: int = 0) -> list[dict[str, str]]:
    """Return what `towpath doctor` says of the server's work."""
    found = json.loads(machine.towpath("doctor", "--json", code=code))["Checks"]
    return [check for check in found if check["Name"] == "work"]


def held_up(aws: dict[str, Any], arn: str) -> dict[str, str]:
    """Return an execution, described, once it tells why it does not go on."""
    sagemaker = aws["sagemaker"]
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        shown: dict[str, str] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if "FailureReason" in shown:
            return shown
    raise AssertionError(f"{arn} tells nothing")
