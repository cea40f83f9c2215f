"""What `towpath triggers create` refuses or warns of, and how `triggers lines` shows a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from towpath.cli import triggers
from towpath.cli.console import when
from towpath.kernel.arns import Home
from towpath.kernel.objects import ObjectVersion
from towpath.sdk import Conflict, DefinitionError, NotFound, RequestFailed
from towpath.sdk.alarms import threshold
from towpath.sdk.awaited import not_there_yet, refuse_never
from towpath.sdk.event_members import OF_DETAIL, read_in_vain
from towpath.sdk.triggers import approved_versions, new_objects
from towpath.triggers.envelopes import of_object

PIPELINE = {
    "PipelineArn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/deploy",
    "PipelineDefinition": json.dumps(
        {"Parameters": [{"Name": "Version", "Type": "String"}, {"Name": "Rows", "Type": "Integer", "DefaultValue": 3}]}
    ),
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "pipeline deploy has a parameter without a default: give -p Version=VALUE"),
        (["Rows=3"], "pipeline deploy has a parameter without a default: give -p Version=VALUE"),
        (["Version=1", "Raw=$.detail.object.key"], "pipeline deploy has no parameter 'Raw'; it has Version, Rows"),
    ],
)
def test_parameters_that_no_start_could_do_with_are_refused_at_once(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], told: str
) -> None:
    client = answers(DescribePipeline=PIPELINE)
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    with pytest.raises(DefinitionError) as refused:
        triggers.create("data", pipeline="deploy", new_data="s3://lake/raw/", parameter=given, home=tmp_path)
    assert str(refused.value) == told
    assert [name for name, _ in client.asked] == ["DescribePipeline"], "nothing was made"


TRAIN = {
    "Name": "Train",
    "Type": "Training",
    "Arguments": {
        "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "validation:accuracy", "Regex": "a=(.*)"}]}
    },
}
CHECKED = {
    "PipelineDefinition": json.dumps(
        {"Steps": [{"Name": "Gate", "Type": "Condition", "Arguments": {"IfSteps": [TRAIN], "ElseSteps": []}}]}
    )
}


@pytest.mark.parametrize(
    ("condition", "of", "told"),
    [
        ("validation:accuracy < 1", "p/Train", None),
        ("ExecutionFailed > 0", "p", None),
        ("validation:acuracy < 1", "p/Train", "step p/Train has no metric 'validation:acuracy' (did you mean "
         "'validation:accuracy'?); it has validation:accuracy"),
        ("validation:accuracy < 1", "p/Trai", "pipeline p has no step 'Trai'; it has Gate, Train"),
        ("StepFailed > 0", "p/Gate", None),
        ("accuracy < 1", "p/Gate", "step p/Gate is of the type Condition and has no metric 'accuracy'; steps of the "
         "types Training and Tuning have metrics of their own, and each step has StepStarted, StepSucceeded, "
         "StepFailed, StepStopped, StepDuration"),
        ("Failed > 0", "p", "pipeline p has no metric 'Failed'; it has ExecutionStarted, ExecutionSucceeded, "
         "ExecutionFailed, ExecutionStopped, ExecutionCompletedWithFailures, ExecutionDuration"),
    ],
)  # fmt: skip
def test_a_metric_that_a_pipeline_does_not_have_is_refused_with_those_that_it_has(
    answers: Callable[..., Any], condition: str, of: str, told: str | None
) -> None:
    client = answers(DescribePipeline=CHECKED)
    if told is None:
        refuse_never(client, threshold(condition, of=of))
        return
    with pytest.raises(DefinitionError) as refused:
        refuse_never(client, threshold(condition, of=of))
    assert str(refused.value) == told


@pytest.mark.parametrize(
    "condition", ["accuracy << 1", "accuracy < < 1", "< 1", "accuracy =< 1", "accuracy 1", "a < b"]
)
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(DefinitionError, match="is no condition; expected METRIC < NUMBER"):
        threshold(condition, of="p/Train")


def test_a_dimension_of_another_form_is_told_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="'Shelf' is not of the form NAME=VALUE") as refused:
        triggers.create(
            "x", alarm="Stock < 1", namespace="Shop", dimension=["Shelf"], webhook="http://h", home=tmp_path
        )
    assert refused.value.param_hint == "'--dimension'"
    assert list(tmp_path.iterdir()) == [], "no server was started for it"


@pytest.mark.parametrize(
    "specification",
    [
        {"Get": "Parameters.Algorithm"},
        {"MetricDefinitions": {"Get": "Steps.Prepare.Metrics"}},
        {"MetricDefinitions": [{"Get": "Parameters.Metric"}]},
        {"MetricDefinitions": [{"Name": {"Get": "Parameters.Metric"}, "Regex": "a=(.*)"}]},
    ],
)
def test_of_metrics_that_show_only_when_the_step_runs_none_is_refused(
    answers: Callable[..., Any], specification: dict[str, Any]
) -> None:
    step = {"Name": "Train", "Type": "Training", "Arguments": {"AlgorithmSpecification": specification}}
    client = answers(DescribePipeline={"PipelineDefinition": json.dumps({"Steps": [step]})})
    refuse_never(client, threshold("validation:accuracy < 1", of="p/Train"))
    assert [name for name, _ in client.asked] == ["DescribePipeline"], "the step was looked at, and let through"


def test_what_is_waited_for_and_is_not_there_yet_is_told(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"ModelPackageGroupSummaryList": [{"ModelPackageGroupName": "reviews"}]}
    client = answers(ListModelPackageGroups=groups, ListMetrics={"Metrics": []})
    monkeypatch.setattr(client.lake, "has_bucket", lambda bucket: bucket == "lake")
    stock = threshold("Stock < 3", namespace="Shop")
    assert not_there_yet(client, approved_versions("revews"), None) == [
        "there is no model package group 'revews' yet (did you mean 'reviews'?)"
    ]
    assert not_there_yet(client, new_objects("s3://laek/raw/"), None) == ["there is no bucket 'laek' yet"]
    assert not_there_yet(client, new_objects("s3://lake/raw/"), None) == []
    assert not_there_yet(client, {"source": ["shop"], "detail": {"bucket": {"name": [{"prefix": "x"}]}}}, None) == []
    assert not_there_yet(client, None, stock) == ["no value of Stock has been put there (Shop) yet"]
    there = answers(DescribeModelPackageGroup=groups, ListMetrics={"Metrics": [{}]})
    assert not_there_yet(there, approved_versions("reviews"), stock) == []


@pytest.mark.parametrize(
    ("pattern", "schedule", "path", "told"),
    [
        (new_objects("s3://lake/raw/"), None, "$.detail.bucket.nam", " (did you mean '$.detail.bucket.name'?)"),
        (new_objects("s3://lake/raw/"), None, "$.detail.object['key']", None),
        (new_objects("s3://lake/raw/"), None, "$.detail.object", None),
        (new_objects("s3://lake/raw/"), None, "$.resources[0]", None),
        (new_objects("s3://lake/raw/"), None, "raw", None),
        (approved_versions("reviews"), None, "$.detail.ModelPackageArm", " (did you mean '$.detail.ModelPackageArn'?)"),
        (approved_versions("reviews"), None, "$.detail.CustomerMetadataProperties.team", None),
        (None, "rate(1 day)", "$.time", None),
        (None, "rate(1 day)", "$.detail.week_of_the_year", ""),
        ({"source": ["shop"], "detail-type": ["Object Created"]}, None, "$.detail.anything", None),
        ({"source": ["aws.s3"], "detail-type": ["a", "b"]}, None, "$.detail.anything", None),
    ],
)
def test_a_path_to_nothing_in_an_event_that_is_known_is_told(
    pattern: Any, schedule: str | None, path: str, told: str | None
) -> None:
    found = read_in_vain(pattern, schedule, {"S": path})
    if told is None:
        assert found == []
        return
    (sentence,) = found
    assert sentence.startswith(f"parameter S is read from {path}, and events of the type ")
    assert sentence.endswith(" have nothing there" + told)


def test_the_members_of_new_data_are_those_of_its_event() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    version = ObjectVersion(
        bucket="lake",
        key="raw/a",
        version_id="v",
        size=1,
        sha256="s",
        etag="e",
        blob="b",
        created_at=at,
        created_by="ann",
    )
    detail = of_object(Home(), version)["detail"]
    found = [
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in detail.items()
        for inner in (value if isinstance(value, dict) else [""])
    ]
    assert tuple(found) == OF_DETAIL["Object Created"]


def log_pages(request: Any) -> Any:
    if request.get("nextToken") is None:
        return {"logGroups": [{"logGroupName": "/aws/events/doors"}], "nextToken": "2"}
    return {"logGroups": [{"logGroupName": "/aws/events/wine"}]}


def test_the_logs_that_there_are_are_listed_and_named_where_one_is_not(
    answers: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = answers(DescribeLogGroups=log_pages)
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.lines()
    assert capsys.readouterr().out == "doors\nwine\n"
    with pytest.raises(NotFound, match="no trigger writes to a log 'whine'; known logs: doors, wine"):
        triggers.lines("whine")
    with pytest.raises(DefinitionError, match="name it"):
        triggers.lines(tail=3)


def test_only_the_last_lines_of_a_log_are_shown_and_it_is_followed_until_ctrl_c(
    answers: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = ["a", "b", "c"]

    def events(request: Any) -> Any:
        if request["startFromHead"]:
            start = int(request["nextToken"])
            if start == len(written) == 4:
                raise KeyboardInterrupt
        else:
            start = max(0, len(written) - request["limit"])
        found = [{"timestamp": 1000, "message": text} for text in written[start:]]
        answer = {"events": found, "nextForwardToken": str(len(written))}
        if len(written) == 3 and start == 3:
            written.append("d")
        return answer

    streams = {"logStreams": [{"logStreamName": "events"}]}
    client = answers(DescribeLogGroups=log_pages, DescribeLogStreams=streams, GetLogEvents=events)
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    monkeypatch.setattr("towpath.sdk.logs.POLL_S", 0)
    triggers.lines("wine", tail=2)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["b", "c"]
    triggers.lines("wine", follow=True, tail=1, as_json=True)
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["c", "d"]


RULES = {"Rules": [{"Name": "nightly", "Arn": "arn", "State": "ENABLED", "ScheduleExpression": "rate(1 day)"}]}


def test_a_name_that_no_trigger_has_is_told_with_those_that_there_are(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = {"Targets": [{"Arn": "https://shop.example.org/"}]}
    client = answers(
        ListRules=RULES,
        DescribeTriggerTimes={"TriggerTimes": []},
        DescribeRule=lambda request: None,
        ListTargetsByRule=lambda request: targets if request["Rule"] == "nightly" else None,
        DescribePipeline=lambda request: None,
        ListPipelines={"PipelineSummaries": [{"PipelineName": "reviews"}]},
    )

    def no_schedule(method: str, path: str, *_: Any) -> Any:
        raise NotFound("ResourceNotFoundException", f"{method} {path}: there is no such schedule", status=404)

    monkeypatch.setattr(client, "send", no_schedule)
    monkeypatch.setattr(
        client, "get_json", lambda path: {"Schedules": []} if path == "/schedules" else no_schedule("GET", path)
    )
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    for command in (triggers.rm, triggers.log, triggers.enable, triggers.disable):
        with pytest.raises(NotFound, match=r"no trigger 'nightli' \(did you mean 'nightly'\?\); known: nightly"):
            command("nightli")
    with pytest.raises(NotFound, match=r"no pipeline 'revews' \(did you mean 'reviews'\?\); known: reviews"):
        triggers.create("x", pipeline="revews", schedule="rate(1 day)")
    with pytest.raises(NotFound, match=r"no pipeline 'revews' \(did you mean 'reviews'\?\)"):
        triggers.create("x", webhook="https://shop.example.org", alarm="ExecutionFailed > 0", of="revews")
    with pytest.raises(DefinitionError, match="'localhost:80' is no address of a webhook; expected https://HOST/PATH"):
        triggers.create("x", webhook="localhost:80", schedule="rate(1 day)")


def test_no_rule_is_made_that_would_hide_a_schedule(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = answers(PutRule={})
    monkeypatch.setattr(client, "get_json", lambda path: {"ScheduleExpression": "rate(1 day)"})
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    told = (
        r"there is a schedule 'nightly' of EventBridge Scheduler already \(rate\(1 day\)\).*towpath triggers rm nightly"
    )
    with pytest.raises(DefinitionError, match=told):
        triggers.create("nightly", webhook="https://shop.example.org/", schedule="rate(2 days)")
    assert [name for name, _ in client.asked] == ["DescribeRule"]


def test_all_that_a_rule_waits_for_is_listed_and_each_name_told_once(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = {"Name": "both", "State": "ENABLED", "ScheduleExpression": "rate(1 day)", "EventPattern": '{"source":["x"]}'}
    waiting = {"TriggerArn": "arn:rule", "Status": "Waiting", "NextTime": 7200}
    client = answers(
        ListRules={"Rules": [{**rule, "Arn": "arn:rule"}]},
        ListTargetsByRule={"Targets": []},
        DescribeTriggerTimes={"TriggerTimes": [waiting]},
    )
    schedule = {
        "Arn": "arn:schedule",
        "ScheduleExpression": "rate(2 days)",
        "ScheduleExpressionTimezone": "UTC",
        "Target": {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/p"},
        "State": "DISABLED",
        "Name": "both",
    }
    listed = {"Schedules": [{"Name": "both"}]}
    monkeypatch.setattr(client, "get_json", lambda path: listed if path == "/schedules" else schedule)
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.ls()
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["both", "enabled", '{"source": ["x"]} or rate(1 day)', when(7200), "nothing: it has no target"],
        ["both", "disabled", "rate(2 days) UTC", "starts p"],
    ]
    triggers.ls(as_json=True)
    assert [each["schedule"] for each in json.loads(capsys.readouterr().out)] == ["rate(1 day)", None]
    with pytest.raises(NotFound, match=r"known: both \("):
        triggers.log("bth")


def test_a_trigger_whose_times_are_over_has_ended_unless_it_waits_for_events_too(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = {"a": None, "b": '{"source":["x"]}', "c": None, "d": '{"source":["x"]}'}
    expressions = {"a": "rate(1 day)", "b": "rate(1 day)", "c": "rate(1 day)", "d": None}
    rules = [
        {"Name": name, "Arn": name, "State": "ENABLED", "EventPattern": patterns[name],
         "ScheduleExpression": expressions[name]}
        for name in patterns
    ]  # fmt: skip
    rules[2]["State"] = "DISABLED"
    over = [{"TriggerArn": name, "Status": "Ended"} for name in "ab"]
    client = answers(
        ListRules={"Rules": rules}, ListTargetsByRule={"Targets": []}, DescribeTriggerTimes={"TriggerTimes": over}
    )
    monkeypatch.setattr(client, "get_json", lambda path: {"Schedules": []})
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.ls()
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell][:4] for row in rows] == [
        ["a", "ended", "rate(1 day)", "never again"],
        ["b", "enabled", '{"source": ["x"]} or rate(1 day)', "never again"],
        ["c", "disabled", "rate(1 day)", "nothing: it has no target"],
        ["d", "enabled", '{"source": ["x"]}', "nothing: it has no target"],
    ]
    assert ("DescribeTriggerTimes", {"TriggerArns": ["a", "b", "c"]}) in client.asked
    triggers.ls(as_json=True)
    assert [each["is_over"] for each in json.loads(capsys.readouterr().out)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ({"Status": "Waiting", "NextTime": 7200}, f"nightly is enabled; its next time is {when(7200)}"),
        ({"Status": "Ended"}, "nightly is enabled, but none of its times is still to come"),
    ],
)
def test_enabling_a_trigger_says_when_it_is_due(
    answers: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    time: dict[str, Any],
    told: str,
) -> None:
    rule = {"Name": "nightly", "Arn": "arn:rule", "State": "ENABLED", "ScheduleExpression": "rate(1 day)"}
    client = answers(
        EnableRule={},
        ListRules={"Rules": [rule]},
        ListTargetsByRule={"Targets": []},
        DescribeTriggerTimes={"TriggerTimes": [{"TriggerArn": "arn:rule", **time}]},
    )
    monkeypatch.setattr(client, "get_json", lambda path: {"Schedules": []})
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.enable("nightly")
    assert capsys.readouterr().out == f"{told}\n"


def test_of_a_schedule_the_log_says_for_which_time_something_was_started(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"DetailType": "Scheduled Event", "About": ["arn:s"], "Target": "https://h/", "Status": "Delivered"}
    times = [{**told, "Time": 7200, "EventTime": 3600, "Result": "a"}, {**told, "Time": 60, "Result": "b"}]
    client = answers(ListTriggerDeliveries={"Deliveries": times})
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.log("nightly")
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell][2] for row in rows] == [when(3600), "arn:s"]


def test_times_that_were_skipped_are_one_line_of_the_log(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"DetailType": "Scheduled Event", "About": ["arn:s"], "Status": "Skipped", "Time": 9000, "EventTime": 7200}
    many = {**told, "Result": "2 missed times", "Skipped": {"Count": 2, "FirstTime": 3600, "LastTime": 7200}}
    one = {**told, "Result": "1 missed time", "Skipped": {"Count": 1, "FirstTime": 7200, "LastTime": 7200}}
    client = answers(ListTriggerDeliveries={"Deliveries": [many, one]})
    monkeypatch.setattr(triggers, "connect", lambda home: client)
    triggers.log("nightly")
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell][2:] for row in rows] == [
        [f"{when(3600)} to {when(7200)}", "skipped: 2 missed times"],
        [when(7200), "skipped: 1 missed time"],
    ]
    triggers.log("nightly", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown[0]["skipped"] == {"count": 2, "first": 3600.0, "last": 7200.0}


def test_a_trigger_that_is_refused_leaves_no_log(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = answers(ListRules={"Rules": []}, CreateLogGroup={}, DescribeLogGroups=log_pages)  # and no PutRule
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    with pytest.raises(NotFound):
        triggers.create("x", pattern='{"sorce": "x"}', to_log="wine", home=tmp_path)
    assert "PutRule" in [name for name, _ in client.asked]
    assert "CreateLogGroup" not in [name for name, _ in client.asked]


@pytest.mark.parametrize(("is_new", "undone"), [(True, ["DeleteLogGroup", "DeleteRule"]), (False, ["DeleteRule"])])
def test_a_log_that_was_made_for_a_trigger_goes_with_it_and_one_of_others_stays(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_new: bool, undone: list[str]
) -> None:
    def make(request: Any) -> Any:
        if not is_new:
            raise Conflict("ResourceAlreadyExistsException", "The log group already exists.", status=400)
        return {}

    groups = {"logGroups": [{"logGroupName": "/aws/events/wine", "logGroupArn": "arn"}]}
    refused = {"FailedEntries": [{"ErrorCode": "LimitExceededException", "ErrorMessage": "too many"}]}
    client = answers(
        ListRules={"Rules": []},
        PutRule={},
        CreateLogGroup=make,
        DescribeLogGroups=groups,
        ListTargetsByRule={"Targets": []},
        PutTargets=refused,
        DeleteLogGroup={},
        DeleteRule={},
    )
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    with pytest.raises(RequestFailed, match="too many"):
        triggers.create("x", pattern='{"source": ["x"]}', to_log="wine", home=tmp_path)
    assert [name for name, _ in client.asked if name.startswith("Delete")] == undone
