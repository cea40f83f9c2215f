"""Whether the Arguments of a step would make a request that its Create operation takes."""

from collections.abc import Set, Sized
from typing import TYPE_CHECKING, Any

from towpath.kernel import shapes
from towpath.pipelines.expressions import is_expression
from towpath.pipelines.faults import Findings, Place, item, member
from towpath.pipelines.paths import describe

if TYPE_CHECKING:
    from botocore.model import Shape


def argument_faults(value: Any, shape: "Shape", place: Place, given: Set[str] = frozenset()) -> Findings:
    """Yield what is wrong with the literal parts of a request; expressions are left for the time when they have values.

    Args:
        given: required members that the platform fills in.
    """
    if is_expression(value) or value is None:
        return
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                yield place, f"expected an object, found {describe(value)}"
                return
            for name in shape.required_members:
                if value.get(name) is None and name not in given:
                    yield member(place, name), "this member is missing; the request needs it"
            for name, inner in value.items():
                if name in shape.members:
                    yield from argument_faults(inner, shape.members[name], member(place, name))
        case "list":
            if not isinstance(value, list):
                yield place, f"expected a list, found {describe(value)}"
                return
            yield from _length_faults(value, shape, place)
            for index, inner in enumerate(value):
                yield from argument_faults(inner, shape.member, item(place, index))
        case "map":
            if not isinstance(value, dict):
                yield place, f"expected an object, found {describe(value)}"
                return
            yield from _length_faults(value, shape, place)
            for name, inner in value.items():
                for fault in shapes.check(name, shape.key):
                    yield member(place, name), f"{describe(name)} is not allowed as a name: {fault.constraint}"
                yield from argument_faults(inner, shape.value, member(place, name))
        case _:
            if isinstance(value, dict | list):
                yield place, f"expected a {shape.type_name}, found {describe(value)}"
                return
            for fault in shapes.check(shapes.coerce(value, shape), shape):
                yield place, f"{describe(value)} is not allowed: {fault.constraint}"


def _length_faults(value: Sized, shape: "Shape", place: Place) -> Findings:
    for fault in shapes.length_faults(value, shape):
        yield place, f"{len(value)} items are not allowed: {fault.constraint}"
