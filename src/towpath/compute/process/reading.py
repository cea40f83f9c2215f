"""Reads what a runner writes: lines of the log, metric values, files that wait, its own account of what it does."""

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from towpath.jobs.model import Increment, LogLine, LogPage, MetricPoint
from towpath.runner.folder import INCREMENTS, LATER, LOG, METRICS, STATUS, increment_files

INCREMENTS_READ = 200  #: of the files that wait; the others are seen when these have been adopted
_BLOCK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner says it does."""

    phase: str
    activity: str
    started_at: datetime | None = None


_points = msgspec.json.Decoder(MetricPoint)
_status = msgspec.json.Decoder(Status)
_increments = msgspec.json.Decoder(Increment)


def read_status(attempt: Path) -> Status | None:
    """Return the runner's last word on what it does, or None if it said none yet or a power cut tore it."""
    try:
        return _status.decode((attempt / STATUS).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def read_increments(attempt: Path, *, limit: int = INCREMENTS_READ) -> tuple[Increment, ...]:
    """Return the first of the files that wait to be adopted while the job runs, by number."""
    folder = attempt / INCREMENTS
    try:
        documents = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return ()
    found = []
    for path in documents[:limit]:
        with contextlib.suppress(FileNotFoundError):  # a newer copy of the file has just taken its place
            found.append(_increments.decode(path.read_bytes()))
    return tuple(found)


def drop_increments(attempt: Path, *, until: int) -> None:
    """Remove those up to a number: first the documents, without which the bytes are nothing."""
    folder = attempt / INCREMENTS
    try:
        numbers = {int(path.name.partition(".")[0]) for path in folder.iterdir()}
    except FileNotFoundError:
        return
    for number in sorted(numbers):
        if number <= until:
            for path in increment_files(folder, number):
                path.unlink(missing_ok=True)


def read_log(attempt: Path, *, start: int, limit: int) -> LogPage:
    """Return up to `limit` complete lines from a byte offset on.

    An offset within a line counts as that of the next one. A negative `start` counts from the end of the file.
    """
    pieces = _pieces(attempt)
    if start < 0:
        start = max(0, pieces[-1].end + start)
    lines: list[LogLine] = []
    begin: int | None = None
    end = min(start, pieces[-1].end)
    for piece in pieces:
        if piece.end <= end or len(lines) >= limit:
            continue
        found, first, end = _read_piece(piece, max(end, piece.offset), limit - len(lines))
        lines += found
        begin = first if begin is None else begin
    return LogPage(lines=lines, start=end if begin is None else begin, end=end)


class _Piece(NamedTuple):
    """A file that holds a part of a log."""

    path: Path
    offset: int  #: of its first byte in the whole log
    end: int  #: of its last byte, plus one


def _pieces(attempt: Path) -> list[_Piece]:
    """Return the files of a log in order; between two of them something may have been dropped."""
    places = [(0, attempt / LOG)]
    with contextlib.suppress(FileNotFoundError):
        places += sorted((int(path.name), path) for path in (attempt / LATER).iterdir() if path.name.isdigit())
    pieces = []
    for offset, path in places:
        with contextlib.suppress(FileNotFoundError):  # dropped since it was listed
            pieces.append(_Piece(path, offset, offset + path.stat().st_size))
    return pieces or [_Piece(attempt / LOG, 0, 0)]


def _read_piece(piece: _Piece, start: int, limit: int) -> tuple[list[LogLine], int, int]:
    """Return up to `limit` complete lines from an offset of the whole log on, where they begin and where they end."""
    try:
        descriptor = os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], start, start  # dropped since it was listed
    try:
        begin = _line_start(descriptor, start - piece.offset)
        data = b""
        while data.count(b"\n") < limit and (block := os.pread(descriptor, _BLOCK, begin + len(data))):
            data += block
    finally:
        os.close(descriptor)
    lines: list[LogLine] = []
    end = begin
    for raw in data.split(b"\n")[:-1][:limit]:
        end += len(raw) + 1
        at, _, text = raw.partition(b"\t")
        if at.isdigit():  # else torn by a power cut
            lines.append(LogLine(_EPOCH + timedelta(milliseconds=int(at)), text.decode("utf-8", "replace")))
    return lines, begin + piece.offset, end + piece.offset


def _line_start(descriptor: int, offset: int) -> int:
    """Return the first offset at or behind this one at which a line begins."""
    if offset == 0 or os.pread(descriptor, 1, offset - 1) in (b"\n", b""):
        return offset
    while block := os.pread(descriptor, 4096, offset):
        found = block.find(b"\n")
        if found >= 0:
            return offset + found + 1
        offset += len(block)
    return offset


class MetricsReader:
    """The values of one attempt; each call reads only what came since the last."""

    def __init__(self, attempt: Path) -> None:
        self.points: list[MetricPoint] = []
        self._path = attempt / METRICS
        self._offset = 0

    def refresh(self) -> list[MetricPoint]:
        """Return every value so far, oldest first."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self.points
        try:
            data = b""
            while block := os.pread(descriptor, _BLOCK, self._offset + len(data)):
                data += block
        finally:
            os.close(descriptor)
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # torn by a power cut or a full disk
                self.points.append(_points.decode(line))
        return self.points

    def latest(self) -> tuple[MetricPoint, ...]:
        """Return the last value of each name."""
        return tuple({point.name: point for point in self.refresh()}.values())
