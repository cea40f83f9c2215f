"""Taking back what was begun, where what has to follow fails."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from towpath.sdk.errors import ClientError


class Undo:
    """What was done so far, and how each of it is undone: all of it, the latest first, when it is left with an error.

    That error is raised all the same; what could not be undone stands in a note of it.

    Example:
        with Undo() as undo:
            first()
            undo.by("the first", remove_first)
            second()
    """

    def __init__(self) -> None:
        self._done: list[tuple[str, Callable[[], object]]] = []

    def by(self, what: str, undone: Callable[[], object]) -> None:
        """Remember how something is undone that has just been done.

        Args:
            what: it is, for a note.
        """
        self._done.append((what, undone))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        for what, undone in reversed(self._done):
            try:
                undone()
            except ClientError as left:
                error.add_note(f"{what} is left as it was made, since that could not be undone: {left}")
