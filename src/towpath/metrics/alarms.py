"""The operations of CloudWatch on alarms.

Source: Amazon CloudWatch API Reference.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec
from msgspec.structs import replace

from towpath.kernel import generic, paging
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.events import Event
from towpath.kernel.operations import Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.queries import every_in
from towpath.kernel.resource import Document, Resource, view
from towpath.metrics.controller import notify
from towpath.metrics.evaluation import COMPARISONS, TREATMENTS
from towpath.metrics.events import configuration_change
from towpath.metrics.intake import watching
from towpath.metrics.kinds import ALARM
from towpath.metrics.model import CONFIGURATION_CHANGE, STATE_CHANGE, AlarmSpec, AlarmState, StateValue, key_of
from towpath.metrics.statistics import check_period, statistic
from towpath.pipelines.rights import ROLES, written_by
from towpath.triggers import OUTCOME, Target, check_target

_DAY_S = 86_400
_SHORTEST_LONG_PERIOD_S = 3600  #: alarms of such periods may look at a week, others at a day
_VALUE, _COMBINATION, _MISSING = (
    "InvalidParameterValueException",
    "InvalidParameterCombinationException",
    "MissingRequiredParameterException",
)
#: Members that make other alarms than those on one metric and a fixed threshold.
_NOT_OFFERED = (
    "Metrics",
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_SHOWN_TWICE = ("Tags", "AlarmName")
_HISTORY = {STATE_CHANGE: "StateUpdate", CONFIGURATION_CHANGE: "ConfigurationUpdate", OUTCOME: "Action"}


def put_metric_alarm(transaction: Transaction, request: Request) -> Document:
    """Carry out PutMetricAlarm: make an alarm, or write anew what one watches; how it stands stays."""
    asked = request.input
    spec = _checked(transaction, asked)
    alarm = transaction.resources.find(ALARM.noun, asked["AlarmName"])
    by, now = request.caller.principal, transaction.now
    if alarm is None:
        since = now.timestamp()
        state = AlarmState(
            state_updated_timestamp=since,
            state_transitioned_timestamp=since,
            alarm_configuration_updated_timestamp=since,
        )
        alarm = generic.create(
            transaction,
            ALARM,
            request,
            name=asked["AlarmName"],
            spec=written_by(spec, request.caller.roles),
            state=cast(Document, msgspec.to_builtins(state)),
            status=StateValue.INSUFFICIENT_DATA.value,
            arn=_arn(transaction, asked["AlarmName"]),
        )
        operation = "create"
    else:
        alarm = _written(transaction, request, alarm, spec)
        operation = "update"
    transaction.events.append(configuration_change(alarm, operation, principal=by, at=now))
    return {}


def describe_alarms(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeAlarms, by name; there are alarms on metrics alone."""
    asked = request.input
    types = asked.get("AlarmTypes") or ["MetricAlarm"]
    if asked.get("AlarmNames") and asked.get("AlarmNamePrefix"):
        raise Invalid("AlarmNames and AlarmNamePrefix exclude each other", code="ValidationException")
    empty: Document = {"MetricAlarms": [], "CompositeAlarms": []}
    if "MetricAlarm" not in types or asked.get("ChildrenOfAlarmName") or asked.get("ParentsOfAlarmName"):
        return empty
    token = None
    if asked.get("AlarmNames"):
        named = (transaction.resources.find(ALARM.noun, name) for name in dict.fromkeys(asked["AlarmNames"]))
        alarms = [alarm for alarm in named if alarm is not None]
        if asked.get("StateValue"):
            alarms = [alarm for alarm in alarms if alarm.status == asked["StateValue"]]
    else:
        filters = [Filter("name", "begins", asked["AlarmNamePrefix"])] if asked.get("AlarmNamePrefix") else []
        if asked.get("StateValue"):
            filters.append(Filter("status", "=", asked["StateValue"]))
        page = transaction.resources.query(_by_name(asked, *filters))
        alarms, token = page.items, page.token
    prefix = asked.get("ActionPrefix")
    if prefix:
        alarms = [alarm for alarm in alarms if any(arn.startswith(prefix) for arn in _action_arns(alarm.spec))]
    return {**empty, "MetricAlarms": [_shown(alarm) for alarm in alarms], "NextToken": token}


def describe_alarms_for_metric(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeAlarmsForMetric."""
    asked = request.input
    narrowed = ("Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        _shown(alarm)
        for alarm in watching(transaction, key_of(asked))
        if all(alarm.spec.get(name) == asked[name] for name in narrowed if asked.get(name) is not None)
    ]
    return {"MetricAlarms": found}


def describe_alarm_history(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeAlarmHistory: of one alarm, or of all that there are, the newest first."""
    asked = request.input
    if "MetricAlarm" not in (asked.get("AlarmTypes") or ["MetricAlarm"]):
        return {"AlarmHistoryItems": []}
    name = asked.get("AlarmName")
    if name is None:
        alarms = list(every_in(transaction, Query(kind=ALARM.noun)))
    else:
        found = transaction.resources.find(ALARM.noun, name)
        alarms = [] if found is None else [found]
    items = [
        (event.at, _remembered(alarm, event))
        for alarm in alarms
        for event in transaction.events.of(alarm.uid)
        if event.type in _HISTORY and asked.get("HistoryItemType") in {None, _HISTORY[event.type]}
    ]
    start, end = (_moment(asked.get(name)) for name in ("StartDate", "EndDate"))
    wanted = [(at, item) for at, item in items if (start is None or at >= start) and (end is None or at <= end)]
    wanted.sort(key=lambda pair: pair[0])
    shown = [item for _, item in wanted]
    ordered = paging.oldest_first if asked.get("ScanBy") == "TimestampAscending" else paging.newest_first
    page, token = ordered(shown, asked.get("NextToken"), paging.size(asked, "MaxRecords"))
    return {"AlarmHistoryItems": page, "NextToken": token}


def set_alarm_state(transaction: Transaction, request: Request) -> Document:
    """Carry out SetAlarmState: the alarm stands so until it is looked at again, which is soon."""
    asked = request.input
    data = asked.get("StateReasonData")
    if data is not None:
        try:
            json.loads(data)
        except ValueError as error:
            raise Invalid(f"StateReasonData is not valid JSON: {error}", code="InvalidFormatFault") from error
    alarm = generic.find(transaction, ALARM, asked["AlarmName"])
    now, changes = transaction.now.timestamp(), alarm.status != asked["StateValue"]
    state = replace(
        view(AlarmState, alarm.state),
        state_reason=asked["StateReason"],
        state_reason_data=data,
        state_updated_timestamp=now,
    )
    if changes:
        state = replace(state, state_transitioned_timestamp=now)
    after = transaction.resources.replace(
        alarm, status=asked["StateValue"], state=cast(Document, msgspec.to_builtins(state))
    )
    generic.record(transaction, after, request, request.operation)
    if changes:
        notify(transaction, alarm, after, principal=request.caller.principal)
    pause_s = min(view(AlarmSpec, alarm.spec).period, 60)
    transaction.work.schedule(alarm.uid, transaction.now + timedelta(seconds=pause_s))
    return {}


def enable_alarm_actions(transaction: Transaction, request: Request) -> Document:
    """Carry out EnableAlarmActions."""
    return _switch(transaction, request, enabled=True)


def disable_alarm_actions(transaction: Transaction, request: Request) -> Document:
    """Carry out DisableAlarmActions."""
    return _switch(transaction, request, enabled=False)


def delete_alarms(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteAlarms: those that are there are deleted, and then a name that is none is told of."""
    for alarm in _named(transaction, request):
        after = transaction.resources.replace(alarm, deleted_at=transaction.now)
        generic.record(transaction, after, request, request.operation)
        by = request.caller.principal
        transaction.events.append(configuration_change(after, "delete", principal=by, at=transaction.now))
    return {}


def tag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out TagResource."""
    tags = {tag["Key"]: tag["Value"] for tag in request.input["Tags"]}
    transaction.resources.set_tags(_by_arn(transaction, request).uid, tags)
    return {}


def untag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out UntagResource."""
    transaction.resources.set_tags(_by_arn(transaction, request).uid, dict.fromkeys(request.input["TagKeys"]))
    return {}


def list_tags_for_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTagsForResource."""
    return {"Tags": generic.all_tags(transaction, _by_arn(transaction, request))}


def _checked(transaction: Transaction, asked: Document) -> Document:
    """Return what an alarm is to be, with its defaults.

    Raises:
        Unsupported: it is to watch something else than one metric and a fixed threshold.
        Invalid: it could never be evaluated, or its actions never act.
    """
    for member in _NOT_OFFERED:
        if asked.get(member) is not None:
            raise Unsupported(
                f"{member}: alarms here watch one metric (Namespace, MetricName, Dimensions) and a fixed Threshold",
                code="ValidationException",
            )
    for member in ("Namespace", "MetricName", "Period", "Threshold"):
        if asked.get(member) is None:
            raise Invalid(f"The parameter {member} is required.", code=_MISSING)
    if (asked.get("Statistic") is None) == (asked.get("ExtendedStatistic") is None):
        raise Invalid("Give one of Statistic and ExtendedStatistic", code=_COMBINATION)
    statistic(asked.get("Statistic") or asked["ExtendedStatistic"])
    names = [each["Name"] for each in asked.get("Dimensions") or ()]
    if len(set(names)) != len(names):
        raise Invalid("Dimensions: one is given twice", code=_VALUE)
    _check_periods(asked)
    if asked["ComparisonOperator"] not in COMPARISONS:
        raise Unsupported(
            f"ComparisonOperator {asked['ComparisonOperator']} is for bands of expected values, which are not worked "
            f"out here; expected {', '.join(COMPARISONS)}",
            code="ValidationException",
        )
    if asked.get("TreatMissingData", TREATMENTS[0]) not in TREATMENTS:
        raise Invalid(
            f"TreatMissingData is {asked['TreatMissingData']!r}; expected one of {', '.join(TREATMENTS)}", code=_VALUE
        )
    if asked.get("EvaluateLowSampleCountPercentile", "evaluate") != "evaluate":
        raise Unsupported("EvaluateLowSampleCountPercentile: percentiles are always evaluated", code=_VALUE)
    for arn in _action_arns(asked):
        try:
            check_target(Target(id=arn, arn=arn), transaction.home)
        except Invalid as error:
            raise Invalid(
                f"{error.message}. For anything else let a rule of EventBridge wait for the event {STATE_CHANGE}.",
                code=_VALUE,
            ) from error
    spec = {name: value for name, value in asked.items() if name not in _SHOWN_TWICE and value is not None}
    return {"ActionsEnabled": True, "TreatMissingData": TREATMENTS[0], **spec}


def _check_periods(asked: Document) -> None:
    period_s, count = asked["Period"], asked["EvaluationPeriods"]
    check_period(period_s)
    if period_s < 10:
        raise Invalid(f"Period is {period_s}; expected 10, 20, 30 or a multiple of 60 for an alarm", code=_VALUE)
    needed = asked.get("DatapointsToAlarm")
    if needed is not None and needed > count:
        raise Invalid(
            f"DatapointsToAlarm is {needed}; expected at most EvaluationPeriods, which is {count}", code=_VALUE
        )
    longest_s = 7 * _DAY_S if period_s >= _SHORTEST_LONG_PERIOD_S else _DAY_S
    if period_s * count > longest_s:
        raise Invalid(
            f"EvaluationPeriods times Period is {period_s * count} seconds; expected at most {longest_s}",
            code=_COMBINATION,
        )


def _action_arns(spec: Document) -> Iterable[str]:
    return [arn for member in _ACTIONS for arn in spec.get(member) or ()]


def _written(transaction: Transaction, request: Request, alarm: Resource, spec: Document) -> Resource:
    """Write what an alarm watches; the roles of whoever wrote it first may limit what its actions do."""
    kept = {name: value for name, value in alarm.spec.items() if name == ROLES}
    changed = replace(alarm, spec=written_by({**spec, **kept}, request.caller.roles))
    after = transaction.resources.replace(
        alarm,
        spec=changed.spec,
        state={**alarm.state, "AlarmConfigurationUpdatedTimestamp": transaction.now.timestamp()},
        sort=generic.with_sort(ALARM, changed).sort,
        generation=alarm.generation + 1,
    )
    transaction.work.schedule(alarm.uid, transaction.now)
    generic.record(transaction, after, request, request.operation)
    return after


def _switch(transaction: Transaction, request: Request, *, enabled: bool) -> Document:
    for alarm in _named(transaction, request):
        if alarm.spec["ActionsEnabled"] is not enabled:
            after = _written(transaction, request, alarm, {**alarm.spec, "ActionsEnabled": enabled})
            by = request.caller.principal
            transaction.events.append(configuration_change(after, "update", principal=by, at=transaction.now))
    return {}


def _named(transaction: Transaction, request: Request) -> list[Resource]:
    """Return the alarms of a request.

    Raises:
        NotFound: one is not there. AWS deletes and switches the others all the same; here it is all or nothing.
    """
    return [generic.find(transaction, ALARM, name) for name in dict.fromkeys(request.input["AlarmNames"])]


def _by_name(asked: Document, *filters: Filter) -> Query:
    return Query(
        kind=ALARM.noun,
        filters=filters,
        sort_by="name",
        descending=False,
        limit=paging.size(asked, "MaxRecords"),
        token=asked.get("NextToken"),
    )


def _shown(alarm: Resource) -> Document:
    return {
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "Dimensions": [],
        **alarm.spec,
        **alarm.state,
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "StateValue": alarm.status,
    }


def _remembered(alarm: Resource, event: Event) -> Document:
    item: Document = {
        "AlarmName": alarm.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": event.at.timestamp(),
        "HistoryItemType": _HISTORY[event.type],
    }
    if event.type == STATE_CHANGE:
        before, after = event.detail["previousState"]["value"], event.detail["state"]["value"]
        told: Document = {"version": "1.0", "oldState": _short(event.detail["previousState"])}
        told["newState"] = _short(event.detail["state"])
        item["HistorySummary"] = f"Alarm updated from {before} to {after}"
    elif event.type == CONFIGURATION_CHANGE:
        told = {"version": "1.0", "type": event.detail["operation"].capitalize()}
        item["HistorySummary"] = f'Alarm "{alarm.name}" {event.detail["operation"]}d'[:255]
    else:
        told = {"version": "1.0", "actionState": event.detail["Status"], "notificationResource": event.detail["Target"]}
        item["HistorySummary"] = f"Action {event.detail['Target']}: {event.detail['Result']}"[:255]
    return {**item, "HistoryData": json.dumps(told)[:4095]}


def _short(state: Document) -> Document:
    return {"stateValue": state["value"], "stateReason": state["reason"]}


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _by_arn(transaction: Transaction, request: Request) -> Resource:
    return generic.find(transaction, ALARM, request.input["ResourceARN"].rpartition(":alarm:")[2])


def _arn(transaction: Transaction, name: str) -> str:
    return f"arn:aws:cloudwatch:{transaction.home.region}:{transaction.home.account}:alarm:{name}"
