"""Schedules of EventBridge Scheduler as they are asked for: once each, and only those that can ever be due."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Conflict
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.store import SqliteStore
from towpath.triggers.scheduler import scheduler_operations

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
def call(tmp_path: Path, clock: VirtualClock) -> Iterator[Call]:
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    operations = scheduler_operations()

    def ask(operation: str, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=Caller("ada"))
        return store.write(lambda transaction: operations[operation].function(transaction, request))

    yield ask
    store.close()


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
