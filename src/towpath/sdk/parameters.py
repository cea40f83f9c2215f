"""Parameters of a pipeline: values that whoever starts it may set."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression

_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9])*")


@dataclass(frozen=True, eq=False)
class Parameter(Expression):
    """A named value that a start of the pipeline may set. Made by `parameter(…)` or one of the typed classes."""

    name: str
    _: KW_ONLY
    default: Any = None  #: None: every start must set it
    enum: tuple[str, ...] = ()  #: the values allowed; String parameters only

    type: ClassVar[str] = "String"  #: the definition's word
    python: ClassVar[tuple[Any, ...]] = (str,)  #: what a default must be

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > 256:
            raise DefinitionError(f"{self.name!r} is not a parameter name; expected letters, digits and inner hyphens")
        object.__setattr__(self, "enum", tuple(self.enum))
        if self.enum and self.type != "String":
            raise DefinitionError(f"parameter {self.name}: only String parameters may have an enum")
        if self.default is None:
            return
        allowed = isinstance(self.default, self.python) and (self.type == "Boolean") == isinstance(self.default, bool)
        if not allowed:
            raise DefinitionError(
                f"parameter {self.name} is of type {self.type}, but its default {self.default!r} is not"
            )
        if self.enum and self.default not in self.enum:
            raise DefinitionError(
                f"parameter {self.name}: its default {self.default!r} is not one of {', '.join(self.enum)}"
            )

    def takes(self, value: Any) -> bool:
        """Return whether a start may give this value, itself or written as text."""
        text = str(value).strip()
        if self.type == "Boolean":
            return text.lower() in {"true", "false"}
        try:
            if self.type == "Integer":
                int(text)
            elif self.type == "Float":
                float(text)
        except ValueError:
            return False
        return True

    def to_wire(self) -> Document:
        return {"Get": f"Parameters.{self.name}"}

    def declaration(self) -> Document:
        """Return the entry of the definition's Parameters list."""
        declared: Document = {"Name": self.name, "Type": self.type}
        if self.default is not None:
            declared["DefaultValue"] = self.default
        if self.enum:
            declared["EnumValues"] = list(self.enum)
        return declared


@dataclass(frozen=True, eq=False)
class ParameterString(Parameter):
    """A parameter that is text."""


@dataclass(frozen=True, eq=False)
class ParameterInteger(Parameter):
    """A parameter that is a whole number."""

    type: ClassVar[str] = "Integer"
    python: ClassVar[tuple[Any, ...]] = (int,)


@dataclass(frozen=True, eq=False)
class ParameterFloat(Parameter):
    """A parameter that is a number."""

    type: ClassVar[str] = "Float"
    python: ClassVar[tuple[Any, ...]] = (float, int)


@dataclass(frozen=True, eq=False)
class ParameterBoolean(Parameter):
    """A parameter that is true or false."""

    type: ClassVar[str] = "Boolean"
    python: ClassVar[tuple[Any, ...]] = (bool,)


def parameter(
    name: str,
    default: str | int | float | bool | None = None,
    *,
    type: type[str] | type[int] | type[float] | type[bool] | None = None,
    enum: tuple[str, ...] | list[str] = (),
) -> Parameter:
    """Return a parameter whose type is that of its default.

    Args:
        type: needed only without a default: `parameter("Epochs", type=int)`.
        enum: the values allowed, for text.
    """
    wanted = type or (str if default is None else default.__class__)
    kinds: dict[object, Any] = {
        bool: ParameterBoolean,
        int: ParameterInteger,
        float: ParameterFloat,
        str: ParameterString,
    }
    if wanted not in kinds:
        raise DefinitionError(f"parameter {name}: a default must be text, a number or a boolean, not {default!r}")
    made: Parameter = kinds[wanted](name, default=default, enum=tuple(enum))
    return made
