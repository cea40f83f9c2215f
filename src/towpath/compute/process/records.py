"""What an attempt has on disk: its job, before anything runs, and its manifest, once it has ended."""

import os
from pathlib import Path

import msgspec

from towpath.jobs.model import JobSpec, Manifest
from towpath.runner.folder import JOB, MANIFEST, sync_folder

_LONG_MANIFEST = 1000  #: outputs; one with more is read once while they are published portion by portion
_jobs = msgspec.json.Decoder(JobSpec)
_manifests = msgspec.json.Decoder(Manifest)


def record(folder: Path, job: JobSpec) -> None:
    """Write the job of an attempt into its folder; durable when this returns."""
    descriptor = os.open(folder / JOB, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(job))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    sync_folder(folder.parent)


def recorded(folder: Path) -> JobSpec:
    """Return the job of an attempt.

    Raises:
        FileNotFoundError: none was recorded.
        msgspec.DecodeError: it was torn by a power cut.
    """
    return _jobs.decode((folder / JOB).read_bytes())


def is_recorded(folder: Path) -> bool:
    """Return whether a whole job lies there; one torn by a power cut was never promised to anybody."""
    try:
        recorded(folder)
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return True


class Manifests:
    """Reads manifests, and remembers long ones until it is told to forget them."""

    def __init__(self) -> None:
        self._long: dict[str, tuple[int, Manifest]] = {}  #: by the attempt's key, with the inode

    def read(self, key: str, folder: Path) -> Manifest | None:
        """Return how an attempt ended, None when it has not."""
        try:
            with (folder / MANIFEST).open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                known = self._long.get(key)
                if known is not None and known[0] == inode:
                    return known[1]
                manifest = _manifests.decode(file.read())
        except FileNotFoundError:
            return None
        if len(manifest.outputs) > _LONG_MANIFEST:
            self._long[key] = (inode, manifest)
        return manifest

    def forget(self, key: str) -> None:
        """Remember the manifest of an attempt no longer: its outputs have been published."""
        self._long.pop(key, None)
