"""Keeps a log within a size: its beginning and its end stay, and what lay between is dropped once there is too much.

    ATTEMPT/log                 from the first byte on
    ATTEMPT/log.later/OFFSET    once `log` is full: pieces that begin at this offset of the whole log

Offsets count what was ever written, so that a reader can go on where it was whatever has been dropped since. A piece
begins with a whole line. The beginning tells of the settings and of what was read, the end of how it went: both are
worth more to a reader than the middle of a flood.
"""

import os
from pathlib import Path

from towpath.runner.folder import LATER, LOG, is_full, write_all

#: Of the limit, what the beginning takes; the rest holds the last `_PIECES` pieces.
_BEGINNING_SHARE = 0.5
_PIECES = 4
#: Offsets behind the beginning that are left free for the line that tells of the gap.
_NOTICE_BYTES = 512


class LogFile:
    """The files of one log, written by one process."""

    def __init__(self, attempt: Path, limit_bytes: int) -> None:
        """Begin the log, or go on behind what is there.

        Args:
            limit_bytes: what all files together may take; a single write may pass it by its own size.
        """
        self._limit_bytes = limit_bytes
        self._beginning_bytes = int(limit_bytes * _BEGINNING_SHARE)
        self._piece_bytes = (limit_bytes - self._beginning_bytes) // _PIECES
        self._folder = attempt / LATER
        self._beginning = _append(attempt / LOG)
        self._file = self._beginning
        self._size = os.fstat(self._beginning).st_size  #: of the file that is written
        self._offset = 0  #: at which that file begins
        self._pieces: list[int] = []  #: offsets, oldest first
        self._told = False
        self._lost_lines = 0  #: that could not be written since the last one that was

    def write(self, lines: bytes, at_ms: int) -> None:
        """Append whole lines; begin another piece where the one at hand is full."""
        most = self._beginning_bytes if self._file == self._beginning else self._piece_bytes
        if self._lost_lines:
            told = f"{at_ms}\ttowpath: {self._lost_lines} lines were lost here because the disk was full\n"
            lines = told.encode() + lines
        try:
            if self._size > 0 and self._size + len(lines) > most:
                self._begin_piece(at_ms)
            write_all(self._file, lines)
        except OSError as error:
            if not is_full(error):
                raise
            # The job did not fill the disk, perhaps, and can go on without its log.
            os.ftruncate(self._file, self._size)
            self._lost_lines += lines.count(b"\n") - (1 if self._lost_lines else 0)
            return
        self._lost_lines = 0
        self._size += len(lines)

    def _begin_piece(self, at_ms: int) -> None:
        offset = self._offset + self._size
        if self._file == self._beginning:
            self._folder.mkdir(exist_ok=True)
            offset += _NOTICE_BYTES
        else:
            os.close(self._file)
        while len(self._pieces) >= _PIECES:
            self._tell(at_ms)
            (self._folder / str(self._pieces.pop(0))).unlink()
        self._file = _append(self._folder / str(offset))
        self._pieces.append(offset)
        self._offset, self._size = offset, 0

    def _tell(self, at_ms: int) -> None:
        """Say at the end of the beginning, once, that something is missing behind it."""
        if self._told:
            return
        self._told = True
        size = f"{self._limit_bytes / 2**20:.3g} MB"
        text = (
            f"{at_ms}\ttowpath: the log is larger than {size} (setting log_limit_mb): "
            "lines from here on were dropped, and the last ones follow\n"
        )
        write_all(self._beginning, text.encode())


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
