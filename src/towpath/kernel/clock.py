"""The clock as a port, so that tests can make time pass."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


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
