"""The values of metrics and alarms."""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from towpath.kernel.ports import SeriesKey
from towpath.kernel.resource import Document

STATE_CHANGE = "CloudWatch Alarm State Change"  #: event: an alarm has another state
CONFIGURATION_CHANGE = "CloudWatch Alarm Configuration Change"  #: event: an alarm was made, changed or deleted


class StateValue(StrEnum):
    """How an alarm stands."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Dimension(msgspec.Struct, frozen=True, rename="pascal"):
    """One of the names and values that tell metrics of a name apart."""

    name: str
    value: str


class AlarmSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A threshold on a metric."""

    metric_name: str
    namespace: str
    dimensions: tuple[Dimension, ...] = ()
    statistic: str | None = None
    extended_statistic: str | None = None  #: a percentile instead
    period: int  #: seconds
    unit: str | None = None  #: of the values that count; None: all of them
    evaluation_periods: int
    datapoints_to_alarm: int | None = None  #: None: all of the evaluation periods
    threshold: float
    comparison_operator: str
    treat_missing_data: str = "missing"  #: missing, ignore, breaching, notBreaching
    actions_enabled: bool = True
    ok_actions: tuple[str, ...] = msgspec.field(default=(), name="OKActions")
    alarm_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()
    alarm_description: str | None = None

    @property
    def key(self) -> SeriesKey:
        """The metric."""
        return series_key(self.namespace, self.metric_name, ((each.name, each.value) for each in self.dimensions))

    @property
    def told_by(self) -> str:
        """The statistic, or the percentile."""
        return self.statistic or self.extended_statistic or "Average"

    @property
    def needed(self) -> int:
        """How many data points have to breach."""
        return self.datapoints_to_alarm or self.evaluation_periods

    def actions(self, state: StateValue) -> tuple[str, ...]:
        """What is to act when the alarm comes into a state."""
        if not self.actions_enabled:
            return ()
        return {
            StateValue.OK: self.ok_actions,
            StateValue.ALARM: self.alarm_actions,
            StateValue.INSUFFICIENT_DATA: self.insufficient_data_actions,
        }[state]


class AlarmState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How an alarm stands, and since when."""

    state_reason: str = "Unchecked: Initial alarm creation"
    state_reason_data: str | None = None  #: JSON
    state_updated_timestamp: float  #: seconds since 1970
    state_transitioned_timestamp: float  #: seconds since 1970
    alarm_configuration_updated_timestamp: float  #: seconds since 1970


def series_key(namespace: str, name: str, dimensions: Iterable[tuple[str, str]] = ()) -> SeriesKey:
    """Return what tells a metric from all others; the order of dimensions does not."""
    return SeriesKey(namespace=namespace, name=name, dimensions=tuple(sorted(dimensions)))


def key_of(asked: Document) -> SeriesKey:
    """Return the metric that a document names by Namespace, MetricName and Dimensions."""
    pairs = ((each["Name"], each["Value"]) for each in asked.get("Dimensions") or ())
    return series_key(asked["Namespace"], asked["MetricName"], pairs)


def digest(key: SeriesKey) -> str:
    """Return a short text that stands for a metric."""
    return hashlib.sha256(msgspec.json.encode(key)).hexdigest()
