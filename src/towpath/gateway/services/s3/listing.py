"""Pages of a bucket's keys, with keys that share a prefix up to a delimiter folded into one entry."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from towpath.gateway.services.s3.model import S3Error

#: Longer than what may follow any prefix: keys have at most 1024 bytes, and this character takes four of them.
_BEHIND_ALL = "\U0010ffff" * 256
_FETCHED_AT_LEAST = 8


class Keyed(Protocol):
    """What is listed: something that stands at a key."""

    @property
    def key(self) -> str:
        """Where it stands."""


T = TypeVar("T", bound=Keyed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page ended: at a key, or at a folded prefix."""

    text: str
    is_prefix: bool = False
    mark: str | None = None  #: of several things at that key, the version or upload at which it ended

    @property
    def after(self) -> str:
        """The text that all keys of the next page are above."""
        return self.text + _BEHIND_ALL if self.is_prefix else self.text


#: (position, limit) -> what lies behind the position, in order of the bytes of the keys.
Fetch = Callable[[Position, int], list[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage(Generic[T]):
    """One page."""

    items: list[T]
    prefixes: list[str]
    next: Position | None  #: None at the end


def page(
    fetch: Fetch[T],
    *,
    prefix: str,
    delimiter: str,
    start: Position,
    limit: int,
    mark: Callable[[T], str | None] = lambda item: None,
) -> KeyPage[T]:
    """Return the entries behind `start`: at most `limit`, keys and folded prefixes counted together.

    A folded prefix is jumped over, however many keys it has. What is fetched at a time shrinks while most of it turns
    out to be folded away, so that a page costs about as many rows as it shows entries.

    Args:
        mark: tells apart what stands at the same key; none where only one thing does.
    """
    items: list[T] = []
    prefixes: list[str] = []
    at = start
    if limit == 0:
        return KeyPage(items=items, prefixes=prefixes, next=None)
    size = limit + 1
    while True:
        wanted = min(size, limit + 1 - len(items) - len(prefixes))
        rows = fetch(at, wanted)
        folded_away = 0
        for row in rows:
            if at.is_prefix and row.key.startswith(at.text):
                folded_away += 1
                continue
            if len(items) + len(prefixes) == limit:
                return KeyPage(items=items, prefixes=prefixes, next=at)
            folded = _folded(row.key, prefix, delimiter)
            if folded is None:
                items.append(row)
                at = Position(text=row.key, mark=mark(row))
            else:
                prefixes.append(folded)
                at = Position(text=folded, is_prefix=True)
        if len(rows) < wanted:
            return KeyPage(items=items, prefixes=prefixes, next=None)
        size = max(size // 4, _FETCHED_AT_LEAST) if folded_away * 2 > len(rows) else size * 2


def encode_token(position: Position) -> str:
    """Return a continuation token."""
    return base64.urlsafe_b64encode(f"{'p' if position.is_prefix else 'k'}{position.text}".encode()).decode("ascii")


def decode_token(token: str) -> Position:
    """Return the position of a continuation token.

    Raises:
        S3Error: InvalidArgument, this server did not make it.
    """
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        text = ""
    if text[:1] not in {"p", "k"} or text == "":
        raise S3Error("InvalidArgument", f"The continuation token {token!r} was not given out by this server.")
    return Position(text=text[1:], is_prefix=text[0] == "p")


def _folded(key: str, prefix: str, delimiter: str) -> str | None:
    """Return the part of `key` up to the first delimiter behind `prefix`, None when there is none."""
    if not delimiter:
        return None
    found = key.find(delimiter, len(prefix))
    return None if found < 0 else key[: found + len(delimiter)]
