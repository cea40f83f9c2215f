"""How long requests may be thrown in CI: one budget for all tests of a process, after which each throws one more."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

#: For the requests of all tests together. One request for each operation that is left then, the refusals of what is not
#: offered and the start of the server fit into what remains of three minutes.
BUDGET_S = 120.0


class Spent(pytest.skip.Exception):  # type: ignore[name-defined,misc]
    """A share is used up. Hypothesis lets exceptions that skip a test through at once, and draws nothing more."""


class Share:
    """The time of one test."""

    def __init__(self, ends_at: float, clock: Callable[[], float]) -> None:
        self._ends_at = ends_at
        self._clock = clock
        self._taken = 0

    @property
    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self._clock() >= self._ends_at

    def take(self) -> None:
        """Begin a request: the first one always, another one while there is time.

        Raises:
            Spent: there is none.
        """
        if self._taken and self.is_over:
            raise Spent("the share of this test is used up")
        self._taken += 1


class Budget:
    """Time for some tests. What one leaves of its share is for those behind it."""

    def __init__(self, seconds: float, tests: int, clock: Callable[[], float] = time.monotonic) -> None:
        """The time begins with the first share; `tests` ask for one each."""
        self._seconds = seconds
        self._tests_left = tests
        self._clock = clock
        self._ends_at: float | None = None

    def share(self) -> Share:
        """Return the share of the next test, in equal parts of what is left; after the end it is over already."""
        now = self._clock()
        if self._ends_at is None:
            self._ends_at = now + self._seconds
        part = max(0.0, self._ends_at - now) / max(1, self._tests_left)
        self._tests_left -= 1
        return Share(now + part, self._clock)


def throw(
    strategy: SearchStrategy[Any],
    send: Callable[[Any], None],
    *,
    examples: int,
    share: Share | None,
    chance: int | None,
) -> None:
    """Send what a strategy draws, time after time.

    Args:
        examples: at most so many.
        share: the time for it; None: no matter how long it takes.
        chance: the seed; None: the same ones each time.
    """

    has_failed = False

    @settings(
        max_examples=examples,
        derandomize=chance is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if chance is None else [Phase.generate, Phase.shrink],
    )
    @given(strategy)
    def thrown(drawn: Any) -> None:
        nonlocal has_failed
        if share is not None and not has_failed:  # a fault is looked at again, however long that takes
            share.take()
        try:
            send(drawn)
        except BaseException:
            has_failed = True
            raise

    with contextlib.suppress(Spent):
        (thrown if chance is None else seed(chance)(thrown))()
