"""Log groups that events are written to, read as the output of jobs is read."""

from typing import Protocol

from towpath.jobs.model import LogLine, LogPage
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Uid

STREAM = "events"  #: the one stream of such a group
#: A line counts as so many bytes, whatever is in it: offsets into output are bytes.
_BYTES = 256


class Reader(Protocol):
    """Reads output; see `jobs.ports.ComputeBackend.log`, which is the other one."""

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        """Return lines from an offset on; a negative one counts from the end."""


class StoredLines:
    """Implements `Reader` for the lines in the store. A key is the uid of a group."""

    def __init__(self, transaction: Transaction) -> None:
        self._lines = transaction.lines

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        """Return lines behind an offset."""
        group = Uid(key)
        behind = start // _BYTES if start >= 0 else self._lines.newest(group, -start // _BYTES)
        found = self._lines.after(group, behind, limit)
        return LogPage(
            lines=[LogLine(line.at, line.text) for line in found],
            start=behind * _BYTES,
            end=(found[-1].number if found else behind) * _BYTES,
        )
