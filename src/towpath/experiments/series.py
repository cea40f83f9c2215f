"""The values of a metric as a series: put into periods or steps, and each of those told by one statistic. Pure.

Source: Amazon SageMaker Metrics API Reference, "MetricQuery" and "MetricQueryResult".
"""

import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from towpath.kernel.ports import Measured

MOST_VALUES = 2880  #: of one series; a longer one is cut, and said to be

_PERIODS_S: Mapping[str, int] = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Which series is wanted."""

    metric_name: str
    metric_stat: str  #: Min, Max, Avg, Count, StdDev, Last
    period: str  #: OneMinute, FiveMinute, OneHour, IterationNumber (each step by itself)
    x_axis_type: str = msgspec.field(name="XAxisType")  #: IterationNumber, Timestamp (epoch seconds)
    start: int | None = None  #: of the axis, itself included
    end: int | None = None  #: of the axis, itself excluded


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A series, in the order of its axis."""

    positions: list[int]
    values: list[float]
    truncated: bool = False


class _Told:
    """What is kept of the values of one place on the axis, whatever their number (Welford's method)."""

    __slots__ = ("count", "greatest", "last", "least", "mean", "squares")

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.least, self.greatest, self.last = math.inf, -math.inf, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self.squares += off * (value - self.mean)
        self.least, self.greatest, self.last = min(self.least, value), max(self.greatest, value), value


_STATISTICS: Mapping[str, Callable[[_Told], float]] = {
    "Min": lambda told: told.least,
    "Max": lambda told: told.greatest,
    "Avg": lambda told: told.mean,
    "Count": lambda told: float(told.count),
    "StdDev": lambda told: math.sqrt(told.squares / told.count),
    "Last": lambda told: told.last,
}


def series(values: Iterable[Measured], asked: Asked) -> Series:
    """Return the series that is asked for; values without a step are not on an axis of steps.

    Args:
        values: of the metric, the earliest first.
    """
    places: dict[int, _Told] = {}
    for item in values:
        position = _position(item, asked)
        if position is None or (asked.start is not None and position < asked.start):
            continue
        if asked.end is None or position < asked.end:
            places.setdefault(position, _Told()).add(item.value)
    tell = _STATISTICS[asked.metric_stat]
    positions = sorted(places)
    shown = positions[:MOST_VALUES]
    return Series(
        positions=shown,
        values=[tell(places[position]) for position in shown],
        truncated=len(positions) > MOST_VALUES,
    )


def _position(item: Measured, asked: Asked) -> int | None:
    if asked.x_axis_type == "IterationNumber":
        return item.step
    seconds = math.floor(item.at.timestamp())
    return seconds - seconds % _PERIODS_S.get(asked.period, 1)
