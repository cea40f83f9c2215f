"""Brings what a job left behind to the staging area: complete, with digests and synced."""

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from towpath.runner import failure, syscalls
from towpath.runner.folder import OPT_ML, StagedDocument, StagingFailed, sync_folder, write_all

CHUNK = 1 << 20
LONGEST_KEY = 1024  #: bytes of UTF-8, as S3 has it
SYNCED_SINGLY = 100  #: files of an attempt; those behind them are synced all together
_MOST_LINKS = 40  # as the kernel


class Found(NamedTuple):
    """One file or folder of an output."""

    name: str  #: relative to the output's folder
    real: Path  #: where its bytes lie; elsewhere than `name` if it is a link
    folder: bool


class _Digests:
    """A file that computes both digests while it is written."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)  # the ETag of S3
        self.size = 0

    def write(self, data: bytes) -> int:
        write_all(self._descriptor, data)
        self._sha256.update(data)
        self._md5.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here: each write goes to the file."""

    def close(self, *, sync: bool) -> tuple[str, str]:
        """Close the file, with its bytes on the disk if `sync`; return SHA-256 and MD5."""
        try:
            if sync:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
        return self._sha256.hexdigest(), self._md5.hexdigest()


def stage(outputs: list[dict[str, Any]], ml: Path, staging: Path, warn: Callable[[str], None]) -> list[StagedDocument]:
    """Copy or pack these outputs and return what the manifest says of them.

    Args:
        outputs: the Output documents to publish.
        warn: receives a sentence for everything that was left out.
    Raises:
        StagingFailed: an output cannot be kept as it is; the message is the job's failure reason.
    """
    staged: list[StagedDocument] = []
    if not outputs:
        return staged
    staging.mkdir(exist_ok=True)
    for output in outputs:
        folder = resolve_inside(ml, output["path"])
        found = list(_walk(ml, folder, output["name"], warn)) if folder is not None and folder.is_dir() else []
        if folder is not None and folder.is_file():  # a single file where a folder was announced
            found = [Found(folder.name, folder, folder=False)]
        if _is_empty(folder) and not output.get("on_failure"):  # what is kept after a failure too is often empty
            uri = f"s3://{output['bucket']}/{output['key']}"
            warn(f"output {output['name']}: nothing was written to {OPT_ML}/{output['path']}, so {uri} gets no files")
        if output["mode"] == "files":
            for item in found:
                if not item.folder:
                    key = f"{output['key'].rstrip('/')}/{item.name}".lstrip("/")
                    if len(key.encode()) > LONGEST_KEY:
                        raise StagingFailed(
                            f"output {output['name']}: the file {failure.cut(item.name, 80)!r} would get a key of "
                            f"{len(key.encode())} bytes; S3 takes at most {LONGEST_KEY}"
                        )
                    place = staging / str(len(staged))
                    digests = _Digests(place)
                    _copy(item.real, digests)
                    # Many files are synced together, which takes seconds where one by one takes minutes.
                    staged.append(_document(output, key, place, digests, sync=len(staged) < SYNCED_SINGLY))
        elif found or output["mode"] != "archive-unless-empty":
            place = staging / str(len(staged))
            digests = _Digests(place)
            _pack(found, digests)
            staged.append(_document(output, output["key"], place, digests, sync=True))
    if len(staged) > SYNCED_SINGLY:
        syscalls.sync_file_system(staging)
    sync_folder(staging)
    return staged


def _is_empty(folder: Path | None) -> bool:
    if folder is None or folder.is_file():
        return False
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def _document(output: dict[str, Any], key: str, place: Path, digests: _Digests, *, sync: bool) -> StagedDocument:
    sha256, md5 = digests.close(sync=sync)
    return {
        "output": output["name"],
        "bucket": output["bucket"],
        "key": key,
        "path": str(place),
        "size": digests.size,
        "sha256": sha256,
        "md5": md5,
    }


def _copy(source: Path, target: _Digests) -> None:
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, CHUNK):
            target.write(chunk)
    finally:
        os.close(descriptor)


def _pack(found: list[Found], target: _Digests) -> None:
    """Write a .tar.gz whose bytes depend on names and contents alone, so that equal outputs have equal digests.

    Level 1: models hardly shrink further, and packing is on the way of every training job.
    """
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in found:
            member = tarfile.TarInfo(item.name)
            if item.folder:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
                continue
            with item.real.open("rb") as content:
                facts = os.fstat(content.fileno())
                member.size = facts.st_size
                member.mode = 0o755 if facts.st_mode & stat.S_IXUSR else 0o644
                archive.addfile(member, content)


def _walk(ml: Path, folder: Path, output: str, warn: Callable[[str], None]) -> Iterator[Found]:
    """Yield everything below an output's folder in a fixed order; links within /opt/ml give what they lead to."""

    def visit(real: Path, name: str, above: tuple[Path, ...]) -> Iterator[Found]:
        for entry in sorted(os.scandir(real), key=lambda entry: os.fsencode(entry.name)):
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
            mode = place.lstat().st_mode
            if stat.S_ISDIR(mode):
                if place in above:
                    warn(f"output {output}: the link {label} leads to a folder around itself and was left out")
                    continue
                yield Found(label, place, folder=True)
                yield from visit(place, label, (*above, place))
            elif stat.S_ISREG(mode):
                yield Found(label, place, folder=False)
            else:
                warn(f"output {output}: {label} is neither file nor folder and was left out")

    yield from visit(folder, "", (folder,))


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
