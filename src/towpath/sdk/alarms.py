"""Alarms: a threshold on a metric, by the operations of CloudWatch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document

if TYPE_CHECKING:
    from towpath.sdk.client import Client

TARGET = "GraniteServiceVersion20100801"  #: what CloudWatch's operations are called by
TRAINING = "/aws/sagemaker/TrainingJobs"
PIPELINES = "AWS/Sagemaker/ModelBuildingPipeline"
#: Metrics of steps of any type. `docs/operations.md` tells when each comes.
OF_STEPS = ("StepStarted", "StepSucceeded", "StepFailed", "StepStopped", "StepDuration")
_CONDITION = re.compile(r"\s*([^\s<>](?:[^<>]*[^\s<>=])?)\s*(<=|>=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")
_OPERATORS = {
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
}
_SIGNS = {name: sign for sign, name in _OPERATORS.items()}
#: What PutMetricAlarm takes of what DescribeAlarms tells.
_WRITTEN = (
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "InsufficientDataActions"),
    *("Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period", "Unit"),
    *("EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData"),
    "EvaluateLowSampleCountPercentile",
)
_MOST_NAMES = 100  #: of one DescribeAlarms


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What an alarm watches: a metric, and the values that it must not come to."""

    metric: str
    operator: str  #: <, <=, >, >=: what the metric is when the alarm goes off
    value: float
    namespace: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    statistic: str = "Average"  #: of the values of a period: Average, Minimum, Maximum, Sum, SampleCount, p90
    period_s: int = 60
    periods: int = 1  #: that have to be so, one after the other

    def __str__(self) -> str:
        of = "/".join(value for _, value in sorted(self.dimensions.items())) or self.namespace
        return f"{self.metric} {self.operator} {self.value:g} of {of}"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm, as it stands."""

    name: str
    threshold: Threshold
    state: str  #: OK, ALARM, INSUFFICIENT_DATA
    reason: str


def threshold(
    condition: str,
    *,
    of: str | None = None,
    namespace: str | None = None,
    dimensions: Mapping[str, str] | None = None,
    statistic: str = "Average",
    period_s: int = 60,
    periods: int = 1,
) -> Threshold:
    """Return a threshold on a metric.

    Args:
        condition: the metric and what it must not come to, for example `validation:accuracy < 0.8`.
        of: `PIPELINE/STEP` for what the training jobs of a step tell, and for what becomes of it, such as StepFailed;
            `PIPELINE` for the pipeline's own metrics, such as ExecutionFailed; else a namespace.
        namespace: of the metric, as it was put.
        dimensions: of the metric in that namespace.
    Raises:
        DefinitionError: the condition is none, or there is not one place where the metric is.
    """
    found = _CONDITION.fullmatch(condition)
    if found is None:
        raise DefinitionError(f"{condition!r} is no condition; expected METRIC < NUMBER, or with <=, > or >=")
    if (of is None) == (namespace is None):
        raise DefinitionError(
            "say where the metric is: of (--of) PIPELINE/STEP (what its training jobs tell), of PIPELINE (its "
            "executions), or in a namespace (--namespace)"
        )
    if of is not None:
        pipeline, slash, step = of.partition("/")
        namespace = TRAINING if slash and found[1] not in OF_STEPS else PIPELINES
        dimensions = {"PipelineName": pipeline, **({"StepName": step} if slash else {})}
        if not pipeline or (slash and not step):
            raise DefinitionError(f"{of!r} is neither PIPELINE nor PIPELINE/STEP")
    return Threshold(
        metric=found[1],
        operator=found[2],
        value=_number(found[3], condition),
        namespace=namespace or "",
        dimensions=dict(dimensions or {}),
        statistic=statistic,
        period_s=period_s,
        periods=periods,
    )


def gone_off(name: str) -> Document:
    """Return the pattern of the event that an alarm has gone off."""
    return {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [name], "state": {"value": ["ALARM"]}},
    }


class Alarms:
    """The alarms of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, name: str, wanted: Threshold) -> Callable[[], object]:
        """Make an alarm, or change the one of that name; return what undoes that. Without values it is not off."""
        before = self._described([name])
        simple = wanted.statistic in {"Average", "Minimum", "Maximum", "Sum", "SampleCount"}
        asked: Document = {
            "AlarmName": name,
            "Namespace": wanted.namespace,
            "MetricName": wanted.metric,
            "Dimensions": [{"Name": each, "Value": value} for each, value in wanted.dimensions.items()],
            "Statistic" if simple else "ExtendedStatistic": wanted.statistic,
            "Period": wanted.period_s,
            "EvaluationPeriods": wanted.periods,
            "Threshold": wanted.value,
            "ComparisonOperator": _OPERATORS[wanted.operator],
            "TreatMissingData": "notBreaching",
        }
        self._client.call(f"{TARGET}.PutMetricAlarm", asked)
        if not before:
            return lambda: self.rm(name)
        kept = {member: before[0][member] for member in _WRITTEN if before[0].get(member) is not None}
        return lambda: self._client.call(f"{TARGET}.PutMetricAlarm", kept)

    def named(self, names: Iterable[str]) -> dict[str, Alarm]:
        """Return those of the alarms that there are, by name."""
        return {each["AlarmName"]: _alarm(each) for each in self._described(list(dict.fromkeys(names)))}

    def rm(self, name: str) -> None:
        """Remove an alarm."""
        self._client.call(f"{TARGET}.DeleteAlarms", {"AlarmNames": [name]})

    def _described(self, names: list[str]) -> list[Document]:
        found: list[Document] = []
        for start in range(0, len(names), _MOST_NAMES):
            asked = {"AlarmNames": names[start : start + _MOST_NAMES]}
            found += self._client.call(f"{TARGET}.DescribeAlarms", asked)["MetricAlarms"]
        return found


def _number(text: str, condition: str) -> float:
    try:
        return float(text)
    except ValueError as fault:
        raise DefinitionError(f"{condition!r} compares with {text!r}, which is no number") from fault


def _alarm(described: Document) -> Alarm:
    watched = Threshold(
        metric=described["MetricName"],
        operator=_SIGNS[described["ComparisonOperator"]],
        value=described["Threshold"],
        namespace=described["Namespace"],
        dimensions={each["Name"]: each["Value"] for each in described["Dimensions"]},
        statistic=described.get("Statistic") or described["ExtendedStatistic"],
        period_s=described["Period"],
        periods=described["EvaluationPeriods"],
    )
    name, state, reason = described["AlarmName"], described["StateValue"], described["StateReason"]
    return Alarm(name=name, threshold=watched, state=state, reason=reason)
