"""What an expression matches, against an evaluation that is written as plainly as the words of the API."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.search.evaluation import best, compiled, sort_key
from towpath.search.model import Expression, Filter, Joined, NestedFilters, Operator, PropertyType

TYPES = {
    "Name": PropertyType.TEXT,
    "Seconds": PropertyType.NUMBER,
    "Created": PropertyType.TIME,
    "Spot": PropertyType.BOOLEAN,
    "HyperParameters.rate": PropertyType.OPEN,
    "Channels": PropertyType.GROUP,
    "Channels.Uri": PropertyType.TEXT,
    "Channels.Size": PropertyType.NUMBER,
}
words = st.sampled_from(["a", "b", "ab", "B", "a b", "1", "0.5"])
numbers = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0])
channels = st.fixed_dictionaries({}, optional={"Uri": words, "Size": numbers})
documents = st.fixed_dictionaries(
    {},
    optional={
        "Name": words,
        "Seconds": numbers,
        "Created": numbers.map(lambda number: 1_700_000_000 + number),
        "Spot": st.booleans(),
        "HyperParameters": st.fixed_dictionaries({}, optional={"rate": words}),
        "Channels": st.lists(channels, max_size=3),
    },
)
ORDERED = ["GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"]


def conditions(name: str) -> st.SearchStrategy[Filter]:
    type_ = TYPES[name]
    value: st.SearchStrategy[str] = words
    operators = ["Exists", "NotExists"]
    if type_ is not PropertyType.GROUP:
        operators += ["Equals", "NotEquals"]
    if type_ in {PropertyType.TEXT, PropertyType.OPEN}:
        operators += ["Contains", "In"]
        value = st.one_of(words, st.lists(words, min_size=2, max_size=3).map(",".join))
    if type_ in {PropertyType.NUMBER, PropertyType.TIME}:
        operators += ORDERED
        first = 1_700_000_000 if type_ is PropertyType.TIME else 0
        value = numbers.map(lambda number: str(first + number))
    if type_ is PropertyType.BOOLEAN:
        value = st.sampled_from(["true", "false"])
    return st.builds(Filter, name=st.just(name), operator=st.sampled_from(operators).map(Operator), value=value)


any_condition = st.sampled_from([name for name in TYPES if "." not in name or "rate" in name]).flatmap(conditions)
in_a_channel = st.sampled_from(["Channels.Uri", "Channels.Size"]).flatmap(conditions)
nested = st.builds(
    NestedFilters,
    nested_property_name=st.just("Channels"),
    filters=st.lists(in_a_channel, min_size=1, max_size=2).map(tuple),
)


def expressions_of(inner: st.SearchStrategy[tuple[Expression, ...]]) -> st.SearchStrategy[Expression]:
    return st.builds(
        Expression,
        filters=st.lists(any_condition, min_size=1, max_size=2).map(tuple),
        nested_filters=st.lists(nested, max_size=1).map(tuple),
        sub_expressions=inner,
        operator=st.sampled_from(Joined),
    )


expressions = expressions_of(st.lists(expressions_of(st.just(())), max_size=2).map(tuple))


# The oracle.


def oracle(expression: Expression, document: dict[str, Any]) -> bool:
    answers = [holds(condition, found_in(document, condition.name)) for condition in expression.filters]
    for group in expression.nested_filters:
        items = document.get("Channels", [])
        answers.append(
            any(
                all(holds(c, [item[c.name[9:]]] if c.name[9:] in item else []) for c in group.filters) for item in items
            )
        )
    answers += [oracle(inner, document) for inner in expression.sub_expressions]
    return all(answers) if expression.operator == "And" else any(answers)


def found_in(document: dict[str, Any], name: str) -> list[Any]:
    if name == "HyperParameters.rate":
        parameters = document.get("HyperParameters", {})
        return [parameters["rate"]] if "rate" in parameters else []
    if name == "Channels":
        return list(document.get("Channels", []))
    return [document[name]] if name in document else []


def holds(condition: Filter, found: list[Any]) -> bool:
    if condition.operator == "Exists":
        return found != []
    if condition.operator == "NotExists":
        return found == []
    if condition.operator == "NotEquals":
        return not any(equal(condition, value) for value in found)
    return any(one_holds(condition, value) for value in found)


def equal(condition: Filter, value: Any) -> bool:
    wanted = condition.value or ""
    match TYPES[condition.name]:
        case PropertyType.TEXT:
            return bool(wanted == value)
        case PropertyType.BOOLEAN:
            return bool(value == (wanted == "true"))
        case PropertyType.NUMBER:
            return bool(float(wanted) == value)
        case PropertyType.TIME:
            whole = float(wanted) == math.floor(float(wanted))
            return bool(float(wanted) == (math.floor(value) if whole else value))
    if wanted == value:
        return True
    try:
        left, right = float(wanted), float(value)
    except ValueError:
        return False
    return left == (math.trunc(right) if wanted.isdecimal() else right)


def one_holds(condition: Filter, value: Any) -> bool:
    wanted = condition.value or ""
    match condition.operator.value:
        case "Equals":
            return equal(condition, value)
        case "Contains":
            return wanted.lower() in value.lower()
        case "In":
            return value in [word.strip() for word in wanted.split(",")]
        case "GreaterThan":
            return bool(value > float(wanted))
        case "GreaterThanOrEqualTo":
            return bool(value >= float(wanted))
        case "LessThan":
            return bool(value < float(wanted))
    return bool(value <= float(wanted))


@given(expression=expressions, document=documents)
def test_an_expression_matches_as_the_words_of_the_api_say(expression: Expression, document: dict[str, Any]) -> None:
    assert compiled(expression, TYPES.get)(document) == oracle(expression, document)


@given(
    found=st.lists(documents, max_size=12),
    name=st.sampled_from(["Name", "Seconds", "HyperParameters.rate"]),
    size=st.integers(1, 5),
    descending=st.booleans(),
)
def test_pages_in_any_order_hold_everything_once_and_what_has_no_value_comes_last(
    found: list[dict[str, Any]], name: str, size: int, descending: bool
) -> None:
    keyed = [(sort_key(doc, name, f"{n:03}", descending=descending), n) for n, doc in enumerate(found)]
    pages: list[int] = []
    after = None
    while True:
        rest = [p for p in keyed if after is None or (p[0] < after if descending else p[0] > after)]
        page = best(rest, size, descending=descending)
        pages += [n for _, n in page]
        if len(page) < size:
            break
        after = page[-1][0]
    assert sorted(pages) == list(range(len(found)))
    has = [bool(found_in(found[n], name)) for n in pages]
    assert has == sorted(has, reverse=True)
    if name == "Seconds":
        shown = [found[n]["Seconds"] for n in pages if "Seconds" in found[n]]
        assert shown == sorted(shown, reverse=descending)


def only(**condition: Any) -> Expression:
    return Expression(filters=(Filter(**condition),))


def test_a_whole_number_compares_hyperparameters_as_whole_numbers_and_a_decimal_one_as_decimals() -> None:
    document = {"HyperParameters": {"rate": "0.7"}}
    less = {"name": "HyperParameters.rate", "operator": Operator.LESS}
    assert compiled(only(**less, value="1"), TYPES.get)(document)
    assert not compiled(only(**less, value="0.5"), TYPES.get)(document)
    assert compiled(only(name="HyperParameters.rate", value="0"), TYPES.get)(document)
    assert not compiled(only(name="HyperParameters.rate", value="0.0"), TYPES.get)(document)


def test_times_are_given_as_people_write_them() -> None:
    document = {"Created": 1_700_000_000.25}
    at = {"name": "Created", "value": "2023-11-14T22:13:20Z"}
    assert compiled(only(**at), TYPES.get)(document)
    assert compiled(only(**at, operator=Operator.GREATER), TYPES.get)(document)
    assert not compiled(only(name="Created", operator=Operator.LESS, value="2023-11-14"), TYPES.get)(document)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (only(name="Nmae", value="a"), "no property 'Nmae'"),
        (only(name="Name", operator=Operator.GREATER, value="a"), "cannot be compared by GreaterThan"),
        (only(name="Seconds", operator=Operator.CONTAINS, value="1"), "cannot be compared by Contains"),
        (only(name="Seconds", value="many"), "expected a number"),
        (only(name="Created", value="yesterday"), "expected a time"),
        (only(name="Name"), "needs a Value"),
        (only(name="Spot", value="maybe"), "true or false"),
        (Expression(), "at least one"),
        (Expression(filters=(Filter(name="Name", value="a"),) * 21), "at most 20"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_the_reason(expression: Expression, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        compiled(expression, TYPES.get)
