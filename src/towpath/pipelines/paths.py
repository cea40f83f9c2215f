"""Paths into documents: `ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri`, `Result['acc']`, `items[0].name`."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.errors import Invalid


class Member(msgspec.Struct, frozen=True, tag=True):
    """`.name`: a member of an object."""

    name: str


class Index(msgspec.Struct, frozen=True, tag=True):
    """`[0]`: an item of a list."""

    number: int


class Key(msgspec.Struct, frozen=True, tag=True):
    """`['name']`: a member of a map, or the item of a list that bears the name."""

    name: str


Part: TypeAlias = Member | Index | Key
Path: TypeAlias = tuple[Part, ...]

_MEMBER = re.compile(r"[^.\[\]'\"]+")
_INDEX = re.compile(r"\[(\d+)\]")
# A quote inside the quotes is plain text; only a quote followed by the bracket ends the key. There are no escapes.
_KEY = re.compile(r"\['(.*?)'\]|\[\"(.*?)\"\]", re.DOTALL)


class PathFault(Invalid):
    """The path is not well-formed."""


def parse_path(text: str) -> Path:
    """Return the parts of a path; the empty text is the empty path.

    Raises:
        PathFault: the text is not a path; the message shows the character where reading stopped.
    """
    parts: list[Part] = []
    at = 0
    while at < len(text):
        if (key := _KEY.match(text, at)) is not None:
            single, double = key.groups()
            parts.append(Key(double if single is None else single))
            at = key.end()
        elif (index := _INDEX.match(text, at)) is not None:
            parts.append(Index(int(index[1])))
            at = index.end()
        else:
            start = at
            if parts:
                if text[at] != ".":
                    raise _stuck(text, at)
                start += 1
            name = _MEMBER.match(text, start)
            if name is None:
                raise _stuck(text, start)
            parts.append(Member(name[0]))
            at = name.end()
    return tuple(parts)


def _stuck(text: str, at: int) -> PathFault:
    found = repr(text[at]) if at < len(text) else "the end"
    return PathFault(f"{text!r} is not a path: at character {at + 1} stands {found}; expected a name, [0] or ['name']")


def render_path(path: Path) -> str:
    """Return the text of a path, such that `parse_path` gives the path again.

    Raises:
        PathFault: a name that cannot be written in a path.
    """
    text = ""
    for part in path:
        match part:
            case Member(name):
                if _MEMBER.fullmatch(name) is None:
                    raise PathFault(f"{name!r} cannot be a member name in a path; write it as ['{name}']")
                text += f".{name}" if text else name
            case Index(number):
                text += f"[{number}]"
            case Key(name):
                text += _render_key(name)
    return text


def _render_key(name: str) -> str:
    for quote in "'\"":
        if f"{quote}]" not in name:
            return f"[{quote}{name}{quote}]"
    raise PathFault(f"{name!r} cannot be written as a key: it holds both '] and \"]")


def follow(value: Any, path: Path, *, names: Mapping[str, str] | None = None) -> Any:
    """Return what stands at `path` in a document.

    Args:
        names: for lists whose items bear names: the list's dotted path -> the member that names its items.
    Raises:
        Invalid: nothing stands there; the message names the part that is missing and what there is instead.
    """
    trail: list[str] = []
    for number, part in enumerate(path):
        here = render_path(path[:number]) or "the document"
        match part:
            case Member(name) | Key(name) if isinstance(value, Mapping):
                if name not in value:
                    raise Invalid(f"{here} has no member {name!r}; it has {_listed(value)}")
                value = value[name]
                trail.append(name)
            case Key(name) if isinstance(value, list):
                naming = (names or {}).get(".".join(trail))
                if naming is None:
                    raise Invalid(f"{here} is a list whose items have no names; use a number in the brackets")
                named = {item.get(naming): item for item in value if isinstance(item, Mapping)}
                if name not in named:
                    raise Invalid(f"{here} has no item with {naming} {name!r}; it has {_listed(named)}")
                value = named[name]
            case Index(index) if isinstance(value, list):
                if index >= len(value):
                    raise Invalid(f"{here} has {len(value)} items; there is no item {index}")
                value = value[index]
            case _:
                raise Invalid(f"{here} is {describe(value)}; it has no {render_path((part,))}")
    return value


def _listed(names: Mapping[Any, Any]) -> str:
    shown = [str(name) for name in names][:12]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "") if shown else "none"


def describe(value: Any) -> str:
    """Return what kind of value this is, in the words of an error message."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {json.dumps(value)}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
        case list():
            return "a list"
        case _:
            return "an object"
