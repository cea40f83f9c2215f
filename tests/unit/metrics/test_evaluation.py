"""How alarms stand, held to the tables of CloudWatch's documentation."""

from datetime import UTC, datetime

import pytest

from towpath.metrics.evaluation import looked_at, state_of, verdict
from towpath.metrics.model import AlarmSpec, StateValue

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OK, ALARM, UNKNOWN = StateValue.OK, StateValue.ALARM, StateValue.INSUFFICIENT_DATA
KEPT = None


def spec(*, periods: int = 3, needed: int | None = None, missing: str = "missing", comparison: str = "") -> AlarmSpec:
    return AlarmSpec(
        metric_name="m",
        namespace="n",
        statistic="Average",
        period=60,
        evaluation_periods=periods,
        datapoints_to_alarm=needed,
        threshold=1.0,
        comparison_operator=comparison or "GreaterThanThreshold",
        treat_missing_data=missing,
    )


def points(drawn: str) -> tuple[float | None, ...]:
    """Return data points as the documentation draws them: 0 does not breach, X does, - is missing."""
    return tuple({"0": 0.0, "X": 2.0, "-": None}[each] for each in drawn.split())


@pytest.mark.parametrize(
    ("needed", "drawn", "states"),
    [
        # 3 out of 3: with missing data treated as missing, ignored, breaching and not breaching
        (3, "0 - X - X", (OK, OK, OK, OK)),
        (3, "0 - - - -", (OK, OK, OK, OK)),
        (3, "- - - - -", (UNKNOWN, KEPT, ALARM, OK)),
        (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        (3, "- - X - -", (ALARM, KEPT, ALARM, OK)),
        # 2 out of 3
        (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0 - X - -", (OK, OK, ALARM, OK)),
        (2, "- - - - 0", (OK, OK, ALARM, OK)),
        (2, "- - - X -", (ALARM, KEPT, ALARM, OK)),
    ],
)
def test_missing_data_are_treated_as_the_documentation_says(
    needed: int, drawn: str, states: tuple[StateValue | None, ...]
) -> None:
    for missing, expected in zip(("missing", "ignore", "breaching", "notBreaching"), states, strict=True):
        for current in StateValue:
            found = state_of(spec(needed=needed, missing=missing), points(drawn), current)
            assert found is (expected or current), (missing, current)


@pytest.mark.parametrize("drawn", ["- - - - X", "- - - X -"])
def test_data_that_have_just_begun_to_breach_change_nothing_yet(drawn: str) -> None:
    for current in StateValue:
        assert state_of(spec(needed=3), points(drawn), current) is current


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", (False, False, True)),
        ("GreaterThanOrEqualToThreshold", (False, True, True)),
        ("LessThanThreshold", (True, False, False)),
        ("LessThanOrEqualToThreshold", (True, True, False)),
    ],
)
def test_a_value_is_compared_as_the_operator_says(comparison: str, breaching: tuple[bool, ...]) -> None:
    for value, expected in zip((0.5, 1.0, 1.5), breaching, strict=True):
        found = state_of(spec(periods=1, comparison=comparison), (value,), UNKNOWN)
        assert (found is ALARM) is expected


def test_only_as_many_points_as_there_are_evaluation_periods_count_where_there_are_enough() -> None:
    assert looked_at(spec(periods=1)) == 3
    assert state_of(spec(periods=1), points("X X 0"), ALARM) is OK
    assert state_of(spec(periods=1), points("0 0 X"), OK) is ALARM
    assert state_of(spec(periods=1), points("X - -"), OK) is ALARM


def test_the_reason_says_what_was_compared_with_what() -> None:
    found = verdict(spec(periods=1), points("0 - X"), OK, end=NOW.replace(second=0), now=NOW)
    assert found.state is ALARM
    assert found.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [2.0 (02/01/26 03:03:00)] was greater than the threshold "
        "(1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert '"recentDatapoints": [2.0]' in found.reason_data
    filled = verdict(spec(missing="breaching"), points("- - - - X"), OK, end=NOW, now=NOW)
    assert "and 2 missing datapoints were treated as [Breaching] (minimum 3 datapoints" in filled.reason
    none = verdict(spec(), points("- - - - -"), OK, end=NOW, now=NOW)
    assert none.reason == "Insufficient Data: 3 datapoints were unknown."
