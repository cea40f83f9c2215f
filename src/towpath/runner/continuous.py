"""Stages the files of continuous outputs one by one while the job runs, each soon after it is complete.

A file is complete when two looks in a row find it unchanged and no process has it open for writing. Its bytes are
copied and synced beside a document that appears last and in one step, so whoever sees the document may adopt the bytes.
Of each file at most one copy waits to be adopted: a newer one takes its place.
"""

import contextlib
import errno
import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from towpath.runner.contents import Found, Mark, contents, mark_of, open_inside
from towpath.runner.folder import INCREMENTS, ML, StagedDocument, StagingFailed, increment_files, write_whole
from towpath.runner.outputs import Digests, Known, copy, document, key_of

LOOK_S = 1.0
AGAIN_S = 5.0  #: a file that changes all the time is staged at most so often
_IDLE = 10  #: looks take at most a tenth of the time, however many files there are
_TOLD_AT_ONCE = 64  #: after so many files, news is told before the look has ended


class _Ended(Exception):
    """The job has ended while a file was copied; what is left is staged with the rest."""


class ContinuousOutputs:
    """The outputs of one attempt whose files are published while it runs."""

    def __init__(
        self, job: dict[str, Any], attempt: Path, tell: Callable[[], None], places: Sequence[Path] = ()
    ) -> None:
        """
        Args:
            tell: called, in a thread of this object, when files wait to be adopted.
            places: the /opt/ml of each host; by default that of a job on one.
        """
        self.known: dict[tuple[str, str], Known] = {}  #: what was staged last, or laid out, by bucket and key
        self._outputs = [output for output in job.get("outputs", ()) if output.get("continuous")]
        self._inputs: list[dict[str, Any]] = list(job.get("inputs", ()))
        self._places = tuple(places) or (attempt / ML,)
        self.laid_out: set[Mark] = set()  #: of files that came from where they would go, as they came
        self._folder = attempt / INCREMENTS
        self._tell = tell
        self._number = 0  #: of the last file that was staged
        self._staged: dict[tuple[str, str], tuple[int, float]] = {}  #: number, and when (monotonic), by bucket and key
        self._seen: dict[tuple[str, str], Mark] = {}  #: at the last look
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def note_laid_out(self) -> None:
        """Remember the inputs that came from where they would go: they need not go there again unless they change.

        To be called when they are laid out and nothing runs yet.
        """
        for output in self._outputs:
            for item in self._inputs:
                if item.get("unpack") or not item["path"].startswith(f"{output['path']}/"):
                    continue
                with contextlib.suppress(StagingFailed):  # a key too long cannot be where it came from
                    key = key_of(output, item["path"][len(output["path"]) + 1 :])
                    if item["uri"] == f"s3://{output['bucket']}/{key}":
                        for ml in self._places:
                            if item.get("host") and not (ml / item["path"]).exists():
                                continue  # given to another host
                            mark = mark_of((ml / item["path"]).lstat())
                            self.laid_out.add(mark)
                            self.known[output["bucket"], key] = Known(mark, item["sha256"])

    def begin(self) -> None:
        """Begin to look, beside the caller, which supervises the job."""
        if not self._outputs:
            return
        # Whoever opens a file for writing in the moment in which we ask whether it is open has us sent this signal.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self._thread = threading.Thread(target=self._look_on, name="continuous-outputs", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop looking. What was not staged yet is left to the end of the job."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self, now: float) -> int:
        """Stage what is complete, and return how many files that were.

        Args:
            now: monotonic seconds.
        """
        marks: dict[tuple[str, str], Mark] = {}
        staged = 0
        for output in self._outputs:
            # What cannot be read or kept is told of by the job's end, which tries the same.
            with contextlib.suppress(OSError, StagingFailed):
                for ml, item in self._written(output):
                    place = (output["bucket"], key_of(output, item.name))
                    if place in marks:
                        continue  # the first host that wrote it speaks for all, as at the end
                    marks[place] = item.mark
                    if self._seen.get(place) != item.mark or not self._is_due(place, item.mark, now):
                        continue
                    if self._stage(output, place, ml, item, now):
                        staged += 1
                        if staged % _TOLD_AT_ONCE == 0:
                            self._tell()
        self._seen = marks
        return staged

    def _written(self, output: dict[str, Any]) -> Iterator[tuple[Path, Found]]:
        """Yield the files in an output's folder that the job wrote, host by host, each with the /opt/ml it lies in."""
        for ml in self._places:
            for item in contents(ml, output, lambda _: None):
                if not item.folder and item.mark not in self.laid_out:
                    yield ml, item

    def _look_on(self) -> None:
        pause_s = LOOK_S
        while not self._over.wait(pause_s):
            begun = time.monotonic()
            try:
                if self.look(begun):
                    self._tell()
            except _Ended:
                return
            pause_s = max(LOOK_S, _IDLE * (time.monotonic() - begun))

    def _is_due(self, place: tuple[str, str], mark: Mark, now: float) -> bool:
        known = self.known.get(place)
        _, at = self._staged.get(place, (0, float("-inf")))
        return (known is None or known.mark != mark) and now - at >= AGAIN_S

    def _stage(self, output: dict[str, Any], place: tuple[str, str], ml: Path, item: Found, now: float) -> bool:
        """Stage one file; return whether it was complete and new."""
        mark = item.mark
        try:
            source = open_inside(ml, item.real)
        except OSError:
            return False  # gone meanwhile, or exchanged for something else
        try:
            if mark_of(os.fstat(source)) != mark or _is_written(source):
                return False
            told = self._copied(output, place, source)
            if mark_of(os.fstat(source)) != mark or _is_written(source):
                Path(told["path"]).unlink()
                return False
        finally:
            os.close(source)
        before = self.known.get(place)
        if before is not None and before.sha256 == told["sha256"]:
            self.known[place] = Known(mark, before.sha256)
            Path(told["path"]).unlink()  # touched, or written anew with the same content
            return False
        self._announce(self._number + 1, told)
        self._number += 1
        self.known[place] = Known(mark, told["sha256"])
        waiting, _ = self._staged.get(place, (0, 0.0))
        self._staged[place] = (self._number, now)
        if waiting:
            for path in increment_files(self._folder, waiting):
                path.unlink(missing_ok=True)
        return True

    def _copied(self, output: dict[str, Any], place: tuple[str, str], source: int) -> StagedDocument:
        self._folder.mkdir(exist_ok=True)
        _, target = increment_files(self._folder, self._number + 1)
        target.unlink(missing_ok=True)  # half of a copy that found the disk full
        digests = Digests(target)
        try:
            copy(source, digests, self._check)
        except BaseException:
            digests.close(sync=False)
            target.unlink()
            raise
        return document(output, place[1], target, digests, sync=True)

    def _announce(self, number: int, told: StagedDocument) -> None:
        """Write that a file is complete; with this its bytes may be adopted."""
        announced, _ = increment_files(self._folder, number)
        write_whole(announced, json.dumps({"number": number, "file": told}).encode(), durable=True)

    def _check(self) -> None:
        if self._over.is_set():
            raise _Ended


def _is_written(descriptor: int) -> bool:
    """Return whether a process has the file of this descriptor open for writing, or mapped so.

    A lease for reading is granted only where nobody has. Where the file system knows no leases, the answer is no, and a
    file counts as complete that has not changed between two looks.
    Source: fcntl(2), "Leases".
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
