"""What is told of triggers' times; and of deliveries, page by page, also of a trigger that is gone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.triggers.test_deliveries import GRACE, World

from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.events import Event
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document
from towpath.triggers.deliveries import OUTCOME
from towpath.triggers.kinds import RULE
from towpath.triggers.service import operations

TIMES, LIST = operations()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "store.db")
    world.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
    yield world
    world.store.close()


def came(world: World, *results: str, type_: str = OUTCOME) -> None:
    """Let so many deliveries of the rule have come to an end."""

    def append(transaction: Transaction) -> None:
        rule = transaction.resources.find(RULE.noun, "r")
        assert rule is not None
        for result in results:
            detail: Document = {"Result": result}
            transaction.events.append(
                Event(type=type_, subject=rule.uid, principal="p", at=transaction.now, detail=detail)
            )

    world.store.write(append)


def listed(world: World, **asked: Any) -> Document:
    request = Request(operation=LIST.name, input={"TriggerName": "r", **asked}, caller=GRACE)
    return world.store.read(lambda transaction: LIST.function(transaction, request))


def results(page: Document) -> list[str]:
    return [each["Result"] for each in page["Deliveries"]]


def test_outcomes_are_listed_newest_first_and_later_ones_move_no_page(world: World) -> None:
    came(world, "1", "2", "3")
    came(world, "something else", type_="PutTargets")
    came(world, "4", "5")
    first = listed(world, MaxResults=2)
    assert results(first) == ["5", "4"]
    came(world, "6")
    second = listed(world, MaxResults=2, NextToken=first["NextToken"])
    assert results(second) == ["3", "2"]
    last = listed(world, MaxResults=2, NextToken=second["NextToken"])
    assert (results(last), "NextToken" in last, "Pending" in last) == (["1"], False, False)
    assert "NextToken" not in listed(world, MaxResults=6), "a page that is just full is the last one"
    with pytest.raises(Invalid, match="token"):
        listed(world, NextToken="none")


def test_what_came_is_told_of_a_rule_that_is_gone(world: World) -> None:
    came(world, "done")
    world.call("DeleteRule", Name="r")
    assert results(listed(world)) == ["done"]
    world.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
    assert listed(world) == {"Deliveries": [], "Pending": []}, "another one of the name tells of itself"
    with pytest.raises(NotFound):
        listed(world, TriggerName="never")


def test_times_are_told_of_the_triggers_that_wait_for_some(world: World) -> None:
    world.call("PutRule", Name="yearly", ScheduleExpression="cron(0 3 1 1 ? 2199)")
    world.call("PutRule", Name="off", ScheduleExpression="rate(1 day)", State="DISABLED")

    def arn(name: str) -> str:
        return str(world.call("DescribeRule", Name=name)["Arn"])

    asked = {"TriggerArns": [arn("r"), arn("yearly"), arn("off"), f"{arn('r')}-never"]}
    request = Request(operation=TIMES.name, input=asked, caller=GRACE)
    told = world.store.read(lambda transaction: TIMES.function(transaction, request))
    due_at = datetime(2199, 1, 1, 3, tzinfo=UTC).timestamp()
    assert told == {"TriggerTimes": [{"TriggerArn": arn("yearly"), "Status": "Waiting", "NextTime": due_at}]}
