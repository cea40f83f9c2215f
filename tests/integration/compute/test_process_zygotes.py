"""How many zygotes a host keeps, and for how long."""

import os
import selectors
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from towpath.runner import zygotes
from towpath.runner.zygotes import Zygotes
from towpath.testing.compute import PATIENCE_S

pytestmark = pytest.mark.slow


class Host:
    """What a runner host does with its zygotes, and nothing else."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.zygotes = Zygotes(self.selector)
        self.begun: set[int] = set()

    def until_settled(self) -> None:
        """Return when each zygote has a runner ready."""
        self.zygotes.replenish()
        while not self.zygotes.is_settled:
            ready = self.selector.select(PATIENCE_S)
            assert ready, "no zygote has told anything"
            for key, _ in ready:
                assert isinstance(key.fileobj, int)
                self.zygotes.read(key.fileobj)
            self.zygotes.replenish()
        self.begun |= {each["pid"] for each in self.zygotes.report() if each["pid"]}

    def kept(self) -> set[str]:
        """Return by which variable the zygotes differ that there are."""
        return {each["environment"]["OMP_NUM_THREADS"] for each in self.zygotes.report()}


def wish(threads: str) -> dict[str, Any]:
    environment = {"OMP_NUM_THREADS": threads, "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    return {"python": sys.executable, "options": [], "imports": ["json"], "environment": environment}


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.zygotes.end()
    for pid in host.begun:
        os.waitpid(pid, 0)
    host.selector.close()


def test_one_that_nobody_asks_for_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.zygotes.take(wish("1")) is None
    host.until_settled()
    host.zygotes.look()
    assert host.kept() == {"1"}
    monkeypatch.setattr(zygotes, "_IDLE_S", 0.0)
    host.zygotes.look()
    assert host.kept() == set()
    assert host.zygotes.pids() == set()
    assert not host.selector.get_map()


def test_a_third_takes_the_place_of_one_that_is_not_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygotes, "_MOST", 2)
    for threads in ("1", "2"):
        assert host.zygotes.take(wish(threads)) is None
        host.until_settled()
    assert host.zygotes.take(wish("3")) is None
    assert host.kept() == {"1", "2"}, "they were used a moment ago"
    spare = host.zygotes.take(wish("1"))
    assert spare is not None
    os.close(spare.orders)
    monkeypatch.setattr(zygotes, "_UNUSED_S", 0.0)
    assert host.zygotes.take(wish("3")) is None
    host.until_settled()
    assert host.kept() == {"1", "3"}


def test_one_that_never_comes_to_an_end_of_its_imports_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.zygotes.take(wish("1")) is None
    (begun,) = host.zygotes.report()
    host.begun.add(begun["pid"])
    monkeypatch.setattr(zygotes, "_IMPORT_S", 0.0)
    host.zygotes.look()
    (failed,) = host.zygotes.report()
    assert (failed["state"], failed["problem"]) == ("failed", "its imports took longer than 0 s")
    assert host.zygotes.take(wish("1")) is None
    assert host.zygotes.pids() == set(), "not again within a minute"
    monkeypatch.setattr(zygotes, "_AGAIN_S", 0.0)
    monkeypatch.setattr(zygotes, "_IMPORT_S", 300.0)
    assert host.zygotes.take(wish("1")) is None
    host.until_settled()
    assert host.kept() == {"1"}
