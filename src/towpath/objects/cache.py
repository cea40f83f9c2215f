"""Copies on this host of bytes that lie elsewhere: made when they are needed, the longest unused go first."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from towpath.kernel.errors import Invalid, noticing_full_disk

#: A copy that was used a moment ago may be about to be read by a runner that was just told its path.
YOUNGEST_S = 3600


class NamedLocks:
    """One lock a name, there while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(name, (threading.Lock(), 0))
            self._locks[name] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[name]
                if users == 1:
                    del self._locks[name]
                else:
                    self._locks[name] = (lock, users - 1)


class BlobCache:
    """A folder of whole, verified copies of blobs."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Use `folder`; what is longest unused goes when the copies are larger than `limit_bytes` together."""
        self._folder = folder
        self._new = folder / "new"
        self._limit = limit_bytes
        self._locks = NamedLocks()
        shutil.rmtree(self._new, ignore_errors=True)
        self._new.mkdir(parents=True, mode=0o700)
        self._size = sum(size for _, size, _ in self._copies())
        self._sizing = threading.Lock()

    def find(self, blob: str) -> Path | None:
        """Return the copy of a blob and note that it is used; None when there is none."""
        path = self._path(blob)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def fetch(self, blob: str, sha256: str, content: Callable[[], Iterable[bytes]]) -> Path:
        """Return the copy of a blob, made from `content` when there is none; others wait for who makes it.

        Raises:
            Invalid: the content has another digest.
            DiskFull: there is no room for it.
        """
        with self._locks(blob):
            found = self.find(blob)
            if found is not None:
                return found
            fresh = self._new / uuid4().hex
            try:
                with noticing_full_disk():
                    size = _written(fresh, content(), blob, sha256)
                    path = self._path(blob)
                    path.parent.mkdir(exist_ok=True)
                    fresh.rename(path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
        with self._sizing:
            self._size += size
            if self._size > self._limit:
                self._make_room()
        return path

    def forget(self, blob: str) -> None:
        """Remove the copy of a blob."""
        self._path(blob).unlink(missing_ok=True)

    def _make_room(self) -> None:
        copies = sorted(self._copies())
        self._size = sum(size for _, size, _ in copies)
        for used_at, size, path in copies:
            if self._size <= self._limit or abs(time.time() - used_at) < YOUNGEST_S:
                return
            path.unlink(missing_ok=True)
            self._size -= size

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        """Yield (last use in epoch seconds, size, path) of each copy."""
        for path in self._folder.glob("??/*"):
            about = path.stat()
            yield about.st_mtime, about.st_size, path

    def _path(self, blob: str) -> Path:
        return self._folder / blob[:2] / blob


def _written(path: Path, content: Iterable[bytes], blob: str, sha256: str) -> int:
    """Write the content of a blob into a new file and sync it; return its size."""
    digest = hashlib.sha256()
    size = 0
    with path.open("xb") as file:
        for chunk in content:
            digest.update(chunk)
            size += file.write(chunk)
        if digest.hexdigest() != sha256:
            raise Invalid(f"The stored bytes of blob {blob} are damaged: their digest is not the one recorded.")
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
    return size
