"""Looks at and ends the processes below this one, also those that left their group, their session and their parent."""

import contextlib
import os
import select
import signal
import time
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the direct children of a process; of a single-threaded one if it is another."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        if not Path(f"/proc/{pid}").exists():
            return []
        return [child for child, parent in _parents().items() if parent == pid]  # a kernel built without `children`
    except ProcessLookupError:
        return []
    return [int(word) for word in text.split()]


def descendants(pid: int) -> list[int]:
    """Return all processes below one; those that begin or end meanwhile may be missed or still be named."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        below.setdefault(parent, []).append(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        direct = below.get(waiting.pop(), [])
        found += direct
        waiting += direct
    return found


def resident_bytes(pids: list[int]) -> int:
    """Return the memory of these processes; pages they share count in each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):  # ended since it was listed
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def proportional_bytes(pids: list[int]) -> int:
    """Return the memory of these processes, pages that they share counted once. Slower than `resident_bytes`."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since it was listed
        except PermissionError:
            total += resident_bytes([pid])
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def end_all(patience_s: float = 10.0) -> list[int]:
    """Kill and reap every process below this one, which must be a subreaper; return those that would not die.

    A killed process hands its children to the subreaper, so this goes on until none is left. Only a process that
    hangs in the kernel can outlast it.
    """
    me = os.getpid()
    deadline = time.monotonic() + patience_s
    while direct := children(me):
        for pid in {*direct, *(descendants(me))}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in direct:
            if not reaped(pid, deadline):
                return children(me)
    return []


def reaped(pid: int, deadline: float) -> bool:
    """Wait for a child until a moment of the monotonic clock; return whether it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        return True
    finally:
        os.close(descriptor)


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names alone are wanted, hundreds of them
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = Path(f"/proc/{name}/stat").read_text()
                found[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return found
