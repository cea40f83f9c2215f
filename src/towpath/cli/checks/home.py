"""Whether the home can be used: its folder, the room on its disk, and the room that it keeps for deletions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from towpath.cli.checks.check import OK, WARNING, WRONG, Check
from towpath.cli.console import size
from towpath.home import HomeFolder

LEAST_FREE_BYTES = 1 << 30  #: under it, uploads and jobs will soon fail


def home_checks(home: HomeFolder) -> Iterator[Check]:
    """Look at what there is before anything is started."""
    yield _folder(home)
    yield _disk(home)
    if home.path.is_dir():
        yield from _reserve(home)


def _folder(home: HomeFolder) -> Check:
    place = home.path
    if place.is_dir():
        unwritable = home.unwritable()
        if unwritable is not None:
            return Check(name="home", state=WRONG, detail=f"{unwritable} is not writable")
        return Check(name="home", state=OK, detail=str(place))
    if place.exists():
        return Check(name="home", state=WRONG, detail=f"{place} is not a folder")
    parent = _existing(place)
    if os.access(parent, os.W_OK | os.X_OK):
        return Check(name="home", state=OK, detail=f"{place}, which the first start makes (towpath up)")
    return Check(name="home", state=WRONG, detail=f"{place} cannot be made: {parent} is not writable")


def _disk(home: HomeFolder) -> Check:
    usage = shutil.disk_usage(_existing(home.path))
    state = OK if usage.free >= LEAST_FREE_BYTES else WRONG
    return Check(name="disk", state=state, detail=f"{size(usage.free)} of {size(usage.total)} free for {home.path}")


def _reserve(home: HomeFolder) -> Iterator[Check]:
    """Say whether the home keeps room for deletions on a full disk; one that was never started keeps none yet."""
    from towpath.store import Reserve
    from towpath.store.reserve import RESERVE_BYTES

    if not home.reserve.exists():
        return
    held = Reserve(home.reserve).held_bytes()
    if held >= RESERVE_BYTES:
        yield Check(
            name="reserve", state=OK, detail=f"{size(held)} are kept so that a full disk lets things be deleted"
        )
    else:
        told = f"{size(held)} of {size(RESERVE_BYTES)} are kept: on a full disk nothing may be deletable. Make room"
        yield Check(name="reserve", state=WARNING, detail=f"{told}; the next deletion or start keeps it again")


def _existing(place: Path) -> Path:
    """Return the nearest folder upwards that exists."""
    return next(folder for folder in (place, *place.parents) if folder.is_dir())
