"""Generators of random numbers that imports leave behind: all forks of a process would draw the same from them.

One that a library seeds with a fixed number stays as it is. That is told by two processes that have imported the same:
its state is the same in both. All others are seeded anew in each job, as a fresh import would.
"""

import gc
import hashlib
import pickle
import random
import sys
from typing import Any, NamedTuple


class Generator(NamedTuple):
    """One generator."""

    object: Any
    state: Any  #: as its library tells it
    digest: str  #: of the state


def generators() -> list[Generator]:
    """Return the generators in this process: those of modules, and those that the collector knows."""
    kinds: list[type] = [random.Random]
    numpy, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if numpy is not None:
        kinds += [numpy.Generator, numpy.RandomState, numpy.BitGenerator]
    if torch is not None:
        kinds.append(torch.Generator)
    wanted = tuple(kinds)
    held = [value for module in list(sys.modules.values()) for value in list(getattr(module, "__dict__", {}).values())]
    found = {id(value): value for value in (*gc.get_objects(), *held) if _is_one(value, wanted)}
    return [Generator(value, state, _digest(state)) for value in found.values() for state in [_state(value)]]


def renew(known: Generator, fixed: frozenset[str]) -> None:
    """Have a generator be in a job what it would be after a fresh import.

    Args:
        fixed: digests of the states that libraries have seeded with fixed numbers.
    """
    value = known.object
    if known.digest in fixed:
        if value is getattr(random, "_inst", None):
            random.setstate(known.state)  # which seeds itself anew in each fork
    elif hasattr(value, "bit_generator"):
        value.bit_generator.state = type(value.bit_generator)().state
    elif hasattr(value, "seed"):
        value.seed()
    else:
        value.state = type(value)().state


def _is_one(value: object, kinds: tuple[type, ...]) -> bool:
    # By its type: to ask an object for its class may run code of a library that imports when it is first used.
    kind = type(value)
    return issubclass(kind, kinds) and not issubclass(kind, random.SystemRandom)


def _state(value: Any) -> Any:
    if hasattr(value, "getstate"):
        return value.getstate()
    if hasattr(value, "bit_generator"):
        return value.bit_generator.state
    state = value.state if hasattr(value, "state") else value.get_state()
    return state.numpy() if hasattr(state, "numpy") else state


def _digest(state: Any) -> str:
    return hashlib.sha256(pickle.dumps(state)).hexdigest()
