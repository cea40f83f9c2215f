"""Rules and schedules through boto3: what happens starts pipelines and calls webhooks, once each."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from tests.clients.records.conftest import ROLE, Aws
from tests.clients.records.test_functions import zipped

from towpath import Client, RequestFailed
from towpath.sdk import NotFound
from towpath.sdk.alarms import threshold
from towpath.sdk.triggers import TriggerDelivery

WAIT_S = 120  #: for something that is on its way


class Webhook:
    """A server on loopback that keeps what it is sent and answers as it is told to."""

    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], str]] = queue.Queue()
        self.answers: list[int] = []
        self.let_go = threading.Event()  #: cleared: it answers nothing
        self.let_go.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                hook.let_go.wait(WAIT_S)
                status = hook.answers.pop(0) if hook.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                hook.got.put(({name.lower(): value for name, value in self.headers.items()}, body))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?from=towpath"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def pipeline(aws: Aws) -> str:
    """Return the ARN of a pipeline with a parameter, whose executions need no job."""
    always = {"Type": "Equals", "LeftValue": 1, "RightValue": 1}
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "What", "Type": "String", "DefaultValue": "nothing"}],
        "Steps": [
            {"Name": "Look", "Type": "Condition", "Arguments": {"Conditions": [always], "IfSteps": [], "ElseSteps": []}}
        ],
    }
    made = aws.sagemaker.create_pipeline(
        PipelineName=f"triggered-{uuid4().hex[:8]}",
        PipelineDefinition=json.dumps(definition),
        RoleArn="arn:aws:iam::000000000000:role/any",
    )
    arn: str = made["PipelineArn"]
    return arn


def put(aws: Aws, name: str, pattern: dict[str, Any], *targets: dict[str, Any]) -> Any:
    """Make a rule with targets, and return the client."""
    events = aws.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    answer = events.put_targets(Rule=name, Targets=[{"Id": str(number), **each} for number, each in enumerate(targets)])
    assert answer["FailedEntries"] == []
    return events


def started_by(aws: Aws, pipeline: str, webhook: Webhook, count: int) -> list[dict[str, Any]]:
    """Return the executions of a pipeline, described, once the webhook has got as many messages: it gets them after."""
    for _ in range(count):
        webhook.got.get(timeout=WAIT_S)
    listed = aws.sagemaker.list_pipeline_executions(PipelineName=pipeline.rpartition("/")[2], SortOrder="Ascending")
    return [
        aws.sagemaker.describe_pipeline_execution(PipelineExecutionArn=each["PipelineExecutionArn"])
        for each in listed["PipelineExecutionSummaries"]
    ]


def parameters(aws: Aws, execution: dict[str, Any]) -> dict[str, str]:
    arn = execution["PipelineExecutionArn"]
    found = aws.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    return {each["Name"]: each["Value"] for each in found}


def ended_rule(webhook: Webhook, pipeline: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a pattern and a target by which a webhook hears that an execution of a pipeline has ended."""
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
        "detail": {"pipelineArn": [pipeline], "currentPipelineExecutionStatus": ["Succeeded"]},
    }
    return pattern, {"Arn": webhook.url}


@pytest.mark.shows("events", "PutRule", "PutTargets", how="executes")
def test_new_data_starts_a_pipeline_with_what_the_event_says(aws: Aws, pipeline: str, webhook: Webhook) -> None:
    put(aws, "tell", *ended_rule(webhook, pipeline))
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["arrivals"]}, "object": {"key": [{"prefix": "raw/"}]}},
    }
    given = {"PipelineParameterList": [{"Name": "What", "Value": "$.detail.object.key"}]}
    events = put(aws, "new-data", pattern, {"Arn": pipeline, "SageMakerPipelineParameters": given})
    aws.s3.create_bucket(Bucket="arrivals")
    aws.s3.put_object(Bucket="arrivals", Key="other/no.csv", Body=b"1")
    aws.s3.put_object(Bucket="arrivals", Key="raw/yes.csv", Body=b"1")
    (execution,) = started_by(aws, pipeline, webhook, 1)
    assert parameters(aws, execution) == {"What": "raw/yes.csv"}
    assert execution["PipelineExecutionDescription"] == (
        "Started by the rule new-data: Object Created of s3://arrivals/raw/yes.csv"
    )
    assert execution["CreatedBy"]["UserProfileName"] == "admin"
    events.disable_rule(Name="new-data")
    aws.s3.put_object(Bucket="arrivals", Key="raw/later.csv", Body=b"1")
    events.enable_rule(Name="new-data")
    aws.s3.put_object(Bucket="arrivals", Key="raw/last.csv", Body=b"1")
    both = started_by(aws, pipeline, webhook, 1)
    assert [parameters(aws, each)["What"] for each in both] == ["raw/yes.csv", "raw/last.csv"]


@pytest.mark.shows("events", "EnableRule", "DisableRule", "RemoveTargets", "DeleteRule", how="executes")
def test_approving_a_version_starts_once_and_rejecting_never(aws: Aws, pipeline: str, webhook: Webhook) -> None:
    group = f"gate-{uuid4().hex[:8]}"
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    aws.s3.create_bucket(Bucket=group)
    aws.s3.put_object(Bucket=group, Key="model.tar.gz", Body=b"none")
    container = {"Image": "towpath", "ModelDataUrl": f"s3://{group}/model.tar.gz"}
    inference = {"Containers": [container], "SupportedContentTypes": ["a/b"], "SupportedResponseMIMETypes": ["a/b"]}
    arns = [
        aws.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=inference)[
            "ModelPackageArn"
        ]
        for _ in range(2)
    ]
    put(aws, "tell-gate", *ended_rule(webhook, pipeline))
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    given = {"PipelineParameterList": [{"Name": "What", "Value": "$.detail.ModelPackageArn"}]}
    events = put(aws, "gate", pattern, {"Arn": pipeline, "SageMakerPipelineParameters": given})
    for arn, status in ((arns[0], "Rejected"), (arns[1], "Approved"), (arns[1], "Approved")):
        aws.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
    events.disable_rule(Name="gate")
    aws.sagemaker.update_model_package(ModelPackageArn=arns[0], ModelApprovalStatus="Approved")
    events.enable_rule(Name="gate")
    (execution,) = started_by(aws, pipeline, webhook, 1)
    assert parameters(aws, execution) == {"What": arns[1]}
    with pytest.raises(ClientError, match="has targets"):
        events.delete_rule(Name="gate")
    assert events.remove_targets(Rule="gate", Ids=["0"])["FailedEntryCount"] == 0
    aws.sagemaker.update_model_package(ModelPackageArn=arns[0], ModelApprovalStatus="Rejected")
    aws.sagemaker.update_model_package(ModelPackageArn=arns[0], ModelApprovalStatus="Approved")
    events.delete_rule(Name="gate")
    with pytest.raises(ClientError, match="Rule gate does not exist"):
        events.describe_rule(Name="gate")
    assert webhook.got.empty()


@pytest.mark.shows("events", "PutEvents", how="executes")
def test_an_event_of_ones_own_reaches_a_webhook_as_it_was_asked_for(aws: Aws, webhook: Webhook) -> None:
    pattern = {"source": ["shop.reviews"], "detail": {"stars": [{"numeric": ["<", 3]}]}}
    transformer = {
        "InputPathsMap": {"stars": "$.detail.stars", "text": "$.detail.text"},
        "InputTemplate": '{"case": "<stars> stars: <text>", "stars": <stars>, "rule": "<aws.events.rule-name>"}',
    }
    headers = {"HeaderParameters": {"Authorization": "Bearer none"}}
    put(
        aws,
        "support",
        pattern,
        {"Arn": webhook.url, "InputTransformer": transformer, "HttpParameters": headers},
        {"Arn": webhook.url, "InputPath": "$.detail.text"},
    )
    events = aws.client("events")
    entry = {"Source": "shop.reviews", "DetailType": "Review", "Detail": json.dumps({"stars": 1, "text": 'so "bad"'})}
    good = {**entry, "Detail": json.dumps({"stars": 5, "text": "fine"})}
    webhook.answers = [503]  # the first message, whichever it is, comes again
    answer = events.put_events(Entries=[good, entry, {**entry, "Detail": "no JSON"}, {**entry, "Source": "aws.s3"}])
    assert answer["FailedEntryCount"] == 2
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [
        None,
        None,
        "MalformedDetail",
        "NotAuthorizedForSource",
    ]
    got = [webhook.got.get(timeout=WAIT_S) for _ in range(3)]
    bodies = {body for _, body in got}
    assert bodies == {
        json.dumps({"case": '1 stars: so "bad"', "stars": 1, "rule": "support"}),
        json.dumps('so "bad"'),
    }
    by_delivery = {headers["x-towpath-delivery"] for headers, _ in got}
    assert len(by_delivery) == 2, "what comes twice has one id"
    assert {headers.get("authorization") for headers, _ in got} == {"Bearer none", None}


@pytest.mark.shows("scheduler", "CreateSchedule", "GetSchedule", "DeleteSchedule", how="executes")
def test_a_schedule_starts_a_pipeline_at_its_time_and_goes(aws: Aws, pipeline: str, webhook: Webhook) -> None:
    put(aws, "tell-time", *ended_rule(webhook, pipeline))
    scheduler = aws.client("scheduler")
    soon = datetime.now(UTC) + timedelta(seconds=3)
    target = {
        "Arn": pipeline,
        "RoleArn": "arn:aws:iam::000000000000:role/any",
        "SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "What", "Value": "tea"}]},
    }
    asked = {"Target": target, "FlexibleTimeWindow": {"Mode": "OFF"}}
    made = scheduler.create_schedule(
        Name="once", ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})", ActionAfterCompletion="DELETE", **asked
    )
    assert made["ScheduleArn"].endswith(":schedule/default/once")
    scheduler.create_schedule(Name="daily", ScheduleExpression="rate(1 day)", **asked)
    (execution,) = started_by(aws, pipeline, webhook, 1)
    assert parameters(aws, execution) == {"What": "tea"}
    assert execution["PipelineExecutionDescription"].startswith("Started by the schedule once: Scheduled Event")
    with pytest.raises(ClientError, match="Schedule once does not exist"):
        scheduler.get_schedule(Name="once")
    triggers = Client(aws.url, home=aws.home.path).triggers
    (told,) = triggers.deliveries("once")
    assert (told.status, told.result) == ("Delivered", execution["PipelineExecutionArn"]), "told also when it is gone"
    assert [each["Name"] for each in scheduler.list_schedules()["Schedules"]] == ["daily"]
    triggers.disable("daily")
    assert scheduler.get_schedule(Name="daily")["State"] == "DISABLED"
    triggers.enable("daily")
    shown = scheduler.get_schedule(Name="daily")
    assert (shown["State"], shown["ScheduleExpression"], shown["Target"]) == ("ENABLED", "rate(1 day)", target)
    triggers.rm("daily")
    assert scheduler.list_schedules()["Schedules"] == []
    with pytest.raises(NotFound, match="there is no trigger 'daily'"):
        triggers.disable("daily")


@pytest.mark.shows(
    "scheduler", "UpdateSchedule", "ListSchedules", "GetScheduleGroup", "ListScheduleGroups", how="stores"
)
def test_schedules_are_changed_listed_and_refused(aws: Aws, pipeline: str) -> None:
    scheduler = aws.client("scheduler")
    target = {"Arn": pipeline, "RoleArn": "arn:aws:iam::000000000000:role/any"}
    asked = {"Target": target, "FlexibleTimeWindow": {"Mode": "OFF"}}
    token = uuid4().hex
    for _ in range(2):
        scheduler.create_schedule(Name="weekly", ScheduleExpression="cron(0 8 ? * MON *)", ClientToken=token, **asked)
    with pytest.raises(ClientError, match="Schedule weekly already exists"):
        scheduler.create_schedule(Name="weekly", ScheduleExpression="rate(1 day)", **asked)
    scheduler.update_schedule(Name="weekly", ScheduleExpression="rate(7 days)", State="DISABLED", **asked)
    assert scheduler.get_schedule(Name="weekly")["ScheduleExpression"] == "rate(7 days)"
    assert [each["Name"] for each in scheduler.list_schedules(State="DISABLED", NamePrefix="we")["Schedules"]] == [
        "weekly"
    ]
    assert scheduler.list_schedules(State="ENABLED")["Schedules"] == []
    assert scheduler.get_schedule_group(Name="default")["State"] == "ACTIVE"
    assert [each["Name"] for each in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default"]
    for wrong, told in (
        ({"ScheduleExpression": "cron(0 8 * * MON *)"}, "exclude each other"),
        ({"ScheduleExpression": "at(2001-01-01T00:00:00)"}, "is in the past"),
        ({"ScheduleExpression": "rate(1 day)", "ScheduleExpressionTimezone": "Mars"}, "no time zone"),
        ({"ScheduleExpression": "rate(1 day)", "Target": {**target, "Arn": "arn:aws:sns:us-east-1:1:t"}}, "webhook"),
        ({"ScheduleExpression": "rate(1 day)", "Target": {**target, "Arn": "arn:aws:sqs:us-east-1:1:q"}}, "elsewhere"),
        ({"ScheduleExpression": "rate(1 day)", "GroupName": "other"}, "Schedule group other does not exist"),
    ):
        kinds = scheduler.exceptions
        kind = kinds.ResourceNotFoundException if "GroupName" in wrong else kinds.ValidationException
        with pytest.raises(kind, match=told):
            scheduler.create_schedule(**{"Name": "wrong", **asked, **wrong})
    scheduler.delete_schedule(Name="weekly")


@pytest.mark.shows(
    "events", "DescribeRule", "ListRules", "ListTargetsByRule", "ListRuleNamesByTarget", "TestEventPattern",
    "DescribeEventBus", "ListEventBuses", "TagResource", "UntagResource", "ListTagsForResource", how="stores",
)  # fmt: skip
def test_rules_are_shown_tagged_and_refused(aws: Aws, pipeline: str) -> None:
    events = aws.client("events")
    arn = events.put_rule(Name="nightly", ScheduleExpression="cron(0 3 * * ? *)", Description="retrain")["RuleArn"]
    shown = events.describe_rule(Name="nightly")
    assert (shown["ScheduleExpression"], shown["State"], shown["Description"]) == (
        "cron(0 3 * * ? *)",
        "ENABLED",
        "retrain",
    )
    events.put_targets(Rule="nightly", Targets=[{"Id": "p", "Arn": pipeline}])
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    assert "Description" not in events.describe_rule(Name="nightly"), "what is left out is gone"
    assert events.list_targets_by_rule(Rule="nightly")["Targets"] == [{"Id": "p", "Arn": pipeline}], "targets stay"
    assert [each["Name"] for each in events.list_rules(NamePrefix="night")["Rules"]] == ["nightly"]
    assert events.list_rule_names_by_target(TargetArn=pipeline)["RuleNames"] == ["nightly"]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": "b"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["cost"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    bus = events.describe_event_bus()
    assert events.list_event_buses()["EventBuses"] == [{"Name": "default", "Arn": bus["Arn"]}]
    event = {"id": "1", "account": "1", "source": "a", "time": "t", "region": "r", "resources": [], "detail-type": "d"}
    test = {"EventPattern": '{"source": ["a"]}', "Event": json.dumps(event)}
    assert events.test_event_pattern(**test)["Result"]
    assert not events.test_event_pattern(**{**test, "EventPattern": '{"source": ["b"]}'})["Result"]

    failed = events.put_targets(
        Rule="nightly",
        Targets=[
            {"Id": "topic", "Arn": "arn:aws:sns:us-east-1:000000000000:t"},
            {"Id": "input", "Arn": pipeline, "Input": "{}"},
            {"Id": "path", "Arn": "https://example.org/", "InputPath": "detail"},
            {"Id": "secret", "Arn": "https://user:word@example.org/"},
            {"Id": "far", "Arn": pipeline.replace("us-east-1", "eu-west-1")},
        ],
    )
    assert {each["TargetId"] for each in failed["FailedEntries"]} == {"topic", "input", "path", "secret", "far"}
    for call, wrong, told in (
        (events.put_rule, {"Name": "x"}, "EventPattern or ScheduleExpression"),
        (events.put_rule, {"Name": "x", "EventPattern": '{"source": "a"}'}, "expected a list"),
        (events.put_rule, {"Name": "x", "ScheduleExpression": "at(2030-01-01T00:00:00)"}, "is not valid"),
        (
            events.put_rule,
            {"Name": "x", "ScheduleExpression": "rate(1 day)", "EventBusName": "b"},
            "Event bus b does not",
        ),
        (events.put_targets, {"Rule": "none", "Targets": [{"Id": "p", "Arn": pipeline}]}, "Rule none does not exist"),
    ):
        with pytest.raises(ClientError, match=told):
            call(**wrong)
    events.remove_targets(Rule="nightly", Ids=["p"])
    events.delete_rule(Name="nightly")


def test_a_webhook_that_does_not_answer_holds_up_nothing_else(aws: Aws, webhook: Webhook, pipeline: str) -> None:
    slow = Webhook()
    slow.let_go.clear()
    try:
        events = put(aws, "to-slow", {"source": ["tests.slow"]}, {"Arn": slow.url})
        entry = {"DetailType": "Asked", "Detail": "{}"}
        events.put_events(Entries=[{**entry, "Source": "tests.slow"}] * 10)
        for _ in range(3):
            events.put_events(Entries=[{**entry, "Source": "tests.slow"}] * 10)
        put(aws, "to-pipeline", {"source": ["tests.other"]}, {"Arn": pipeline, "RoleArn": ROLE})
        put(aws, "to-other", *ended_rule(webhook, pipeline))
        events.put_events(Entries=[{**entry, "Source": "tests.other"}])
        webhook.got.get(timeout=WAIT_S)
        assert slow.got.empty(), "it has answered nothing yet, nor was given up"
        with Client(aws.url, home=aws.home.path) as client:
            shown = [(each.status, each.event, each.target) for each in client.triggers.deliveries("to-slow")]
        assert shown == [("Pending", "Asked", slow.url)] * 40
        for rule in ("to-slow", "to-pipeline", "to-other"):
            events.remove_targets(Rule=rule, Ids=["0"])
            events.delete_rule(Name=rule)
    finally:
        slow.close()


@pytest.fixture
def keeper(aws: Aws) -> Iterator[tuple[str, str]]:
    """Return the ARN of a function that prints what it is called with, and its name."""
    functions = aws.client("lambda")
    name = f"keeper-{uuid4().hex[:8]}"
    code = "import json\n\ndef handler(event, context):\n    print('kept', json.dumps(event, sort_keys=True))\n"
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="work.handler",
        Code={"ZipFile": zipped(work=code)},
    )
    yield made["FunctionArn"], name
    functions.delete_function(FunctionName=name)


def kept_by(aws: Aws, function: str) -> list[Any]:
    """Return what a function was called with, once it was."""
    logs = aws.client("logs")
    give_up_at = time.monotonic() + WAIT_S
    found: list[dict[str, Any]] = []
    while not found:
        assert time.monotonic() < give_up_at, "it was not called"
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="kept")["events"]
        except logs.exceptions.ResourceNotFoundException:
            continue
    return [json.loads(event["message"].removeprefix("kept ")) for event in found]


def test_an_event_calls_a_function_with_what_the_target_says(aws: Aws, keeper: tuple[str, str]) -> None:
    arn, function = keeper
    name = f"calls-{uuid4().hex[:8]}"
    events = put(aws, name, {"source": ["shop"], "detail": {"mark": [name]}}, {"Arn": arn, "InputPath": "$.detail"})
    events.put_events(Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": json.dumps({"mark": name, "n": 1})}])
    assert kept_by(aws, function) == [{"mark": name, "n": 1}]


def test_a_schedule_calls_a_function(aws: Aws, keeper: tuple[str, str]) -> None:
    arn, function = keeper
    at = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S")
    aws.client("scheduler").create_schedule(
        Name=f"calls-{uuid4().hex[:8]}",
        ScheduleExpression=f"at({at})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": "arn:aws:iam::000000000000:role/any", "Input": '{"at": "night"}'},
        ActionAfterCompletion="DELETE",
    )
    assert kept_by(aws, function) == [{"at": "night"}]


def test_a_function_that_is_gone_is_told_of_in_the_log_of_the_rule(aws: Aws, keeper: tuple[str, str]) -> None:
    arn, _ = keeper
    name = f"calls-{uuid4().hex[:8]}"
    events = put(aws, name, {"source": ["shop"], "detail": {"mark": [name]}}, {"Arn": arn.replace("keeper", "nobody")})
    events.put_events(Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": json.dumps({"mark": name})}])
    keys = aws.home.credentials()
    assert keys is not None
    client = Client(aws.url, token=keys.token)
    give_up_at = time.monotonic() + WAIT_S
    while not (found := [each for each in client.triggers.deliveries(name) if each.status != "Pending"]):
        assert time.monotonic() < give_up_at, "nothing came of it"
    assert found[0].status == "Failed"
    assert found[0].result.startswith("Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody")


@pytest.mark.shows("logs", "CreateLogGroup", "DeleteLogGroup", how="stores")
def test_a_rule_writes_events_to_a_log_that_is_read_like_any_other(aws: Aws) -> None:
    logs, group = aws.client("logs"), "/aws/events/sales"
    logs.create_log_group(logGroupName=group)
    with pytest.raises(ClientError, match="already exists") as twice:
        logs.create_log_group(logGroupName=group)
    assert twice.value.response["Error"]["Code"] == "ResourceAlreadyExistsException"
    (listed,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    template = {
        "InputPathsMap": {"at": "$.time", "item": "$.detail.item"},
        "InputTemplate": '{"timestamp": <at>, "message": "sold: <item>"}',
    }
    events = put(aws, "ledger", {"source": ["shop.till"]}, {"Arn": listed["logGroupArn"]})
    before = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    entry = {"Source": "shop.till", "DetailType": "Sold", "Time": before}
    sold = [{**entry, "Detail": json.dumps({"item": item, "number": number})} for number, item in enumerate("abcde")]
    assert events.put_events(Entries=sold)["FailedEntryCount"] == 0
    read = events_in(logs, group, 5)
    assert {json.loads(each["message"])["detail"]["item"] for each in read} == set("abcde")
    whole = json.loads(read[0]["message"])
    assert (whole["source"], whole["detail-type"], whole["time"]) == ("shop.till", "Sold", f"{before:%FT%TZ}")
    assert len({each["eventId"] for each in read}) == 5

    # Forwards and backwards, a page at a time, each line comes once, and a token at the end stays what it is.
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    of_stream = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
    assert paged(logs, "nextForwardToken", startFromHead=True, **of_stream) == [each["message"] for each in read]
    backward = paged(logs, "nextBackwardToken", startFromHead=False, **of_stream)
    assert backward == [read[place]["message"] for place in (3, 4, 1, 2, 0)], "pages of two, the last one first"
    assert stream["lastEventTimestamp"] == read[-1]["timestamp"]
    (third,) = logs.filter_log_events(logGroupName=group, filterPattern="2}}", limit=1)["events"]
    assert json.loads(third["message"])["detail"]["item"] == "c"

    # An input template says time and text of a line.
    target = {"Id": "0", "Arn": f"{listed['arn']}", "InputTransformer": template}
    assert events.put_targets(Rule="ledger", Targets=[target])["FailedEntries"] == []
    events.put_events(Entries=sold[:1])
    assert events_in(logs, group, 6)[-1]["message"] == "sold: a"
    told = int(before.timestamp() * 1000)
    (dated,) = logs.filter_log_events(logGroupName=group, startTime=told, endTime=told + 1)["events"]
    assert (dated["timestamp"], dated["message"]) == (told, "sold: a")

    logs.delete_log_group(logGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        logs.filter_log_events(logGroupName=group)
    events.put_events(Entries=sold[:1])
    outcome = failed_delivery(aws, "ledger")
    assert outcome.result == "The specified log group does not exist: '/aws/events/sales'; CreateLogGroup makes it."
    logs.create_log_group(logGroupName=group)
    assert logs.filter_log_events(logGroupName=group)["events"] == [], "what was written before went with the group"
    events.disable_rule(Name="ledger")


def test_only_groups_of_events_are_made_and_are_targets(aws: Aws) -> None:
    logs = aws.client("logs")
    for name in ("/aws/sagemaker/TrainingJobs", "/mine", "/aws/events/"):
        with pytest.raises(ClientError, match="expected /aws/events/NAME"):
            logs.create_log_group(logGroupName=name)
    events = aws.client("events")
    events.put_rule(Name="astray", EventPattern='{"source": ["shop.none"]}')
    for arn, told in (
        ("arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f", "expected its name to be /aws/events/NAME"),
        ("arn:aws:logs:eu-west-1:000000000000:log-group:/aws/events/f", "a log group elsewhere"),
    ):
        (refused,) = events.put_targets(Rule="astray", Targets=[{"Id": "0", "Arn": arn}])["FailedEntries"]
        assert told in refused["ErrorMessage"]


def stands(aws: Aws) -> list[Any]:
    """Return what there is of triggers: rules, their targets, alarms and log groups."""
    rules = aws.client("events").list_rules()["Rules"]
    targets = [aws.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"] for rule in rules]
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    kept = [{name: value for name, value in each.items() if "Timestamp" not in name} for each in alarms]
    return [rules, targets, kept, aws.client("logs").describe_log_groups()["logGroups"]]


def test_a_trigger_that_is_refused_halfway_leaves_all_as_it_was(aws: Aws) -> None:
    triggers = Client(aws.url, home=aws.home.path).triggers
    low, empty = (threshold(condition, namespace="Shop") for condition in ("Stock < 3", "Stock < 1"))
    before = stands(aws)
    refused: list[Any] = [{"log": "no/such name"}, {"webhook": "http://"}]
    for target in refused:
        with pytest.raises(RequestFailed):
            triggers.create("halfway", alarm=low, **target)
        assert stands(aws) == before
    triggers.create("halfway", alarm=low, webhook="http://127.0.0.1:1/")
    rules, _, alarms, _ = stands(aws)
    rule = next(each for each in rules if each["Name"] == "halfway")
    kept = next(each for each in alarms if each["AlarmName"] == "halfway")
    described = {"Name": "halfway", "EventPattern": rule["EventPattern"], "Description": "Ours", "State": "DISABLED"}
    aws.client("events").put_rule(**described)
    watched = {name: value for name, value in kept.items() if name != "AlarmArn" and "State" not in name}
    more: Any = {"AlarmDescription": "Low", "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "ActionsEnabled": False}
    aws.client("cloudwatch").put_metric_alarm(**watched | more)
    before = stands(aws)
    waits: list[Any] = [{"alarm": empty}, {"schedule": "rate(1 day)"}]
    for target in refused:
        for awaited in waits:
            with pytest.raises(RequestFailed):
                triggers.create("halfway", **awaited, **target)
            assert stands(aws) == before
    triggers.rm("halfway")


def events_in(logs: Any, group: str, count: int) -> list[dict[str, Any]]:
    """Return the events of a group once there are so many."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found: list[dict[str, Any]] = logs.filter_log_events(logGroupName=group)["events"]
        if len(found) >= count:
            return found
    raise AssertionError(f"{group} has {len(found)} events")


def paged(logs: Any, token: str, **asked: Any) -> list[str]:
    """Return the messages of a stream, read two at a time until the token stays the same."""
    found: list[str] = []
    given: dict[str, str] = {}
    while True:
        page = logs.get_log_events(limit=2, **asked, **given)
        found += [event["message"] for event in page["events"]]
        if page[token] == given.get("nextToken"):
            return found
        given = {"nextToken": page[token]}


def failed_delivery(aws: Aws, rule: str) -> TriggerDelivery:
    """Return the first delivery of a rule that has failed, once there is one."""
    client = Client(aws.url, home=aws.home.path)
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        failed = [each for each in client.triggers.deliveries(rule) if each.status == "Failed"]
        if failed:
            return failed[-1]
    raise AssertionError(f"nothing of {rule} has failed")
