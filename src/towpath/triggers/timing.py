"""Schedules as time passes: when a rule or a schedule is due, and what is made of times that were missed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Literal, TypeAlias

import msgspec

from towpath.kernel.decisions import Decision
from towpath.kernel.kinds import Kind
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.triggers.deliveries import deliver, tell_outcome
from towpath.triggers.envelopes import EVENTS, SCHEDULED, SCHEDULER, envelope
from towpath.triggers.kinds import RULE, SCHEDULE
from towpath.triggers.model import RuleSpec, ScheduleSpec, Target
from towpath.triggers.schedules import Schedule, first_time, parsed

Missed: TypeAlias = Literal["latest", "all", "skip"]
LATE = timedelta(minutes=1)  #: a time that is longer ago was missed
SKIPPED = "Skipped"  #: how it stands with times for which nothing is started
_MOST = 1000  #: times that are caught up with at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When something is due, and where it then goes."""

    schedule: Schedule
    timing: str  #: what the times follow from; another one makes them be counted anew
    targets: tuple[Target, ...]
    source: str  #: of the events
    begins_at: datetime | None = None  #: the first time of a rate
    ends_at: datetime | None = None
    goes_when_over: bool = False


class Fire(msgspec.Struct, frozen=True):
    """A time has come."""

    at: datetime


class Skipped(msgspec.Struct, frozen=True):
    """Times have come for which nothing is started."""

    count: int
    first: datetime
    last: datetime


def plan_of(trigger: Resource) -> Plan | None:
    """Return when a rule or a schedule is due, None when it waits for no time; so does anything else."""
    plans = {RULE.noun: plan_of_rule, SCHEDULE.noun: plan_of_schedule}
    return plans[trigger.kind](trigger) if trigger.kind in plans else None


def plan_of_rule(rule: Resource) -> Plan | None:
    """Return when a rule is due, None when it never is."""
    spec = view(RuleSpec, rule.spec)
    if spec.schedule_expression is None or not spec.is_enabled:
        return None
    schedule = parsed(spec.schedule_expression, once=False)
    return Plan(schedule=schedule, timing=spec.schedule_expression, targets=tuple(spec.targets.values()), source=EVENTS)


def plan_of_schedule(resource: Resource) -> Plan | None:
    """Return when a schedule is due, None when it is disabled."""
    spec = view(ScheduleSpec, resource.spec)
    if spec.state == "DISABLED":
        return None
    return Plan(
        schedule=parsed(spec.schedule_expression, spec.schedule_expression_timezone),
        timing=f"{spec.schedule_expression} {spec.schedule_expression_timezone} {spec.start_date} {spec.end_date}",
        targets=(spec.target,),
        source=SCHEDULER,
        begins_at=_moment(spec.start_date),
        ends_at=_moment(spec.end_date),
        goes_when_over=spec.action_after_completion == "DELETE",
    )


def next_time(plan: Plan, resource: Resource, now: datetime) -> datetime | None:
    """Return when something is due next, None when it never is again."""
    if _is_counted(plan, resource):
        return _moment(resource.state.get("NextAt"))
    return _before_the_end(plan, _begun(plan, resource, now)[1])


def chosen(times: list[datetime], now: datetime, missed: Missed) -> list[datetime]:
    """Return those of the times that have come which something is to be started for.

    Args:
        times: in order, none of them after `now`.
        missed: what to do about times that are more than a minute ago: start once for the latest of all, for each
            of them, or for none.
    """
    if missed == "all":
        return times[-_MOST:]
    return times[-1:] if missed == "latest" else [time for time in times[-1:] if now - time <= LATE]


def why_skipped(skipped: Skipped, missed: Missed) -> str:
    """Return what to tell of times for which nothing is started."""
    counted = "1 missed time" if skipped.count == 1 else f"{skipped.count} missed times"
    most = f", which means the last {_MOST}" if missed == "all" else ""
    return f"{counted}, since missed_schedules is {missed}{most}"


class TimingController:
    """Implements `kernel.decisions.Controller` for one of the kinds that have times."""

    def __init__(self, kind: Kind, plan_of: Callable[[Resource], Plan | None], missed: Missed) -> None:
        self.kind = kind.noun
        self._plan_of = plan_of
        self._missed = missed

    def observe(self, resource: Resource) -> None:
        """Look at nothing: the time is told with the decision."""

    def decide(self, resource: Resource, observation: None, now: datetime) -> Decision:
        """Return the times that have come, and when to look again."""
        plan = self._plan_of(resource)
        if plan is None:
            return Decision(state={} if resource.state else None)
        if not _is_counted(plan, resource):
            since, following = _begun(plan, resource, now)
            return self._waiting(plan, since, following, ())
        since, due_at = datetime.fromtimestamp(resource.state["Since"], UTC), _moment(resource.state.get("NextAt"))
        if due_at is None:
            return Decision(delete=plan.goes_when_over)
        if now < due_at:
            return Decision(due_at=due_at)
        # A server that was away longer than the schedule lasted has missed what came until then, and no more.
        until = now if plan.ends_at is None else min(now, plan.ends_at)
        times, following = _passed(plan.schedule, due_at, since, until)
        started = chosen(times, now, self._missed)
        left_out = times[: len(times) - len(started)]
        facts: list[Fire | Skipped] = [Fire(time) for time in started]
        if left_out:
            count = max(plan.schedule.count(due_at, left_out[-1], since=since), len(left_out))
            facts.insert(0, Skipped(count, due_at, left_out[-1]))
        return self._waiting(plan, since, following, tuple(facts))

    def _waiting(
        self, plan: Plan, since: datetime, following: datetime | None, facts: tuple[Fire | Skipped, ...]
    ) -> Decision:
        following = _before_the_end(plan, following)
        state: Document = {"Timing": plan.timing, "Since": since.timestamp()}
        if following is not None:
            state["NextAt"] = following.timestamp()
        return Decision(state=state, facts=facts, due_at=following, delete=following is None and plan.goes_when_over)

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Put a scheduled event on its way for each time that has come, and tell of those that were skipped."""
        plan = self._plan_of(resource)
        assert plan is not None, "something was due"
        for fact in decision.facts:
            if isinstance(fact, Skipped):
                if plan.targets:  # else nothing would have come of these times, either
                    self._tell(transaction, resource, fact)
                continue
            event = envelope(
                transaction.home,
                source=plan.source,
                detail_type=SCHEDULED,
                at=fact.at,
                detail={},
                resources=(resource.arn,),
            )
            for target in plan.targets:
                deliver(transaction, resource, target, event)

    def _tell(self, transaction: Transaction, resource: Resource, skipped: Skipped) -> None:
        detail: Document = {
            "DetailType": SCHEDULED,
            "About": [resource.arn],
            "EventTime": skipped.last.timestamp(),
            "Status": SKIPPED,
            "Result": why_skipped(skipped, self._missed),
            "Skipped": {
                "Count": skipped.count,
                "FirstTime": skipped.first.timestamp(),
                "LastTime": skipped.last.timestamp(),
            },
        }
        tell_outcome(transaction, resource.uid, resource.arn, detail)

    def act(self, resource: Resource, decision: Decision) -> None:
        """Do nothing: what is due is delivered by deliveries."""


def timing_controllers(missed: Missed) -> list[TimingController]:
    """Return the controllers of the kinds that have times."""
    return [TimingController(RULE, plan_of_rule, missed), TimingController(SCHEDULE, plan_of_schedule, missed)]


def _is_counted(plan: Plan, resource: Resource) -> bool:
    """Whether the state of a rule or schedule is about the times that it has now."""
    return bool(resource.state.get("Timing") == plan.timing)


def _begun(plan: Plan, resource: Resource, now: datetime) -> tuple[datetime, datetime | None]:
    """Return from when times are counted that nobody has counted yet, and the first of them."""
    # Counted from when it was written, not from this look: a server that died in between must miss nothing.
    written_at = min(resource.modified_at, now)
    return plan.begins_at or written_at, first_time(plan.schedule, written_at, plan.begins_at)


def _before_the_end(plan: Plan, moment: datetime | None) -> datetime | None:
    return None if moment is None or (plan.ends_at is not None and moment > plan.ends_at) else moment


def _passed(
    schedule: Schedule, first: datetime, since: datetime, until: datetime
) -> tuple[list[datetime], datetime | None]:
    """Return the times from `first` to `until`, of very many the last ones, and the one that follows.

    One more is among them than is ever caught up with, so that it shows whether some are left out.
    """
    latest = takewhile(lambda time: time >= first, schedule.until(until, since=since))
    times = list(islice(latest, _MOST + 1))[::-1]
    # A time that was due stays so where the rules of its time zone have changed meanwhile.
    return times or [first], schedule.after(until, since=since)


def _moment(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC)
