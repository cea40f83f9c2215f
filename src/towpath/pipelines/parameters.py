"""The values of an execution's parameters: given as texts when it starts, typed by the definition."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import Parameter, ParameterType
from towpath.pipelines.paths import describe


def typed(parameter: Parameter, value: Any) -> Any:
    """Return a given value as the parameter's type; texts such as "2", "0.1" and "True" are understood.

    Raises:
        Invalid: it is not a value of that type, or not one of the enumerated ones.
    """
    result = _TYPED[parameter.type](value)
    if result is None:
        article = "an" if parameter.type is ParameterType.INTEGER else "a"
        raise Invalid(f"{describe(value)} is not {article} {parameter.type}")
    if parameter.enum_values and result not in parameter.enum_values:
        allowed = ", ".join(str(allowed) for allowed in parameter.enum_values)
        raise Invalid(f"{describe(value)} is not one of {allowed}")
    return result


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            return None if _is_of_python(value) else int(value)
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_of_python(text: str) -> bool:
    """Whether a text is a number to Python and hardly to anybody else: with underscores, or digits of other scripts."""
    return "_" in text or not text.isascii()


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and _is_of_python(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


_TYPED = {
    ParameterType.STRING: _string,
    ParameterType.INTEGER: _integer,
    ParameterType.FLOAT: _float,
    ParameterType.BOOLEAN: _boolean,
}


def bind(
    parameters: tuple[Parameter, ...], given: Mapping[str, Any], earlier: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the value of every parameter, from what was given, from what was given earlier, and from the defaults.

    Raises:
        Invalid: names everything that is unknown, missing or of the wrong type.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    faults = [
        f"there is no parameter {name!r}; there are {', '.join(declared) or 'none'}"
        for name in given
        if name not in declared
    ]
    values: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = given.get(name, earlier.get(name, parameter.default))
        if value is msgspec.UNSET:
            faults.append(f"parameter {name!r} has no default and must be given")
            continue
        try:
            values[name] = typed(parameter, value)
        except Invalid as error:
            faults.append(f"parameter {name!r}: {error.message}")
    if faults:
        raise Invalid("The parameters are not valid: " + "; ".join(faults), code="ValidationException")
    return values
