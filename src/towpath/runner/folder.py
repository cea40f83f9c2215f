"""Names in an attempt's folder, the documents that lie there, and how they are written so that a crash tears none."""

import errno
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

JOB = "job.json"  #: the JobSpec, durable before anything starts
CLAIM = "claim"  #: locked by the runner for as long as it lives
LOG = "log"  #: the output of the job, one `<epoch milliseconds>\t<text>` a line
LATER = "log.later"  #: folder of what came after LOG was full, see `log_file`
METRICS = "metrics.jsonl"
STATUS = "status.json"  #: what the runner is doing; never needed to know how an attempt ended
STOP = "stop"  #: exists once somebody asked to stop; holds STOP_GRACEFULLY or STOP_AT_ONCE
MANIFEST = "manifest.json"  #: how the attempt ended; written last
ML = "ml"  #: what the job sees as /opt/ml
TMP = "tmp"  #: what the job sees as /tmp
LAYER = "layer"  #: digest of the environment layer that the attempt uses; absent where it uses none
HOSTS = "hosts"  #: folder of the hosts of a job behind the first, each with its own ML, TMP and LOG
NAMES = "names"  #: what becomes /etc/hosts where a job has several
STAGING = "staging"  #: complete outputs that wait to be adopted
INCREMENTS = "increments"  #: folder of single files that are complete while the job runs, see `increment_files`

STOP_GRACEFULLY = "gracefully"
STOP_AT_ONCE = "at once"

OPT_ML = "/opt/ml"

#: Kind of the jobs whose hosts know nothing of each other: each works on objects of its own, and what it made of these
#: is kept though another host failed.
APART = "transform"

NOT_ASKED = "no warm start was asked for"
NOT_INSTALLED = "it is not installed"  #: why a zygote does not hold a module

_FULL_DISK_RETRY_S = 0.2
_FULL_DISK_PATIENCE_S = 60.0


class Settings(NamedTuple):
    """What the platform tells a runner beside the job itself."""

    home: str  #: the platform's folder, hidden from jobs
    wake: str  #: folder of the wake-up socket
    sandbox: str  #: "namespace", "bwrap" or "paths"
    user_namespace: bool  #: a user namespace of its own for each job
    bwrap: str  #: path of the program, for "bwrap"
    needed: tuple[str, ...]  #: what must stay readable even below /tmp or the home; without links, outer before inner
    python_folder: str  #: where `python` and `python3` both are the job's interpreter; empty if there is no such folder
    log_bytes: int = 256 << 20  #: what the log of one attempt may take; its middle is dropped where it is larger
    groups: bool = True  #: let the kernel hold jobs to their limits where it can, by control groups
    layers: str = ""  #: folder of the layers; empty where none are made
    uv: tuple[str, ...] = ()  #: the command that makes them
    uv_environment: tuple[tuple[str, str], ...] = ()  #: its variables: where packages come from
    secrets: tuple[tuple[str, str], ...] = ()  #: those that the job names; in memory only, never in a file
    cold: str = NOT_ASKED  #: why the job has to begin in a fresh interpreter; empty: it may begin in a fork of a zygote


class StagingFailed(Exception):
    """An output cannot be kept; the message is the job's failure reason."""


class StagedDocument(TypedDict):
    """One file of output in the manifest."""

    output: str
    bucket: str
    key: str
    path: str
    size: int
    sha256: str
    md5: str


class ManifestDocument(TypedDict):
    """The manifest as it is written; its reader is `towpath.jobs.model.Manifest`."""

    key: str
    exit_code: int | None
    host: str | None
    reason: str | None
    stopped: bool
    timed_out: bool
    started_at: str | None
    ended_at: str
    no_room: bool
    download_s: float
    peak_memory_bytes: int | None
    outputs: list[StagedDocument]
    sandbox: str
    warm: bool
    cold_because: str
    memory_limit: str | None
    layer: dict[str, Any] | None


def host_folder(attempt: Path, position: int, name: str) -> Path:
    """Return the folder of one host of an attempt, by its position in the job's list and its name."""
    return attempt / HOSTS / name if position else attempt


def increment_files(folder: Path, number: int) -> tuple[Path, Path]:
    """Return where the document and the bytes of a file lie that was staged while the job runs.

    The document is written last and removed first: where it is, the bytes are whole.
    """
    return folder / f"{number:010d}.json", folder / f"{number:010d}"


def is_full(error: OSError) -> bool:
    """Return whether a write failed because there is no room, on the disk or in a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def room_bytes(folder: Path) -> int:
    """Return how much may still be written to the disk on which a folder lies."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def with_room(write: Callable[[], object]) -> None:
    """Write something that nothing goes on without; while the disk is full, wait for room.

    Raises:
        OSError: the write failed for another reason, or there has been no room for a minute.
    """
    give_up_at = time.monotonic() + _FULL_DISK_PATIENCE_S
    while True:
        try:
            write()
            return
        except OSError as error:
            if not is_full(error) or time.monotonic() >= give_up_at:
                raise
        time.sleep(_FULL_DISK_RETRY_S)


def moment(at: float) -> str:
    """Return an epoch time as RFC 3339 text in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def read_json(path: Path) -> Any:
    """Return the document in a file."""
    return json.loads(path.read_bytes())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, *, durable: bool) -> None:
    """Replace a file in one step; readers see the old content or the new one.

    Args:
        durable: also survive a power cut; otherwise only the death of a process.
    """
    fresh = f"{path}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(fresh, path)  # noqa: PTH105
    if durable:
        sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
