"""Tokens of lists, and pages of those that are at hand whole: few things, or what was only ever appended.

The store pages what is many.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document

T = TypeVar("T")
LARGEST = 100
_LONGEST_TOKEN = 10
Plain: TypeAlias = str | int | float | bool | None
_INTEGERS = range(-(2**63), 2**63)  #: what a column holds
_plain_values = msgspec.json.Decoder(tuple[Plain, ...])


def size(asked: Document, member: str = "MaxResults") -> int:
    """Return how many items a List request wants in its answer."""
    return min(int(asked.get(member) or LARGEST), LARGEST)


def position(token: str | None) -> int | None:
    """Return the position that a token tells, None where there is no token: the list begins.

    Raises:
        Invalid: it tells none.
    """
    if token is None:
        return None
    if not (token.isascii() and token.isdecimal() and len(token) < _LONGEST_TOKEN):
        raise _no_token(token)
    return int(token)


def token_of(values: Iterable[Plain]) -> str:
    """Return the token that says the values by which the last item of a page is sorted."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(values))).decode("ascii")


def values_of(token: str, count: int) -> tuple[Plain, ...]:
    """Return the values of a token, which may be anybody's work: as many as a list is sorted by, all fit for a column.

    Raises:
        Invalid: it is no token of such a list.
    """
    try:
        values = _plain_values.decode(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise _no_token(token) from error
    if len(values) != count or any(isinstance(value, int) and value not in _INTEGERS for value in values):
        raise _no_token(token)
    return values


def _no_token(token: str) -> Invalid:
    return Invalid(f"The token {token[:40]!r} is not one that this server gave out; begin anew without it")


def oldest_first(items: Sequence[T], token: str | None, count: int) -> tuple[list[T], str | None]:
    """Return a page of a list, and the token of the next page, None at the end.

    Raises:
        Invalid: the token is none of this list.
    """
    start = _within(items, token, 0)
    end = start + count
    return list(items[start:end]), str(end) if end < len(items) else None


def newest_first(items: Sequence[T], token: str | None, count: int) -> tuple[list[T], str | None]:
    """Return a page of a list from its end on, and the token of the next page, None where the beginning is reached.

    What is appended meanwhile moves nothing: positions are counted from the oldest item.

    Raises:
        Invalid: the token is none of this list.
    """
    end = _within(items, token, len(items))
    start = max(end - count, 0)
    return list(items[start:end][::-1]), str(start) if start > 0 else None


def _within(items: Sequence[object], token: str | None, beginning: int) -> int:
    told = position(token)
    if told is None:
        return beginning
    if not 0 < told < len(items):
        raise Invalid(f"The token {token!r} is not one of this list, or the list has changed; begin anew without it")
    return told
