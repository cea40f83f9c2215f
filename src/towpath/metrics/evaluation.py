"""How an alarm stands, from the last data points of its metric. Pure.

Source: Amazon CloudWatch User Guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing data".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from towpath.metrics.model import AlarmSpec, StateValue

#: Data points that are looked at beyond the evaluation periods, so that a late one, or a gap, does not decide. AWS does
#: not say how many it takes; its examples have two.
BEYOND = 2

COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, threshold: value >= threshold, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, threshold: value > threshold, "greater than"),
    "LessThanThreshold": (lambda value, threshold: value < threshold, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, threshold: value <= threshold, "less than or equal to"),
}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
_FILLED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How an alarm stands, and why."""

    state: StateValue
    reason: str
    reason_data: str  #: JSON, as in AlarmHistory


def looked_at(spec: AlarmSpec) -> int:
    """Return how many of the last periods an evaluation looks at."""
    return spec.evaluation_periods + BEYOND


def state_of(spec: AlarmSpec, values: Sequence[float | None], current: StateValue) -> StateValue:
    """Return how an alarm stands.

    Args:
        values: one of each period that is looked at, the earliest first; None where there is none.
        current: how it stood before.
    """
    breaches = COMPARISONS[spec.comparison_operator][0]
    real = [breaches(value, spec.threshold) for value in values if value is not None]
    missing = max(0, spec.evaluation_periods - len(real))
    breaching = sum(real if missing else real[len(real) - spec.evaluation_periods :])
    if missing and spec.treat_missing_data == "breaching":
        breaching += missing
    if breaching >= spec.needed:
        return StateValue.ALARM
    if not missing or spec.treat_missing_data in _FILLED or False in real:
        return StateValue.OK
    if spec.treat_missing_data == "ignore":
        return current
    if not real:
        return StateValue.INSUFFICIENT_DATA
    # All that there is breaches, and it is too little. It decides once it is so old that what came after it would have
    # been enough: nothing has come that says otherwise.
    oldest = next(back for back, value in zip(range(len(values), 0, -1), values, strict=True) if value is not None)
    return StateValue.ALARM if oldest >= spec.needed else current


def verdict(
    spec: AlarmSpec, values: Sequence[float | None], current: StateValue, *, end: datetime, now: datetime
) -> Verdict:
    """Return how an alarm stands and why.

    Args:
        values: as of `state_of`; of periods of which the last one ends at `end`.
    """
    state = state_of(spec, values, current)
    step = timedelta(seconds=spec.period)
    dated = [
        (end - step * back, value)
        for back, value in zip(range(len(values), 0, -1), values, strict=True)
        if value is not None
    ]
    used = dated[-spec.evaluation_periods :]
    told = {
        "version": "1.0",
        "queryDate": stamp(now),
        **({"startDate": stamp(used[0][0])} if used else {}),
        **({"unit": spec.unit} if spec.unit else {}),
        "statistic": spec.told_by,
        "period": spec.period,
        "recentDatapoints": [value for _, value in used],
        "threshold": spec.threshold,
    }
    return Verdict(state=state, reason=_reason(spec, state, current, used), reason_data=json.dumps(told))


def stamp(at: datetime) -> str:
    """Return a time as CloudWatch writes it into events."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def _reason(spec: AlarmSpec, state: StateValue, before: StateValue, used: Sequence[tuple[datetime, float]]) -> str:
    missing = spec.evaluation_periods - len(used)
    if state is StateValue.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_counted(missing, 'datapoint')} {'was' if missing == 1 else 'were'} unknown."
    compares, words = COMPARISONS[spec.comparison_operator]
    is_alarm = state is StateValue.ALARM
    agreeing = [(at, value) for at, value in used if compares(value, spec.threshold) is is_alarm]
    parts = []
    if agreeing:
        shown = ", ".join(f"{value} ({at:%d/%m/%y %H:%M:%S})" for at, value in reversed(agreeing[-5:]))
        verb = ("was" if len(agreeing) == 1 else "were") + ("" if is_alarm else " not")
        parts.append(
            f"{len(agreeing)} out of the last {_counted(spec.evaluation_periods, 'datapoint')} [{shown}] {verb} "
            f"{words} the threshold ({spec.threshold})"
        )
    if missing > 0:
        treated = _FILLED.get(spec.treat_missing_data)
        parts.append(
            f"{_counted(missing, 'missing datapoint')} {'was' if missing == 1 else 'were'} "
            + (f"treated as [{treated}]" if treated else "left out")
        )
    least = spec.needed if is_alarm else spec.evaluation_periods - spec.needed + 1
    return (
        f"Threshold Crossed: {' and '.join(parts)} (minimum {_counted(least, 'datapoint')} for {before.value} -> "
        f"{state.value} transition)."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
