"""What values of a period come to."""

from datetime import UTC, datetime, timedelta

import pytest

from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.ports import Datum
from towpath.metrics.statistics import beginning, check_period, last_values, series, statistic

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def value(number: float, *, after_s: float = 0, count: float = 1) -> Datum:
    at = START + timedelta(seconds=after_s)
    return Datum(at=at, count=count, total=number * count, least=number, greatest=number)


SET = Datum(at=START, count=4, total=10, least=1, greatest=5)


@pytest.mark.parametrize(
    ("name", "expected"), [("SampleCount", 7.0), ("Sum", 19.0), ("Minimum", 1.0), ("Maximum", 5.0), ("Average", 19 / 7)]
)
def test_sets_and_counted_values_come_to_one_statistic(name: str, expected: float) -> None:
    assert statistic(name)([SET, value(3, count=3)]) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "expected"), [("p0", 1), ("p50", 5), ("p90", 9), ("p99.9", 10), ("p100", 10)])
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(name: str, expected: float) -> None:
    assert statistic(name)([value(number) for number in (10, *range(1, 10))]) == expected
    assert statistic(name)([value(number, count=100) for number in range(1, 11)]) == expected


def test_a_set_has_a_percentile_only_where_its_values_are_known() -> None:
    assert statistic("p50")([SET, value(1)]) is None
    assert statistic("p50")([Datum(at=START, count=9, total=18, least=2, greatest=2)]) == 2


def test_statistics_that_are_not_there_are_refused_by_name() -> None:
    with pytest.raises(Unsupported, match=r"'tm90' is not offered"):
        statistic("tm90")
    for name in ("p101", "Mean", "average"):
        with pytest.raises(Invalid, match=r"is not known; expected Average"):
            statistic(name)


def test_periods_begin_at_whole_multiples() -> None:
    assert beginning(START + timedelta(seconds=61.5), 60) == START + timedelta(seconds=60)
    data = [value(1), value(3, after_s=59.9), value(5, after_s=60), value(7, after_s=180)]
    found = list(series(data, 60, statistic("Average")))
    assert found == [(START, 2), (START + timedelta(seconds=60), 5), (START + timedelta(seconds=180), 7)]
    end = START + timedelta(seconds=240)
    assert last_values(data, 60, statistic("Sum"), end=end, count=5) == (None, 4, 5, None, 7)


def test_only_periods_of_cloudwatch_are_taken() -> None:
    taken = []
    for period in range(-60, 301):
        try:
            check_period(period)
        except Invalid as refused:
            assert "expected 1, 5, 10, 20, 30 or a multiple of 60" in str(refused)
        else:
            taken.append(period)
    assert taken == [1, 5, 10, 20, 30, 60, 120, 180, 240, 300]
    check_period(86_400)
