"""The room that is kept for deletions: given back where a commit finds none, and kept again afterwards."""

from pathlib import Path
from typing import Any, cast

import pytest

from towpath.kernel.errors import DiskFull
from towpath.store import FreeingStore, Reserve, SqliteStore

SIZE = 64 << 10


class FullStore:
    """A store on a disk that is full as long as the reserve is kept, or for good."""

    def __init__(self, reserve: Reserve, *, for_good: bool = False) -> None:
        self.reserve = reserve
        self.for_good = for_good
        self.tries = 0

    def read(self, work: Any) -> Any:
        return work(None)

    def write(self, work: Any) -> Any:
        self.tries += 1
        if self.for_good or self.reserve.held_bytes():
            raise DiskFull
        return work(None)


def freeing(store: FullStore, reserve: Reserve) -> FreeingStore:
    return FreeingStore(cast(SqliteStore, store), reserve)


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    reserve = Reserve(tmp_path / "reserve", size=SIZE)
    assert reserve.held_bytes() == 0
    assert reserve.fill()
    return reserve


def test_what_makes_room_is_committed_with_the_reserve_and_that_is_kept_again(reserve: Reserve) -> None:
    assert reserve.held_bytes() >= SIZE
    store = FullStore(reserve)
    assert freeing(store, reserve).write(lambda _: "deleted") == "deleted"
    assert store.tries == 2
    assert reserve.held_bytes() >= SIZE


def test_what_the_reserve_is_too_little_for_is_refused_and_it_is_kept_again(reserve: Reserve) -> None:
    with pytest.raises(DiskFull):
        freeing(FullStore(reserve, for_good=True), reserve).write(lambda _: None)
    assert reserve.held_bytes() >= SIZE


def test_other_errors_touch_no_reserve(reserve: Reserve) -> None:
    store = FullStore(reserve)

    def refused(_: object) -> None:
        raise ValueError("refused")

    with reserve.lent(), pytest.raises(ValueError, match="refused"):
        freeing(store, reserve).write(refused)
    assert store.tries == 1


def test_a_reserve_of_which_a_part_was_lost_is_completed(tmp_path: Path, reserve: Reserve) -> None:
    with reserve.lent():
        assert reserve.held_bytes() == 0
        assert not reserve.fill(), "who waits here would be waited for"
    assert reserve.held_bytes() >= SIZE
    (tmp_path / "reserve").unlink()
    assert Reserve(tmp_path / "reserve", size=SIZE).fill(), "the next process looks for itself"
    assert reserve.held_bytes() >= SIZE
