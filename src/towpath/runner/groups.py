"""Control groups: the kernel holds a job's process tree to memory and cores, where this process may make groups.

A group is made below the one that this process is in, so that limits around the platform (a container's, a service's)
hold for jobs too. Version 2 allows that only where the group around us has no processes of its own: in a service with
`Delegate=yes` and `DelegateSubgroup=`, the parent of ours is such a group.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

PREFIX = "towpath-"
_PERIOD_US = 100_000
_TRIAL_BYTES = 32 << 20
_UNIFIED = "unified"  #: our name for the one hierarchy of version 2


class Hierarchy(NamedTuple):
    """Where groups of one controller can be made."""

    controller: str  #: "memory" or "cpu"
    version: int
    parents: tuple[Path, ...]  #: best first


class Group(NamedTuple):
    """A group that was made for one job."""

    folders: dict[str, tuple[int, Path]]  #: controller -> version and folder; one folder may hold both

    def add(self, pid: int) -> None:
        """Move a process into the group; its children are born there."""
        for folder in self._unique():
            (folder / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """Return how many processes of the group the kernel killed because its memory was used up."""
        version, folder = self.folders.get("memory", (0, Path()))
        if version == 0:
            return 0
        text = (folder / ("memory.oom_control" if version == 1 else "memory.events")).read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def peak_bytes(self) -> int:
        """Return the most memory that the group used at one time, 0 where the kernel does not tell."""
        version, folder = self.folders.get("memory", (0, Path()))
        with contextlib.suppress(FileNotFoundError):  # version 2 tells it from Linux 5.19 on
            return int((folder / ("memory.max_usage_in_bytes" if version == 1 else "memory.peak")).read_text())
        return 0

    def remove(self) -> None:
        """Remove the group, whose processes have ended. One that is still in use stays behind."""
        for folder in self._unique():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _unique(self) -> list[Path]:
        return list(dict.fromkeys(folder for _, folder in self.folders.values()))


class Trial(NamedTuple):
    """What came of trying to limit a process."""

    controllers: tuple[str, ...]  #: those that work here: "memory", "cpu"
    detail: str  #: where they were found, or why there is none


def here() -> list[Hierarchy]:
    """Return where groups for memory and cores could be made by this process."""
    return hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())


def make(name: str, *, memory_bytes: int | None, cores: int | None) -> Group:
    """Make a group with as many of these limits as the kernel lets us set here; perhaps none.

    Args:
        name: unique on this host, for example an attempt's key.
    """
    wanted = {"memory": memory_bytes, "cpu": cores}
    found: dict[str, tuple[int, Path]] = {}
    for hierarchy in here():
        limit = wanted[hierarchy.controller]
        if limit is None or hierarchy.controller in found:
            continue
        for parent in hierarchy.parents:
            folder = parent / (PREFIX + name)
            try:
                if hierarchy.version == 2:
                    _enable(parent, hierarchy.controller)
                folder.mkdir(exist_ok=True)
                _set(folder, hierarchy, limit)
            except OSError:  # not ours, read-only, or a controller that is not to be had here
                with contextlib.suppress(OSError):
                    folder.rmdir()
                continue
            found[hierarchy.controller] = (hierarchy.version, folder)
            break
    return Group(found)


def remove(name: str) -> None:
    """Remove what is left of a group whose maker was killed."""
    for hierarchy in here():
        for parent in hierarchy.parents:
            with contextlib.suppress(OSError):  # hardly a job has one
                (parent / (PREFIX + name)).rmdir()


def try_out() -> Trial:
    """Make a group, let a process of it use too much memory, and tell whether the kernel ended it."""
    group = make(f"trial-{os.getpid()}", memory_bytes=_TRIAL_BYTES, cores=1)
    try:
        if not group.folders:
            tried = ", ".join(str(parent) for hierarchy in here() for parent in hierarchy.parents)
            return Trial((), f"no control group can be made ({'tried ' + tried if tried else 'the kernel has none'})")
        _use_up(group)
        works = [name for name in group.folders if name != "memory" or group.kills()]
        if "memory" in group.folders and "memory" not in works:
            return Trial(tuple(works), f"{group.folders['memory'][1]} let a process use twice its memory")
        places = dict.fromkeys(f"{folder.parent} (version {version})" for version, folder in group.folders.values())
        return Trial(tuple(works), f"control groups below {' and '.join(places)}")
    finally:
        group.remove()


def hierarchies(own: str, mounts: str) -> list[Hierarchy]:
    """Return where groups for memory and cores could be made, those of version 1 first.

    Args:
        own: text of /proc/self/cgroup.
        mounts: text of /proc/self/mountinfo.
    """
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(",") if controllers else [_UNIFIED], path))
    found: list[Hierarchy] = []
    unified: list[Hierarchy] = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options, *_ = (*after.split(" "), "", "")
        root, point = before.split(" ")[3:5]
        if kind == "cgroup":
            for controller in ("memory", "cpu"):
                if controller in options.split(",") and controller in paths:
                    found.append(Hierarchy(controller, 1, (_below(point, root, paths[controller]),)))
        elif kind == "cgroup2" and _UNIFIED in paths:
            folder = _below(point, root, paths[_UNIFIED])
            parents = (folder,) if str(folder) == point else (folder, folder.parent)
            unified = [Hierarchy(controller, 2, parents) for controller in ("memory", "cpu")]
    return found + unified


def _below(point: str, root: str, path: str) -> Path:
    """Return the folder of a group: its path, less the part of the hierarchy that is mounted."""
    if root != "/":
        path = path.removeprefix(root) if path.startswith(root) else "/"
    return Path(point) / path.lstrip("/")


def _enable(parent: Path, controller: str) -> None:
    switched = parent / "cgroup.subtree_control"
    if controller not in switched.read_text().split():
        switched.write_text(f"+{controller}")


def _set(folder: Path, hierarchy: Hierarchy, limit: int) -> None:
    if hierarchy.controller == "cpu":
        quota = limit * _PERIOD_US
        if hierarchy.version == 2:
            _write(folder / "cpu.max", f"{quota} {_PERIOD_US}")
        else:
            _write(folder / "cpu.cfs_period_us", str(_PERIOD_US))
            _write(folder / "cpu.cfs_quota_us", str(quota))
        return
    first, swap = (
        ("memory.max", "memory.swap.max")
        if hierarchy.version == 2
        else (
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
        )
    )
    _write(folder / first, str(limit))
    with contextlib.suppress(OSError):  # a kernel that does not count swap
        _write(folder / swap, "0" if hierarchy.version == 2 else str(limit))
    if hierarchy.version == 2:
        with contextlib.suppress(OSError):
            _write(folder / "memory.oom.group", "1")  # the job ends as one, not by losing a worker


def _write(file: Path, text: str) -> None:
    """Write to a file that the kernel made; never make one."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _use_up(group: Group) -> None:
    """Have a process use twice the memory of a group, and wait for its end."""
    go, going = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(go, 1)
            bytearray(b"x") * (2 * _TRIAL_BYTES)
        finally:
            os._exit(0)
    group.add(pid)
    os.write(going, b"g")
    os.waitpid(pid, 0)
    os.close(go)
    os.close(going)
