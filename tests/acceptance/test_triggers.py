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


def test_an_alarm_from_the_command_line_goes_off_after_a_restart(machine: Machine) -> None:
    machine.up()
    aws = clients(machine)
    definition = {"Version": "2020-12-01", "Steps": [LOOK]}
    aws["sagemaker"].create_pipeline(PipelineName="order", PipelineDefinition=json.dumps(definition), RoleArn=ROLE)
    of_shelf = ("--alarm", "Stock <= 3", "--namespace", "Shop", "--dimension", "Shelf=7", "--statistic", "Minimum")
    told = machine.towpath("triggers", "create", "stock", *of_shelf, "--period", "20", "--pipeline", "order")
    said, warned = told.splitlines()
    assert said.startswith("stock waits for Stock <= 3 of 7 (") and said.endswith(") and then starts order")
    assert warned == "Warning: no value of Stock has been put there (Shop) yet; stock does nothing until then."
    metric = {"MetricName": "Stock", "Dimensions": [{"Name": "Shelf", "Value": "7"}]}
    for value in (4.0, 2.0):
        aws["cloudwatch"].put_metric_data(Namespace="Shop", MetricData=[{**metric, "Value": value}])
    machine.towpath("down")
    machine.up()
    aws = clients(machine)
    while not any(each["status"] == "Delivered" for each in machine.json("triggers", "log", "stock")):
        pass
    log = machine.json("triggers", "log", "stock")
    (trigger,) = machine.json("triggers", "ls")
    assert (trigger["alarm"]["name"], trigger["alarm"]["threshold"]["value"]) == ("stock", 3.0)
    history = aws["cloudwatch"].describe_alarm_history(AlarmName="stock", HistoryItemType="StateUpdate")
    gone_off = [each for each in history["AlarmHistoryItems"] if each["HistorySummary"].endswith("to ALARM")]
    assert len(gone_off) == 1 and "[2.0 (" in gone_off[0]["HistoryData"]
    (description,) = started(machine, "order")
    assert description.startswith("Started by the rule stock: CloudWatch Alarm State Change of arn:aws:cloudwatch:")
    assert [each["status"] for each in log] == ["Delivered"]
    nowhere = ("--alarm", "ExecutionFailed > 0", "--of", "order/Train", "--pipeline", "order")
    assert "has no step 'Train'; it has Look" in machine.towpath("triggers", "create", "no", *nowhere, code=2)
    twice = ("--alarm", "ExecutionFailed", "--of", "order", "--pipeline", "order")
    assert "expected METRIC < NUMBER" in machine.towpath("triggers", "create", "no", *twice, code=2)
    machine.towpath("triggers", "rm", "stock")
    assert aws["cloudwatch"].describe_alarms()["MetricAlarms"] == []


@pytest.mark.shows("towpath", "DescribeTriggerTimes", "ListTriggerDeliveries", how="stores")
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
    assert told.splitlines() == [
        "data waits for new data in s3://lake/raw/ and then starts arrivals",
        "Warning: there is no bucket 'lake' yet; data does nothing until then.",
    ]
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
    while not (log := machine.json("triggers", "log", "soon")) or log[0]["status"] == "Pending":
        pass
    assert [each["status"] for each in log] == ["Delivered"]
    assert [each["is_over"] for each in machine.json("triggers", "ls")] == [False, True]
    assert "never again" in machine.towpath("triggers", "ls")
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
    told = machine.towpath("triggers", "rm", "nothing", code=1)
    assert "there is no trigger 'nothing'; known: data, gate, soon" in told
    machine.towpath("triggers", "enable", "data")
    machine.towpath("triggers", "rm", "data")
    machine.towpath("triggers", "rm", "gate")


def test_a_trigger_writes_a_log_that_the_command_line_shows(machine: Machine) -> None:
    machine.up()
    aws = clients(machine)
    told = machine.towpath("triggers", "create", "watch", "--pattern", '{"source": ["cellar"]}', "--log", "wine")
    assert told == 'watch waits for {"source": ["cellar"]} and then writes to the log wine\n'
    assert machine.towpath("triggers", "lines", "wine") == "Nothing has been written to the log wine.\n"
    assert machine.towpath("triggers", "lines") == "wine\n"
    assert "no trigger writes to a log 'vine'; known logs: wine" in machine.towpath("triggers", "lines", "vine", code=1)
    entry = {"Source": "cellar", "DetailType": "Bottled", "Detail": '{"litres": 75}'}
    aws["events"].put_events(Entries=[entry])
    while not (lines := machine.json("triggers", "lines", "wine")):
        pass
    (line,) = lines
    assert json.loads(line["text"])["detail"] == {"litres": 75}
    assert '"detail": {"litres": 75}' in machine.towpath("triggers", "lines", "wine")
    assert "a line in /aws/events/wine" in machine.towpath("triggers", "log", "watch")
    assert "give one of pipeline, webhook, function and log" in machine.towpath(
        "triggers", "create", "two", "--schedule", "rate(1 day)", "--log", "wine", "--function", "f", code=2
    )
