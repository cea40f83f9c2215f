"""Who may start beside what runs, and what the others wait for."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.jobs.admission import Demand, Ledger, Queue, admit, holding, reason
from towpath.jobs.instances import GIB, Capacity
from towpath.kernel.resource import Uid

HOST = Capacity(cores=4.0, memory_bytes=16 * GIB, gpus=1)


def demand(
    key: str, *, cores: float = 0.0, gib: float = 0, gpus: int = 0, since: float = 0.0, serves: bool = False
) -> Demand:
    wants = Capacity(cores=cores, memory_bytes=int(gib * GIB), gpus=gpus)
    return Demand(key=key, name=key, wants=wants, since=since, serves=serves)


def of_group(key: str, group: str, *, since: float, priority: int = 0) -> Demand:
    wants = Capacity(cores=1.0)
    return Demand(key=key, name=key, wants=wants, since=since, group=group, priority=priority)


def names(demands: list[Demand]) -> list[str]:
    return [each.name for each in demands]


def test_what_fits_beside_what_runs_starts_in_the_order_it_came() -> None:
    held = [demand("running", cores=1)]
    waiting = [demand(f"job-{number}", cores=1) for number in range(5)]
    assert names(admit(HOST, held, waiting)) == ["job-0", "job-1", "job-2"]


def test_small_jobs_do_not_pass_a_large_one_that_waits_for_the_same() -> None:
    held = [demand("running", cores=1)]
    waiting = [demand("large", cores=4), demand("small", cores=1)]
    assert admit(HOST, held, waiting) == []


def test_jobs_pass_one_that_waits_for_something_they_do_not_need() -> None:
    held = [demand("training", cores=1, gpus=1)]
    waiting = [demand("next", cores=1, gpus=1), demand("small", cores=1), demand("other", cores=2)]
    assert names(admit(HOST, held, waiting)) == ["small"], "one core is kept for the first in the queue"


def test_a_job_larger_than_the_host_runs_when_nothing_else_does() -> None:
    assert names(admit(HOST, [], [demand("huge", cores=64), demand("small", cores=1)])) == ["huge"]


def test_no_job_waits_for_model_servers_alone() -> None:
    held = [demand("shop", gib=15, serves=True)]
    waiting = [demand("large", cores=1, gib=8), demand("small", cores=1, gib=1)]
    assert names(admit(HOST, held, waiting)) == ["large"]
    assert admit(HOST, [*held, demand("running", cores=1)], waiting) == []


def test_a_waiting_job_says_for_what() -> None:
    held = [demand("prepare", cores=3, gib=12), demand("shop", gib=2, serves=True)]
    said = reason(HOST, held, 1, demand("large", cores=2, gib=8))
    assert said == (
        "Waiting for 2 cores and 8 GB of memory: 1 of 4 cores and 2 GB of 16 GB free, in use by prepare, shop; "
        "1 is before it"
    )
    said = reason(HOST, [demand("a", cores=4, gpus=1)], 0, demand("b", cores=1, gpus=1))
    assert said == "Waiting for 1 core and 1 GPU: 0 of 4 cores and 0 of 1 GPUs free, in use by a"


sizes = st.builds(
    lambda cores, gib, gpus: (cores / 2, gib, gpus), st.integers(1, 8), st.integers(0, 16), st.integers(0, 1)
)


@given(st.lists(sizes, max_size=12), st.randoms())
def test_everybody_starts_in_the_end_and_nothing_is_given_twice(
    wanted: list[tuple[float, int, int]], random: object
) -> None:
    woken: list[str] = []
    ledger = Ledger(HOST, woken.append)
    started: list[str] = []
    for number, (cores, gib, gpus) in enumerate(wanted):
        asked = demand(f"{number:02}", cores=cores, gib=gib, gpus=gpus, since=number)
        if ledger.ask(asked) is None:
            started.append(asked.key)
    while ledger.held():
        held = ledger.held()
        for name in ("cores", "memory_bytes", "gpus"):
            assert sum(getattr(each.wants, name) for each in held) <= getattr(HOST, name) or len(held) == 1
        ledger.release(random.choice(held).key)  # type: ignore[attr-defined]
    assert ledger.waiting() == []
    assert sorted(started + woken) == [f"{number:02}" for number in range(len(wanted))]


def test_the_next_in_the_queue_is_woken_when_one_ends() -> None:
    woken: list[str] = []
    ledger = Ledger(HOST, woken.append)
    assert ledger.ask(demand("first", cores=4)) is None
    assert ledger.ask(demand("third", cores=2, since=2.0)) is not None
    assert ledger.ask(demand("second", cores=2, since=1.0)) is not None
    assert ledger.ask(demand("fourth", cores=2, since=3.0)) is not None
    assert names(ledger.waiting()) == ["second", "third", "fourth"]
    ledger.release("first")
    assert woken == [Uid("second"), Uid("third")]
    assert ledger.ask(demand("second", cores=2, since=1.0)) is None, "it was given its place when it was woken"
    assert woken == ["second", "third"]


def test_leaving_the_queue_lets_those_behind_pass() -> None:
    woken: list[str] = []
    ledger = Ledger(HOST, woken.append)
    ledger.ask(demand("running", cores=2))
    ledger.ask(demand("large", cores=4, since=1.0))
    ledger.ask(demand("small", cores=2, since=2.0))
    ledger.release("large")
    ledger.release("large")
    assert woken == ["small"]


def test_what_runs_already_is_counted_without_being_asked() -> None:
    ledger = Ledger(HOST, lambda _: None)
    ledger.hold(demand("adopted", cores=8))
    ledger.hold(demand("shop", gib=16, serves=True))
    assert ledger.ask(demand("new", cores=1)) is not None
    ledger.release("adopted")
    assert ledger.waiting() == []


def in_turn(held: Iterable[Demand], waiting: Iterable[Demand]) -> list[Demand]:
    """Return those who wait as a queue orders them."""
    return list(Queue(waiting).in_turn(holding(held)))


def test_executions_take_turns_whoever_came_first_with_many_jobs() -> None:
    wide = [of_group(f"wide-{number}", "wide", since=number) for number in range(4)]
    late = [of_group(f"late-{number}", "late", since=10 + number) for number in range(2)]
    assert names(in_turn([], [*late, *wide])) == ["wide-0", "late-0", "wide-1", "late-1", "wide-2", "wide-3"]
    assert names(in_turn(wide[:2], [*late, *wide[2:]])) == ["late-0", "late-1", "wide-2", "wide-3"]


def test_a_higher_priority_comes_first_and_takes_turns_with_its_equals() -> None:
    waiting = [
        of_group("plain", "a", since=0),
        of_group("urgent-0", "b", since=5, priority=10),
        of_group("urgent-1", "b", since=6, priority=10),
        of_group("other", "c", since=7, priority=10),
        of_group("idle", "d", since=0, priority=-1),
    ]
    assert names(in_turn([], waiting)) == ["urgent-0", "other", "urgent-1", "plain", "idle"]


def test_who_holds_nothing_is_served_before_a_stream_of_newcomers() -> None:
    """A job that waited longest keeps its place among groups that hold as little."""
    newcomers = [of_group(f"new-{number}", f"group-{number}", since=10 + number) for number in range(5)]
    assert names(in_turn([], [*newcomers, of_group("old", "old", since=1)]))[0] == "old"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.integers(0, 9)), max_size=12),
    st.lists(st.sampled_from("abc"), max_size=6),
)
def test_nobody_is_lost_and_a_group_keeps_its_own_order(waiting: list[tuple[str, int, int]], held: list[str]) -> None:
    demands = [of_group(str(at), group, since=since, priority=p) for at, (group, p, since) in enumerate(waiting)]
    found = in_turn([of_group(f"held-{at}", group, since=0) for at, group in enumerate(held)], demands)
    assert sorted(names(found)) == sorted(names(demands))
    assert [demand.priority for demand in found] == sorted((demand.priority for demand in demands), reverse=True)
    for group in "abc":
        own = [(-each.priority, each.since) for each in found if each.group == group]
        assert own == sorted(own)


def sorted_anew(held: list[Demand], waiting: Iterable[Demand]) -> list[Demand]:
    """Return the order of the turns, worked out from nothing: what a queue that is kept up has to agree with."""
    turns = holding(held)
    ordered = []
    for each in sorted(waiting, key=lambda each: (-each.priority, each.since, each.key)):
        ordered.append((-each.priority, turns[each.group], each.since, each.key, each))
        turns[each.group] += 1
    return [each for *_, each in sorted(ordered, key=lambda turn: turn[:4])]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-2, 2), st.integers(0, 9)), max_size=12),
    st.lists(st.sampled_from("abc"), max_size=6),
    st.sets(st.integers(0, 11)),
)
def test_a_queue_that_is_kept_up_is_in_the_order_of_one_that_is_sorted_anew(
    waiting: list[tuple[str, int, int]], held: list[str], gone: set[int]
) -> None:
    demands = [of_group(str(at), group, since=since, priority=p) for at, (group, p, since) in enumerate(waiting)]
    holders = [of_group(f"held-{at}", group, since=0) for at, group in enumerate(held)]
    queue = Queue(demands)
    for at in gone & set(range(len(demands))):
        queue.remove(demands[at])
    left = [each for at, each in enumerate(demands) if at not in gone]
    expected = sorted_anew(holders, left)
    assert list(queue.in_turn(holding(holders))) == expected
    assert [queue.ahead_of(each, holding(holders)) for each in expected] == list(range(len(expected)))


@given(st.lists(sizes, max_size=8), st.lists(sizes, max_size=3))
def test_a_queue_is_read_no_further_than_somebody_may_be_admitted(
    waiting: list[tuple[float, int, int]], held: list[tuple[float, int, int]]
) -> None:
    demands = [demand(str(at), cores=cores, gib=gib, gpus=gpus) for at, (cores, gib, gpus) in enumerate(waiting)]
    holders = [demand(f"held-{at}", cores=cores, gib=gib, gpus=gpus) for at, (cores, gib, gpus) in enumerate(held)]
    least = Queue(demands).least()
    assert admit(HOST, holders, demands, least=least) == admit(HOST, holders, demands)


@pytest.mark.parametrize("executions", [1, 1000])
def test_what_a_place_in_a_long_queue_costs_does_not_grow_with_it(executions: int) -> None:
    """Ten thousand steps of one execution, or one of each of a thousand; each looked at all that came before it."""
    reads = 0

    class Counting(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            nonlocal reads
            reads += 1
            return str.__lt__(self, other)

    ledger = Ledger(HOST, lambda _: None)
    for number in range(1000):
        ledger.ask(of_group(Counting(f"job-{number:04}"), str(number % executions), since=0))
    assert reads <= 1000 * 4 * 10 * 2, "four searches in halves for each, at most"
    while ledger.waiting():
        reads = 0
        for held in ledger.held():
            ledger.release(held.key)
        assert reads <= 4 * 4 * 10 * 2, "the same for each of the four whose turn has come"
