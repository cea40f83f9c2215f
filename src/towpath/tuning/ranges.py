"""The hyperparameters that are searched: from the texts of a request to what a search chooses among. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

from towpath.kernel.errors import Invalid, Unsupported
from towpath.tuning.model import CategoricalRange, NumberRange, ParameterRanges

Point: TypeAlias = Mapping[str, str]  #: a value for each hyperparameter that is searched, as texts
#: A positive range whose ends are so many times apart is searched on a logarithmic scale by ScalingType Auto.
WIDE = 1000.0


class Scale(StrEnum):
    """On which scale values lie evenly."""

    LINEAR = "Linear"
    LOGARITHMIC = "Logarithmic"
    REVERSE_LOGARITHMIC = "ReverseLogarithmic"  #: the distance from 1 is what has a logarithmic scale


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of some values."""

    name: str
    values: tuple[str, ...]


class Integers(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number, both ends included."""

    name: str
    low: int
    high: int
    scale: Scale


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """A number, both ends included."""

    name: str
    low: float
    high: float
    scale: Scale


Parameter: TypeAlias = Choice | Integers | Numbers
Space: TypeAlias = tuple[Parameter, ...]


def space_of(ranges: ParameterRanges, place: str) -> Space:
    """Return what is searched, in the order of the names.

    Args:
        place: where the ranges stand in the request, for messages.
    Raises:
        Invalid: a range is empty, has no numbers or stands there twice; ReverseLogarithmic outside of [0, 1).
        Unsupported: a range is to be found by itself.
    """
    if ranges.auto_parameters:
        named = ", ".join(repr(item.name) for item in ranges.auto_parameters)
        raise Unsupported(f"{place}.AutoParameters: ranges are not found by themselves; give a range to {named}")
    found = sorted(_parameters(ranges, place), key=lambda parameter: parameter.name)
    if not found:
        raise Invalid(f"{place} names no hyperparameter; there is nothing to search")
    _refuse_twice([parameter.name for parameter in found], place)
    return tuple(found)


def _parameters(ranges: ParameterRanges, place: str) -> Iterator[Parameter]:
    for number in ranges.integer_parameter_ranges:
        yield _integers(number, f"{place}.IntegerParameterRanges: {number.name!r}")
    for number in ranges.continuous_parameter_ranges:
        yield _numbers(number, f"{place}.ContinuousParameterRanges: {number.name!r}")
    for choice in ranges.categorical_parameter_ranges:
        yield _choice(choice, f"{place}.CategoricalParameterRanges: {choice.name!r}")


def _refuse_twice(names: list[str], place: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(f"{place} has more than one range for {', '.join(map(repr, twice))}")


def _choice(asked: CategoricalRange, place: str) -> Choice:
    _refuse_twice(list(asked.values), f"{place}.Values")
    return Choice(name=asked.name, values=asked.values)


def _integers(asked: NumberRange, place: str) -> Integers:
    try:
        low, high = int(asked.min_value), int(asked.max_value)
    except ValueError:
        raise Invalid(f"{place} goes from {asked.min_value!r} to {asked.max_value!r}; expected whole numbers") from None
    _refuse_empty(low, high, place)
    scale = _scale(asked.scaling_type, low, high, place)
    if scale is Scale.REVERSE_LOGARITHMIC:
        raise Invalid(f"{place}: ReverseLogarithmic is for continuous ranges from 0 to below 1")
    return Integers(name=asked.name, low=low, high=high, scale=scale)


def _numbers(asked: NumberRange, place: str) -> Numbers:
    try:
        low, high = float(asked.min_value), float(asked.max_value)
    except ValueError:
        raise Invalid(f"{place} goes from {asked.min_value!r} to {asked.max_value!r}; expected numbers") from None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Invalid(f"{place} goes from {asked.min_value} to {asked.max_value}; expected finite numbers")
    _refuse_empty(low, high, place)
    return Numbers(name=asked.name, low=low, high=high, scale=_scale(asked.scaling_type, low, high, place))


def _refuse_empty(low: float, high: float, place: str) -> None:
    if low > high:
        raise Invalid(f"{place}: MinValue {low} is greater than MaxValue {high}")


def _scale(asked: str, low: float, high: float, place: str) -> Scale:
    """Return the scale of a range.

    Source: Amazon SageMaker Developer Guide, "Hyperparameter scaling", for where each is allowed. What Auto chooses is
    not told there; here it is logarithmic for positive ranges that are `WIDE`, else linear.
    """
    if asked == "Auto":
        return Scale.LOGARITHMIC if low > 0 and high / low >= WIDE else Scale.LINEAR
    scale = Scale(asked)
    if scale is Scale.LOGARITHMIC and low <= 0:
        raise Invalid(f"{place}: Logarithmic is for ranges above 0; this one begins at {low}")
    if scale is Scale.REVERSE_LOGARITHMIC and not 0 <= low <= high < 1:
        raise Invalid(f"{place}: ReverseLogarithmic is for ranges from 0 to below 1; this one is {low} to {high}")
    return scale


def value_of(parameter: Parameter, text: str) -> str | int | float | None:
    """Return what a text means to a parameter, None where it is none of its values."""
    match parameter:
        case Choice(values=values):
            return text if text in values else None
        case Integers(low=low, high=high):
            number = _number(text)
            return int(number) if number is not None and number.is_integer() and low <= number <= high else None
        case Numbers(low=low, high=high):
            number = _number(text)
            return number if number is not None and low <= number <= high else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def values_of(space: Space, point: Point) -> dict[str, str | int | float] | None:
    """Return what the texts of a point mean, None where it has no value for one of the parameters."""
    found = {parameter.name: value_of(parameter, point.get(parameter.name, "")) for parameter in space}
    known = {name: value for name, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def as_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Return a point as it goes into HyperParameters: the shortest text that reads back as the same number."""
    return {name: value if isinstance(value, str) else repr(value) for name, value in sorted(values.items())}


def grid_size(space: Space) -> int:
    """Return how many points the grid of some choices has."""
    return math.prod(len(choice.values) for choice in _choices(space))


def grid_point(space: Space, place: int) -> dict[str, str]:
    """Return one point of a grid, counted from 0; the last parameter changes first."""
    point: dict[str, str] = {}
    for choice in reversed(list(_choices(space))):
        place, position = divmod(place, len(choice.values))
        point[choice.name] = choice.values[position]
    return dict(sorted(point.items()))


def _choices(space: Space) -> Iterable[Choice]:
    return (parameter for parameter in space if isinstance(parameter, Choice))
