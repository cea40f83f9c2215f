"""Lines of log groups: in order, each group its own, and the old ones go."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from towpath.gateway.services.event_groups import StoredLines
from towpath.kernel.resource import Uid
from towpath.store import SqliteStore

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OWN, OTHER = Uid("a" * 32), Uid("b" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    for number in range(600):
        write(store, OWN if number % 2 else OTHER, number)
    yield store
    store.close()


def write(store: SqliteStore, group: Uid, number: int) -> None:
    at = NOON + timedelta(minutes=number)
    store.write(lambda tx: tx.lines.append(group, at, f"line {number}", at))


def test_a_group_is_read_from_any_offset_on(store: SqliteStore) -> None:
    read = store.read(lambda tx: StoredLines(tx).log(OWN, limit=2))
    assert [line.text for line in read.lines] == ["line 1", "line 3"]
    assert [line.at for line in read.lines] == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=3)]
    later = store.read(lambda tx: StoredLines(tx).log(OWN, start=read.end, limit=1))
    assert [line.text for line in later.lines] == ["line 5"]
    everything = store.read(lambda tx: StoredLines(tx).log(OWN))
    assert len(everything.lines) == 300
    behind = store.read(lambda tx: StoredLines(tx).log(OWN, start=everything.end))
    assert (behind.lines, behind.start, behind.end) == ([], everything.end, everything.end)


def test_a_negative_offset_counts_from_the_end_of_the_group(store: SqliteStore) -> None:
    last = store.read(lambda tx: StoredLines(tx).log(OWN, start=-2 * 256))
    assert [line.text for line in last.lines] == ["line 597", "line 599"]
    more_than_there_is = store.read(lambda tx: StoredLines(tx).log(OWN, start=-300 * 256))
    assert (more_than_there_is.start, len(more_than_there_is.lines)) == (0, 300)


def test_old_lines_go_some_at_a_time_and_a_groups_own_at_once(store: SqliteStore) -> None:
    assert store.write(lambda tx: tx.lines.drop(NOON + timedelta(minutes=10), 6)) == 6
    assert store.write(lambda tx: tx.lines.drop(NOON + timedelta(minutes=10), 6)) == 4
    assert store.read(lambda tx: tx.lines.after(OWN, 0, 1))[0].text == "line 11"
    store.write(lambda tx: tx.lines.forget(OWN))
    assert store.read(lambda tx: tx.lines.after(OWN, 0, 10)) == []
    assert len(store.read(lambda tx: tx.lines.after(OTHER, 0, 1000))) == 295
