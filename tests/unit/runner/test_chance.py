"""Generators of random numbers are found wherever imports leave them, and are renewed as a fresh import would do it."""

import pickle
import random
import sys
import types

import numpy
import pytest

from towpath.runner import chance


@pytest.mark.parametrize(
    "make",
    [random.Random, numpy.random.default_rng, numpy.random.RandomState, numpy.random.PCG64],
    ids=["Random", "Generator", "RandomState", "PCG64"],
)
def test_a_generator_is_seeded_anew_unless_its_library_has_fixed_its_seed(
    make: type[random.Random], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("peculiar")
    value = vars(module)["value"] = make()
    monkeypatch.setitem(sys.modules, "peculiar", module)
    (found,) = [each for each in chance.generators() if each.object is value]
    chance.renew(found, frozenset({found.digest}))
    (same,) = [each for each in chance.generators() if each.object is value]
    assert same.digest == found.digest
    states = set()
    for _ in range(3):
        chance.renew(found, frozenset())
        (fresh,) = [each for each in chance.generators() if each.object is value]
        states.add(fresh.digest)
    assert len(states | {found.digest}) == 4


def test_a_generator_is_found_where_no_module_names_it() -> None:
    class Holder:
        def __init__(self) -> None:
            self.generator = random.Random()

    holder = Holder()
    assert any(each.object is holder.generator for each in chance.generators())


def test_what_the_system_draws_has_no_state() -> None:
    drawn = random.SystemRandom()
    assert not any(each.object is drawn for each in chance.generators())


def test_a_fixed_seed_of_the_common_generator_outlives_the_fork_that_seeds_it_anew() -> None:
    before = random.getstate()
    try:
        random.seed(7)
        (found,) = [each for each in chance.generators() if each.object is random._inst]
        wanted = pickle.dumps(random.getstate())
        random.seed()
        chance.renew(found, frozenset({found.digest}))
        assert pickle.dumps(random.getstate()) == wanted
        chance.renew(found, frozenset())
        assert pickle.dumps(random.getstate()) != wanted
    finally:
        random.setstate(before)
