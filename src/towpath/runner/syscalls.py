"""The few Linux system calls that a sandbox needs and Python does not offer, with errors that name the call."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_MOUNT_ATTR_RDONLY = 0x1
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture: it came after the numbers were unified
# Likewise.
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 0x1
_LANDLOCK_SCOPE_SIGNAL = 0x2
_LANDLOCK_WITH_SCOPES = 6  # the version of Linux 6.12
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_libc.unshare.argtypes = [ctypes.c_int]
_libc.capset.argtypes = [ctypes.c_char_p, ctypes.c_char_p]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def enter_namespace(descriptor: int, kind: int) -> None:
    """Move this process into a namespace of this kind (a CLONE_NEW… flag) that a descriptor names."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, *, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """Mount or bind `source` on `target`."""
    encoded = os.fsencode(options) if options else None
    kind_bytes = kind.encode() if kind else None
    result = _libc.mount(os.fsencode(source), os.fsencode(target), kind_bytes, flags, encoded)
    _check(result, f"mount on {target}")


def set_read_only(path: str, *, read_only: bool, recursive: bool = False) -> None:
    """Make a mount read-only or writable again, with all mounts below it if `recursive`."""
    attributes = struct.pack(
        "=QQQQ",
        _MOUNT_ATTR_RDONLY if read_only else 0,
        0 if read_only else _MOUNT_ATTR_RDONLY,
        0,
        0,
    )
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, f"mount_setattr on {path} (needs Linux 5.12)")


def sync_file_system(folder: Path) -> None:
    """Write everything of the file system that a folder lies on to the disk: one flush for any number of files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(_libc.syncfs(descriptor), "syncfs")
    finally:
        os.close(descriptor)


def become_subreaper() -> None:
    """Let orphaned descendants become children of this process rather than of init."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this signal here when the parent ends.

    The kernel forgets the wish when credentials change, so this is called after them.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def forbid_new_privileges() -> None:
    """Make set-user-id programs and file capabilities powerless for this process and its children."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def can_keep_signals() -> bool:
    """Whether `keep_signals` works here: Landlock is switched on, in Linux 6.12 or newer."""
    return _create_ruleset(None, _LANDLOCK_CREATE_RULESET_VERSION) >= _LANDLOCK_WITH_SCOPES


def keep_signals() -> None:
    """Let this process and those that it will start signal, and look into, one another alone.

    `forbid_new_privileges` comes before.
    """
    ruleset = _create_ruleset(struct.pack("=QQQ", 0, 0, _LANDLOCK_SCOPE_SIGNAL), 0)
    _check(min(ruleset, 0), "landlock_create_ruleset")
    try:
        result = _libc.syscall(ctypes.c_long(_SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0))
        _check(result, "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _create_ruleset(attributes: bytes | None, flags: int) -> int:
    result = _libc.syscall(
        ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes or b"")),
        ctypes.c_uint(flags),
    )
    return int(result)


def be_dumpable() -> None:
    """Have /proc treat this process as one that has just executed a program: entering a user namespace ends that."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def drop_capabilities() -> None:
    """Give up every capability for good.

    The bounding set goes first: root would get the capabilities back at the next exec, and could then remount the
    file system writable.
    """
    with_number = 0
    while with_number < 64 and _libc.prctl(_PR_CAPBSET_DROP, with_number, 0, 0, 0) == 0:
        with_number += 1  # the first number that the kernel does not know ends the list
    if with_number == 0:
        _check(-1, "prctl(PR_CAPBSET_DROP)")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl(PR_CAP_AMBIENT)")
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "capset")


def close_from(first: int) -> None:
    """Close every descriptor from a number on.

    By their list and not by `os.closerange`: where Python was built for an old C library that tries each number up to a
    limit, which is a thousand million in some containers.
    """
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone are wanted
        if int(name) >= first:
            with contextlib.suppress(OSError):  # the descriptor of the list itself is closed by now
                os.close(int(name))


def command_line_place() -> tuple[int, int]:
    """Return where in this process's memory the words of its command line lie: first address, bytes."""
    stat = Path("/proc/self/stat").read_text()
    start, end = map(int, stat.rpartition(")")[2].split()[45:47])  # arg_start and arg_end, see proc(5)
    return start, end - start


def show_command_line(place: tuple[int, int], words: Sequence[str]) -> None:
    """Have /proc show other words as this process's command line, cut to the room that the first ones took.

    Args:
        place: as `command_line_place` told, of this process or of one that it was forked from.
    """
    start, size = place
    shown = b"".join(os.fsencode(word) + b"\0" for word in words)[: size - 1]  # the last byte tells that it ends there
    ctypes.memmove(start, shown.ljust(size, b"\0"), size)
