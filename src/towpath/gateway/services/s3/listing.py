"""Pages of a bucket's keys, with keys that share a prefix up to a delimiter folded into one entry."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from towpath.gateway.services.s3.model import S3Error
from towpath.kernel.objects import ObjectVersion

#: Longer than what may follow any prefix: keys have at most 1024 bytes, and this character takes four of them.
_BEHIND_ALL = "\U0010ffff" * 256
_FETCHED_AT_LEAST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page ended: at a key, or at a folded prefix."""

    text: str
    is_prefix: bool = False
    version_id: str | None = None  #: of the version at which it ended, where all versions are listed

    @property
    def after(self) -> str:
        """The text that all keys of the next page are above."""
        return self.text + _BEHIND_ALL if self.is_prefix else self.text


#: (position, limit) -> versions behind the position, in order of the bytes of their keys.
Fetch = Callable[[Position, int], list[ObjectVersion]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """One page."""

    versions: list[ObjectVersion]
    prefixes: list[str]
    next: Position | None  #: None at the end


def page(fetch: Fetch, *, prefix: str, delimiter: str, start: Position, limit: int) -> KeyPage:
    """Return the entries behind `start`: at most `limit`, keys and folded prefixes counted together.

    A folded prefix is jumped over, however many keys it has. What is fetched at a time shrinks while most of it turns
    out to be folded away, so that a page costs about as many rows as it shows entries.
    """
    versions: list[ObjectVersion] = []
    prefixes: list[str] = []
    at = start
    if limit == 0:
        return KeyPage(versions=versions, prefixes=prefixes, next=None)
    size = limit + 1
    while True:
        wanted = min(size, limit + 1 - len(versions) - len(prefixes))
        rows = fetch(at, wanted)
        folded_away = 0
        for row in rows:
            if at.is_prefix and row.key.startswith(at.text):
                folded_away += 1
                continue
            if len(versions) + len(prefixes) == limit:
                return KeyPage(versions=versions, prefixes=prefixes, next=at)
            folded = _folded(row.key, prefix, delimiter)
            if folded is None:
                versions.append(row)
                at = Position(text=row.key, version_id=row.version_id)
            else:
                prefixes.append(folded)
                at = Position(text=folded, is_prefix=True)
        if len(rows) < wanted:
            return KeyPage(versions=versions, prefixes=prefixes, next=None)
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
