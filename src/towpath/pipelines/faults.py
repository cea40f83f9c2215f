"""What is wrong with a pipeline definition, and where it stands."""

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from towpath.kernel.errors import Invalid

#: Where something stands: `Steps[3].Arguments.Conditions[0].LeftValue.Std:JsonGet.Path`; "" is the whole document.
Place: TypeAlias = str

#: What is wrong, and where, as rules yield it.
Findings: TypeAlias = Iterator[tuple[Place, str]]

_PLAIN = re.compile(r"[\w:-]+")


def member(place: Place, name: str) -> Place:
    """Return the place of a member of the object at `place`; names with unusual characters are written in brackets."""
    if _PLAIN.fullmatch(name) is None:
        return f"{place}[{name!r}]"
    return f"{place}.{name}" if place else name


def item(place: Place, index: int) -> Place:
    """Return the place of an item of the list at `place`."""
    return f"{place}[{index}]"


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    place: Place
    message: str
    rule: str  #: name of the check that found it, for example "unknown-step"

    def __str__(self) -> str:
        return f"{self.place or 'the document'}: {self.message}"


class InvalidDefinition(Invalid):
    """The pipeline definition is not valid. `faults` holds everything that was found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults]
        if len(lines) == 1:
            message = f"The pipeline definition is not valid. {lines[0]}"
        else:
            message = f"The pipeline definition has {len(lines)} faults:\n" + "\n".join(f"- {line}" for line in lines)
        super().__init__(message)
