"""The claim on an attempt: a lock that exactly one runner ever gets, and that tells whether it still lives.

The lock is a POSIX record lock, because the kernel gives it back when its owner dies by any cause, children do not
inherit it, and anyone may ask who holds it without taking it. Its weak side is that closing *any* descriptor of the
file gives it up, so the runner opens the file exactly once.
"""

import errno
import fcntl
import json
import os
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

from towpath.runner.folder import CLAIM, with_room

_FLOCK = "hhqqi4x"  # short type, short whence, off_t start, off_t length, pid_t owner (64-bit Linux)


class ClaimState(NamedTuple):
    """What can be seen of a claim from outside."""

    claimed: bool  #: a runner has taken the attempt at some time
    holder: int | None  #: its process id while it lives


UNCLAIMED = ClaimState(claimed=False, holder=None)


@cache
def boot_id() -> str:
    """Return what identifies the time since this machine was started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """Return when a process began, in clock ticks since boot: with the pid it names a process for good."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])  # the name before the bracket may hold anything


def take(attempt: Path) -> int | None:
    """Claim an attempt for this process; return the descriptor to keep open, or None if somebody was here before."""
    descriptor = os.open(attempt / CLAIM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        raise
    if os.fstat(descriptor).st_size:  # its runner is dead, and an attempt is never run twice
        os.close(descriptor)
        return None
    pid = os.getpid()
    # While this waits for room on the disk, the lock keeps other runners away, and nothing has been done.
    with_room(
        lambda: os.write(descriptor, json.dumps({"pid": pid, "start": start_time(pid), "boot_id": boot_id()}).encode())
    )
    return descriptor


def look(attempt: Path) -> ClaimState:
    """Return how the claim stands, without touching it."""
    try:
        descriptor = os.open(attempt / CLAIM, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return UNCLAIMED
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        content = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    kind, _, _, _, holder = struct.unpack(_FLOCK, answer)
    if not content:  # opened but not written yet, or its runner died in between: nothing has been done
        return UNCLAIMED
    # The lock alone tells who lives: after a restart of the machine nobody holds it, whatever the file says, and a
    # power cut may have torn what it says.
    alive = int(holder) if kind != fcntl.F_UNLCK else None
    return ClaimState(claimed=True, holder=alive)
