"""JSON that comes as text inside of something else: definitions, patterns, events, policies, what scripts wrote.

All of it is read here, so that whatever was accepted can afterwards be walked, stored and shown: RFC 8259 lets an
implementation limit the depth (section 9), and leaves open what halves of surrogate pairs mean (section 8.2) and which
of two members with one name counts (section 4).
"""

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, TypeAlias

import msgspec

#: Deeper than any document of AWS; below what would exhaust the stack where the document is walked, stored and shown.
DEEPEST = 100
MOST_DIGITS = 4300  #: of a number without a fraction
#: What every number begins to look like that is larger than a float holds; others may look so too.
_HUGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{300}")
#: More than Python makes a number of, since that would take it long.
_LONG = re.compile(rb"[0-9]{%d}" % (MOST_DIGITS + 1))
_MOST_SHOWN = 24  #: characters of a number in a message
_MOST_REPEATED = 20  #: members of one document that are told to be given more than once
_BRACKET = re.compile(rb"[{}\[\]]")
#: Possessive, and with the closing quote optional, so that no text makes it look at a byte twice.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


Way: TypeAlias = tuple[str | int, ...]  #: names of members and numbers of items that lead to a place in a document


class TooDeep(ValueError):
    """A text is JSON that is nested deeper than anybody needs."""


class Repeated(ValueError):
    """A text is JSON in which members of an object are given more than once."""

    def __init__(self, ways: Iterable[Way], found: Any) -> None:
        self.ways = tuple(ways)  #: to the members, the first ones in the order of the document
        self.found = found  #: what the text stands for where the last one counts
        shown = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.ways[0])
        super().__init__(f"{shown}: this member is given more than once")


def read_json(
    text: str | bytes,
    *,
    unique: bool = False,
    not_a_number: bool = False,
) -> Any:
    """Return the value that a JSON text stands for.

    Args:
        unique: whether members that are given more than once are refused; else the last one counts.
        not_a_number: whether NaN and the infinities, which Python's `json` writes and JSON does not have, are taken.
    Raises:
        ValueError: it is not JSON, is nested too deep (`TooDeep`), gives a member more than once (`Repeated`), or holds
            a number that is too large or text that is not Unicode; says which.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.startswith(codecs.BOM_UTF8):
        raise ValueError("it begins with a byte order mark (U+FEFF); leave that out")
    if depth(data) > DEEPEST:
        raise TooDeep(f"values are nested more than {DEEPEST} levels deep")
    objects = _Objects()
    found = json.loads(
        text,
        object_pairs_hook=objects.made if unique else None,
        parse_constant=None if not_a_number else _refuse_constant,
        parse_int=_short if _LONG.search(data) else None,
        parse_float=_finite if not not_a_number and _HUGE.search(data) else None,
    )
    if b"\\u" in data:
        try:
            msgspec.json.encode(found)
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise ValueError(f"\\u{ord(half):04x} is half of a surrogate pair, the other half is missing") from error
    if objects.repeating:
        raise Repeated(islice(objects.ways(found, ()), _MOST_REPEATED), found)
    return found


class _Objects:
    """Makes objects of their members, and keeps those in mind that have one more than once."""

    def __init__(self) -> None:
        #: By `id`, each beside the object itself, since an id belongs to another once an object is gone.
        self.repeating: dict[int, tuple[dict[str, Any], frozenset[str]]] = {}

    def made(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) != len(members):
            counts = Counter(name for name, _ in members)
            self.repeating[id(found)] = found, frozenset(name for name in found if counts[name] > 1)
        return found

    def ways(self, value: Any, way: Way) -> Iterator[Way]:
        """Yield the ways to members that are given more than once, but those in what another one took the place of."""
        if isinstance(value, dict):
            _, names = self.repeating.get(id(value), (value, frozenset[str]()))
            for name, inner in value.items():
                if name in names:
                    yield (*way, name)
                yield from self.ways(inner, (*way, name))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self.ways(inner, (*way, index))


def depth(text: bytes) -> int:
    """Return how deep brackets are nested in a JSON text, at most; 0 where they cannot be deeper than `DEEPEST`."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return 0
    opened = (1 if bracket in b"{[" else -1 for bracket in _BRACKET.findall(_STRING.sub(b"", text)))
    return max(accumulate(opened), default=0)


def _finite(written: str) -> float:
    """Return a number; one that became infinite could not be written as JSON again."""
    found = float(written)
    if math.isinf(found):
        raise ValueError(f"{_shown(written)} is larger than any number that can be kept")
    return found


def _short(written: str) -> int:
    digits = len(written.lstrip("-"))
    if digits > MOST_DIGITS:
        raise ValueError(f"{_shown(written)} has {digits} digits; at most {MOST_DIGITS} are read")
    return int(written)


def _shown(written: str) -> str:
    return written if len(written) <= _MOST_SHOWN else f"{written[:_MOST_SHOWN]}…"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
