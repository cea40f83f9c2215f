"""Which of the waiting jobs may start beside what runs: executions take turns, and nobody waits for ever.

`admit` decides and is pure; `Ledger` keeps the queue of one host and wakes those whose turn has come.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from towpath.jobs.instances import Capacity, gigabytes
from towpath.kernel.resource import Uid

_ROUNDING = 1e-9  #: halves and their sums are exact; a setting may still be a fraction that is not
_NAMED = 3  #: jobs that a sentence names at most


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks of the host."""

    key: str
    name: str  #: for people
    wants: Capacity
    since: float = 0.0  #: epoch seconds; who has waited longest is first
    serves: bool = False  #: a model server: it never waits, and no job waits until it ends
    group: str = ""  #: the execution that it belongs to, or who started it; groups take turns
    priority: int = 0  #: the higher one's turn comes first, whoever came earlier


def admit(capacity: Capacity, held: Iterable[Demand], waiting: Sequence[Demand]) -> list[Demand]:
    """Return those that may start now.

    Whoever does not fit keeps what it needs of the free capacity, so that those behind it may pass only where they
    take nothing from it: a job that waits for a GPU does not hold up those that need none, and no stream of small
    jobs keeps a large one waiting.

    Args:
        held: what has started and not ended.
        waiting: in the order of their turns, see `in_turn`.
    """
    held = list(held)
    free = _less(capacity, held)
    idle = not any(not demand.serves for demand in held)
    admitted: list[Demand] = []
    for demand in waiting:
        # A model server may live for months. What waits for nothing else runs beside it, at worst more slowly.
        alone = idle and demand is waiting[0]
        if alone or not _short(demand.wants, free):
            admitted.append(demand)
        free = _less(free, [demand])
    return admitted


def in_turn(held: Iterable[Demand], waiting: Iterable[Demand]) -> list[Demand]:
    """Return those who wait in the order of their turns.

    A higher priority comes first. Among equals groups take turns: whose group holds least now, and then who has waited
    longest. A group's own demands keep the order in which they came.
    """
    turns = Counter(demand.group for demand in held if not demand.serves)
    ordered = []
    for demand in sorted(waiting, key=lambda demand: (-demand.priority, demand.since, demand.key)):
        ordered.append((-demand.priority, turns[demand.group], demand.since, demand.key, demand))
        turns[demand.group] += 1
    return [demand for *_, demand in sorted(ordered, key=lambda turn: turn[:4])]


def reason(capacity: Capacity, held: Iterable[Demand], ahead: Sequence[Demand], demand: Demand) -> str:
    """Return what somebody waits for, in a sentence.

    Args:
        ahead: those who wait and whose turn comes earlier.
    """
    held = list(held)
    free = _less(capacity, held)
    wants, short = demand.wants, _short(demand.wants, free)
    if not short:
        short = [name for name in _NAMES if getattr(wants, name)]
    wanted = " and ".join(_amount(name, getattr(wants, name)) for name in short)
    left = " and ".join(_free(name, getattr(free, name), getattr(capacity, name)) for name in short)
    said = f"Waiting for {wanted}: {left} free"
    names = [other.name for other in held if any(getattr(other.wants, name) for name in short)]
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        said += f", in use by {', '.join(names[:_NAMED])}{more}"
    if ahead:
        said += f"; {len(ahead)} {'is' if len(ahead) == 1 else 'are'} before it"
    return said


class Ledger:
    """The queue of one host, in memory: after a restart it is filled again from what runs and what waits.

    Safe for use by several threads.
    """

    def __init__(self, capacity: Capacity, wake: Callable[[Uid], None]) -> None:
        """`wake` is called with the key of a job that waited and may start now."""
        self.capacity = capacity
        self._wake = wake
        self._held: dict[str, Demand] = {}
        self._waiting: dict[str, Demand] = {}
        self._lock = threading.Lock()

    def ask(self, demand: Demand) -> str | None:
        """Take a place in the queue; return None when the job may start, else what it waits for.

        Asking again under the same key changes nothing but the answer.
        """
        with self._lock:
            if demand.key in self._held:
                return None
            self._waiting[demand.key] = demand
            self._admit(silent=demand.key)
            if demand.key in self._held:
                return None
            queue = self._queue()
            return reason(self.capacity, self._held.values(), queue[: queue.index(demand)], demand)

    def hold(self, demand: Demand) -> None:
        """Count what runs already or starts without waiting."""
        with self._lock:
            self._waiting.pop(demand.key, None)
            self._held[demand.key] = demand

    def restore(self, held: Iterable[Demand], waiting: Iterable[Demand]) -> None:
        """Begin as the last process left it: with what runs still, and with those who wait; wakes whose turn it is."""
        with self._lock:
            self._held.update((demand.key, demand) for demand in held)
            self._waiting.update((demand.key, demand) for demand in waiting)
            self._admit()

    def release(self, key: str) -> None:
        """Give back what was held, or leave the queue; wakes those whose turn it is then."""
        with self._lock:
            if self._held.pop(key, None) is None and self._waiting.pop(key, None) is None:
                return
            self._admit()

    def waiting(self) -> list[Demand]:
        """Return who waits, in order."""
        with self._lock:
            return self._queue()

    def held(self) -> list[Demand]:
        """Return what is counted as running."""
        with self._lock:
            return list(self._held.values())

    def _queue(self) -> list[Demand]:
        return in_turn(self._held.values(), self._waiting.values())

    def _admit(self, *, silent: str | None = None) -> None:
        for demand in admit(self.capacity, self._held.values(), self._queue()):
            self._held[demand.key] = self._waiting.pop(demand.key)
            if demand.key != silent:
                self._wake(Uid(demand.key))


_NAMES = ("cores", "memory_bytes", "gpus")


def _less(capacity: Capacity, demands: Iterable[Demand]) -> Capacity:
    """Return what is left of a capacity, never less than nothing."""
    left = {name: getattr(capacity, name) for name in _NAMES}
    for demand in demands:
        for name in _NAMES:
            left[name] -= getattr(demand.wants, name)
    return Capacity(cores=max(0.0, left["cores"]), memory_bytes=max(0, left["memory_bytes"]), gpus=max(0, left["gpus"]))


def _short(wants: Capacity, free: Capacity) -> list[str]:
    """Return of what there is not enough. Who wants nothing of a kind is never short of it."""
    return [name for name in _NAMES if getattr(wants, name) > getattr(free, name) + _ROUNDING]


def _amount(name: str, value: float) -> str:
    if name == "memory_bytes":
        return f"{gigabytes(int(value))} of memory"
    word = "core" if name == "cores" else "GPU"
    return f"{value:g} {word}{'' if value == 1 else 's'}"


def _free(name: str, free: float, capacity: float) -> str:
    if name == "memory_bytes":
        return f"{gigabytes(int(free))} of {gigabytes(int(capacity))}"
    return f"{free:g} of {capacity:g}{' cores' if name == 'cores' else ' GPUs'}"
