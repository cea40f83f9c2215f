"""Who may start beside what runs, and what the others wait for."""

from hypothesis import given
from hypothesis import strategies as st

from towpath.jobs.admission import Demand, Ledger, admit, reason
from towpath.jobs.instances import GIB, Capacity
from towpath.kernel.resource import Uid

HOST = Capacity(cores=4.0, memory_bytes=16 * GIB, gpus=1)


def demand(
    key: str, *, cores: float = 0.0, gib: float = 0, gpus: int = 0, since: float = 0.0, serves: bool = False
) -> Demand:
    wants = Capacity(cores=cores, memory_bytes=int(gib * GIB), gpus=gpus)
    return Demand(key=key, name=key, wants=wants, since=since, serves=serves)


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
    said = reason(HOST, held, [demand("first", cores=4)], demand("large", cores=2, gib=8))
    assert said == (
        "Waiting for 2 cores and 8 GB of memory: 1 of 4 cores and 2 GB of 16 GB free, in use by prepare, shop; "
        "1 came before it"
    )
    said = reason(HOST, [demand("a", cores=4, gpus=1)], [], demand("b", cores=1, gpus=1))
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
