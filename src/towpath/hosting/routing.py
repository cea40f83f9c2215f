"""Which instance answers a request: the choice as pure functions, and the table of endpoints that front doors read."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from towpath.kernel.resource import Uid

LATELY_S = 15.0  #: longer than the time between two counted pings, so that an answer between them is noticed


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One instance that answers requests."""

    key: str  #: the attempt's key at the back end
    variant: str
    weight: float  #: of the whole variant
    address: str  #: path of its Unix socket


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the front door knows of an endpoint."""

    uid: Uid
    status: str
    targets: tuple[Target, ...] = ()


def choose_variant(targets: tuple[Target, ...], wanted: str | None, position: float) -> str | None:
    """Return the variant that a request goes to.

    Args:
        wanted: the caller's TargetVariant.
        position: where the request falls, 0 to 1 (1 excluded), in the row of variants laid out by weight.
    Returns:
        None when no target has the wanted variant, or there are no targets.
    """
    weights: dict[str, float] = {}
    for target in targets:
        weights[target.variant] = target.weight
    if wanted is not None:
        return wanted if wanted in weights else None
    total = sum(weights.values())
    if not weights or total <= 0:
        return next(iter(weights), None)  # weights of zero only: any answer is better than none
    mark = position * total
    chosen = None
    for variant, weight in weights.items():
        if weight <= 0:
            continue
        chosen = variant
        mark -= weight
        if mark < 0:
            break
    return chosen


def choose_target(targets: tuple[Target, ...], variant: str, in_flight: Mapping[str, int], turn: int) -> Target | None:
    """Return the instance of `variant` with the fewest requests in flight; `turn` rotates among equals."""
    candidates = [target for target in targets if target.variant == variant]
    if not candidates:
        return None
    offset = turn % len(candidates)
    rotated = candidates[offset:] + candidates[:offset]
    return min(rotated, key=lambda target: in_flight.get(target.key, 0))


class Routes:
    """The table from endpoint names to instances, with the requests in flight to each. Safe to use from any thread.

    A request takes its target and is counted in one step, so that after a change of the table the count of an instance
    that is no longer in it can only fall.
    """

    def __init__(
        self, drained: Callable[[Uid], None] = lambda uid: None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            drained: called with an endpoint's uid when the last request to an unrouted instance has been answered.
            now_s: a clock that nobody sets, in seconds.
        """
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._in_flight: dict[str, int] = {}
        self._turn = 0
        self._answered: dict[str, float] = {}  #: when an instance last answered
        self._drained = drained
        self._now_s = now_s

    def entry(self, endpoint: str) -> Entry | None:
        """Return what is known of an endpoint."""
        with self._lock:
            return self._entries.get(endpoint)

    def replace(self, endpoint: str, entry: Entry | None) -> None:
        """Set or remove an endpoint, all of its targets at once."""
        with self._lock:
            if entry is None:
                self._entries.pop(endpoint, None)
            else:
                self._entries[endpoint] = entry
            routed = {target.key for known in self._entries.values() for target in known.targets}
            self._answered = {key: at for key, at in self._answered.items() if key in routed}

    def in_flight(self, key: str) -> int:
        """Return how many requests an instance is answering."""
        with self._lock:
            return self._in_flight.get(key, 0)

    def answered(self, key: str) -> None:
        """Note that an instance has just answered a request or a ping."""
        with self._lock:
            self._answered[key] = self._now_s()

    def answered_lately(self, key: str) -> bool:
        """Return whether an instance has answered anything a short while ago."""
        with self._lock:
            return key in self._answered and self._now_s() - self._answered[key] < LATELY_S

    @contextmanager
    def target(
        self, endpoint: str, *, wanted: str | None, position: float, without: frozenset[str] = frozenset()
    ) -> Iterator[Target | None]:
        """Choose an instance and count a request to it for the length of the block.

        Args:
            without: keys of instances that turned out not to answer.
        """
        with self._lock:
            chosen = self._choose(endpoint, wanted, position, without)
            if chosen is not None:
                self._in_flight[chosen.key] = self._in_flight.get(chosen.key, 0) + 1
        try:
            yield chosen
        finally:
            if chosen is not None:
                self._release(endpoint, chosen)

    def _choose(self, endpoint: str, wanted: str | None, position: float, without: frozenset[str]) -> Target | None:
        entry = self._entries.get(endpoint)
        if entry is None:
            return None
        targets = entry.targets
        if without:
            targets = tuple(target for target in targets if target.key not in without)
        variant = choose_variant(targets, wanted, position)
        if variant is None:
            return None
        self._turn += 1
        return choose_target(targets, variant, self._in_flight, self._turn)

    def _release(self, endpoint: str, target: Target) -> None:
        drained = None
        with self._lock:
            left = self._in_flight[target.key] - 1
            if left:
                self._in_flight[target.key] = left
            else:
                del self._in_flight[target.key]
                entry = self._entries.get(endpoint)
                if entry is not None and all(routed.key != target.key for routed in entry.targets):
                    drained = entry.uid
        if drained is not None:
            self._drained(drained)
