"""Conditions hold or do not hold; what cannot be compared is refused with its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.pipelines.conditions import holds, parse
from towpath.pipelines.evaluation import EvaluationError, Scope
from towpath.pipelines.faults import Fault

NUMBERS = st.integers() | st.floats(allow_nan=False)


def outcome(document: Any, scope: Scope | None = None) -> bool:
    faults: list[Fault] = []
    condition = parse(document, "Conditions[0]", faults)
    assert faults == []
    assert condition is not None
    return holds(condition, scope or Scope())


def compared(kind: str, left: Any, right: Any) -> bool:
    return outcome({"Type": kind, "LeftValue": left, "RightValue": right})


@given(NUMBERS, NUMBERS)
def test_numbers_are_ordered_as_numbers(left: float, right: float) -> None:
    assert compared("Equals", left, right) == (left == right)
    assert compared("GreaterThan", left, right) == (left > right)
    assert compared("GreaterThanOrEqualTo", left, right) == (left >= right)
    assert compared("LessThan", left, right) == (left < right)
    assert compared("LessThanOrEqualTo", left, right) == (left <= right)


@given(st.text(max_size=3), st.text(max_size=3))
def test_texts_are_ordered_as_texts(left: str, right: str) -> None:
    assert compared("LessThan", left, right) == (left < right)


@given(NUMBERS, st.lists(NUMBERS, max_size=4))
def test_not_in_is_the_opposite_of_in(query: float, values: list[float]) -> None:
    among = {"Type": "In", "QueryValue": query, "Values": values}
    assert outcome(among) == (query in values)
    assert outcome({"Type": "Not", "Condition": among}) != outcome(among)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("0.5", 0.5, True),
        ("x", 0.5, False),
        (True, 1, False),
        (True, "True", True),
        (True, "false", False),
        (None, 0, False),
        (None, None, True),
        ([1], [1], True),
        ("1", "1.0", False),
    ],
)
def test_values_of_different_types_are_equal_only_when_they_mean_the_same(
    left: Any, right: Any, *, equal: bool
) -> None:
    assert compared("Equals", left, right) is equal


def test_a_number_written_as_text_is_ordered_as_a_number() -> None:
    assert compared("GreaterThan", "10", 9)


@pytest.mark.parametrize(("left", "right"), [("x", 1), (None, 1), ([1], [2]), (True, False)])
def test_what_has_no_order_is_refused_with_its_place(left: Any, right: Any) -> None:
    with pytest.raises(EvaluationError, match=r"^Conditions\[0\]: LeftValue is .* they cannot be ordered$"):
        compared("LessThan", left, right)


def test_or_holds_when_any_of_its_conditions_holds() -> None:
    less, greater = ({"Type": kind, "LeftValue": 1, "RightValue": 2} for kind in ("LessThan", "GreaterThan"))
    assert outcome({"Type": "Or", "Conditions": [greater, less]})
    assert not outcome({"Type": "Or", "Conditions": [greater]})
    assert not outcome({"Type": "Or", "Conditions": []})


def test_values_may_be_expressions() -> None:
    condition = {"Type": "Equals", "LeftValue": {"Get": "Parameters.A"}, "RightValue": {"Get": "Parameters.B"}}
    assert outcome(condition, Scope(parameters={"A": 3, "B": 3}))
