"""A log keeps its beginning and its end within its limit, and readers find their way around the gap."""

import errno
import os
from pathlib import Path

import pytest

from towpath.compute.process.reading import read_log
from towpath.runner import log_file
from towpath.runner.log_file import LogFile

LIMIT = 64 * 1024


def write(log: LogFile, first: int, last: int) -> None:
    for number in range(first, last):
        log.write(f"1700000000000\tline {number}\n".encode(), 1_700_000_000_000)


def texts(folder: Path, start: int = 0) -> list[str]:
    """Return the log as a reader sees it who turns page after page."""
    found: list[str] = []
    while True:
        page = read_log(folder, start=start, limit=100)
        found += [line.text for line in page.lines]
        if page.end <= start:
            return found
        start = page.end


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_log_within_its_limit_is_whole(tmp_path: Path) -> None:
    write(LogFile(tmp_path, LIMIT), 0, 2000)
    assert texts(tmp_path) == [f"line {number}" for number in range(2000)]


def test_of_a_flood_the_beginning_and_the_end_stay_and_a_line_tells_of_the_gap(tmp_path: Path) -> None:
    write(LogFile(tmp_path, LIMIT), 0, 50_000)
    assert disk_bytes(tmp_path) <= LIMIT + 1024
    found = texts(tmp_path)
    (notice,) = [at for at, text in enumerate(found) if text.startswith("towpath:")]
    assert "larger than 0.0625 MB (setting log_limit_mb)" in found[notice]
    assert found[:notice] == [f"line {number}" for number in range(notice)]
    last = [f"line {number}" for number in range(50_000 - (len(found) - notice - 1), 50_000)]
    assert found[notice + 1 :] == last
    assert len(last) > 500


def test_a_reader_who_follows_a_flood_goes_on_behind_what_was_dropped(tmp_path: Path) -> None:
    log = LogFile(tmp_path, LIMIT)
    write(log, 0, 2000)
    followed = read_log(tmp_path, start=0, limit=10_000)
    write(log, 2000, 20_000)
    following = texts(tmp_path, followed.end)
    assert following[-1] == "line 19999"
    assert len(following) == len(set(following))


def test_the_last_lines_are_found_from_the_end(tmp_path: Path) -> None:
    write(LogFile(tmp_path, LIMIT), 0, 20_000)
    assert texts(tmp_path, read_log(tmp_path, start=-100, limit=1).start)[-2:] == ["line 19998", "line 19999"]
    assert texts(tmp_path, read_log(tmp_path, start=-10_000_000, limit=1).start)[0] == "line 0"


def test_lines_lost_on_a_full_disk_are_counted_in_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(tmp_path, LIMIT)
    write(log, 0, 3)

    def torn(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:5])
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as full:
        full.setattr(log_file, "write_all", torn)
        write(log, 3, 7)
    write(log, 7, 8)
    lost = "towpath: 4 lines were lost here because the disk was full"
    assert texts(tmp_path) == ["line 0", "line 1", "line 2", lost, "line 7"]
