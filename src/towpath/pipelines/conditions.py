"""Conditions: what a Condition step asks, and whether it holds."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from towpath.pipelines.evaluation import EvaluationError, Scope, evaluate
from towpath.pipelines.expressions import Expression
from towpath.pipelines.expressions import parse as parse_expression
from towpath.pipelines.faults import Fault, Place, item, member
from towpath.pipelines.paths import describe

COMPARISONS = ("Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
CONDITION_TYPES = (*COMPARISONS, "In", "Not", "Or")


class Comparison(msgspec.Struct, frozen=True):
    """Two values and how they are compared."""

    type: str
    left: Expression
    right: Expression
    place: Place


class In(msgspec.Struct, frozen=True):
    """Whether a value is among others."""

    query: Expression
    values: tuple[Expression, ...]
    place: Place


class Not(msgspec.Struct, frozen=True):
    """The opposite of a condition."""

    condition: "Condition"
    place: Place


class Or(msgspec.Struct, frozen=True):
    """Whether any of several conditions holds."""

    conditions: tuple["Condition", ...]
    place: Place


Condition: TypeAlias = Comparison | In | Not | Or


def parse_all(value: Any, place: Place, faults: list[Fault]) -> tuple[Condition, ...]:
    """Return the conditions of a list; what is malformed is added to `faults`."""
    if not isinstance(value, list):
        faults.append(Fault(place, f"expected a list of conditions, found {describe(value)}", "condition"))
        return ()
    found = (parse(inner, item(place, index), faults) for index, inner in enumerate(value))
    return tuple(condition for condition in found if condition is not None)


def parse(value: Any, place: Place, faults: list[Fault]) -> Condition | None:
    """Return the condition that a JSON value stands for, None when it is malformed."""
    if not isinstance(value, dict):
        faults.append(Fault(place, f"expected a condition, found {describe(value)}", "condition"))
        return None
    kind = value.get("Type")
    if kind not in CONDITION_TYPES:
        message = f"{kind!r} is not a type of conditions; expected one of {', '.join(CONDITION_TYPES)}"
        faults.append(Fault(member(place, "Type"), message, "condition"))
        return None
    wanted = {"In": ("QueryValue", "Values"), "Not": ("Condition",), "Or": ("Conditions",)}
    members = wanted.get(kind, ("LeftValue", "RightValue"))
    missing = [name for name in members if name not in value]
    for name in missing:
        faults.append(Fault(member(place, name), f"this member is missing; {kind} needs it", "condition"))
    for name in value:
        if name not in {"Type", *members}:
            message = f"unknown member; {kind} has {' and '.join(members)}"
            faults.append(Fault(member(place, name), message, "condition"))
    if missing:
        return None
    match kind:
        case "In":
            values = value["Values"]
            inside = member(place, "Values")
            if not isinstance(values, list):
                faults.append(Fault(inside, f"expected a list, found {describe(values)}", "condition"))
                return None
            query = parse_expression(value["QueryValue"], member(place, "QueryValue"), faults)
            among = tuple(parse_expression(one, item(inside, index), faults) for index, one in enumerate(values))
            return In(query, among, place)
        case "Not":
            inner = parse(value["Condition"], member(place, "Condition"), faults)
            return None if inner is None else Not(inner, place)
        case "Or":
            return Or(parse_all(value["Conditions"], member(place, "Conditions"), faults), place)
        case _:
            left = parse_expression(value["LeftValue"], member(place, "LeftValue"), faults)
            right = parse_expression(value["RightValue"], member(place, "RightValue"), faults)
            return Comparison(kind, left, right, place)


def expressions(condition: Condition) -> Iterator[Expression]:
    """Yield the expressions in a condition, in the order of the document."""
    match condition:
        case Comparison(_, left, right):
            yield left
            yield right
        case In(query, values):
            yield query
            yield from values
        case Not(inner):
            yield from expressions(inner)
        case Or(conditions):
            for inner in conditions:
                yield from expressions(inner)


def holds(condition: Condition, scope: Scope) -> bool:
    """Return whether a condition holds.

    Raises:
        EvaluationError: a value is not there, or two values cannot be ordered.
    """
    match condition:
        case Not(inner):
            return not holds(inner, scope)
        case Or(conditions):
            return any(holds(inner, scope) for inner in conditions)
        case In(query, values):
            wanted = evaluate(query, scope)
            return any(_equal(wanted, evaluate(value, scope)) for value in values)
        case Comparison("Equals", left, right):
            return _equal(evaluate(left, scope), evaluate(right, scope))
        case Comparison(kind, left, right, place):
            return _ordered(kind, evaluate(left, scope), evaluate(right, scope), place)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(value: Any) -> float | None:
    """Return what a value is as a number: lambdas, callbacks and some reports write numbers as texts."""
    if _is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        # In Python True == 1; in a definition a flag and a count are different things. The text "true" is a flag.
        return _flag(left) is not None and _flag(left) == _flag(right)
    if _is_number(left) != _is_number(right) and {type(left), type(right)} & {str}:
        number, other = as_number(left), as_number(right)
        return number is not None and number == other
    return bool(left == right)


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _ordered(kind: str, left: Any, right: Any, place: Place) -> bool:
    if not (isinstance(left, str) and isinstance(right, str)):
        left_number, right_number = as_number(left), as_number(right)
        if left_number is None or right_number is None:
            raise EvaluationError(
                place, f"LeftValue is {describe(left)} and RightValue is {describe(right)}; they cannot be ordered"
            )
        left, right = left_number, right_number
    match kind:
        case "GreaterThan":
            return bool(left > right)
        case "GreaterThanOrEqualTo":
            return bool(left >= right)
        case "LessThan":
            return bool(left < right)
        case _:
            return bool(left <= right)
