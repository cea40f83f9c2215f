"""What is told of alarms, in the form of CloudWatch's events. Pure.

Source: Amazon CloudWatch User Guide, "Alarm events and EventBridge".
"""

from datetime import UTC, datetime

from towpath.kernel.events import Event
from towpath.kernel.resource import Document, Resource, view
from towpath.metrics.evaluation import stamp
from towpath.metrics.model import CONFIGURATION_CHANGE, STATE_CHANGE, AlarmSpec, AlarmState


def state_change(before: Resource, after: Resource, *, principal: str, at: datetime) -> Event:
    """Return the event that an alarm has come into another state."""
    detail: Document = {
        "alarmName": after.name,
        "state": _state(after),
        "previousState": _state(before),
        "configuration": _configuration(after),
    }
    return _event(STATE_CHANGE, after, detail, principal, at)


def configuration_change(alarm: Resource, operation: str, *, principal: str, at: datetime) -> Event:
    """Return the event that an alarm was made, changed or deleted.

    Args:
        operation: create, update or delete.
    """
    detail: Document = {
        "alarmName": alarm.name,
        "operation": operation,
        "state": {name: value for name, value in _state(alarm).items() if name in ("value", "timestamp")},
        "configuration": {
            **_configuration(alarm),
            "alarmName": alarm.name,
            "actionsEnabled": view(AlarmSpec, alarm.spec).actions_enabled,
        },
    }
    return _event(CONFIGURATION_CHANGE, alarm, detail, principal, at)


def _event(type_: str, alarm: Resource, detail: Document, principal: str, at: datetime) -> Event:
    return Event(type=type_, subject=alarm.uid, subject_arn=alarm.arn, principal=principal, at=at, detail=detail)


def _state(alarm: Resource) -> Document:
    state = view(AlarmState, alarm.state)
    return {
        "value": alarm.status,
        "reason": state.state_reason,
        **({} if state.state_reason_data is None else {"reasonData": state.state_reason_data}),
        "timestamp": stamp(datetime.fromtimestamp(state.state_updated_timestamp, UTC)),
    }


def _configuration(alarm: Resource) -> Document:
    spec = view(AlarmSpec, alarm.spec)
    metric: Document = {
        "namespace": spec.namespace,
        "name": spec.metric_name,
        "dimensions": {each.name: each.value for each in spec.dimensions},
    }
    stat: Document = {"metric": metric, "period": spec.period, "stat": spec.told_by}
    if spec.unit is not None:
        stat["unit"] = spec.unit
    shown: Document = {"metrics": [{"id": alarm.uid, "metricStat": stat, "returnData": True}]}
    return shown if spec.alarm_description is None else {"description": spec.alarm_description, **shown}
