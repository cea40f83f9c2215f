"""Shows a job its own /opt/ml and /tmp and takes the right to change anything else.

Isolation between one's own jobs, not a wall against hostile code: jobs share the kernel, the process table (whose other
processes they cannot signal where the kernel has Landlock's scopes) and, if they are allowed to, the network.
"""

import fcntl
import os
import re
import signal
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from towpath.runner import syscalls
from towpath.runner.folder import OPT_ML
from towpath.runner.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_REC,
)

ETC_HOSTS = "/etc/hosts"
#: Shown to jobs without any isolation: /opt/ml as a name of its own, not the beginning of /opt/mlflow.
_OPT_ML_NAME = re.compile(re.escape(OPT_ML) + r"(?![\w.-])")


class View(NamedTuple):
    """What one job gets to see."""

    ml: str  #: folder that becomes /opt/ml
    tmp: str  #: folder that becomes /tmp
    masked: str  #: the platform's home, which becomes empty
    needed: tuple[str, ...]  #: what stays readable even below /tmp or the masked home; no links, outer before inner
    network: bool
    user_namespace: bool
    names: str = ""  #: file that becomes /etc/hosts; empty: it stays as it is
    hostname: str = ""  #: what the machine is called; empty: as it is


def rewritten(text: str, ml: str) -> str:
    """Return a text whose /opt/ml paths lead to the attempt's own folder, for jobs without a private /opt/ml."""
    return _OPT_ML_NAME.sub(lambda _: ml, text)


def needed_for(python: str) -> list[str]:
    """Return the folders that an interpreter needs: those of its virtual environment and of the Python behind it."""
    program = Path(python)
    found = [program.parent.parent, program.resolve().parent.parent]
    configuration = program.parent.parent / "pyvenv.cfg"
    if configuration.is_file():
        for line in configuration.read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home":
                found.append(Path(value.strip()).parent)
    return without_links(str(folder) for folder in found)


def without_links(paths: Iterable[str]) -> list[str]:
    """Return folders by their real paths, each once, the outer before the inner; never the root itself."""
    return sorted({str(Path(path).resolve()) for path in paths} - {"/"})


def is_below(path: str, folder: str) -> bool:
    """Return whether a path lies inside a folder, which itself does not count."""
    return path.startswith(folder.rstrip("/") + "/")


def enter(view: View) -> None:
    """Move this process, which is about to become the job's, into a sandbox of its own namespaces.

    Raises:
        OSError: the kernel refused a step; the message names it.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWIPC
    if view.user_namespace:
        flags |= CLONE_NEWUSER
    if not view.network:
        flags |= CLONE_NEWNET
    if view.hostname:
        flags |= CLONE_NEWUTS
    syscalls.unshare(flags)
    if view.user_namespace:
        # The job keeps its user id. Even for root the namespace is worth its cost: without it the processes of two
        # jobs have equal rights, and one could look into the other's folder through /proc/<pid>/root.
        map_user(uid, gid)
    if view.hostname:
        socket.sethostname(view.hostname)
    syscalls.mount("none", "/", flags=MS_REC | syscalls.MS_PRIVATE)  # nothing below may reach the host
    _arrange(view)
    syscalls.set_read_only("/", read_only=True, recursive=True)
    for writable in (OPT_ML, "/tmp", "/dev/shm"):
        if Path(writable).is_dir():
            syscalls.set_read_only(writable, read_only=False)
    if not view.network:
        raise_loopback()
    leave_privileges()


def map_user(uid: int, gid: int) -> None:
    """Keep the user and the group of this process in the user namespace that it has just made."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def leave_privileges() -> None:
    """Give up capabilities, the hope of new ones, and signals to others where possible, and die with the runner."""
    if os.geteuid() == 0 or _has_capabilities():
        syscalls.drop_capabilities()
    syscalls.forbid_new_privileges()
    if syscalls.can_keep_signals():
        # All processes of one user have the right to signal each other, the server among them: `kill -9 -1` in a script
        # would end whatever that user runs on the host.
        syscalls.keep_signals()
    syscalls.die_with_parent(signal.SIGKILL)


def bwrap_argv(view: View, program: str, command: list[str], cwd: str) -> list[str]:
    """Return the bubblewrap command that runs a job's command in the same view.

    No process namespace: the job's processes stay below the runner, where it finds and ends them. Bubblewrap itself
    stays as the parent of the job's process, so a polite signal must pass it by.
    """
    argv = [program, "--die-with-parent", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev"]
    if Path("/dev/shm").is_dir():
        argv += ["--tmpfs", "/dev/shm"]
    argv += ["--bind", view.tmp, "/tmp"]
    needed = [path for path in view.needed if Path(path).exists()]
    for path in needed:
        if is_below(path, "/tmp"):
            argv += ["--ro-bind", path, path]
    # What lies below /tmp is hidden by now, unless a needed folder brought it back.
    if not is_below(view.masked, "/tmp") or any(is_below(view.masked, path) for path in view.needed):
        argv += ["--tmpfs", view.masked]
        for path in needed:
            if is_below(path, view.masked):
                argv += ["--ro-bind", path, path]
        argv += ["--remount-ro", view.masked]
    if not Path(OPT_ML).is_dir():
        argv += ["--tmpfs", "/opt"]
        for child in sorted(Path("/opt").iterdir()) if Path("/opt").is_dir() else []:
            argv += ["--ro-bind", str(child), str(child)]
        argv += ["--dir", OPT_ML, "--remount-ro", "/opt"]
    argv += ["--bind", view.ml, OPT_ML, "--unshare-ipc", "--unshare-user-try", "--cap-drop", "ALL"]
    if not view.network:
        argv += ["--unshare-net"]
    if view.names:
        argv += ["--ro-bind", view.names, ETC_HOSTS]
    if view.hostname:
        argv += ["--unshare-uts", "--hostname", view.hostname]
    return [*argv, "--chdir", cwd, "--", *command]


def _arrange(view: View) -> None:
    """Mount the job's own folders and hide the platform's home."""
    ml = os.open(view.ml, os.O_PATH | os.O_CLOEXEC)
    tmp = os.open(view.tmp, os.O_PATH | os.O_CLOEXEC)
    # Taken now: a path below a folder that is about to be covered can then still be reached by its descriptor.
    covered = [path for path in view.needed if is_below(path, "/tmp") or is_below(path, view.masked)]
    needed = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in covered if Path(path).exists()]
    if view.names:
        names = os.open(view.names, os.O_PATH | os.O_CLOEXEC)
        _bind(names, ETC_HOSTS)
        os.close(names)
    _bind(tmp, "/tmp")
    for path, descriptor in needed:
        if is_below(path, "/tmp"):
            _bind_again(descriptor, path)
    if Path(view.masked).is_dir():
        syscalls.mount("tmpfs", view.masked, kind="tmpfs", options="mode=0755,size=64k")
        for path, descriptor in needed:
            if is_below(path, view.masked):
                _bind_again(descriptor, path)
    if not Path(OPT_ML).is_dir():
        _make_room_in_opt()
    _bind(ml, OPT_ML)
    if Path("/dev/shm").is_dir() and not Path("/dev/shm").is_symlink():
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("tmpfs", "/dev/shm", kind="tmpfs", flags=flags, options="mode=1777")
    for descriptor in (ml, tmp, *(descriptor for _, descriptor in needed)):
        os.close(descriptor)


def _make_room_in_opt() -> None:
    """Cover /opt by a folder in memory that has an `ml`, and show everything else that was in it."""
    if not Path("/opt").is_dir():
        raise OSError("/opt does not exist on this host: create it, empty, so that jobs can have their /opt/ml")
    children = [(child, os.open(child, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)) for child in Path("/opt").iterdir()]
    syscalls.mount("tmpfs", "/opt", kind="tmpfs", options="mode=0755,size=1m")
    Path(OPT_ML).mkdir()
    for child, descriptor in children:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            child.symlink_to(os.readlink("", dir_fd=descriptor))
        else:
            _bind_again(descriptor, str(child))
        os.close(descriptor)


def _bind_again(descriptor: int, path: str) -> None:
    target = Path(path)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _bind(descriptor, path)


def _bind(descriptor: int, target: str) -> None:
    syscalls.mount(f"/proc/self/fd/{descriptor}", target, flags=MS_BIND | MS_REC)


def _has_capabilities() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) != 0
    return False


def raise_loopback() -> None:
    """Switch on `lo` of a fresh network namespace: data loaders and process groups talk to themselves over it."""
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = fcntl.ioctl(probe, get_flags, struct.pack("16sh14x", b"lo", 0))
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(probe, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
