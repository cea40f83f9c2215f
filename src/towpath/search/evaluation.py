"""Whether a document satisfies an expression, and in which order documents stand. Pure.

An expression is compiled once, which is where all that is wrong with it is found; the predicate then answers for any
document.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.search.model import Expression, Filter, Joined, NestedFilters, Operator, PropertyType
from towpath.search.properties import values

Predicate = Callable[[Document], bool]
TypeOf = Callable[[str], PropertyType | None]  #: of a property by its name; None: there is none of that name

MOST_CONDITIONS = 20  #: in one expression with all that is nested in it, as on SageMaker

_ORDERED: dict[Operator, Callable[[float, float], bool]] = {
    Operator.GREATER: lambda found, wanted: found > wanted,
    Operator.GREATER_OR_EQUAL: lambda found, wanted: found >= wanted,
    Operator.LESS: lambda found, wanted: found < wanted,
    Operator.LESS_OR_EQUAL: lambda found, wanted: found <= wanted,
}
_EXISTENCE = {Operator.EXISTS, Operator.NOT_EXISTS}
#: The operators that each type of property knows; existence is known to all.
_OPERATORS: dict[PropertyType, set[Operator]] = {
    PropertyType.TEXT: {Operator.EQUALS, Operator.NOT_EQUALS, Operator.CONTAINS, Operator.IN},
    PropertyType.NUMBER: {Operator.EQUALS, Operator.NOT_EQUALS, *_ORDERED},
    PropertyType.TIME: {Operator.EQUALS, Operator.NOT_EQUALS, *_ORDERED},
    PropertyType.BOOLEAN: {Operator.EQUALS, Operator.NOT_EQUALS},
    PropertyType.OPEN: {Operator.EQUALS, Operator.NOT_EQUALS, Operator.CONTAINS, Operator.IN, *_ORDERED},
    PropertyType.GROUP: set(),
}


def compiled(expression: Expression, type_of: TypeOf) -> Predicate:
    """Return what tells whether a document satisfies an expression.

    Raises:
        Invalid: it is empty or too large, names a property that there is not, or compares one with what it cannot be.
    """
    if _size(expression) > MOST_CONDITIONS:
        raise Invalid(
            f"The SearchExpression has {_size(expression)} conditions; at most {MOST_CONDITIONS} can be given"
        )
    return _expression(expression, type_of)


def names_in(expression: Expression) -> Iterator[str]:
    """Yield the names of all properties that an expression asks about."""
    yield from (condition.name for condition in expression.filters)
    yield from (nested.nested_property_name for nested in expression.nested_filters)
    for inner in expression.sub_expressions:
        yield from names_in(inner)


def _size(expression: Expression) -> int:
    nested = sum(len(nested.filters) for nested in expression.nested_filters)
    return len(expression.filters) + nested + sum(map(_size, expression.sub_expressions))


def _expression(expression: Expression, type_of: TypeOf) -> Predicate:
    parts = [_filter(condition, type_of) for condition in expression.filters]
    parts += [_nested(nested, type_of) for nested in expression.nested_filters]
    parts += [_expression(inner, type_of) for inner in expression.sub_expressions]
    if not parts:
        raise Invalid("A SearchExpression needs at least one filter, nested filter or subexpression")
    joined = all if expression.operator is Joined.AND else any
    return lambda document: joined(part(document) for part in parts)


def _nested(nested: NestedFilters, type_of: TypeOf) -> Predicate:
    """Return the predicate of conditions on one item of a list; they are named by the whole path, or from the item."""
    root = nested.nested_property_name
    if type_of(root) is not PropertyType.GROUP:
        raise Invalid(f"NestedPropertyName {root!r} is not a property with members of its own")
    prefix = f"{root}."
    parts = []
    for condition in nested.filters:
        inner = condition.name.removeprefix(prefix)
        parts.append(_filter(condition, lambda _, whole=prefix + inner: type_of(whole), read=inner))  # type: ignore[misc]
    return lambda document: any(all(part(item) for part in parts) for item in values(document, root))


def _filter(condition: Filter, type_of: TypeOf, *, read: str | None = None) -> Predicate:
    name, operator = condition.name, condition.operator
    path = read or name
    type_ = type_of(name)
    if type_ is None:
        raise Invalid(f"There is no property {name!r} to search by; GetSearchSuggestions lists those that there are")
    if operator is Operator.EXISTS:
        return lambda document: bool(values(document, path))
    if operator is Operator.NOT_EXISTS:
        return lambda document: not values(document, path)
    if operator not in _OPERATORS[type_]:
        known = ", ".join(sorted(_OPERATORS[type_] | _EXISTENCE))
        raise Invalid(f"The property {name!r} cannot be compared by {operator.value}, as it is a {type_}: use {known}")
    if condition.value is None:
        raise Invalid(f"The filter {operator.value} of {name!r} needs a Value")
    test = _test(condition.value, operator, type_, name)
    if operator is Operator.NOT_EQUALS:
        return lambda document: not any(test(value) for value in values(document, path))
    return lambda document: any(test(value) for value in values(document, path))


def _test(wanted: str, operator: Operator, type_: PropertyType, name: str) -> Callable[[Any], bool]:
    """Return what a single value has to pass; for NotEquals it is what no value may pass."""
    match operator:
        case Operator.CONTAINS:
            part = wanted.lower()
            return lambda value: part in str(value).lower()
        case Operator.IN:
            words = {word.strip() for word in wanted.split(",")}
            return lambda value: str(value) in words
        case Operator.EQUALS | Operator.NOT_EQUALS:
            return _equality(wanted, type_, name)
    compare = _ORDERED[operator]
    if type_ is PropertyType.OPEN:
        limit = _finite(wanted)
        if limit is None:
            raise Invalid(f"The filter {operator.value} of {name!r} has the Value {wanted!r}; expected a number")
        number = _reader(wanted)
        return lambda value: (found := number(value)) is not None and compare(found, limit)
    bound = _constant(wanted, type_, name)
    return lambda value: _is_number(value) and compare(value, bound)


def _equality(wanted: str, type_: PropertyType, name: str) -> Callable[[Any], bool]:
    if type_ is PropertyType.TEXT:
        return lambda value: value == wanted
    if type_ is PropertyType.BOOLEAN:
        if wanted.lower() not in {"true", "false"}:
            raise Invalid(f"The property {name!r} is true or false, and cannot be {wanted!r}")
        return lambda value: value is (wanted.lower() == "true")
    if type_ is PropertyType.OPEN:
        constant, number = _finite(wanted), _reader(wanted)
        return lambda value: value == wanted or (constant is not None and number(value) == constant)
    constant = _constant(wanted, type_, name)
    if type_ is PropertyType.TIME and constant.is_integer():
        return lambda value: _is_number(value) and math.floor(value) == constant  # the API writes whole seconds
    return lambda value: _is_number(value) and value == constant


def _reader(wanted: str) -> Callable[[Any], float | None]:
    """Return what makes a number of a value: a whole one where the filter's own value is one.

    Source: Amazon SageMaker API Reference, "Filter": "If the specified Value is an integer, the decimal hyperparameter
    values are treated as integers."
    """
    whole = wanted.strip().lstrip("+-").isdecimal()

    def read(value: Any) -> float | None:
        found = value if _is_number(value) else _finite(str(value))
        return found if found is None or not whole else float(math.trunc(found))

    return read


def _constant(wanted: str, type_: PropertyType, name: str) -> float:
    number = _finite(wanted)
    if number is None and type_ is PropertyType.TIME:
        number = _epoch(wanted)
    if number is None:
        expected = "a number" if type_ is PropertyType.NUMBER else "a time such as 2026-11-24T10:00:00Z"
        raise Invalid(f"The filter of {name!r} has the Value {wanted!r}; expected {expected}")
    return number


def _epoch(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SortKey = tuple[int, int, float, str, str]  #: has the property, number or text, the number, the text, the uid


def sort_key(document: Document, name: str, uid: str, *, descending: bool) -> SortKey:
    """Return where a document stands among others by a property. Numbers stand before text, and whatever the direction,
    documents without the property come last."""
    found = values(document, name)
    value: Any = found[0] if found else None
    missing = int(value is None or isinstance(value, dict))
    first = 1 - missing if descending else missing
    if missing:
        return (first, 0, 0.0, "", uid)
    number = float(value) if _is_number(value) else _finite(str(value))
    return (first, 1, 0.0, str(value), uid) if number is None else (first, 0, number, "", uid)


def best(keyed: Iterable[tuple[SortKey, Any]], count: int, *, descending: bool) -> list[tuple[SortKey, Any]]:
    """Return the first `count` of keyed items in order, holding no more than that many at a time."""
    choose = heapq.nlargest if descending else heapq.nsmallest
    return choose(count, keyed, key=lambda pair: pair[0])
