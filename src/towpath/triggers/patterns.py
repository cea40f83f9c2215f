"""Event patterns: whether an event is one that a rule waits for. Pure.

Source: Amazon EventBridge User Guide, "Creating Amazon EventBridge event patterns" and "Comparison operators for use in
event patterns".
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.kernel.texts import Repeated, read_json

Test: TypeAlias = Callable[[Any], bool]  #: of one value of an event
Match: TypeAlias = Callable[[Document], bool]  #: of a whole event

_ABSENT = object()  #: stands for a member that an event does not have
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}
_LARGEST = 1e15  #: number that is compared with: all integers up to it are told apart. AWS ends at 5e9
_LONGEST = 4096  #: characters of a pattern. Source: EventBridge API Reference, PutRule


@lru_cache(maxsize=1024)
def compiled(text: str) -> Match:
    """Return the test that a pattern stands for.

    Raises:
        Invalid: it is not a pattern (code InvalidEventPatternException); says where.
    """
    if len(text) > _LONGEST:
        raise _refused(f"it has {len(text)} characters; expected at most {_LONGEST}")
    try:
        pattern = read_json(text, unique=True)
    except Repeated as error:
        raise _refused(str(error)) from error
    except ValueError as error:
        raise _refused(f"it is not valid JSON: {error}") from error
    if not isinstance(pattern, dict) or not pattern:
        raise _refused('expected an object with at least one member, for example {"source": ["aws.sagemaker"]}')
    return _object(pattern, "$")


def matches(pattern: str, event: Document) -> bool:
    """Whether an event, in EventBridge's form, is one that the pattern describes."""
    return compiled(pattern)(event)


def _refused(why: str) -> Invalid:
    return Invalid(f"Event pattern is not valid. Reason: {why}", code="InvalidEventPatternException")


def _object(pattern: Mapping[str, Any], place: str) -> Match:
    tests = [
        _alternatives(wanted, place) if name == "$or" else _member(name, wanted, place)
        for name, wanted in pattern.items()
    ]
    return lambda event: all(test(event) for test in tests)


def _alternatives(wanted: Any, place: str) -> Match:
    if not isinstance(wanted, list) or len(wanted) < 2 or not all(isinstance(each, dict) and each for each in wanted):
        raise _refused(f"{place}.$or: expected a list of two or more objects")
    choices = [_object(each, f"{place}.$or[{number}]") for number, each in enumerate(wanted)]
    return lambda event: any(choice(event) for choice in choices)


def _member(name: str, wanted: Any, place: str) -> Match:
    inside = f"{place}.{name}"
    if isinstance(wanted, dict):
        if not wanted:
            raise _refused(f"{inside}: an empty object matches nothing; leave the member out")
        nested = _object(wanted, inside)
        # Of a list of objects it is enough that one is as described. Where the member is missing, what is wanted may
        # be that something in it is missing.
        return lambda event: any(nested(each) for each in _objects(event.get(name)))
    if not isinstance(wanted, list) or not wanted:
        raise _refused(f"{inside}: expected a list of at least one value, or an object")
    tests = [_value(each, f"{inside}[{number}]") for number, each in enumerate(wanted)]

    def one_of(event: Document) -> bool:
        values = _compared(event.get(name, _ABSENT))
        return any(test(value) for test in tests for value in values)

    return one_of


def _compared(found: Any) -> list[Any]:
    """Return what comparisons are made with: the leaves in a list, any of which will do, or what stands there."""
    values = _flat(found) if isinstance(found, list) else [found]
    leaves = [each for each in values if not isinstance(each, dict)]
    return leaves or values or [_ABSENT]


def _flat(values: list[Any]) -> list[Any]:
    return [one for each in values for one in (_flat(each) if isinstance(each, list) else [each])]


def _objects(found: Any) -> list[Document]:
    if isinstance(found, list):
        return [each for each in found if isinstance(each, dict)] or [{}]
    return [found if isinstance(found, dict) else {}]


def _value(wanted: Any, place: str) -> Test:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise _refused(f"{place}: expected one comparison, found {len(wanted)}")
        ((operator, operand),) = wanted.items()
        make = _OPERATORS.get(operator)
        if make is None:
            raise _refused(f"{place}: unrecognized match type {operator}; expected {', '.join(_OPERATORS)}")
        return make(operand, f"{place}.{operator}")
    if isinstance(wanted, list):
        raise _refused(f"{place}: a list inside of a list matches nothing")
    return lambda value: _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are the same; in Python 1 and True would be."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value is not _ABSENT and value == wanted


def _text(operand: Any, place: str) -> str:
    if not isinstance(operand, str):
        raise _refused(f"{place}: expected text")
    return operand


def _prefix(operand: Any, place: str) -> Test:
    if isinstance(operand, dict):
        wanted = _ignoring_case(operand, place)
        return lambda value: isinstance(value, str) and value.casefold().startswith(wanted)
    text = _text(operand, place)
    return lambda value: isinstance(value, str) and value.startswith(text)


def _suffix(operand: Any, place: str) -> Test:
    if isinstance(operand, dict):
        wanted = _ignoring_case(operand, place)
        return lambda value: isinstance(value, str) and value.casefold().endswith(wanted)
    text = _text(operand, place)
    return lambda value: isinstance(value, str) and value.endswith(text)


def _ignoring_case(operand: Mapping[str, Any], place: str) -> str:
    if set(operand) != {"equals-ignore-case"}:
        raise _refused(f"{place}: expected text, or an object with equals-ignore-case")
    return _text(operand["equals-ignore-case"], f"{place}.equals-ignore-case").casefold()


def _equals_ignoring_case(operand: Any, place: str) -> Test:
    wanted = _text(operand, place).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == wanted


def _wildcard(operand: Any, place: str) -> Test:
    text = _text(operand, place)
    if "**" in text:
        raise _refused(f"{place}: two asterisks in a row mean no more than one")
    # A backslash makes an asterisk, or itself, stand for itself.
    pieces = [""]
    for part in re.findall(r"\\[*\\]|\*|[^*\\]+|\\", text):
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += part[1:] if part[:1] == "\\" and len(part) > 1 else part
    return lambda value: isinstance(value, str) and _holds_in_order(value, pieces)


def _holds_in_order(text: str, pieces: Sequence[str]) -> bool:
    """Whether a text is the pieces in their order with anything between them.

    Each piece is taken where it comes first, which leaves most for the others: nothing is tried twice, as an expression
    with many stars would, whose time doubles with each.
    """
    first, *middle = pieces
    if not middle:
        return text == first
    last = middle.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _exists(operand: Any, place: str) -> Test:
    if not isinstance(operand, bool):
        raise _refused(f"{place}: expected true or false")
    # An object is no leaf: there are further members at that place, and no value.
    return lambda value: (value is not _ABSENT and not isinstance(value, dict)) == operand


def _numeric(operand: Any, place: str) -> Test:
    pairs = list(zip(operand[::2], operand[1::2], strict=False)) if isinstance(operand, list) else []
    sound = isinstance(operand, list) and len(operand) in {2, 4}
    for operator, bound in pairs:
        sound = sound and operator in _COMPARISONS and isinstance(bound, int | float) and not isinstance(bound, bool)
    if not sound:
        raise _refused(f'{place}: expected one or two comparisons, for example [">", 0, "<=", 5]')
    bounds = sorted(bound for _, bound in pairs)
    if any(abs(bound) > _LARGEST for bound in bounds):
        raise _refused(f"{place}: expected numbers from -{_LARGEST:.0e} to {_LARGEST:.0e}")
    candidates = (bounds[0] - 1, *bounds, sum(bounds) / len(bounds), bounds[-1] + 1)
    if not any(all(_COMPARISONS[operator](value, bound) for operator, bound in pairs) for value in candidates):
        raise _refused(f"{place}: no number is {' and '.join(f'{operator} {bound}' for operator, bound in pairs)}")

    def within(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and all(_COMPARISONS[operator](value, bound) for operator, bound in pairs)

    return within


def _cidr(operand: Any, place: str) -> Test:
    try:
        network = ipaddress.ip_network(_text(operand, place), strict=False)
    except ValueError as error:
        raise _refused(f"{place}: {error}") from error

    def inside(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return inside


def _anything_but(operand: Any, place: str) -> Test:
    if isinstance(operand, dict):
        if len(operand) != 1 or not set(operand) <= _NEGATED:
            raise _refused(f"{place}: expected values, or one of {', '.join(sorted(_NEGATED))}")
        ((operator, inner),) = operand.items()
        each = inner if isinstance(inner, list) else [inner]
        if operator in {"prefix", "suffix"} and "" in each:
            raise _refused(f"{place}.{operator}: every text begins and ends with the empty one; nothing would match")
        unwanted = [_OPERATORS[operator](one, f"{place}.{operator}") for one in each]
    else:
        each = operand if isinstance(operand, list) else [operand]
        unwanted = [_value(one, place) for one in each if not isinstance(one, dict | list)]
    if not each or len(unwanted) != len(each):
        raise _refused(f"{place}: expected a value, or a list of values")
    return lambda value: value is not _ABSENT and not any(test(value) for test in unwanted)


_NEGATED = frozenset({"prefix", "suffix", "equals-ignore-case", "wildcard"})
_OPERATORS: Mapping[str, Callable[[Any, str], Test]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignoring_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
}
