"""What code archives hold, by the content of their files: times and owners in an archive say nothing of the code."""

import hashlib
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO

from towpath.kernel.objects import ObjectStore, ObjectVersion
from towpath.runner import archives

LARGEST_BYTES = 1 << 30  #: of an archive's files together; a larger one counts by its own bytes
_MOST_FILES = 100_000  #: of an archive; and of all that are remembered
_CHUNK = 1 << 20


class StoredCodeTrees:
    """Implements `jobs.ports.CodeTrees`: remembers by the digest of the archive what it held."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._known: OrderedDict[str, Mapping[str, str] | None] = OrderedDict()
        self._lock = threading.Lock()

    def files(self, archive: ObjectVersion) -> Mapping[str, str] | None:
        """Return the files of a tar archive: path -> SHA-256 of the content, with an `x` behind it where the file can
        be executed; of a link, where it leads. None when it is no archive that can be read, or an overly large one.

        Raises:
            OSError: its bytes are gone, or the disk does not give them.
        """
        with self._lock:
            if archive.sha256 in self._known:
                self._known.move_to_end(archive.sha256)
                return self._known[archive.sha256]
        with self._objects.open(archive) as content:
            found = _files(content)
        with self._lock:
            self._known[archive.sha256] = found
            while sum(len(files or ()) for files in self._known.values()) > _MOST_FILES:
                self._known.popitem(last=False)
        return found


def _files(content: IO[bytes]) -> dict[str, str] | None:
    files: dict[str, str] = {}
    size = 0
    try:
        with archives.opened(content) as members:
            for member in members:
                size += member.size
                if size > LARGEST_BYTES or len(files) >= _MOST_FILES:
                    return None
                name = "/".join(part for part in member.name.split("/") if part not in {"", "."})
                if member.isreg():
                    files[name] = _digest(members, member) + ("x" if member.mode & 0o100 else "")
                elif member.issym() or member.islnk():
                    files[name] = f"-> {member.linkname}"
    except archives.UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's word, and not that of a decompressor about what it was given: nothing to remember
        return None  # the job that is to unpack it will say what is wrong with it
    return files


def _digest(members: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = members.extractfile(member)
    assert content is not None, "only regular files come here"
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
