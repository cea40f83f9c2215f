"""Requests go to variants by weight, and to the instance with the fewest requests."""

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from towpath.hosting.routing import Entry, Routes, Target, choose_target, choose_variant
from towpath.kernel.resource import Uid

UID = Uid("u")


def target(variant: str, number: int = 0, weight: float = 1.0) -> Target:
    return Target(key=f"{variant}-{number}", variant=variant, weight=weight, address=f"/{variant}-{number}")


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Target, ...]:
    weights = draw(st.lists(st.just(0.0) | st.floats(0.01, 100), min_size=1, max_size=5))
    counts = draw(st.lists(st.integers(1, 4), min_size=len(weights), max_size=len(weights)))
    return tuple(target(f"v{n}", number, weight) for n, weight in enumerate(weights) for number in range(counts[n]))


@given(fleets())
def test_shares_are_proportional_to_weights_whatever_the_instance_counts(targets: tuple[Target, ...]) -> None:
    weights = {t.variant: t.weight for t in targets}
    total = sum(weights.values())
    if total <= 0:
        return
    steps = 500
    found = Counter(choose_variant(targets, None, position / steps) for position in range(steps))
    for variant, weight in weights.items():
        assert abs(found[variant] / steps - weight / total) <= 2 / steps


@given(fleets(), st.floats(0, 1, exclude_max=True))
def test_a_variant_is_always_found_and_one_without_weight_only_when_all_are(
    targets: tuple[Target, ...], position: float
) -> None:
    weights = {t.variant: t.weight for t in targets}
    chosen = choose_variant(targets, None, position)
    assert chosen is not None
    assert weights[chosen] > 0 or sum(weights.values()) == 0


@given(fleets(), st.floats(0, 1, exclude_max=True))
def test_a_wanted_variant_gets_the_request_even_without_weight(targets: tuple[Target, ...], position: float) -> None:
    assert choose_variant(targets, targets[0].variant, position) == targets[0].variant
    assert choose_variant(targets, "absent", position) is None


def test_the_least_busy_instance_is_chosen_and_equals_take_turns() -> None:
    targets = (target("a", 0), target("a", 1), target("a", 2))
    chosen = choose_target(targets, "a", {"a-0": 2, "a-2": 1}, 0)
    assert chosen is not None and chosen.key == "a-1"
    keys = [found.key for turn in range(3) if (found := choose_target(targets, "a", {}, turn))]
    assert sorted(keys) == ["a-0", "a-1", "a-2"]


def test_no_targets_is_no_choice() -> None:
    assert choose_variant((), None, 0.0) is None
    assert choose_target((), "a", {}, 0) is None


def test_requests_are_counted_while_they_last_and_the_last_one_out_tells() -> None:
    drained: list[Uid] = []
    routes = Routes(drained=drained.append)
    routes.replace("e", Entry(uid=UID, status="InService", targets=(target("a"),)))
    with routes.target("e", wanted=None, position=0.0) as first, routes.target("e", wanted=None, position=0.0):
        assert first is not None
        assert routes.in_flight("a-0") == 2
        routes.replace("e", Entry(uid=UID, status="InService", targets=(target("a", 1),)))
        assert drained == []
    assert routes.in_flight("a-0") == 0
    assert drained == [UID]


def test_a_routed_instance_that_becomes_idle_wakes_nobody() -> None:
    drained: list[Uid] = []
    routes = Routes(drained=drained.append)
    routes.replace("e", Entry(uid=UID, status="InService", targets=(target("a"),)))
    with routes.target("e", wanted=None, position=0.0):
        pass
    assert drained == []


def test_instances_that_did_not_answer_are_left_out() -> None:
    routes = Routes()
    routes.replace("e", Entry(uid=UID, status="InService", targets=(target("a"), target("b", weight=0))))
    with routes.target("e", wanted=None, position=0.0, without=frozenset({"a-0"})) as chosen:
        assert chosen is not None and chosen.variant == "b"
    with routes.target("e", wanted=None, position=0.0, without=frozenset({"a-0", "b-0"})) as chosen:
        assert chosen is None


def test_counts_hold_under_many_threads() -> None:
    routes = Routes()
    routes.replace("e", Entry(uid=UID, status="InService", targets=(target("a"), target("a", 1))))

    def work() -> None:
        for _ in range(300):
            with routes.target("e", wanted=None, position=0.5):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert routes.in_flight("a-0") == routes.in_flight("a-1") == 0
