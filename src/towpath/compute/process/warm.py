"""Decides which zygote a job had best begin from: a process that has imported libraries already, see decision 39."""

import re
import site
from collections.abc import Iterable
from typing import TypedDict

import msgspec

from towpath.compute.process.code import CodeReader
from towpath.jobs.model import JobSpec
from towpath.runner.command import environment_of

#: Variables that libraries read while they are imported: jobs with other values begin from another zygote. Imports run
#: outside of any sandbox, so none of them may name a place (`PATH`, `HOME`) that a job has written to.
_OWN = frozenset(
    {
        "LANG",
        "MKL_NUM_THREADS",
        "NUMEXPR_MAX_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TOKENIZERS_PARALLELISM",
    }
)
_INERT = re.compile(r"[A-Za-z0-9_.,@-]{0,40}")
_PYTHON = re.compile(r"\{python\}|python[0-9.]*")


class Wish(TypedDict):
    """What a zygote is, as the runner host starts one. Two jobs with equal wishes begin from the same."""

    python: str
    options: list[str]
    imports: list[str]
    environment: dict[str, str]


class ZygoteStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How a zygote stands, as the runner host tells it."""

    state: str  #: "importing", "ready" or "failed"
    imports: tuple[str, ...]  #: what it holds
    left_out: dict[str, str]  #: module -> why it is not imported
    environment: dict[str, str]
    pid: int | None  #: None for one that has failed
    forks: int  #: runners that it has forked
    problem: str  #: why it has failed


class Imports:
    """What is imported before jobs, and which jobs are better off for it."""

    def __init__(self, modules: Iterable[str], *, always: bool = False) -> None:
        """
        Args:
            modules: what is imported, for jobs whose code names a part of it.
            always: for all jobs.
        """
        self._modules = tuple(modules)
        self._always = always
        self._code = CodeReader(name.partition(".")[0] for name in self._modules)

    def of(self, job: JobSpec) -> list[str]:
        """Return what a job's process had best hold when its script begins. Nothing is good for a script that names
        nothing: a fork costs the more the more a process holds."""
        return list(self._modules) if self._always or self._code.names_one(job) else []


def wish_of(
    job: JobSpec, imports: Imports, *, sandbox: str, python_folder: str, python: str
) -> tuple[Wish | None, str]:
    """Return the zygote that a job had best begin from, or None and why it begins cold.

    What only the job's own folder and its whole environment tell is judged when it begins, by `towpath.runner.warm`.

    Args:
        sandbox: kind of isolation that it gets.
        python_folder: where `python` is its interpreter; empty if there is no such folder.
        python: the interpreter whose jobs can begin warm.
    """
    if sandbox != "namespace":
        return None, f"its sandbox is {sandbox}"
    if job.python != python or not python_folder:
        return None, f"its interpreter is not the platform's own, {python}"
    if job.serves:
        return None, "it serves"
    if job.hosts:
        return None, "it has several hosts"
    if len(job.argv) < 2 or not _is_python(job.argv[0], python) or not job.argv[1].endswith(".py"):
        return None, "its command is no Python script"
    asked = {name: value for name, value in job.environment.items() if name in _OWN}
    odd = sorted(name for name, value in asked.items() if not _INERT.fullmatch(value))
    if odd:
        return None, f"a variable that libraries read while they are imported has an odd value: {', '.join(odd)}"
    # Without this option an interpreter that is in no virtual environment would import what lies in the host's /tmp,
    # which is what HOME names. In a job that folder is empty.
    options = ["-s"] if site.ENABLE_USER_SITE else []
    environment = environment_of(asked, python_folder)
    return Wish(python=python, options=options, imports=imports.of(job), environment=environment), ""


def _is_python(word: str, python: str) -> bool:
    return word == python or _PYTHON.fullmatch(word) is not None
