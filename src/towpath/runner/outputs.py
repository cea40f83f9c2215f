"""Brings what a job left behind to the staging area: complete, with digests and synced."""

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from towpath.runner import failure, syscalls
from towpath.runner.contents import LONGEST_KEY, Found, Mark, open_inside, resolve_inside, together
from towpath.runner.folder import OPT_ML, StagedDocument, StagingFailed, sync_folder, write_all

CHUNK = 1 << 20
SYNCED_SINGLY = 100  #: files of an attempt; those behind them are synced all together


class Known(NamedTuple):
    """What was staged of a file before the end."""

    mark: Mark  #: of the file then
    sha256: str


class Digests:
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


def key_of(output: dict[str, Any], name: str) -> str:
    """Return the object's key for a file of an output.

    Raises:
        StagingFailed: S3 takes no key of that length.
    """
    key = f"{output['key'].rstrip('/')}/{name}".lstrip("/")
    if len(key.encode()) > LONGEST_KEY:
        raise StagingFailed(
            f"output {output['name']}: the file {failure.cut(name, 80)!r} would get a key of "
            f"{len(key.encode())} bytes; S3 takes at most {LONGEST_KEY}"
        )
    return key


def stage(
    outputs: list[dict[str, Any]],
    places: Sequence[tuple[str, Path]],
    staging: Path,
    warn: Callable[[str], None],
    known: Mapping[tuple[str, str], Known] = MappingProxyType({}),
    laid_out: Collection[Mark] = (),
) -> list[StagedDocument]:
    """Copy or pack these outputs and return what the manifest says of them.

    Args:
        outputs: the Output documents to publish.
        places: name and /opt/ml of each host of the job; what they wrote is put together.
        known: what was staged of continuous outputs before, by bucket and key; it is not staged again.
        laid_out: marks of files in continuous outputs that are as a host was given them.
        warn: receives a sentence for everything that was left out.
    Raises:
        StagingFailed: an output cannot be kept as it is; the message is the job's failure reason.
    """
    staged: list[StagedDocument] = []
    if not outputs:
        return staged
    staging.mkdir(exist_ok=True)
    for output in outputs:
        found = together(places, output, warn, laid_out if output.get("continuous") else ())
        folders = [resolve_inside(ml, output["path"]) for _, ml in places]
        if all(map(_is_empty, folders)) and not output.get(
            "on_failure"
        ):  # what is kept after a failure too is often empty
            uri = f"s3://{output['bucket']}/{output['key']}"
            warn(f"output {output['name']}: nothing was written to {OPT_ML}/{output['path']}, so {uri} gets no files")
        if output["mode"] == "files":
            before = known if output.get("continuous") else {}
            for ml, item in found:
                if item.folder:
                    continue
                key = key_of(output, item.name)
                published = before.get((output["bucket"], key))
                if published is not None and published.mark == item.mark:
                    continue
                place = staging / str(len(staged))
                # Many files are synced together, which takes seconds where one by one takes minutes.
                told = _copied(ml, item, output, key, place, sync=len(staged) < SYNCED_SINGLY)
                if published is not None and published.sha256 == told["sha256"]:
                    place.unlink()
                else:
                    staged.append(told)
        elif found or output["mode"] != "archive-unless-empty":
            place = staging / str(len(staged))
            digests = Digests(place)
            _pack([item for _, item in found], digests)
            staged.append(document(output, output["key"], place, digests, sync=True))
    if len(staged) > SYNCED_SINGLY:
        syscalls.sync_file_system(staging)
    sync_folder(staging)
    return staged


def _is_empty(folder: Path | None) -> bool:
    if folder is None or folder.is_file():
        return False
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def _copied(ml: Path, item: Found, output: dict[str, Any], key: str, place: Path, *, sync: bool) -> StagedDocument:
    digests = Digests(place)
    source = open_inside(ml, item.real)
    try:
        copy(source, digests)
    finally:
        os.close(source)
    return document(output, key, place, digests, sync=sync)


def document(output: dict[str, Any], key: str, place: Path, digests: Digests, *, sync: bool) -> StagedDocument:
    """Close a staged file and return what is said of it."""
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


def copy(source: int, target: Digests, checkpoint: Callable[[], None] = lambda: None) -> None:
    """Copy what a descriptor gives. `checkpoint` is called between chunks and may raise to end a long copy."""
    while chunk := os.read(source, CHUNK):
        checkpoint()
        target.write(chunk)


def _pack(found: list[Found], target: Digests) -> None:
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
