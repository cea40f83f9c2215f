"""What is started when time passes, and when time has passed unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from towpath.kernel.resource import Resource, Uid
from towpath.triggers.kinds import RULE, SCHEDULE
from towpath.triggers.timing import (
    Fire,
    Missed,
    Skipped,
    TimingController,
    chosen,
    next_time,
    plan_of,
    plan_of_rule,
    plan_of_schedule,
    why_skipped,
)

NOW = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def resource(kind: str, state: dict[str, Any] | None = None, *, written_at: datetime = NOW, **spec: Any) -> Resource:
    return Resource(
        uid=Uid("u"), account="0" * 12, region="us-east-1", kind=kind, name="n", arn="arn:aws:events:r:a:rule/n",
        spec=spec, state=state or {}, created_at=NOW, created_by="ada", modified_at=written_at,
    )  # fmt: skip


def rule(state: dict[str, Any] | None = None, expression: str = "rate(10 minutes)", **spec: Any) -> Resource:
    return resource(RULE.noun, state, ScheduleExpression=expression, **spec)


def schedule(state: dict[str, Any] | None = None, **spec: Any) -> Resource:
    target = {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/p", "RoleArn": "r"}
    return resource(SCHEDULE.noun, state, **{"ScheduleExpression": "rate(10 minutes)", "Target": target, **spec})


RULES = TimingController(RULE, plan_of_rule, "latest")
SCHEDULES = TimingController(SCHEDULE, plan_of_schedule, "latest")


def test_a_rate_counts_from_its_beginning_and_goes_on() -> None:
    begun = RULES.decide(rule(), None, NOW)
    assert (begun.facts, begun.due_at) == ((), NOW + 10 * MINUTE)
    early = RULES.decide(rule(begun.state), None, NOW + MINUTE)
    assert (early.state, early.facts, early.due_at) == (None, (), NOW + 10 * MINUTE)
    late = RULES.decide(rule(begun.state), None, NOW + 10 * MINUTE + timedelta(seconds=3))
    assert (late.facts, late.due_at) == ((Fire(NOW + 10 * MINUTE),), NOW + 20 * MINUTE)


def test_another_expression_begins_anew_and_a_disabled_rule_waits_for_nothing() -> None:
    begun = RULES.decide(rule(), None, NOW)
    changed = rule(begun.state, "rate(1 hour)", written_at=NOW + 5 * MINUTE)
    assert RULES.decide(changed, None, NOW + 6 * MINUTE).due_at == NOW + 65 * MINUTE
    assert RULES.decide(rule(begun.state, Description="other words"), None, NOW + MINUTE).due_at == NOW + 10 * MINUTE
    off = RULES.decide(rule(begun.state, State="DISABLED"), None, NOW + 20 * MINUTE)
    assert (off.state, off.facts, off.due_at) == ({}, (), None)


@pytest.mark.parametrize(
    ("missed", "age", "expected"),
    [
        ("latest", timedelta(seconds=5), [-1]),
        ("latest", timedelta(hours=3), [-1]),
        ("skip", timedelta(seconds=5), [-1]),
        ("skip", timedelta(hours=3), []),
        ("all", timedelta(hours=3), [-3, -2, -1]),
    ],
)
def test_missed_times_are_caught_up_with_as_configured(missed: Missed, age: timedelta, expected: list[int]) -> None:
    times = [NOW - age - 2 * MINUTE, NOW - age - MINUTE, NOW - age]
    assert chosen(times, NOW, missed) == [times[index] for index in expected]
    assert chosen([], NOW, missed) == []


@pytest.mark.parametrize(("missed", "count"), [("all", 1000), ("latest", 1), ("skip", 1)])
def test_a_year_without_a_server_is_looked_through_quickly(missed: Missed, count: int) -> None:
    controller = TimingController(RULE, plan_of_rule, missed)
    begun = controller.decide(rule(expression="rate(1 minute)"), None, NOW)
    later = NOW + timedelta(days=365, seconds=90)
    found = controller.decide(rule(begun.state, "rate(1 minute)"), None, later)
    assert len([fact for fact in found.facts if isinstance(fact, Fire)]) == count
    assert found.facts[0] == Skipped(365 * 1440 + 1 - count, NOW + MINUTE, NOW + (365 * 1440 + 1 - count) * MINUTE)
    assert found.due_at == later + timedelta(seconds=30)
    assert found.facts[-1] == Fire(later - timedelta(seconds=30)), "half a minute ago is not missed"


def test_a_schedule_begins_and_ends_at_its_dates() -> None:
    dates: dict[str, Any] = {"StartDate": (NOW + 60 * MINUTE).timestamp(), "EndDate": (NOW + 75 * MINUTE).timestamp()}
    begun = SCHEDULES.decide(schedule(**dates), None, NOW)
    assert begun.due_at == NOW + 60 * MINUTE
    second = SCHEDULES.decide(schedule(begun.state, **dates), None, NOW + 60 * MINUTE)
    assert (second.facts, second.due_at) == ((Fire(NOW + 60 * MINUTE),), NOW + 70 * MINUTE)
    last = SCHEDULES.decide(schedule(second.state, **dates), None, NOW + 70 * MINUTE)
    assert (last.facts, last.due_at, last.delete) == ((Fire(NOW + 70 * MINUTE),), None, False)
    assert SCHEDULES.decide(schedule(last.state, **dates), None, NOW + 90 * MINUTE).facts == ()


def test_a_schedule_that_is_over_goes_where_that_was_asked_for() -> None:
    once: dict[str, Any] = {"ScheduleExpression": "at(2026-11-28T05:30:00)", "ActionAfterCompletion": "DELETE"}
    begun = SCHEDULES.decide(schedule(**once), None, NOW)
    assert begun.due_at == NOW + 30 * MINUTE
    ended = SCHEDULES.decide(schedule(begun.state, **once), None, NOW + 30 * MINUTE)
    assert (ended.facts, ended.delete) == ((Fire(NOW + 30 * MINUTE),), True)


def caught_up(controller: TimingController, made: Any, first_seen: datetime) -> tuple[list[datetime], Any]:
    """Return what is started until nothing more is due, of a schedule that is looked at first then; and the end."""
    state: dict[str, Any] | None = {}
    started: list[datetime] = []
    while True:
        decision = controller.decide(made(state), None, first_seen)
        started += [fact.at for fact in decision.facts if isinstance(fact, Fire)]
        if decision.delete or decision.due_at is None or decision.due_at > first_seen:
            return started, decision
        state = decision.state


@pytest.mark.parametrize(("missed", "expected"), [("latest", [30]), ("all", [30]), ("skip", [])])
def test_a_time_that_came_before_a_schedule_was_ever_looked_at_is_a_missed_one(
    missed: Missed, expected: list[int]
) -> None:
    controller = TimingController(SCHEDULE, plan_of_schedule, missed)
    once: dict[str, Any] = {"ScheduleExpression": "at(2026-11-28T05:30:00)", "ActionAfterCompletion": "DELETE"}
    started, end = caught_up(controller, lambda state: schedule(state, **once), NOW + 90 * MINUTE)
    assert (started, end.delete) == ([NOW + minutes * MINUTE for minutes in expected], True)


@pytest.mark.parametrize(("missed", "expected"), [("latest", [20]), ("all", [10, 20]), ("skip", [])])
def test_of_what_was_missed_nothing_is_started_for_times_behind_the_end(missed: Missed, expected: list[int]) -> None:
    controller = TimingController(SCHEDULE, plan_of_schedule, missed)
    ends: dict[str, Any] = {"EndDate": (NOW + 25 * MINUTE).timestamp(), "ActionAfterCompletion": "DELETE"}
    begun = controller.decide(schedule(**ends), None, NOW)
    found = controller.decide(schedule(begun.state, **ends), None, NOW + 90 * MINUTE)
    assert [fact.at for fact in found.facts if isinstance(fact, Fire)] == [
        NOW + minutes * MINUTE for minutes in expected
    ]
    assert (found.due_at, found.delete) == (None, True)


@pytest.mark.parametrize("looked_at", [False, True])
def test_the_next_time_is_told_whether_or_not_the_controller_has_looked_yet(looked_at: bool) -> None:
    def told(made: Resource, now: datetime) -> datetime | None:
        plan = plan_of(made)
        assert plan is not None
        return next_time(plan, made, now)

    dates: dict[str, Any] = {"StartDate": (NOW + 60 * MINUTE).timestamp(), "EndDate": (NOW + 65 * MINUTE).timestamp()}
    state = SCHEDULES.decide(schedule(**dates), None, NOW).state if looked_at else None
    assert told(schedule(state, **dates), NOW + MINUTE) == NOW + 60 * MINUTE
    begun = SCHEDULES.decide(schedule(**dates), None, NOW)
    last = SCHEDULES.decide(schedule(begun.state, **dates), None, NOW + 60 * MINUTE)
    assert told(schedule(last.state, **dates), NOW + 61 * MINUTE) is None, "never again"
    changed = rule(RULES.decide(rule(), None, NOW).state if looked_at else None, "rate(1 hour)")
    assert told(changed, NOW + MINUTE) == NOW + 60 * MINUTE, "of the times that it has now"


def test_what_waits_for_no_time_has_no_plan() -> None:
    assert plan_of(rule(State="DISABLED")) is None
    assert plan_of(schedule(State="DISABLED")) is None
    assert plan_of(resource(RULE.noun, EventPattern="{}")) is None
    assert plan_of(resource("Pipeline")) is None


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2000, 2001, 2002, 3000])
@pytest.mark.parametrize("expression", ["rate(5 minutes)", "cron(0/5 * * * ? *)"])
@pytest.mark.parametrize("missed", ["latest", "all", "skip"])
def test_each_missed_time_is_either_started_or_told_as_skipped(missed: Missed, expression: str, count: int) -> None:
    controller = TimingController(RULE, plan_of_rule, missed)
    begun = controller.decide(rule(expression=expression), None, NOW)
    last = NOW + count * 5 * MINUTE
    found = controller.decide(rule(begun.state, expression), None, last + 2 * MINUTE)
    started = [fact.at for fact in found.facts if isinstance(fact, Fire)]
    most = {"latest": 1, "all": 1000, "skip": 0}[missed]
    assert started == [NOW + number * 5 * MINUTE for number in range(1, count + 1)][max(count - most, 0) :]
    skipped = [fact for fact in found.facts if isinstance(fact, Skipped)]
    left = count - len(started)
    assert skipped == ([Skipped(left, NOW + 5 * MINUTE, NOW + left * 5 * MINUTE)] if left else [])
    assert found.due_at == last + 5 * MINUTE


def test_a_time_that_was_due_stays_so_where_its_time_zone_has_other_rules_by_now() -> None:
    once: dict[str, Any] = {"ScheduleExpression": "at(2026-11-28T05:30:00)"}
    begun = SCHEDULES.decide(schedule(**once), None, NOW)
    assert begun.state is not None
    moved = {**begun.state, "NextAt": (NOW + 60 * MINUTE).timestamp()}
    assert SCHEDULES.decide(schedule(moved, **once), None, NOW + 60 * MINUTE).facts == (Fire(NOW + 60 * MINUTE),)
    skipping = TimingController(SCHEDULE, plan_of_schedule, "skip")
    missed = skipping.decide(schedule(moved, **once), None, NOW + 90 * MINUTE)
    assert missed.facts == (Skipped(1, NOW + 60 * MINUTE, NOW + 60 * MINUTE),)


def test_what_is_told_of_skipped_times_says_how_many_and_why() -> None:
    assert why_skipped(Skipped(1, NOW, NOW), "skip") == "1 missed time, since missed_schedules is skip"
    told = "5 missed times, since missed_schedules is all, which means the last 1000"
    assert why_skipped(Skipped(5, NOW, NOW + MINUTE), "all") == told
