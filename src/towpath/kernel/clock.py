"""The clock as a port, so that tests can make time pass."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SMALLEST_STEP_BACK = timedelta(seconds=1)  #: what time servers correct by less is no jump


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""


class SystemClock:
    """The machine's clock. It may jump, either way: what has to last a while is measured from a time that was noted.

    `time.time` is the one source of times of this process, so that a test can have a real server live through a jump.
    """

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)


def went_back(since: datetime, now: datetime) -> bool:
    """Return whether the clock was put back since a time that it told, corrections that do not matter aside."""
    return now < since - SMALLEST_STEP_BACK


class VirtualClock:
    """A clock that moves only when told to.

    The engine asks a clock for the time and waits on it through `engine.loop`, so a test that advances this clock
    and runs the loop until it is idle sees exactly what would have happened by then.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Put the clock to a time, earlier ones too, as an operator or a time server does with a real one."""
        self._now = now

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward by `seconds` and return the new time."""
        if seconds < 0:
            raise ValueError(f"a virtual clock cannot go back: {seconds} s")
        self._now += timedelta(seconds=seconds)
        return self._now
