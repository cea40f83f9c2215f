"""When something falls due while a job runs. Pure: times are seconds of the monotonic clock, and are given."""

import math
from collections.abc import Iterable
from enum import Enum, auto


class Due(Enum):
    """What falls due."""

    OUT_OF_TIME = auto()  #: the job has run as long as it may
    PEERS_END = auto()  #: hosts that go on beside one that failed are asked to end
    KILL = auto()  #: what was asked to end has had its time for that
    MEASURE = auto()  #: the memory is looked at
    METRICS = auto()  #: the platform is told that there are new metrics


class Deadlines:
    """A time for each of them that is expected; what has passed is expected no more."""

    def __init__(self) -> None:
        self._at: dict[Due, float] = {}

    def once(self, due: Due, at: float) -> None:
        """Expect something, unless it was expected before, also where that has passed."""
        self._at.setdefault(due, at)

    def latest(self, due: Due, at: float) -> None:
        """Expect something at this time, or earlier where it is expected already."""
        self._at[due] = min(at, self._at.get(due, math.inf))

    def passed(self, due: Due, now: float) -> bool:
        """Return whether something has fallen due; it has once for each time that it is expected."""
        if now < self._at.get(due, math.inf):
            return False
        self._at[due] = math.inf
        return True

    def next(self, others: Iterable[float | None] = ()) -> float:
        """Return when the next of them falls due, or one of other times; infinity where none does."""
        return min((*self._at.values(), *(at for at in others if at is not None)), default=math.inf)
