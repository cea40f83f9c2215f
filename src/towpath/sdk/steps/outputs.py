"""Values that a step gets as an answer: of which types they may be, and how they are declared and referred to."""

from __future__ import annotations

from collections.abc import Mapping

from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Get
from towpath.sdk.steps.step import Step

#: What a value is in Python -> the definition's word.
_TYPES: Mapping[type, str] = {str: "String", int: "Integer", float: "Float", bool: "Boolean"}


def refuse_other_types(step: str, outputs: Mapping[str, type]) -> None:
    """Raise DefinitionError where an output is of a type that no answer can have."""
    for name, kind in outputs.items():
        if kind not in _TYPES:
            expected = ", ".join(each.__name__ for each in _TYPES)
            raise DefinitionError(f"step {step}: output {name} is {kind!r}; expected {expected}")


def declared(outputs: Mapping[str, type]) -> list[Document]:
    """Return outputs as the definition declares them."""
    return [{"OutputName": name, "OutputType": _TYPES[kind]} for name, kind in outputs.items()]


def reference(step: Step, name: str, outputs: Mapping[str, type]) -> Get:
    """Return a reference to an output of a step."""
    if name not in outputs:
        raise DefinitionError(f"step {step.name} has no output {name!r}; it has {', '.join(outputs) or 'none'}")
    return step.property(f"OutputParameters['{name}']")
