"""Reads are gathered and recorded in groups, and none is lost but by the end of the process."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from towpath.kernel.accesses import AccessQuery, ObjectAccess
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import DiskFull
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.principals import Caller
from towpath.objects import reads as module
from towpath.objects.reads import GROUP, Reads
from towpath.store import SqliteStore

NEVER_S = 3600.0  #: a window that no test sees the end of
ADA, GRACE = Caller("ada", "first", "KEY"), Caller("grace")


class Refusing:
    """A store that takes writes only while it is told to, and says when it was asked for one."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.refuses = True
        self.asked = threading.Semaphore(0)

    def read(self, work: Callable[[Any], Any]) -> Any:
        return self._store.read(work)

    def write(self, work: Callable[[Any], Any]) -> Any:
        self.asked.release()
        if self.refuses:
            raise DiskFull
        return self._store.write(work)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    yield store
    store.close()


def version(key: str, clock: VirtualClock) -> ObjectVersion:
    return ObjectVersion(
        bucket="lake",
        key=key,
        version_id="v",
        size=1,
        sha256="",
        etag="",
        blob="b",
        created_at=clock.now(),
        created_by="",
    )


def recorded(store: SqliteStore) -> list[ObjectAccess]:
    found = store.read(lambda transaction: transaction.accesses.page(AccessQuery(), before=None, limit=10_000))
    return found[::-1]


def test_reads_of_one_version_by_one_principal_in_one_hour_are_one_record(
    store: SqliteStore, clock: VirtualClock
) -> None:
    reads = Reads(store, clock=clock, window_s=NEVER_S)
    begun = clock.now()
    reads.add(version("a", clock), ADA)
    clock.advance(1)
    reads.add(version("a", clock), Caller("ada", "second", "KEY"))
    reads.add(version("a", clock), GRACE)
    assert recorded(store) == [], "nothing was committed for them"
    reads.flush()
    clock.advance(1)
    reads.add(version("a", clock), ADA)
    reads.flush()
    by_ada, by_grace = recorded(store)
    assert (by_ada.principal, by_ada.count, by_ada.request_id, by_ada.access_key) == ("ada", 3, "first", "KEY")
    assert (by_ada.first_at, by_ada.last_at) == (begun, begun + timedelta(seconds=2))
    assert (by_grace.principal, by_grace.count) == ("grace", 1)
    clock.advance(3600)
    reads.add(version("a", clock), ADA)
    reads.close()
    assert [access.count for access in recorded(store)] == [3, 1, 1], "another hour has its own"


def test_what_was_read_is_recorded_when_the_window_ends(store: SqliteStore, clock: VirtualClock) -> None:
    watched = Refusing(store)
    watched.refuses = False
    reads = Reads(watched, clock=clock, window_s=0.01)
    for _ in range(3):  # the thread goes on after each
        reads.add(version("a", clock), ADA)
        assert watched.asked.acquire(timeout=30)
    reads.close()
    assert sum(access.count for access in recorded(store)) == 3


def test_many_reads_are_recorded_before_the_window_ends_and_no_more_than_a_group_at_once(
    store: SqliteStore, clock: VirtualClock
) -> None:
    watched = Refusing(store)
    watched.refuses = False
    reads = Reads(watched, clock=clock, window_s=NEVER_S)
    for number in range(GROUP):
        reads.add(version(str(number), clock), ADA)
    assert watched.asked.acquire(timeout=30)
    for number in range(GROUP * 2 + 1):
        reads.add(version(f"more-{number}", clock), ADA)
    reads.close()
    assert len(recorded(store)) == GROUP * 3 + 1


def test_what_the_store_refuses_is_kept_and_recorded_later(
    store: SqliteStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = Refusing(store)
    reads = Reads(refusing, clock=clock, window_s=NEVER_S)
    reads.add(version("a", clock), ADA)
    reads.flush()
    assert "kept to be recorded later" in caplog.text
    reads.add(version("a", clock), ADA)
    reads.add(version("b", clock), ADA)
    refusing.refuses = False
    reads.close()
    assert [(access.key, access.count) for access in recorded(store)] == [("a", 2), ("b", 1)]


def test_no_more_than_so_many_are_held_and_the_log_tells_how_many_are_not(
    store: SqliteStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    refusing = Refusing(store)
    reads = Reads(refusing, clock=clock, window_s=NEVER_S)
    for number in range(5):
        reads.add(version(str(number), clock), ADA)
    reads.close()
    assert "2 reads of objects are not recorded" in caplog.text
    assert "3 reads of objects could not be recorded before the end" in caplog.text


def test_reads_by_many_threads_are_all_counted(store: SqliteStore, clock: VirtualClock) -> None:
    reads = Reads(store, clock=clock, window_s=0.001)
    read = version("a", clock)

    def read_again() -> None:
        for _ in range(500):
            reads.add(read, ADA)

    threads = [threading.Thread(target=read_again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reads.close()
    assert sum(access.count for access in recorded(store)) == 2000
