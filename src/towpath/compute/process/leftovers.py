"""What attempts and environment layers left on this host, as house-keeping sees it, and how it is removed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from towpath.housekeeping.model import Attempt, Layer
from towpath.jobs.model import JobObservation, Phase
from towpath.runner.folder import CLAIM, INCREMENTS, JOB, LATER, LAYER, LOG, MANIFEST, METRICS, ML, STAGING, STATUS, TMP
from towpath.runner.hosts import folders_in

_WORKED_ON = (STAGING, INCREMENTS, ML, TMP)
_TOLD = (LOG, LATER, METRICS, MANIFEST, STATUS, JOB, CLAIM, LAYER)
#: Layers that are being removed; the name is no digest.
_GONE = ".gone-"
_ENDED = frozenset({Phase.FINISHED, Phase.LOST})


class Observed(Protocol):
    """What is asked of the back end."""

    def observe(self, key: str) -> JobObservation:
        """Return how an attempt stands now."""

    def tidy(self, key: str) -> None:
        """Remove what an ended attempt worked on and staged; log, metrics and manifest stay."""

    def forget(self, key: str) -> None:
        """Remove an ended attempt's folder."""


class AttemptFolders:
    """Implements `housekeeping.ports.Attempts` on the folders of a back end of this host."""

    def __init__(self, jobs: Path, backend: Observed) -> None:
        self._jobs = jobs
        self._backend = backend

    def all(self) -> list[Attempt]:
        """Return every attempt that has a folder."""
        keys = sorted(entry.name for entry in os.scandir(self._jobs) if entry.is_dir() and entry.name[0] != ".")
        return [attempt for key in keys if (attempt := self._attempt(key)) is not None]

    def trim(self, key: str) -> None:
        """Remove everything of an ended attempt but its log, metrics and manifest."""
        if self._backend.observe(key).phase in _ENDED:
            self._backend.tidy(key)

    def forget(self, key: str) -> None:
        """Remove all of an ended attempt; one that runs after all is left alone."""
        if self._backend.observe(key).phase in {*_ENDED, Phase.ABSENT}:
            with contextlib.suppress(FileNotFoundError):  # its controller may be removing it too
                self._backend.forget(key)

    def _attempt(self, key: str) -> Attempt | None:
        """Return what an attempt left, None when its controller removed it while we looked."""
        folder = self._jobs / key
        if self._backend.observe(key).phase not in {*_ENDED, Phase.ABSENT}:
            return Attempt(key=key, ended_at=None, layer=_text(folder / LAYER))
        ended_at = _last_written(folder)
        if ended_at is None:
            return None
        return Attempt(
            key=key,
            ended_at=ended_at,
            files_bytes=sum(_bytes(place / name) for place in folders_in(folder) for name in _WORKED_ON),
            log_bytes=sum(_bytes(place / name) for place in folders_in(folder) for name in _TOLD),
            layer=_text(folder / LAYER),
        )


class LayerFolders:
    """Implements `housekeeping.ports.Layers` on a folder of folders, each named by a digest.

    A layer was last used when its folder was last changed: the runner that uses one sets that time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Layer]:
        """Return every layer; what an interrupted removal left is removed first."""
        if not self._folder.is_dir():
            return []
        for gone in self._folder.glob(f"{_GONE}*"):
            shutil.rmtree(gone)
        return [
            Layer(name=layer.name, size=_bytes(layer), used_at=_at(layer.stat().st_mtime))
            for layer in sorted(self._folder.iterdir())
            if layer.is_dir() and not layer.name.startswith(".")
        ]

    def remove(self, name: str) -> None:
        """Remove a layer. It is renamed first, so that a half-removed one never looks like a layer."""
        gone = self._folder / f"{_GONE}{name}"
        (self._folder / name).rename(gone)
        shutil.rmtree(gone)


def _last_written(folder: Path) -> datetime | None:
    """Return when an attempt ended, or as near as its files tell; None when there is no folder."""
    for place in (folder / MANIFEST, folder / LOG, folder / JOB, folder):
        with contextlib.suppress(FileNotFoundError):
            return _at(place.stat().st_mtime)
    return None


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _bytes(place: Path) -> int:
    """Return how many bytes would be free without a file or folder; what is linked elsewhere stays on the disk."""
    return sum(size for size in _sizes(place))


def _sizes(place: Path) -> Iterator[int]:
    try:
        if not place.is_dir() or place.is_symlink():
            status = place.lstat()
            yield status.st_size if status.st_nlink == 1 else 0
            return
        for entry in os.scandir(place):
            yield from _sizes(Path(entry.path))
    except FileNotFoundError:
        return  # it went while we looked
    except PermissionError:
        return  # a job took the right to read from its own folder: its size is not known, and it is no reason to stop
