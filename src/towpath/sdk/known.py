"""What to tell of a name that nothing has: what is like it, and what there is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from towpath.sdk.errors import NotFound

_LOOKED_AT = 1000  #: names at most: who mistypes does not wait for the rest
_TOLD = 20  #: names that a sentence tells at most


def nothing_called(
    what: str, name: str, known: Iterable[str], missing: NotFound, *, make: str = "there is none yet"
) -> NotFound:
    """Return the error that tells which there are.

    Args:
        known: the names of all.
        missing: how the server said it.
        make: told where there are none: how one comes.
    """
    names = list(islice(known, _LOOKED_AT))
    more = ", …" if len(names) > _TOLD else ""
    there = f"known: {', '.join(islice(names, _TOLD))}{more}" if names else make
    told = f"there is no {what} {name!r}{did_you_mean(name, names)}; {there}"
    return NotFound(missing.code, told, status=missing.status)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question about the name that is most like `name`, empty where none is."""
    from difflib import get_close_matches  # needed by those who mistype alone

    alike = get_close_matches(name, known, n=1)
    return f" (did you mean {alike[0]!r}?)" if alike else ""
