"""How far a transform job is, as lines of its log."""

import time
from collections.abc import Callable

EVERY_S = 10.0  #: between two lines


class Progress:
    """Counts files, records and bytes, and tells of them now and then."""

    def __init__(
        self, say: Callable[[str], None], *, files: int, size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`size` is the bytes of all files."""
        self._say = say
        self._files = files
        self._size = size
        self._clock = clock
        self._began = self._told = clock()
        self._ended = 0
        self._records = 0
        self._bytes = 0  #: of the files that have ended

    def answered(self, count: int, done: int) -> None:
        """Count records that were answered, of a file of which so many bytes are done with."""
        self._records += count
        if self._clock() - self._told >= EVERY_S:
            share = min(self._size, self._bytes + done) / self._size if self._size else 1.0
            self._say(f"{share:.0%}: {self._ended} of {self._files} files, {self._count()}")
            self._told = self._clock()

    def ended(self, size: int) -> None:
        """Count a file that has ended, whether well or not."""
        self._ended += 1
        self._bytes += size

    def over(self, failed: int) -> None:
        """Tell how it came out."""
        files = f"{self._files} file{'' if self._files == 1 else 's'}"
        failures = f", {failed} of them failed" if failed else ""
        self._say(f"Transformed {files}{failures}: {self._count()} in {self._clock() - self._began:.1f} s")

    def _count(self) -> str:
        took_s = max(self._clock() - self._began, 1e-9)
        return f"{self._records} record{'' if self._records == 1 else 's'}, {self._records / took_s:.0f} a second"
