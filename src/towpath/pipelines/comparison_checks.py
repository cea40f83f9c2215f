"""Whether the values that a condition compares can have an order, as far as their types are known beforehand."""

from collections.abc import Mapping

from towpath.pipelines.conditions import Comparison, Condition, Not, Or
from towpath.pipelines.definition import ParameterType
from towpath.pipelines.expressions import Expression, Literal, ParameterValue
from towpath.pipelines.faults import Findings, member


def comparison_faults(condition: Condition, types: Mapping[str, ParameterType]) -> Findings:
    """Yield (place, message) for comparisons whose sides can have no order.

    Args:
        types: of the pipeline's parameters.
    """
    match condition:
        case Not(inner):
            yield from comparison_faults(inner, types)
        case Or(inners):
            for inner in inners:
                yield from comparison_faults(inner, types)
        case Comparison(kind, left, right, place) if kind != "Equals":
            sides = [_static_type(side, types) for side in (left, right)]
            for name, side in zip(("LeftValue", "RightValue"), sides, strict=True):
                if side in {"Boolean", "null", "list", "object"}:
                    yield member(place, name), f"a {side} has no order; {kind} compares numbers or texts"
            if {"Number", "Text"} == set(sides):
                yield place, "LeftValue and RightValue are a number and a text; they cannot be ordered"


def _static_type(expression: Expression, types: Mapping[str, ParameterType]) -> str | None:
    """Return the type that a value will have, None when that is known only later."""
    match expression:
        case ParameterValue(name):
            known = types.get(name)
            if known is ParameterType.STRING:
                return None  # its value may be the text of a number
            return "Boolean" if known is ParameterType.BOOLEAN else None if known is None else "Number"
        case Literal(value):
            match value:
                case None:
                    return "null"
                case bool():
                    return "Boolean"
                case int() | float():
                    return "Number"
                case str():
                    try:
                        float(value)
                    except ValueError:
                        return "Text"
                    return None
                case _:
                    return "list" if isinstance(value, list) else "object"
        case _:
            return None
