"""Values of a running pipeline, comparisons of them, and how both stand in the definition."""

import re
from collections.abc import Callable

import pytest

from towpath.sdk import DefinitionError, Processing, execution, join, parameter
from towpath.sdk.expressions import And, Predicate, as_text, expressions_in, wire

LIMIT = parameter("Limit", 0.6)
ROUNDS = parameter("Rounds", 3)


@pytest.mark.parametrize(
    ("condition", "type_"),
    [
        (LIMIT >= 0.5, "GreaterThanOrEqualTo"),
        (LIMIT > 0.5, "GreaterThan"),
        (LIMIT <= 0.5, "LessThanOrEqualTo"),
        (LIMIT < 0.5, "LessThan"),
        (LIMIT == 0.5, "Equals"),
    ],
)
def test_a_comparison_becomes_the_condition_of_that_type(condition: Predicate, type_: str) -> None:
    assert condition.to_wire() == {"Type": type_, "LeftValue": {"Get": "Parameters.Limit"}, "RightValue": 0.5}


def test_a_plain_value_on_the_left_turns_the_comparison_round() -> None:
    assert (LIMIT >= 0.5).to_wire() == (LIMIT >= 0.5).to_wire()


def test_two_expressions_are_compared_with_each_other() -> None:
    assert (LIMIT > ROUNDS).to_wire()["RightValue"] == {"Get": "Parameters.Rounds"}


def test_unequal_is_the_opposite_of_equal() -> None:
    assert (LIMIT != 1).to_wire() == {"Type": "Not", "Condition": (LIMIT == 1).to_wire()}


def test_one_of_several_values_is_a_condition() -> None:
    assert LIMIT.in_(["a", "b"]).to_wire() == {
        "Type": "In",
        "QueryValue": {"Get": "Parameters.Limit"},
        "Values": ["a", "b"],
    }


def test_alternatives_stand_in_one_or_and_negating_twice_changes_nothing() -> None:
    a, b, c = LIMIT > 1, LIMIT > 2, LIMIT > 3
    assert (a | b | c).to_wire() == {"Type": "Or", "Conditions": [a.to_wire(), b.to_wire(), c.to_wire()]}
    assert ~~a is a


def test_conditions_that_must_all_hold_stand_in_a_list_and_below_an_or_by_de_morgans_law() -> None:
    a, b, c = LIMIT > 1, LIMIT > 2, LIMIT > 3
    both = a & b
    assert isinstance(both, And)
    assert both.all_of() == (a, b)
    negated = {"Type": "Or", "Conditions": [(~a).to_wire(), (~b).to_wire()]}
    assert (both | c).to_wire() == {"Type": "Or", "Conditions": [{"Type": "Not", "Condition": negated}, c.to_wire()]}


def test_python_cannot_branch_on_a_condition_or_on_a_value() -> None:
    with pytest.raises(DefinitionError, match=re.escape("by & | ~")):
        bool(LIMIT > 1 and LIMIT < 2)
    with pytest.raises(DefinitionError, match="Condition step"):
        bool(LIMIT)


def test_a_value_is_not_put_into_text_by_an_f_string() -> None:
    with pytest.raises(DefinitionError, match="join"):
        f"limit {LIMIT}"


@pytest.mark.parametrize(
    "compute",
    [
        lambda: ROUNDS + 1,
        lambda: 2 * ROUNDS,
        lambda: "rounds: " + ROUNDS,
        lambda: -LIMIT,
        lambda: ROUNDS // 2,
        lambda: LIMIT**2,
        lambda: int(ROUNDS),
        lambda: round(LIMIT),
    ],
)
def test_a_value_that_is_known_later_is_not_computed_with(compute: Callable[[], object]) -> None:
    with pytest.raises(DefinitionError, match="cannot be computed with here; do it in a function with @step"):
        compute()


def test_join_keeps_plain_values_and_expressions_in_their_order() -> None:
    assert join("accuracy below ", LIMIT, on="").to_wire() == {
        "Std:Join": {"On": "", "Values": ["accuracy below ", {"Get": "Parameters.Limit"}]}
    }
    with pytest.raises(DefinitionError):
        join()


def test_what_must_be_text_is_text_once_it_is_resolved() -> None:
    assert as_text(3) == "3"
    assert as_text(3e-4) == "0.0003"
    assert as_text(True) == "True"
    assert as_text("x") == "x"
    assert wire(as_text(ROUNDS)) == {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Rounds"}]}}


def test_a_value_of_a_property_file_names_step_and_file() -> None:
    step = Processing("Evaluate", script="evaluate.py", outputs=["evaluation"])
    assert step.json("evaluation", "report.f1").to_wire() == {
        "Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.evaluation"}, "Path": "report.f1"}
    }
    assert step.json("evaluation", "x", file="more/other.json").property_file == "evaluation-more-other"


def test_every_expression_inside_a_document_is_found() -> None:
    document = {"a": [1, {"b": join("x", LIMIT)}], "c": execution.id < LIMIT}
    found = [wire(each) for each in expressions_in(document)]
    assert {"Get": "Parameters.Limit"} in found
    assert {"Get": "Execution.PipelineExecutionId"} in found
    assert len(found) == 4


def test_what_json_cannot_hold_is_refused_with_its_type() -> None:
    with pytest.raises(DefinitionError, match=r"a set\) cannot stand in a pipeline definition"):
        wire({"a": {1, 2}})
