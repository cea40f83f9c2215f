"""Reads which modules the code of a job names, before the job begins.

Words, not imports: a word that stands in a comment, or in whatever else was packed with the code, is judged wrongly, as
one is that is built from parts. A job then begins from a process that holds more than it needs, or less, and does the
same.
"""

import contextlib
import posixpath
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from towpath.jobs.model import InputFile, JobSpec
from towpath.runner import archives
from towpath.runner.folder import OPT_ML
from towpath.runner.warm import TOOLKIT

_MOST_BYTES = 4 << 20  #: of one input; what lies behind is not read
_MOST_REMEMBERED = 4096


class CodeReader:
    """Finds words in the code of jobs, and remembers them by the code's digest. Safe to use from several threads."""

    def __init__(self, words: Iterable[str]) -> None:
        """`words`: identifiers that are looked for."""
        self._words = frozenset(words)
        alternatives = b"|".join(re.escape(word).encode() for word in sorted(self._words))
        self._pattern = re.compile(rb"\b(?:" + alternatives + rb")\b")
        self._known: dict[tuple[str, bool], bool] = {}
        self._lock = threading.Lock()

    def names_one(self, job: JobSpec) -> bool:
        """Return whether the code of a job has one of the words: a Python file in the folder of its script or in one
        inside it, or an archive that is unpacked there, as far as its beginning shows."""
        if not self._words:
            return False
        folder = folder_of_script(job)
        texts = (text for path, text in job.files.items() if _is_code(path, folder))
        return any(self._pattern.search(text.encode()) for text in texts) or any(
            self._is_named_in(item) for item in job.inputs if _may_hold_code(item, folder)
        )

    def _is_named_in(self, item: InputFile) -> bool:
        key = (item.sha256, item.unpack)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            # What cannot be read ends the job with a sentence of its own, when it is laid out.
            known = False
            with contextlib.suppress(*archives.UNREADABLE), Path(item.source).open("rb") as file:
                # An archive is searched as it is: anybody may have made it, and this is the server.
                text = archives.beginning(file, _MOST_BYTES) if item.unpack else file.read(_MOST_BYTES)
                known = self._pattern.search(text) is not None
            with self._lock:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known


def folder_of_script(job: JobSpec) -> str:
    """Return the folder that the script of a job lies in, relative to /opt/ml; empty if it lies nowhere below."""
    word = job.argv[2] if len(job.argv) > 2 and job.argv[1] == TOOLKIT else job.argv[1]
    folder = posixpath.dirname(posixpath.normpath(posixpath.join(job.cwd, word)))
    return folder.removeprefix(f"{OPT_ML}/") if folder.startswith(f"{OPT_ML}/") else ""


def _may_hold_code(item: InputFile, folder: str) -> bool:
    if item.unpack:
        return bool(folder) and (_is_in(item.path, folder) or _is_in(folder, item.path))
    return _is_code(item.path, folder)


def _is_code(path: str, folder: str) -> bool:
    return bool(folder) and path.endswith(".py") and _is_in(path, folder)


def _is_in(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
