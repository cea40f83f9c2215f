"""`towpath doctor`: what this host can do for jobs, and whether the home is in order."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from towpath.cli.console import show_json, show_table, size
from towpath.cli.options import HomeOption, JsonOption, folder
from towpath.home import HomeFolder

if TYPE_CHECKING:
    from towpath.settings import Settings

OK, WARNING, WRONG = "ok", "warning", "wrong"
LEAST_FREE_BYTES = 1 << 30  #: under it, uploads and jobs will soon fail
_WORDS = {"namespace": "namespaces", "namespace-root": "namespaces without user namespaces", "bwrap": "bubblewrap"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str  #: OK, WARNING (it works, with less than there could be) or WRONG
    detail: str


def doctor(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Try what this host can do, and whether the home is in order.

    Exits 1 where something is wrong.

    Example: towpath doctor
    """
    found = list(checks(folder(home)))
    wrong = any(check.state == WRONG for check in found)
    if as_json:
        shown = [{"Name": check.name, "State": check.state, "Detail": check.detail} for check in found]
        show_json({"Ok": not wrong, "Checks": shown})
    else:
        show_table(("check", "state", "what was found"), [(each.name, each.state, each.detail) for each in found])
    if wrong:
        raise typer.Exit(1)


def checks(home: HomeFolder) -> Iterator[Check]:
    """Look at one thing after the other."""
    yield Check(name="python", state=OK, detail=f"{sys.version.split()[0]}, {sys.executable}")
    yield _home(home)
    yield _disk(home)
    if home.path.is_dir():
        yield from _reserve(home)
        yield _server(home)
        yield from _held_up(home)
    # The server's packages are imported here: no other command needs them.
    from towpath import settings
    from towpath.kernel.errors import Invalid

    try:
        loaded = settings.load(home.settings_file)
    except Invalid as error:
        yield Check(name="settings", state=WRONG, detail=error.message)
        loaded = settings.Settings()
    else:
        there = home.settings_file.exists()
        yield Check(name="settings", state=OK, detail=str(home.settings_file) if there else "none, so the defaults")
    yield _capacity(loaded)
    yield from _sandbox(home, loaded)
    yield _limits()
    yield from _warm_start(home, loaded)


def _home(home: HomeFolder) -> Check:
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


def _server(home: HomeFolder) -> Check:
    server, holder = home.running_server(), home.holder()
    if server is not None:
        return Check(name="server", state=OK, detail=f"{server.version} answers at {server.url} (process {server.pid})")
    if holder is not None:
        return Check(name="server", state=WARNING, detail=f"process {holder} holds the home and does not answer yet")
    return Check(name="server", state=OK, detail="none runs; start one with: towpath up")


def _held_up(home: HomeFolder) -> Iterator[Check]:
    """Say about what the server that runs can decide nothing."""
    from towpath.sdk import Client
    from towpath.sdk.errors import ClientError

    if home.running_server() is None:
        return
    try:
        with Client(home=home.path) as client:
            found = client.call("Towpath.DescribeHeldUpWork", {})["HeldUp"]
    except ClientError as error:
        yield Check(name="work", state=WARNING, detail=f"the server does not tell what is held up: {error}")
        return
    if not found:
        yield Check(name="work", state=OK, detail="nothing is held up")
    for each in found:
        yield Check(name="work", state=WRONG, detail=f"{each['ResourceArn']}: {each['Reason']}")


def _capacity(loaded: Settings) -> Check:
    from towpath.compute.process.capacity import capacity_of
    from towpath.jobs.instances import gigabytes

    found = capacity_of(loaded.cores, loaded.memory_gb)
    detail = f"{found.cores:g} cores, {gigabytes(found.memory_bytes)} of memory, {found.gpus or 'no'} GPUs for jobs"
    return Check(name="capacity", state=OK, detail=detail)


def _sandbox(home: HomeFolder, loaded: Settings) -> Iterator[Check]:
    from towpath.compute.process.selftest import try_all

    wanted = loaded.sandbox
    with tempfile.TemporaryDirectory() as nothing:
        trials = try_all(home.path if home.path.is_dir() else Path(nothing))
    usable = [each for each in trials if each.works and wanted in ("auto", each.mode.partition("-")[0])]
    for trial in trials:
        used = bool(usable) and trial is usable[0]
        told = f"{trial.detail}{'; jobs get this one' if used else ''}"
        # What does not work matters only where nothing does.
        yield Check(name=f"sandbox: {_WORDS[trial.mode]}", state=OK if trial.works else WARNING, detail=told)
    if not usable:
        state = OK if wanted == "paths" else WARNING if wanted == "auto" else WRONG
        detail = "jobs run without isolation: /opt/ml is rewritten in their command, environment and files"
        if state == WRONG:
            detail = f"the setting sandbox is {wanted!r}, which does not work here: no job can start"
        yield Check(name="sandbox", state=state, detail=detail)


def _limits() -> Check:
    from towpath.runner import groups

    trial = groups.try_out()
    works = {"memory": "memory by the kernel", "cpu": "cores by the kernel"}
    missing = {"memory": "memory by watching the process tree", "cpu": "cores not at all"}
    told = [(works if name in trial.controllers else missing)[name] for name in ("memory", "cpu")]
    state = OK if len(trial.controllers) == len(works) else WARNING
    return Check(name="limits", state=state, detail=f"{', '.join(told)}: {trial.detail}")


def _warm_start(home: HomeFolder, loaded: Settings) -> Iterator[Check]:
    """Say whether jobs can begin in forks of a process that has imported libraries, and what such processes hold."""
    from towpath.compute.process import zygotes_of
    from towpath.kernel.errors import Unavailable
    from towpath.runner.folder import NOT_INSTALLED

    name = "warm start"
    if loaded.warm_start == "off":
        yield Check(name=name, state=OK, detail="off, so each job begins in a fresh interpreter (setting warm_start)")
        return
    try:
        standing = zygotes_of(home.path)
    except Unavailable as error:
        yield Check(name=name, state=WARNING, detail=error.message)
        return
    if not standing:
        yield Check(name=name, state=OK, detail="on; the first job that could begin warm has a process for it started")
    for each in standing:
        if each.state == "failed":
            yield Check(
                name=name, state=WARNING, detail=f"jobs begin cold: the process with imports failed, {each.problem}"
            )
            continue
        held = ", ".join(each.imports) or ("nothing but Python" if each.state == "ready" else "no imports yet")
        told = f"process {each.pid} holds {held} for jobs"
        threads = each.environment.get("OMP_NUM_THREADS")
        told += f" with OMP_NUM_THREADS={threads}" if threads else ""
        unfit = [f"{module} is left out: {why}" for module, why in each.left_out.items() if why != NOT_INSTALLED]
        missing = [module for module, why in each.left_out.items() if why == NOT_INSTALLED]
        parts = [
            f"{told}, {each.forks} runners forked",
            *unfit,
            *(["not installed: " + ", ".join(missing)] if missing else []),
        ]
        yield Check(name=name, state=WARNING if unfit else OK, detail="; ".join(parts))


def _existing(place: Path) -> Path:
    """Return the nearest folder upwards that exists."""
    return next(folder for folder in (place, *place.parents) if folder.is_dir())
