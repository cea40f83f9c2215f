"""What invocations of endpoints come to: sums of windows, which outlast a store that takes nothing for a while."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import DiskFull
from towpath.kernel.ports import Datum
from towpath.metrics import InvocationMetrics
from towpath.metrics.model import series_key
from towpath.store import SqliteStore


class World:
    """A store that may be full, and what gathers for it."""

    def __init__(self, path: Path) -> None:
        self.clock = VirtualClock()
        self.store = SqliteStore(path, clock=self.clock)
        self.is_full = False
        self.metrics = InvocationMetrics(self, 30.0, moment=lambda: self.clock.now().timestamp())

    def write(self, work: Any) -> Any:
        if self.is_full:
            raise DiskFull("There is no room")
        return self.store.write(work)

    def read(self, work: Any) -> Any:
        return self.store.read(work)

    def values(self, name: str, variant: str = "AllTraffic") -> list[Datum]:
        self.metrics.flush()
        key = series_key("AWS/SageMaker", name, {"EndpointName": "e", "VariantName": variant}.items())
        hour = timedelta(hours=1)
        now = self.clock.now()
        return self.store.read(lambda tx: list(tx.series.data(key, now - hour, now + hour)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "store.db")
    yield world
    world.metrics.close()
    world.store.close()


def test_invocations_of_a_window_become_one_value_of_each_metric(world: World) -> None:
    for status, model_s in ((200, 0.25), (200, 0.5), (400, 0.125), (503, None)):
        world.metrics.note("e", "AllTraffic", status, model_s)
    world.metrics.note("e", "other", 200, 1.0)
    (count,) = world.values("Invocations")
    assert (count.count, count.total, count.unit) == (4, 4, "None")
    assert count.at.timestamp() % 10 == 0
    (latency,) = world.values("ModelLatency")
    assert (latency.count, latency.total, latency.unit) == (3, 875_000, "Microseconds")
    assert (latency.least, latency.greatest) == (125_000, 500_000)
    (client,), (server,) = world.values("Invocation4XXErrors"), world.values("Invocation5XXErrors")
    assert [(each.count, each.total, each.least, each.greatest) for each in (client, server)] == [(4, 1, 0, 1)] * 2
    assert [each.total for each in world.values("Invocations", "other")] == [1]
    world.clock.advance(10)
    world.metrics.note("e", "AllTraffic", 500, None)
    later = world.values("Invocation5XXErrors")[1]
    assert (later.at - count.at, later.least) == (timedelta(seconds=10), 1)
    assert len(world.values("ModelLatency")) == 1, "who does not answer has no latency"


def test_what_a_full_store_refused_is_kept_later(world: World) -> None:
    world.metrics.note("e", "AllTraffic", 200, 0.5)
    world.is_full = True
    assert world.values("Invocations") == []
    world.metrics.note("e", "AllTraffic", 200, 0.25)
    assert world.values("Invocations") == []
    world.is_full = False
    (count,), (latency,) = world.values("Invocations"), world.values("ModelLatency")
    assert (count.total, latency.total, latency.least) == (2, 750_000, 250_000)


def test_what_was_gathered_is_kept_at_the_end(world: World) -> None:
    world.metrics.note("e", "AllTraffic", 200, 0.5)
    world.metrics.close()
    key = series_key("AWS/SageMaker", "Invocations", {"EndpointName": "e", "VariantName": "AllTraffic"}.items())
    assert world.store.read(lambda tx: tx.series.has_data(key, world.clock.now() - timedelta(hours=1)))
