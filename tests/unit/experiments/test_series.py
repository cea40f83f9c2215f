"""Series of metrics, against statistics worked out from all values at once."""

import statistics
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.experiments.series import MOST_VALUES, Asked, series
from towpath.kernel.ports import Measured

STATISTICS = {
    "Min": min,
    "Max": max,
    "Avg": statistics.fmean,
    "Count": len,
    "StdDev": statistics.pstdev,
    "Last": lambda values: values[-1],
}


def measured(at: float, value: float, step: int | None = None) -> Measured:
    return Measured(name="loss", value=value, at=datetime.fromtimestamp(at, UTC), step=step)


@given(
    points=st.lists(st.tuples(st.integers(0, 900), st.floats(-10, 10), st.none() | st.integers(0, 3)), max_size=20),
    stat=st.sampled_from(sorted(STATISTICS)),
    period=st.sampled_from(["OneMinute", "FiveMinute", "OneHour", "IterationNumber"]),
    axis=st.sampled_from(["Timestamp", "IterationNumber"]),
    start=st.none() | st.integers(0, 300),
)
def test_each_place_on_the_axis_tells_the_statistic_of_its_values(
    points: list[tuple[int, float, int | None]], stat: str, period: str, axis: str, start: int | None
) -> None:
    points.sort(key=lambda point: point[0])
    size = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}.get(period, 1)
    places: dict[int, list[float]] = {}
    for at, value, step in points:
        place = step if axis == "IterationNumber" else at // size * size
        if place is not None and (start is None or place >= start):
            places.setdefault(place, []).append(value)
    asked = Asked(metric_name="loss", metric_stat=stat, period=period, x_axis_type=axis, start=start)
    found = series((measured(*point) for point in points), asked)
    assert found.positions == sorted(places)
    expected = [STATISTICS[stat](places[place]) for place in sorted(places)]  # type: ignore[operator]
    assert found.values == pytest.approx(expected, abs=1e-9)


def test_a_series_that_is_too_long_is_cut_and_says_so() -> None:
    asked = Asked(metric_name="loss", metric_stat="Last", period="IterationNumber", x_axis_type="IterationNumber")
    found = series((measured(n, 1.0, n) for n in range(MOST_VALUES + 1)), asked)
    assert (len(found.values), found.truncated) == (MOST_VALUES, True)
