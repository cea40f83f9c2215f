"""JSONPath as far as batch transform knows it: what InputFilter and OutputFilter are written in.

A path is `$` and then members (`.name`, `['name']`, several as `['a','b']`), items (`[0]`, `[-1]`, `[0,2]`), slices
(`[1:]`, `[0,5:]`) and `*`, which is every child. There are no filters, no functions and no deep scan.
Source: Amazon SageMaker AI Developer Guide, "Associate Prediction Results with Input Records", "Supported JSONPath
operators". Decision 27 says why no library reads them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[^.\[\]'\"*\s,:()?@$]+")
_QUOTED = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*""")
_ITEM = re.compile(r"\s*(?:(-?\d+)?\s*(:)\s*(-?\d+)?|(-?\d+))\s*")
_EXPECTED = "expected $ and then .name, ['name'], [0], [1:3] or *, for example $.features, $[1:] or $['id','score']"


class PathError(ValueError):
    """A path cannot be read, or a value has no such part."""


@dataclass(frozen=True, slots=True)
class _Names:
    """`.name`, `['name']` or `['a','b']`."""

    names: tuple[str, ...]

    @property
    def is_one(self) -> bool:
        return len(self.names) == 1

    def of(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise PathError(f"there is no member {self.names[0]!r}: {_kind(value)}")
        missing = [name for name in self.names if name not in value]
        if missing:
            raise PathError(f"there is no member {missing[0]!r}; there are {', '.join(map(repr, value)) or 'none'}")
        return value[self.names[0]] if self.is_one else {name: value[name] for name in self.names}


@dataclass(frozen=True, slots=True)
class _Items:
    """`[0]`, `[0,2]`, `[1:]` or a mixture."""

    items: tuple[int | slice, ...]

    @property
    def is_one(self) -> bool:
        return len(self.items) == 1 and isinstance(self.items[0], int)

    def of(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise PathError(f"there are no items: {_kind(value)}")
        found: list[Any] = []
        for item in self.items:
            if isinstance(item, slice):
                found += value[item]
            elif -len(value) <= item < len(value):
                found.append(value[item])
            else:
                raise PathError(f"there is no item {item}: the list has {len(value)}")
        return found[0] if self.is_one else found


@dataclass(frozen=True, slots=True)
class _Every:
    """`*`: all items of a list, or the values of an object."""

    is_one = False

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return list(value.values())
        if isinstance(value, list):
            return value
        raise PathError(f"there is nothing below: {_kind(value)}")


_Part = _Names | _Items | _Every


@dataclass(frozen=True, slots=True)
class Path:
    """A path that was read."""

    text: str
    parts: tuple[_Part, ...]

    @property
    def is_root(self) -> bool:
        """Whether it means the whole value."""
        return not self.parts

    def select(self, value: Any) -> Any:
        """Return the part of a value that the path means: a list where it may mean several items.

        Raises:
            PathError: the value has no such part.
        """
        try:
            return _selected(value, self.parts)
        except PathError as error:
            raise PathError(f"{self.text}: {error}") from None


def _selected(value: Any, parts: tuple[_Part, ...]) -> Any:
    for position, part in enumerate(parts):
        value = part.of(value)
        if isinstance(value, list) and not part.is_one and parts[position + 1 :]:
            return [_selected(item, parts[position + 1 :]) for item in value]
    return value


def compiled(text: str) -> Path:
    """Return the path that a text is.

    Raises:
        PathError: it is none, or uses what batch transform does not know.
    """
    if not text.startswith("$"):
        raise PathError(f"{text!r} is not a path: {_EXPECTED}")
    parts: list[_Part] = []
    place = 1
    while place < len(text):
        dotted = text[place] == "."
        if dotted:
            place += 1
        if text.startswith("[", place):  # `.['a','b']` is how the guide writes several members of a member
            part, place = _bracket(text, place + 1)
        elif dotted and text.startswith("*", place):
            part, place = _Every(), place + 1
        elif dotted and (name := _NAME.match(text, place)):
            part, place = _Names((name[0],)), name.end()
        else:
            raise PathError(f"{text!r} cannot be read from {text[place - dotted :]!r} on: {_EXPECTED}")
        if parts and isinstance(parts[-1], _Names) and not parts[-1].is_one:
            raise PathError(f"{text!r} goes on behind several members, which is not possible; name them last")
        parts.append(part)
    return Path(text, tuple(parts))


def _bracket(text: str, place: int) -> tuple[_Part, int]:
    """Return the part in brackets that begins at `place`, and the place behind it."""
    if text.startswith("*]", place):
        return _Every(), place + 2
    if _QUOTED.match(text, place):
        names, place = _listed(text, place, _QUOTED, _name)
        return _Names(tuple(names)), place
    items, place = _listed(text, place, _ITEM, _item)
    return _Items(tuple(items)), place


def _listed(
    text: str, place: int, pattern: "re.Pattern[str]", value: "Callable[[re.Match[str]], Any]"
) -> tuple[list[Any], int]:
    found = []
    while match := pattern.match(text, place):
        found.append(value(match))
        place = match.end()
        if text.startswith("]", place):
            return found, place + 1
        if not text.startswith(",", place):
            break
        place += 1
    raise PathError(f"{text!r} cannot be read from {text[place:]!r} on: {_EXPECTED}")


def _name(match: "re.Match[str]") -> str:
    quoted = match[1] if match[1] is not None else match[2]
    return re.sub(r"\\(.)", r"\1", quoted)


def _item(match: "re.Match[str]") -> int | slice:
    if match[2] is None:
        return int(match[4])
    begin, end = (None if part is None else int(part) for part in (match[1], match[3]))
    return slice(begin, end)


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return f"this is {words.get(type(value), 'a number')}"
