"""Which of the waiting jobs may start beside what runs: executions take turns, and nobody waits for ever.

`admit` decides and is pure; `Ledger` keeps the queue of one host and wakes those whose turn has come.
"""

import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any, TypeAlias, overload

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


_Came: TypeAlias = tuple[int, float, str]  #: priority, the highest first; since; key: the order within a group
_Turn: TypeAlias = tuple[int, int, float, str]  #: the same, with the turn of the group behind the priority


class Queue:
    """Those who wait, in the order of their turns: a higher priority comes first, and among equals groups take turns.

    It is whose group holds least now, and then who has waited longest. A group's own demands keep the order in which
    they came, so each is kept in order by itself and the turns are a merge of them: neither a new demand nor the first
    turns of many cost what sorting all of them would. The groups are in order, too, as if they held nothing: a merge
    looks only at those whose turn comes, at the few that hold something, and at no other of a thousand.
    """

    def __init__(self, waiting: Iterable[Demand] = ()) -> None:
        self._groups: dict[str, list[tuple[_Came, Demand]]] = {}
        self._firsts: list[tuple[_Turn, str]] = []  #: the first turn of each group that holds nothing, and the group
        self._several: set[str] = set()  #: groups of which more than one waits
        self._wants: Counter[Capacity] = Counter()
        for demand in waiting:
            self.put(demand)

    def put(self, demand: Demand) -> None:
        """Add somebody who does not wait yet."""
        group = self._groups.setdefault(demand.group, [])
        with self._reordered(demand.group, group):
            insort(group, (_came(demand), demand), key=_first)
        self._wants[demand.wants] += 1

    def remove(self, demand: Demand) -> None:
        """Take out somebody who waits."""
        group = self._groups[demand.group]
        with self._reordered(demand.group, group):
            del group[bisect_left(group, _came(demand), key=_first)]
        if not group:
            del self._groups[demand.group]
        self._wants[demand.wants] -= 1
        if not self._wants[demand.wants]:
            del self._wants[demand.wants]

    def in_turn(self, held: Mapping[str, int]) -> Iterator[Demand]:
        """Yield those who wait in the order of their turns.

        Args:
            held: group -> how many of its demands hold something now.
        """
        return (demand for _, demand in self._merged(held))

    def _merged(self, held: Mapping[str, int]) -> Iterator[tuple[_Turn, Demand]]:
        busy = [name for name in held if name in self._groups]
        firsts = ((first, name) for first, name in self._firsts if name not in held)
        begun: list[tuple[_Turn, str, int]] = []  #: the next turn of each group that is looked at, and which it is
        for name in busy:
            heappush(begun, (_Turns(self._groups[name], held[name])[0], name, 0))
        following = next(firsts, None)
        while begun or following is not None:
            if following is not None and (not begun or following < begun[0]):
                heappush(begun, (*following, 0))
                following = next(firsts, None)
            turn, name, at = heappop(begun)
            group = self._groups[name]
            yield turn, group[at][1]
            if at + 1 < len(group):
                heappush(begun, (_Turns(group, held.get(name, 0))[at + 1], name, at + 1))

    def ahead_of(self, demand: Demand, held: Mapping[str, int]) -> int:
        """Return how many have their turn before somebody who waits."""
        at = bisect_left(self._groups[demand.group], _came(demand), key=_first)
        mine = _turn(_came(demand), held.get(demand.group, 0) + at)
        ahead = bisect_left(self._firsts, mine, key=_first)
        for name in self._several.union(name for name in held if name in self._groups):
            group = self._groups[name]
            counted = _turn(group[0][0], 0) < mine
            ahead += bisect_left(_Turns(group, held.get(name, 0)), mine) - counted
        return ahead

    @contextmanager
    def _reordered(self, name: str, group: list[tuple[_Came, Demand]]) -> Iterator[None]:
        """Keep the order of the groups while one of them is changed."""
        if group:
            del self._firsts[bisect_left(self._firsts, _turn(group[0][0], 0), key=_first)]
        yield
        if group:
            insort(self._firsts, (_turn(group[0][0], 0), name))
        (self._several.add if len(group) > 1 else self._several.discard)(name)

    def least(self) -> Capacity | None:
        """Return what nobody who waits wants less than, None where nobody waits."""
        if not self._wants:
            return None
        return Capacity(
            cores=min(wants.cores for wants in self._wants),
            memory_bytes=min(wants.memory_bytes for wants in self._wants),
            gpus=min(wants.gpus for wants in self._wants),
        )


def _came(demand: Demand) -> _Came:
    return -demand.priority, demand.since, demand.key


def _turn(came: _Came, number: int) -> _Turn:
    priority, since, key = came
    return priority, number, since, key


def _first(pair: tuple[Any, ...]) -> Any:
    return pair[0]


class _Turns(Sequence[_Turn]):
    """The turns of a group, worked out where they are looked at: they grow from one to the next."""

    def __init__(self, group: list[tuple[_Came, Demand]], held: int) -> None:
        self._group = group
        self._held = held

    def __len__(self) -> int:
        return len(self._group)

    @overload
    def __getitem__(self, at: int) -> _Turn: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[_Turn]: ...
    def __getitem__(self, at: int | slice) -> _Turn | Sequence[_Turn]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        return _turn(self._group[at][0], self._held + at)


def holding(held: Iterable[Demand]) -> Counter[str]:
    """Return how many demands each group holds something for; model servers take no turns."""
    return Counter(demand.group for demand in held if not demand.serves)


def admit(
    capacity: Capacity, held: Iterable[Demand], waiting: Iterable[Demand], *, least: Capacity | None = None
) -> list[Demand]:
    """Return those that may start now.

    Whoever does not fit keeps what it needs of the free capacity, so that those behind it may pass only where they
    take nothing from it: a job that waits for a GPU does not hold up those that need none, and no stream of small
    jobs keeps a large one waiting.

    Args:
        held: what has started and not ended.
        waiting: in the order of their turns, see `Queue`; read as far as there may be somebody to admit.
        least: what nobody who waits wants less than.
    """
    held = list(held)
    free = _less(capacity, held)
    idle = not any(not demand.serves for demand in held)
    admitted: list[Demand] = []
    for number, demand in enumerate(waiting):
        # A model server may live for months. What waits for nothing else runs beside it, at worst more slowly.
        alone = idle and number == 0
        if not alone and least is not None and _short(least, free):
            break
        if alone or not _short(demand.wants, free):
            admitted.append(demand)
        free = _less(free, [demand])
    return admitted


def reason(capacity: Capacity, held: Iterable[Demand], ahead: int, demand: Demand) -> str:
    """Return what somebody waits for, in a sentence.

    Args:
        ahead: how many wait whose turn comes earlier.
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
        said += f"; {ahead:,} {'is' if ahead == 1 else 'are'} before it"
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
        self._queue = Queue()  #: the same, in order
        self._lock = threading.Lock()

    def ask(self, demand: Demand) -> str | None:
        """Take a place in the queue; return None when the job may start, else what it waits for.

        Asking again under the same key changes nothing but the answer.
        """
        with self._lock:
            if demand.key in self._held:
                return None
            self._wait(demand)
            self._admit(silent=demand.key)
            if demand.key in self._held:
                return None
            return self._reason(demand)

    def what_for(self, key: str) -> str | None:
        """Return what somebody who waits is waiting for now, None for anybody else."""
        with self._lock:
            demand = self._waiting.get(key)
            return None if demand is None else self._reason(demand)

    def hold(self, demand: Demand) -> None:
        """Count what runs already or starts without waiting."""
        with self._lock:
            self._leave(demand.key)
            self._held[demand.key] = demand

    def restore(self, held: Iterable[Demand], waiting: Iterable[Demand]) -> None:
        """Begin as the last process left it: with what runs still, and with those who wait; wakes whose turn it is."""
        with self._lock:
            self._held.update((demand.key, demand) for demand in held)
            for demand in waiting:
                self._wait(demand)
            self._admit()

    def release(self, key: str) -> None:
        """Give back what was held, or leave the queue; wakes those whose turn it is then."""
        with self._lock:
            if self._held.pop(key, None) is not None or self._leave(key) is not None:
                self._admit()

    def waiting(self) -> list[Demand]:
        """Return who waits, in order."""
        with self._lock:
            return list(self._queue.in_turn(holding(self._held.values())))

    def held(self) -> list[Demand]:
        """Return what is counted as running."""
        with self._lock:
            return list(self._held.values())

    def _reason(self, demand: Demand) -> str:
        held = self._held.values()
        return reason(self.capacity, held, self._queue.ahead_of(demand, holding(held)), demand)

    def _wait(self, demand: Demand) -> None:
        before = self._waiting.get(demand.key)
        if before == demand:
            return
        self._leave(demand.key)
        self._waiting[demand.key] = demand
        self._queue.put(demand)

    def _leave(self, key: str) -> Demand | None:
        """Take somebody out of those who wait; return what it wanted, None when it does not wait."""
        demand = self._waiting.pop(key, None)
        if demand is not None:
            self._queue.remove(demand)
        return demand

    def _admit(self, *, silent: str | None = None) -> None:
        held = self._held.values()
        waiting = self._queue.in_turn(holding(held))
        for demand in admit(self.capacity, held, waiting, least=self._queue.least()):
            self._leave(demand.key)
            self._held[demand.key] = demand
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
