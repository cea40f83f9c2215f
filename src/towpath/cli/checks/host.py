"""What this host can do for jobs, with these settings: capacity, sandboxes, limits and warm starts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.cli.checks.check import OK, WARNING, WRONG, Check
from towpath.home import HomeFolder

if TYPE_CHECKING:
    from towpath.settings import Settings

_WORDS = {"namespace": "namespaces", "namespace-root": "namespaces without user namespaces", "bwrap": "bubblewrap"}


def host_checks(home: HomeFolder, settings: Settings) -> Iterator[Check]:
    """Try what jobs will be given."""
    yield _capacity(settings)
    yield from _sandbox(home, settings)
    yield _limits()
    yield from _warm_start(home, settings)


def _capacity(settings: Settings) -> Check:
    from towpath.compute.process.capacity import capacity_of
    from towpath.jobs.instances import gigabytes

    found = capacity_of(settings.cores, settings.memory_gb)
    detail = f"{found.cores:g} cores, {gigabytes(found.memory_bytes)} of memory, {found.gpus or 'no'} GPUs for jobs"
    return Check(name="capacity", state=OK, detail=detail)


def _sandbox(home: HomeFolder, settings: Settings) -> Iterator[Check]:
    from towpath.compute.process.selftest import try_all

    wanted = settings.sandbox
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


def _warm_start(home: HomeFolder, settings: Settings) -> Iterator[Check]:
    """Say whether jobs can begin in forks of a process that has imported libraries, and what such processes hold."""
    from towpath.compute.process import zygotes_of
    from towpath.kernel.errors import Unavailable
    from towpath.runner.folder import NOT_INSTALLED

    name = "warm start"
    if settings.warm_start == "off":
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
        threads = each.environment.get("OMP_NUM_THREADS")
        if each.state == "failed":
            asked = f" for jobs with OMP_NUM_THREADS={threads}" if threads else ""
            detail = f"jobs begin cold: a process with imports{asked} failed, {each.problem}"
            yield Check(name=name, state=WARNING, detail=detail)
            continue
        held = ", ".join(each.imports) or ("nothing but Python" if each.state == "ready" else "no imports yet")
        told = f"process {each.pid} holds {held} for jobs"
        told += f" with OMP_NUM_THREADS={threads}" if threads else ""
        unfit = [f"{module} is left out: {why}" for module, why in each.left_out.items() if why != NOT_INSTALLED]
        missing = [module for module, why in each.left_out.items() if why == NOT_INSTALLED]
        parts = [
            f"{told}, {each.forks} runners forked",
            *unfit,
            *(["not installed: " + ", ".join(missing)] if missing else []),
        ]
        yield Check(name=name, state=WARNING if unfit else OK, detail="; ".join(parts))
