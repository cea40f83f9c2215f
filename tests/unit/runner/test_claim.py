import errno
import json
import os
import time
from pathlib import Path

import pytest

from towpath.runner import claim, folder


def take_in_another_process(attempt: Path) -> int:
    """Take a claim in another process, which then ends; return 0 if it got it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if claim.take(attempt) is not None else 7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_untouched_attempt_is_unclaimed(tmp_path: Path) -> None:
    assert claim.look(tmp_path) == claim.UNCLAIMED


def test_a_claim_is_given_once_even_after_its_holder_died(tmp_path: Path) -> None:
    assert take_in_another_process(tmp_path) == 0
    assert take_in_another_process(tmp_path) == 7
    state = claim.look(tmp_path)
    assert state.claimed
    assert state.holder is None
    told = json.loads((tmp_path / "claim").read_text())
    assert told["boot_id"] == claim.boot_id()


def test_the_holder_of_a_claim_is_seen_while_it_lives(tmp_path: Path) -> None:
    claimed, claimed_end = os.pipe()
    leave, leave_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(leave_end)
        claim.take(tmp_path)
        os.write(claimed_end, b"1")
        os.read(leave, 1)
        os._exit(0)
    os.read(claimed, 1)
    assert claim.look(tmp_path).holder == pid
    assert claim.look(tmp_path).holder == pid, "looking does not take it away"
    assert take_in_another_process(tmp_path) == 7
    os.close(leave_end)
    os.waitpid(pid, 0)
    assert claim.look(tmp_path).holder is None
    for descriptor in (claimed, claimed_end, leave):
        os.close(descriptor)


def test_a_claim_that_was_opened_and_never_written_is_free(tmp_path: Path) -> None:
    (tmp_path / "claim").touch()
    assert claim.look(tmp_path) == claim.UNCLAIMED
    assert take_in_another_process(tmp_path) == 0


def test_a_process_is_named_by_its_start(tmp_path: Path) -> None:
    own = claim.start_time(os.getpid())
    assert own == claim.start_time(os.getpid())
    assert 0 < own <= time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")


def test_a_claim_waits_for_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = os.write
    refused: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        if len(refused) < 3:
            refused.append(data)
            assert claim.look(tmp_path) == claim.UNCLAIMED, "nothing has been done"
            raise OSError(errno.ENOSPC, "no space left on device")
        return wrote(descriptor, data)

    monkeypatch.setattr(folder, "_FULL_DISK_RETRY_S", 0.001)
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, "write", write)
        os._exit(0 if claim.take(tmp_path) is not None and len(refused) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert claim.look(tmp_path).claimed
