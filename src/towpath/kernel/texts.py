"""JSON that comes as text inside of something else: definitions, patterns, events, policies, what scripts wrote.

All of it is read here, so that whatever was accepted can afterwards be walked, stored and shown: RFC 8259 lets an
implementation limit the depth (section 9), and leaves open what halves of surrogate pairs mean (section 8.2).
"""

import codecs
import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import msgspec

#: Deeper than any document of AWS; below what would exhaust the stack where the document is walked, stored and shown.
DEEPEST = 100
MOST_DIGITS = 4300  #: of a number without a fraction
#: What every number begins to look like that is larger than a float holds; others may look so too.
_HUGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{300}")
#: More than Python makes a number of, since that would take it long.
_LONG = re.compile(rb"[0-9]{%d}" % (MOST_DIGITS + 1))
_MOST_SHOWN = 24  #: characters of a number in a message
_BRACKET = re.compile(rb"[{}\[\]]")
#: Possessive, and with the closing quote optional, so that no text makes it look at a byte twice.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class TooDeep(ValueError):
    """A text is JSON that is nested deeper than anybody needs."""


def read_json(
    text: str | bytes,
    *,
    members: Callable[[list[tuple[str, Any]]], Any] | None = None,
    not_a_number: bool = False,
) -> Any:
    """Return the value that a JSON text stands for.

    Args:
        members: makes an object of its members, in their order; it may refuse them with a ValueError.
        not_a_number: whether NaN and the infinities, which Python's `json` writes and JSON does not have, are taken.
    Raises:
        ValueError: it is not JSON, is nested too deep (`TooDeep`), or holds a number that is too large or text that is
            not Unicode; says which.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.startswith(codecs.BOM_UTF8):
        raise ValueError("it begins with a byte order mark (U+FEFF); leave that out")
    if depth(data) > DEEPEST:
        raise TooDeep(f"values are nested more than {DEEPEST} levels deep")
    found = json.loads(
        text,
        object_pairs_hook=members,
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
    return found


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
