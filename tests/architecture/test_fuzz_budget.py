"""Fuzzing in CI ends in its time however slow the server is, and asks each operation at least once."""

from collections import Counter
from functools import partial

import pytest
from hypothesis import strategies as st
from tests.fuzz.budget import BUDGET_S, Budget, throw
from tests.fuzz.conftest import EACH

LIMIT_S = 180  #: what CI has for it


class Slow:
    """A server that takes its time, and a clock that only it moves."""

    def __init__(self, seconds: float) -> None:
        self.now = 1000.0
        self.asked: Counter[str] = Counter()
        self._seconds = seconds

    def clock(self) -> float:
        return self.now

    def answer(self, operation: str) -> None:
        self.asked[operation] += 1
        self.now += self._seconds


def ask(server: Slow, operation: str, _: int) -> None:
    server.answer(operation)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0])
def test_all_operations_are_asked_within_the_limit(seconds: float) -> None:
    server, operations = Slow(seconds), [f"operation {number}" for number in range(60)]
    budget = Budget(BUDGET_S, len(operations), server.clock)
    for operation in operations:
        send = partial(ask, server, operation)
        throw(st.integers(), send, examples=EACH, share=budget.share(), chance=None)
    assert set(server.asked) == set(operations)
    assert server.now - 1000 <= BUDGET_S + len(operations) * seconds <= LIMIT_S, "what is beyond is one request each"
    assert seconds > 0 or set(server.asked.values()) == {EACH}, "who has the time sends all"


def test_time_that_a_test_leaves_is_for_those_behind_it_and_none_is_left_in_the_end() -> None:
    server = Slow(1)
    budget = Budget(10, 2, server.clock)
    first = budget.share()
    first.take()
    server.answer("first")
    second = budget.share()
    server.now += 8.5
    assert not second.is_over
    server.now += 1
    assert second.is_over
    assert budget.share().is_over


def test_a_fault_is_not_taken_for_the_end_of_the_time() -> None:
    def fail(_: int) -> None:
        raise AssertionError("500")

    server = Slow(1)
    with pytest.raises(AssertionError, match="500"):
        throw(st.integers(), fail, examples=3, share=Budget(0, 1, server.clock).share(), chance=None)
