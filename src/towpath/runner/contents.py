"""Looks at what a job has written below one of its folders, and opens it without ever being led out of /opt/ml."""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from towpath.runner import failure
from towpath.runner.folder import OPT_ML, StagingFailed

LONGEST_KEY = 1024  #: bytes of UTF-8, as S3 has it
_COMPARED = 1 << 20
_MOST_LINKS = 40  # as the kernel


class Mark(NamedTuple):
    """What changes when a file does: an equal mark means that nobody has written to it, or put another in its place."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int  #: set by the kernel alone, unlike the time before


class Found(NamedTuple):
    """One file or folder of an output."""

    name: str  #: relative to the output's folder
    real: Path  #: where its bytes lie; elsewhere than `name` if it is a link
    mark: Mark
    folder: bool


def mark_of(facts: os.stat_result) -> Mark:
    """Return the mark of a file."""
    return Mark(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def contents(ml: Path, output: dict[str, Any], warn: Callable[[str], None]) -> list[Found]:
    """Return everything in an output's folder, or the single file that lies in its place."""
    folder = resolve_inside(ml, output["path"])
    if folder is None:
        return []
    if folder.is_file():  # a single file where a folder was announced
        return [Found(folder.name, folder, mark_of(folder.stat()), folder=False)]
    return list(walk(ml, folder, output["name"], warn)) if folder.is_dir() else []


def together(
    places: Sequence[tuple[str, Path]],
    output: dict[str, Any],
    warn: Callable[[str], None],
    laid_out: Collection[Mark] = (),
) -> list[tuple[Path, Found]]:
    """Return everything in an output's folder on all hosts of a job, each with the /opt/ml that it lies in, as if they
    had written to one folder.

    Where several have a file of one name, that of the first of them counts, and the others are told of unless they hold
    the same.

    Args:
        places: name and /opt/ml of each host.
        laid_out: marks of files that a host was given and left as they were: they are none of its own.
    """
    (_, first), *others = places
    if not others:
        return [(first, item) for item in contents(first, output, warn)]
    kept: dict[str, tuple[str, Path, Found]] = {}
    for host, ml in places:
        for item in contents(ml, output, warn):
            if item.mark in laid_out:
                continue
            before = kept.get(item.name) or _above(kept, item.name)
            if before is None:
                kept[item.name] = (host, ml, item)
            elif not (before[2].folder and item.folder) and not _is_same(before[2], item):
                warn(f"output {output['name']}: {item.name} of {host} was left out, {before[0]} wrote another")
    ordered = sorted(kept, key=lambda name: [part.encode() for part in name.split("/")])
    return [kept[name][1:] for name in ordered]


def _above(kept: Mapping[str, tuple[str, Path, Found]], name: str) -> tuple[str, Path, Found] | None:
    """Return the file that stands where something needs a folder."""
    parts = name.split("/")[:-1]
    above = (kept.get("/".join(parts[:length])) for length in range(1, len(parts) + 1))
    return next((found for found in above if found is not None and not found[2].folder), None)


def _is_same(one: Found, other: Found) -> bool:
    if one.name != other.name or one.folder or other.folder or one.mark.size != other.mark.size:
        return False
    with one.real.open("rb") as left, other.real.open("rb") as right:
        while chunk := left.read(_COMPARED):
            if chunk != right.read(_COMPARED):
                return False
    return True


def walk(ml: Path, folder: Path, output: str, warn: Callable[[str], None]) -> Iterator[Found]:
    """Yield everything below an output's folder in a fixed order; links within /opt/ml give what they lead to.

    What goes away meanwhile, because the job still works there, is left out.
    """

    def visit(real: Path, name: str, above: tuple[Path, ...]) -> Iterator[Found]:
        for entry in _entries(real):
            label = f"{name}/{entry.name}" if name else entry.name
            if not _is_text(entry.name):
                warn(f"output {output}: a file whose name is not UTF-8 was left out: {os.fsencode(label)!r}")
                continue
            if len(label.encode()) > LONGEST_KEY:
                raise StagingFailed(
                    f"output {output}: {failure.cut(label, 80)!r} lies too deep: its name has {len(label.encode())} "
                    f"bytes, and at most {LONGEST_KEY} can be kept"
                )
            place: Path | None = real / entry.name
            if entry.is_symlink():
                place = resolve_inside(ml, str((real / entry.name).relative_to(ml)))
                if place is None or not place.exists():
                    warn(f"output {output}: the link {label} leads out of /opt/ml or nowhere and was left out")
                    continue
            assert place is not None
            try:
                facts = place.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(facts.st_mode):
                if place in above:
                    warn(f"output {output}: the link {label} leads to a folder around itself and was left out")
                    continue
                yield Found(label, place, mark_of(facts), folder=True)
                yield from visit(place, label, (*above, place))
            elif stat.S_ISREG(facts.st_mode):
                yield Found(label, place, mark_of(facts), folder=False)
            else:
                warn(f"output {output}: {label} is neither file nor folder and was left out")

    yield from visit(folder, "", (folder,))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: os.fsencode(entry.name))
    except FileNotFoundError:
        return []


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def resolve_inside(ml: Path, path: str) -> Path | None:
    """Return where a path of the job really lies, without links, or None if it leads out of /opt/ml.

    Links are followed by hand and not by the kernel: the job wrote them for its own view, in which the attempt's folder
    is /opt/ml, and in the runner's view the same words name another place.
    """
    done: list[str] = []
    waiting = list(reversed(Path(path).parts))
    followed = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if not done:
                return None
            done.pop()
            continue
        place = ml.joinpath(*done, part)
        if not place.is_symlink():
            done.append(part)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return None
        target = str(place.readlink())
        if target.startswith("/"):
            for root in (OPT_ML, str(ml)):
                if target == root or target.startswith(root + "/"):
                    target = target[len(root) :].lstrip("/")
                    done = []
                    break
            else:
                return None
        waiting.extend(reversed(Path(target).parts))
    return ml.joinpath(*done)


def open_inside(ml: Path, place: Path) -> int:
    """Open a regular file below /opt/ml for reading and return its descriptor. No link is followed on the way.

    The job may still run, and put a link to somebody else's file where a folder was a moment ago.

    Raises:
        OSError: it is not there any more, or not what it was.
    """
    *folders, name = place.relative_to(ml).parts
    above = os.open(ml, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            os.close(above)
            above = inner
        # Not blocking: a pipe would have us wait for a writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{place} is no regular file any more")
    return descriptor
