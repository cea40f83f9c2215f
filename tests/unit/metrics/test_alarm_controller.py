"""Alarms on a real store and virtual time: a change of state, its event and its consequences are one thing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from towpath.callers import Role
from towpath.engine import Engine
from towpath.kernel.clock import VirtualClock
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Query
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource
from towpath.metrics import KINDS, AlarmController, operations
from towpath.metrics.model import STATE_CHANGE
from towpath.store import SqliteStore
from towpath.testing.crashes import Crash, CrashingStore
from towpath.triggers import KINDS as TRIGGER_KINDS
from towpath.triggers import Rules, event_operations
from towpath.triggers.kinds import DELIVERY, RULE

ANN = Caller("ann", roles=frozenset({Role.ADMINISTRATOR}))
PIPELINE = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/"
ALL_KINDS: dict[str, Kind] = {kind.noun: kind for kind in (*KINDS, *TRIGGER_KINDS)}
OPERATIONS: dict[str, Operation] = {**event_operations(), **operations(keep_days=15, flush=lambda: None)}
PERIOD_S = 60


class World:
    """A store with an alarm on a metric, which starts a pipeline, and a rule on its event, which starts another."""

    def __init__(self, path: Path) -> None:
        self.clock = VirtualClock()
        self.store = SqliteStore(path, clock=self.clock)
        rules = Rules()
        self.store.subscribe(rules)
        self.store.on_kind(RULE.noun, rules.forget)
        pattern = '{"detail-type": ["CloudWatch Alarm State Change"], "detail": {"state": {"value": ["ALARM"]}}}'
        self.call("PutRule", Name="seen", EventPattern=pattern)
        role = "arn:aws:iam::000000000000:role/any"
        targets = [{"Id": "t", "Arn": f"{PIPELINE}by-rule", "RoleArn": role}]
        assert self.call("PutTargets", Rule="seen", Targets=targets)["FailedEntries"] == []
        self.call(
            "PutMetricAlarm",
            AlarmName="low",
            Namespace="Shop",
            MetricName="Stock",
            Statistic="Minimum",
            Period=PERIOD_S,
            EvaluationPeriods=1,
            Threshold=3.0,
            ComparisonOperator="LessThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[f"{PIPELINE}by-action"],
        )

    def call(self, operation: str, **asked: Any) -> Document:
        request = Request(operation=operation, input=asked, caller=ANN)
        return self.store.write(lambda transaction: OPERATIONS[operation].function(transaction, request))

    def measure(self, value: float) -> None:
        data = [{"MetricName": "Stock", "Value": value, "Timestamp": self.clock.now().timestamp()}]
        self.call("PutMetricData", Namespace="Shop", MetricData=data)

    def live(self, store: Any = None) -> None:
        """Let a new engine work on the alarms: it takes over what another one has left."""
        self.store.write(lambda transaction: transaction.work.release_all())
        controller = AlarmController(self.store)
        engine = Engine(store or self.store, {controller.kind: controller}, clock=self.clock, kinds=ALL_KINDS)
        engine.run_until_idle()

    def story(self, *, at: int | None = None, after: bool = False) -> bool:
        """Let the stock fall, and rise again; return whether the process died at the write named in one of the turns.

        Args:
            at: write of each life of an engine at which its process dies.
        """
        died = False
        for value in (1.0, 9.0):
            self.measure(value)
            self.clock.advance(PERIOD_S)
            try:
                self.live(None if at is None else CrashingStore(self.store, at, after=after))
            except Crash:
                died = True
                self.live()
            self.clock.advance(3 * PERIOD_S)
            self.live()
        return died

    @property
    def alarm(self) -> Resource:
        found = self.store.read(lambda transaction: transaction.resources.find("Alarm", "low"))
        assert found is not None
        return found

    def changes(self) -> list[tuple[str, str]]:
        """Return the state changes that were told of: (before, after)."""
        uid = self.alarm.uid
        events = self.store.read(lambda transaction: transaction.events.of(uid))
        told = [event.detail for event in events if event.type == STATE_CHANGE]
        return [(detail["previousState"]["value"], detail["state"]["value"]) for detail in told]

    def consequences(self) -> list[str]:
        """Return the targets of what is on its way."""
        page = self.store.read(lambda transaction: transaction.resources.query(Query(kind=DELIVERY.noun)))
        return sorted(str(each.spec["Target"]["Arn"]).removeprefix(PIPELINE) for each in page.items)


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_crash_at_any_write_neither_loses_nor_doubles_a_change_of_state(tmp_path: Path, at: int, after: bool) -> None:
    quiet = World(tmp_path / "quiet.db")
    assert not quiet.story()
    assert quiet.changes() == [("INSUFFICIENT_DATA", "ALARM"), ("ALARM", "OK")]
    assert quiet.consequences() == ["by-action", "by-rule"]
    crashed = World(tmp_path / "crashed.db")
    died = crashed.story(at=at, after=after)
    assert died or at > 2, "an alarm that changes takes a lease and writes at least"
    assert crashed.changes() == quiet.changes()
    assert crashed.consequences() == quiet.consequences()
    assert crashed.alarm.status == quiet.alarm.status == "OK"
    quiet.store.close()
    crashed.store.close()


def test_a_state_that_was_set_while_the_alarm_was_looked_at_is_told_once_and_looked_at_again(tmp_path: Path) -> None:
    """Somebody sets the state between a look and its commit: what was decided is thrown away, and decided anew."""
    world = World(tmp_path / "store.db")
    world.measure(1.0)
    world.clock.advance(PERIOD_S)
    controller = AlarmController(world.store)
    looked = controller.observe(world.alarm)
    decision = controller.decide(world.alarm, looked, world.clock.now())
    assert decision.status == "ALARM"
    world.call("SetAlarmState", AlarmName="low", StateValue="ALARM", StateReason="somebody tries it")
    world.live()
    world.clock.advance(timedelta(minutes=1).total_seconds())
    world.live()
    assert world.changes() == [("INSUFFICIENT_DATA", "ALARM")]
    assert world.consequences() == ["by-action", "by-rule"]
    world.store.close()
