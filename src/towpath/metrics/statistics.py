"""Values put into periods, and each period told by one statistic. Pure.

Source: Amazon CloudWatch User Guide, "CloudWatch statistics definitions" and "Percentiles".
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeAlias

from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.ports import Datum

#: Tells values by one number; None where they do not say it.
Statistic: TypeAlias = Callable[[Sequence[Datum]], float | None]

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)")
_OTHERS = re.compile(r"(?:IQM|(?:tm|tc|ts|wm|TM|TC|TS|WM|PR)(?:\d|\().*)")
_SHORT_PERIODS_S = (1, 5, 10, 20, 30)


def _count(data: Sequence[Datum]) -> float:
    return math.fsum(each.count for each in data)


def _sum(data: Sequence[Datum]) -> float:
    return math.fsum(each.total for each in data)


SIMPLE: Mapping[str, Statistic] = {
    "Average": lambda data: _sum(data) / _count(data),
    "Maximum": lambda data: max(each.greatest for each in data),
    "Minimum": lambda data: min(each.least for each in data),
    "SampleCount": _count,
    "Sum": _sum,
}


def statistic(name: str) -> Statistic:
    """Return the statistic of a name such as Average or p99.5.

    Raises:
        Unsupported: CloudWatch has it, and we do not.
        Invalid: there is none of the name.
    """
    if name in SIMPLE:
        return SIMPLE[name]
    found = _PERCENTILE.fullmatch(name)
    if found is not None and float(found[1]) <= 100:
        share = float(found[1]) / 100
        return lambda data: _percentile(data, share)
    expected = f"expected {', '.join(SIMPLE)}, or a percentile such as p99"
    if _OTHERS.fullmatch(name):
        raise Unsupported(f"The statistic {name!r} is not offered; {expected}", code="InvalidParameterValueException")
    raise Invalid(f"The statistic {name!r} is not known; {expected}", code="InvalidParameterValueException")


def _percentile(data: Sequence[Datum], share: float) -> float | None:
    """Return the least value that at least `share` of all values do not exceed.

    None where some came as a statistic set, which does not say what its values were.
    """
    if any(each.least != each.greatest for each in data):
        return None
    ordered = sorted(data, key=lambda each: each.least)
    wanted, seen = share * _count(data), 0.0
    for each in ordered:
        seen += each.count
        if seen >= wanted * (1 - 1e-12):  # 0.1 + 0.2 of three values are a little more than three tenths
            return each.least
    return ordered[-1].least


def check_period(period_s: int, member: str = "Period") -> None:
    """Refuse a period that CloudWatch has not.

    Raises:
        Invalid: it is none.
    """
    if period_s not in _SHORT_PERIODS_S and (period_s < 60 or period_s % 60):
        shown = ", ".join(map(str, _SHORT_PERIODS_S))
        raise Invalid(
            f"{member} is {period_s}; expected {shown} or a multiple of 60 seconds",
            code="InvalidParameterValueException",
        )


def beginning(at: datetime, period_s: int) -> datetime:
    """Return when the period began that a time is in; periods are counted from 1970 on."""
    seconds = math.floor(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % period_s, UTC)


def in_periods(data: Iterable[Datum], period_s: int) -> Iterator[tuple[datetime, list[Datum]]]:
    """Yield the beginning of each period that has values, with its values.

    Args:
        data: the earliest first.
    """
    for begun, group in groupby(data, key=lambda each: beginning(each.at, period_s)):
        yield begun, list(group)


def series(data: Iterable[Datum], period_s: int, tell: Statistic) -> Iterator[tuple[datetime, float]]:
    """Yield the beginning of each period that has values, and what the statistic makes of them."""
    for begun, values in in_periods(data, period_s):
        told = tell(values)
        if told is not None:
            yield begun, told


def last_values(
    data: Iterable[Datum], period_s: int, tell: Statistic, *, end: datetime, count: int
) -> tuple[float | None, ...]:
    """Return the statistic of each of the last periods before `end`, the earliest first; None where there is none."""
    known = dict(series(data, period_s, tell))
    return tuple(known.get(end - timedelta(seconds=period_s * back)) for back in range(count, 0, -1))
