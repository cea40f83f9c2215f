"""The controller of alarms: looks at whole periods, when one ends that may change something."""

from datetime import datetime, timedelta
from typing import cast

import msgspec
from msgspec.structs import replace

from towpath.kernel.decisions import Decision
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document, Resource, view
from towpath.metrics.evaluation import looked_at, verdict
from towpath.metrics.events import state_change
from towpath.metrics.kinds import ALARM
from towpath.metrics.model import AlarmSpec, AlarmState, StateValue
from towpath.metrics.statistics import beginning, last_values, statistic
from towpath.triggers import Target, deliver, of_event


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The last data points of an alarm's metric."""

    values: tuple[float | None, ...]  #: of whole periods, the earliest first
    end: datetime  #: of the last of them
    changes: bool  #: whether the next period that ends may show something else


class Notify(msgspec.Struct, frozen=True):
    """Tell that the alarm has another state, and let its actions act."""

    before: Resource


class AlarmController:
    """Implements `kernel.decisions.Controller` for Alarm."""

    kind = ALARM.noun

    def __init__(self, store: Store) -> None:
        self._store = store

    def observe(self, resource: Resource) -> Observation:
        """Return the last data points."""
        return self._store.read(lambda transaction: _look(transaction, view(AlarmSpec, resource.spec)))

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return the state that the data points make, and when there may be another one."""
        if not resource.is_live:
            return Decision()
        spec, state = view(AlarmSpec, resource.spec), view(AlarmState, resource.state)
        due_at = observation.end + timedelta(seconds=spec.period) if observation.changes else None
        current = StateValue(resource.status or StateValue.INSUFFICIENT_DATA)
        found = verdict(spec, observation.values, current, end=observation.end, now=now)
        if found.state is current:
            return Decision(due_at=due_at)
        changed = replace(
            state,
            state_reason=found.reason,
            state_reason_data=found.reason_data,
            state_updated_timestamp=now.timestamp(),
            state_transitioned_timestamp=now.timestamp(),
        )
        return Decision(
            state=cast(Document, msgspec.to_builtins(changed)),
            status=found.state.value,
            facts=(Notify(resource),),
            due_at=due_at,
        )

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Tell of the new state, in the transaction that writes it."""
        for fact in decision.facts:
            if isinstance(fact, Notify):
                notify(transaction, fact.before, resource, principal=PLATFORM.principal)

    def act(self, resource: Resource, decision: Decision) -> None:
        """Do nothing: actions are deliveries."""


def notify(transaction: Transaction, before: Resource, after: Resource, *, principal: str) -> None:
    """Tell that an alarm has come into another state, and put that on its way to the actions of the state."""
    event = state_change(before, after, principal=principal, at=transaction.now)
    transaction.events.append(event)
    for arn in view(AlarmSpec, after.spec).actions(StateValue(after.status or "")):
        deliver(transaction, after, Target(id=arn, arn=arn), of_event(transaction.home, event))


def _look(transaction: Transaction, spec: AlarmSpec) -> Observation:
    count = looked_at(spec)
    end = beginning(transaction.now, spec.period)
    start = end - timedelta(seconds=spec.period * count)
    tell = statistic(spec.told_by)
    data = transaction.series.data(spec.key, start, end, spec.unit)
    values = last_values(data, spec.period, tell, end=end, count=count)
    # When the earliest period is no longer looked at, what is in the others is what can be seen at all.
    changes = transaction.series.has_data(spec.key, start)
    return Observation(values=values, end=end, changes=changes)
