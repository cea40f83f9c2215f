"""The operations of CloudWatch by name."""

from collections.abc import Callable

from msgspec.structs import replace

from towpath.kernel.operations import Operation, refusing
from towpath.metrics import alarms, data

_COMPOSITE = (
    "Composite alarms are not offered. Put the alarms that it would combine, and a rule of EventBridge on the event "
    "CloudWatch Alarm State Change of each."
)


def operations(keep_days: float, flush: Callable[[], None]) -> dict[str, Operation]:
    """Return the operations of CloudWatch by name.

    Args:
        keep_days: values of metrics that are older go.
        flush: has kept what is gathered in memory, before somebody asks for values.
    """
    metric_data = data.MetricData(keep_days)
    rows = (
        ("PutMetricData", metric_data.put, True),
        ("GetMetricData", data.get_metric_data, False),
        ("GetMetricStatistics", data.get_metric_statistics, False),
        ("ListMetrics", data.list_metrics, False),
        ("PutMetricAlarm", alarms.put_metric_alarm, True),
        ("DescribeAlarms", alarms.describe_alarms, False),
        ("DescribeAlarmsForMetric", alarms.describe_alarms_for_metric, False),
        ("DescribeAlarmHistory", alarms.describe_alarm_history, False),
        ("SetAlarmState", alarms.set_alarm_state, True),
        ("EnableAlarmActions", alarms.enable_alarm_actions, True),
        ("DisableAlarmActions", alarms.disable_alarm_actions, True),
        ("DeleteAlarms", alarms.delete_alarms, True),
        ("TagResource", alarms.tag_resource, True),
        ("UntagResource", alarms.untag_resource, True),
        ("ListTagsForResource", alarms.list_tags_for_resource, False),
    )
    found = {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}
    for name in ("GetMetricData", "GetMetricStatistics", "ListMetrics"):
        found[name] = replace(found[name], prepare=lambda _: flush())
    return {**found, "PutCompositeAlarm": refusing("PutCompositeAlarm", _COMPOSITE)}
