"""Room on the disk of the home that is kept for the moment when there is none left.

On a full disk nothing can be committed, and so nothing deleted: that needs a few pages of the store's log first. A file
of some megabytes is therefore given back while a deletion is committed, and filled again afterwards.
"""

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from towpath.kernel.errors import DiskFull
from towpath.store.sqlite import SqliteStore
from towpath.store.unit_of_work import SqlTransaction

R = TypeVar("R")
logger = logging.getLogger(__name__)

RESERVE_BYTES = 8 << 20  #: the store's log is begun anew after some 4 MB, and one deletion may be a large commit
_STEP = 1 << 20  #: what there is no room for as a whole is kept as far as this divides it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """The file that keeps the room. Safe for use by several threads of the process that holds the home."""

    def __init__(self, path: Path, *, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size
        self._lock = threading.Lock()
        self._is_whole = False  #: as this process left it

    def held_bytes(self) -> int:
        """Return how much is kept now: less than wanted after a disk was full, until there is room again."""
        try:
            return self._path.stat().st_blocks * 512  # the unit of st_blocks, whatever the file system's is
        except FileNotFoundError:
            return 0

    def fill(self) -> bool:
        """Keep the room, as far as there is any and it is not kept already; False when some of it is missing yet.

        While it is lent this waits for nobody: whoever it is lent to may be waiting for the calling thread.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._fill()
        finally:
            self._lock.release()

    def refill(self, _: object) -> None:
        """Keep again what the last deletion used, once there is room; for commits of the store to call."""
        self.fill()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the room back for what is done inside, one at a time; keep it again afterwards, as far as there is."""
        with self._lock:
            with contextlib.suppress(FileNotFoundError):
                os.truncate(self._path, 0)
            self._is_whole = False
            try:
                yield
            finally:
                self._fill()

    def _fill(self) -> bool:
        if self._is_whole:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for end in range(_STEP, self._size + _STEP, _STEP):
                os.posix_fallocate(descriptor, 0, min(end, self._size))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return False
        finally:
            os.close(descriptor)
        self._is_whole = True
        return True


class FreeingStore:
    """Implements `kernel.ports.Store` for what makes room: where none is left to commit it, the reserve is used."""

    def __init__(self, store: SqliteStore, reserve: Reserve) -> None:
        self._store = store
        self._reserve = reserve

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        return self._store.read(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        try:
            return self._store.write(work)
        except DiskFull:
            with self._reserve.lent():
                logger.warning("the disk is full: the reserve is used to write down what makes room")
                return self._store.write(work)
        finally:
            self._reserve.fill()
