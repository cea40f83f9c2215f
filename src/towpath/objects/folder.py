"""Objects as plain files in a folder: one file a blob, under a name that is never used twice.

    FOLDER/blobs/3f/3f9c…   read-only; complete and synced as soon as a row names it

Whether anybody can see a blob is a matter of rows, which are written after it was synced; a blob without a row,
complete or not, is what a crash before that left, and `sweep` removes it.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO
from uuid import uuid4

from towpath.kernel.errors import NotFound, noticing_full_disk
from towpath.kernel.objects import ObjectVersion, StoredBlob
from towpath.runner.folder import sync_folder

CHUNK = 1 << 20  #: bytes read at a time; what a stream holds in memory
_SWEPT_TOGETHER = 500  #: names that the sweeper asks the rows about at a time
_SYNCS = 8  #: of folders at a time
_CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


class FolderObjects:
    """Implements `kernel.objects.ObjectStore` on a folder of a local file system."""

    is_far = False

    def __init__(self, folder: Path) -> None:
        """Use `folder`, making it as needed."""
        self._blobs = folder / "blobs"
        self._staged = folder / "new"  #: where earlier releases wrote
        # Private: what is stored is for those who may ask the platform for it.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._blobs.mkdir(exist_ok=True)
        #: names of the folders in `blobs/` that a power cut leaves there; a process that died may have synced none
        self._durable = {entry.name for entry in os.scandir(self._blobs)}
        sync_folder(self._blobs)
        self._syncs = ThreadPoolExecutor(_SYNCS, thread_name_prefix="sync-of-folder")
        # The file system's own clock at our start: what is newer may be waiting for the row of a running transaction.
        started = folder / "started"
        started.touch()
        self._started_ns = started.stat().st_ctime_ns

    def write(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Stream bytes into a new blob, sync it, and return its name and digests.

        An exception raised by `chunks` leaves nothing behind; raising there is how a caller refuses what it reads.

        Raises:
            DiskFull: there is no room for them; nothing is left behind.
        """
        with noticing_full_disk():
            return self._write(chunks)

    def _write(self, chunks: Iterable[bytes]) -> StoredBlob:
        name = self.new_blob_name()
        folder = self._folder_of(name)
        path = folder / name
        sha256 = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            # At its place from the beginning: renaming it there would make a second journal entry to wait for.
            with path.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    sha256.update(chunk)
                    md5.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                # Side by side both wait for one entry of the journal, one after the other twice for the disk.
                named = self._syncs.submit(sync_folder, folder)
                os.fsync(file.fileno())
            named.result()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return StoredBlob(blob=name, size=size, sha256=sha256.hexdigest(), etag=md5.hexdigest())

    def adopt(self, path: str, blob: StoredBlob) -> None:
        """Take a synced file of the same file system in as the blob `blob.blob`; done already counts as done.

        Raises:
            NotFound: there is neither the file nor the blob.
        """
        self.adopt_all([(path, blob)])

    def adopt_all(self, files: Sequence[tuple[str, StoredBlob]]) -> None:
        """Take many (path, blob) in as `adopt` does. The folders that they come to lie in are synced once each.

        The file is linked rather than moved where the file system can do that: if the process dies before the row is
        written, the sweeper may remove the blob, and the adoption can still be repeated from `path`.

        Raises:
            NotFound: there is neither the file nor the blob.
            DiskFull: there is no room for another name; the adoption can be repeated.
        """
        with noticing_full_disk():
            for folder in sorted({self._adopt(path, blob) for path, blob in files}):
                sync_folder(folder)

    def _adopt(self, path: str, blob: StoredBlob) -> Path:
        """Give a file its place among the blobs; return the folder to be synced.

        That is also to be done where the file had its place already: the process that gave it may have died at once.
        """
        target = self._folder_of(blob.blob) / blob.blob
        try:
            os.link(path, target)
        except FileExistsError:
            return target.parent
        except FileNotFoundError as error:
            if target.exists():
                return target.parent
            raise NotFound(f"There is no file {path} to take in, and no blob {blob.blob}.") from error
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            Path(path).rename(target)
        target.chmod(0o444)
        return target.parent

    def new_blob_name(self) -> str:
        """Return a blob name that was never used."""
        return uuid4().hex

    def open(self, version: ObjectVersion) -> IO[bytes]:
        """Open the bytes of a version for reading."""
        return Path(self.path(version)).open("rb")

    def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`.

        Raises:
            OSError: the file holds fewer bytes than its row says.
        """
        left = (version.size if end is None else min(end, version.size)) - start
        with self.open(version) as file:
            file.seek(start)
            while left > 0:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    raise OSError(f"blob {version.blob} of {version.uri} is {left} bytes short")
                left -= len(chunk)
                yield chunk

    def path(self, version: ObjectVersion) -> str:
        """Return the path of the blob, for runners on this host. Nobody writes there.

        Raises:
            NotFound: the version is a delete marker.
        """
        if version.blob is None:
            raise NotFound(f"{version.uri} was deleted: version {version.version_id} is a delete marker.")
        return str(self._blobs / version.blob[:2] / version.blob)

    def must_fetch(self, versions: Iterable[ObjectVersion]) -> bool:
        """Return False: all bytes lie here."""
        return False

    def discard(self, blob: str) -> None:
        """Remove a blob that no row names."""
        (self._blobs / blob[:2] / blob).unlink(missing_ok=True)

    def sweep(self, known: Callable[[list[str]], set[str]]) -> int:
        """Remove what earlier processes left without a row, and return how many blobs that were.

        Blobs that came after the start of this process are left alone, because their rows may be on the way. Call it
        before anything adopts files under names given out earlier.

        Args:
            known: given blob names, returns those that a row refers to.
        """
        if self._staged.exists():
            shutil.rmtree(self._staged)
        removed = 0
        for folder in self._blobs.iterdir():
            old = [entry.name for entry in os.scandir(folder) if entry.stat().st_ctime_ns < self._started_ns]
            for start in range(0, len(old), _SWEPT_TOGETHER):
                some = old[start : start + _SWEPT_TOGETHER]
                for name in set(some) - known(some):
                    self.discard(name)
                    removed += 1
        return removed

    def _folder_of(self, name: str) -> Path:
        """Return the folder that holds the blob, made and synced at its first use."""
        folder = self._blobs / name[:2]
        if folder.name not in self._durable:
            folder.mkdir(exist_ok=True)
            sync_folder(self._blobs)
            self._durable.add(folder.name)
        return folder
