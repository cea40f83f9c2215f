"""Schedules of EventBridge Scheduler as they are asked for: once each, and only those that can ever be due."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.store import SqliteStore
from towpath.triggers.kinds import RULE, SCHEDULE
from towpath.triggers.rules import event_operations
from towpath.triggers.scheduler import scheduler_operations
from towpath.triggers.service import operations
from towpath.triggers.timing import TimingController, plan_of_rule, plan_of_schedule

NOW = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)
PIPELINE = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/p"
ASKED: Document = {
    "Name": "nightly",
    "ScheduleExpression": "rate(1 day)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": PIPELINE, "RoleArn": "arn:aws:iam::000000000000:role/any"},
}
Call = Callable[..., Document]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def call(store: SqliteStore) -> Call:
    operations = {**scheduler_operations(), **event_operations()}

    def ask(operation: str, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=Caller("ada"))
        return store.write(lambda transaction: operations[operation].function(transaction, request))

    return ask


def test_a_repeated_token_makes_one_schedule_also_when_its_time_has_passed(call: Call, clock: VirtualClock) -> None:
    once = {**ASKED, "ScheduleExpression": "at(2026-11-28T06:00:00)", "ClientToken": "a" * 32}
    made = call("CreateSchedule", **once)
    clock.advance(2 * 3600)
    assert call("CreateSchedule", **once) == made


def test_a_token_of_another_request_is_refused(call: Call) -> None:
    call("CreateSchedule", **ASKED, ClientToken="a" * 32)
    with pytest.raises(Conflict, match=r"The ClientToken 'a+' came with another request before") as told:
        call("CreateSchedule", **{**ASKED, "ScheduleExpression": "rate(2 days)"}, ClientToken="a" * 32)
    assert told.value.code == "ConflictException"
    with pytest.raises(Conflict, match="Schedule nightly already exists"):
        call("CreateSchedule", **ASKED, ClientToken="b" * 32)
    assert call("GetSchedule", Name="nightly")["ScheduleExpression"] == "rate(1 day)"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"ScheduleExpression": "at(2020-01-01T00:00:00)"}, "is never due: it is in the past"),
        ({"ScheduleExpression": "cron(0 3 1 1 ? 2020)"}, "is never due: all its times are in the past"),
        ({"ScheduleExpression": "cron(0 3 30 2 ? *)"}, "is never due: no day of the years that it names is such a day"),
        ({"ScheduleExpression": "cron(0 3 29 2 ? 2027)"}, "no day of the years that it names is such a day"),
        ({"ScheduleExpression": "cron(0 3 1 1 ? 2027)", "StartDate": 1_850_000_000.0}, "no time after the StartDate"),
        (
            {"ScheduleExpression": "at(2026-12-01T00:00:00)", "EndDate": 1_795_900_000.0},
            "its first time is 2026-12-01T00:00:00Z, after the EndDate",
        ),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "the mode FLEXIBLE needs MaximumWindowInMinutes"),
        (
            {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 15}},
            "MaximumWindowInMinutes goes with the mode FLEXIBLE alone, and this is OFF",
        ),
    ],
)
def test_a_schedule_that_could_never_be_due_as_it_says_is_refused(call: Call, members: Document, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        call("CreateSchedule", **{**ASKED, **members})
    call("CreateSchedule", **ASKED)
    with pytest.raises(Invalid, match=told):
        call("UpdateSchedule", **{**ASKED, **members})


@pytest.mark.parametrize(
    "expression", ["cron(0 3 29 2 ? *)", "cron(0 3 ? * 6#5 2027)", "at(2026-11-28T05:00:01)", "rate(1 minute)"]
)
def test_a_schedule_that_is_due_some_day_is_taken(call: Call, expression: str) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    call("CreateSchedule", **{**ASKED, "ScheduleExpression": expression, "FlexibleTimeWindow": window})
    made = call("GetSchedule", Name="nightly")
    assert (made["ScheduleExpression"], made["FlexibleTimeWindow"], made["State"]) == (expression, window, "ENABLED")


def test_a_rule_that_could_never_be_due_is_refused(call: Call) -> None:
    for expression, told in (("cron(0 3 30 2 ? *)", "such a day"), ("cron(0 3 1 1 ? 2020)", "in the past")):
        with pytest.raises(Invalid, match=told):
            call("PutRule", Name="nightly", ScheduleExpression=expression)
    call("PutRule", Name="nightly", ScheduleExpression="cron(0 3 29 2 ? *)")


def test_what_has_been_due_may_be_written_anew_without_another_time(call: Call, clock: VirtualClock) -> None:
    once = {**ASKED, "ScheduleExpression": "at(2026-11-28T06:00:00)", "EndDate": NOW.timestamp() + 3600}
    call("CreateSchedule", **once)
    clock.advance(2 * 3600)
    call("UpdateSchedule", **once, State="DISABLED", Description="over")
    assert call("GetSchedule", Name="nightly")["Description"] == "over"
    with pytest.raises(Invalid, match="is never due: it is in the past"):
        call("UpdateSchedule", **{**once, "ScheduleExpression": "at(2026-11-28T06:30:00)", "EndDate": None})


def test_a_rule_whose_times_have_passed_takes_another_description(call: Call, clock: VirtualClock) -> None:
    rule = {"Name": "once", "ScheduleExpression": "cron(0 6 28 11 ? 2026)"}
    call("PutRule", **rule)
    clock.advance(2 * 3600)
    call("PutRule", **rule, Description="over")
    assert call("DescribeRule", Name="once")["Description"] == "over"
    with pytest.raises(Invalid, match="all its times are in the past"):
        call("PutRule", Name="another", ScheduleExpression="cron(0 6 28 11 ? 2026)")
    call("PutRule", Name="once", ScheduleExpression="rate(1 day)")
    with pytest.raises(Invalid, match="all its times are in the past"):
        call("PutRule", **rule)


@pytest.mark.parametrize("expression", ["rate(36501 days)", "rate(99999999 days)", "rate(999999999 hours)"])
def test_a_rate_that_outlives_the_calendar_is_refused(call: Call, expression: str) -> None:
    with pytest.raises(Invalid, match="expected at most 36500 days"):
        call("PutRule", Name="never", ScheduleExpression=expression)
    call("PutRule", Name="seldom", ScheduleExpression="rate(36500 days)")


@pytest.mark.parametrize(
    ("controller", "made", "deleted", "name"),
    [
        (TimingController(SCHEDULE, plan_of_schedule, "latest"), "CreateSchedule", "DeleteSchedule", "default/nightly"),
        (TimingController(RULE, plan_of_rule, "latest"), "PutRule", "DeleteRule", "nightly"),
    ],
)
def test_what_is_brought_back_has_missed_nothing_meanwhile(
    call: Call,
    store: SqliteStore,
    clock: VirtualClock,
    controller: TimingController,
    made: str,
    deleted: str,
    name: str,
) -> None:
    call(made, **ASKED)

    def begin(transaction: Any) -> None:
        found = transaction.resources.find(controller.kind, name)
        transaction.resources.replace(found, state=controller.decide(found, None, NOW).state)

    store.write(begin)
    call(deleted, Name="nightly")
    clock.advance(3 * 86_400)

    def bring_back(transaction: Any) -> Any:
        tombstone = transaction.housekeeping.tombstone(controller.kind, name)
        return transaction.resources.replace(tombstone, deleted_at=None)

    decided = controller.decide(store.write(bring_back), None, NOW + timedelta(days=3))
    assert (decided.facts, decided.due_at) == ((), NOW + timedelta(days=4))


@pytest.mark.parametrize(("expression", "count"), [("at(2026-11-28T06:00:00)", 1), ("cron(0 * * * ? *)", 3)])
def test_skipped_times_are_told_in_the_log_also_of_a_schedule_that_has_gone(
    call: Call, clock: VirtualClock, store: SqliteStore, expression: str, count: int
) -> None:
    end = {"EndDate": (NOW + timedelta(hours=3)).timestamp()} if count > 1 else {}
    call("CreateSchedule", **{**ASKED, **end, "ScheduleExpression": expression, "ActionAfterCompletion": "DELETE"})
    controller = TimingController(SCHEDULE, plan_of_schedule, "skip")

    def look(transaction: Transaction) -> bool:
        made = transaction.resources.find(SCHEDULE.noun, "default/nightly")
        assert made is not None
        decision = controller.decide(made, None, clock.now())
        deleted_at = transaction.now if decision.delete else None
        made = transaction.resources.replace(made, state=decision.state, deleted_at=deleted_at)
        controller.apply(transaction, made, decision)
        return decision.delete

    assert store.write(look) is False
    clock.advance(5 * 3600)
    assert store.write(look) is True
    (log,) = (operation for operation in operations() if operation.name == "ListTriggerDeliveries")
    asked = Request(operation=log.name, input={"TriggerName": "nightly"}, caller=Caller("ada"))
    (told,) = store.read(lambda transaction: log.function(transaction, asked))["Deliveries"]
    first, last = (NOW + timedelta(hours=hours) for hours in (1, count))
    assert told["Skipped"] == {"Count": count, "FirstTime": first.timestamp(), "LastTime": last.timestamp()}
    assert (told["Status"], told["Time"]) == ("Skipped", clock.now().timestamp())
