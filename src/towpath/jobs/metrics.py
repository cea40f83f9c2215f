"""Metrics of a training job: their definitions checked, their values as the API tells them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from towpath.jobs.model import MetricDefinition, MetricPoint
from towpath.jobs.requests import RegexDefinition
from towpath.kernel.errors import Invalid
from towpath.kernel.ports import Measured
from towpath.kernel.resource import Document


def definitions(asked: Iterable[RegexDefinition]) -> tuple[MetricDefinition, ...]:
    """Return the metric definitions of a request.

    Raises:
        Invalid: a regular expression does not compile or has no group to read the value from.
    """
    found = []
    for definition in asked:
        try:
            groups = re.compile(definition.regex).groups
        except re.error as error:
            raise Invalid(f"MetricDefinitions: {definition.name!r} has an invalid Regex: {error}") from error
        if not groups:
            raise Invalid(
                f"MetricDefinitions: the Regex of {definition.name!r} needs a group around the number, "
                f"for example 'accuracy: ([0-9.]+)'; it is {definition.regex!r}"
            )
        found.append(MetricDefinition(name=definition.name, regex=definition.regex))
    return tuple(found)


def measured(series: Sequence[MetricPoint], known: int) -> tuple[Measured, ...]:
    """Return the values of a series behind the first `known` ones. A value's step is its place among those of its
    name in this attempt."""
    steps: Counter[str] = Counter()
    values = []
    for position, point in enumerate(series):
        if position >= known:
            values.append(Measured(name=point.name, value=point.value, at=point.at, step=steps[point.name]))
        steps[point.name] += 1
    return tuple(values)


def final_metrics(points: Iterable[MetricPoint]) -> list[Document]:
    """Return FinalMetricDataList: the last value of each metric, in the order of their names."""
    last = {point.name: point for point in points}
    return [
        {"MetricName": name, "Value": point.value, "Timestamp": point.at.timestamp()}
        for name, point in sorted(last.items())
    ]
