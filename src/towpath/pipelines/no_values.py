"""Places in JSON documents where something stands that JSON cannot hold: to read one is refused, not taken for null.

A job that writes a document for `Std:JsonGet` puts an object with one member there, whose text says what it is, why it
cannot be read and what to do instead: `{"Towpath:NoValue": "result['table'] is a table, which lies in a file. …"}`.
"""

from collections.abc import Mapping
from typing import Any

from towpath.kernel.errors import Invalid
from towpath.pipelines.paths import Path, follow, render_path

NO_VALUE = "Towpath:NoValue"


def read_at(document: Any, path: Path) -> Any:
    """Return what stands at `path` in a document that a job wrote.

    Raises:
        Invalid: nothing stands there; or what stands there, something within it or on the way to it has no value.
    """
    value = document
    for length in range(len(path) + 1):  # one by one: behind a place without a value there is no other to be told of
        value = follow(document, path[:length])
        if (why := _why_none(value)) is not None:
            raise _refused(path, why)
    inside = [value]
    while inside:
        one = inside.pop()
        if (why := _why_none(one)) is not None:
            raise _refused(path, why)
        if isinstance(one, list):
            inside.extend(reversed(one))
        elif isinstance(one, Mapping):
            inside.extend(reversed(list(one.values())))
    return value


def _why_none(value: Any) -> str | None:
    """Return what is said of a place that has no value, None where there is one."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    why = value.get(NO_VALUE)
    return why if isinstance(why, str) else None


def _refused(path: Path, why: str) -> Invalid:
    return Invalid(
        f"{render_path(path) or 'the document'} cannot be compared, put into a text or given as an argument: {why}"
    )
