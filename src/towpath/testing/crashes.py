"""A process that dies at a chosen write, for tests that compare the ends of a life with and without the crash."""

from collections.abc import Callable
from typing import TypeVar

from towpath.kernel.resource import Uid
from towpath.store import SqliteStore, SqlTransaction

R = TypeVar("R")


class Crash(BaseException):
    """The process dies here. No handler of errors takes it for one."""


class CrashingStore:
    """A store whose process dies before or after its nth write."""

    def __init__(self, store: SqliteStore, at: int, *, after: bool) -> None:
        """Count writes from now on.

        Args:
            at: the write that is the last one, from 1.
            after: that write is durable, but nobody hears of it.
        """
        self._store = store
        self._left = at
        self._after = after

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
        """Hand on to the store."""
        self._store.on_commit(listener)

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        """Hand on to the store."""
        return self._store.read(work)

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        """Do as `write`: a process may die at either."""
        return self.write(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        """Hand on to the store, or die.

        Raises:
            Crash: it was the last write.
        """
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        result = self._store.write(work)
        if self._left == 0:
            raise Crash
        return result
