"""What a runner is told beside its job: where things lie, how jobs are kept apart, the secrets that the job names."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from towpath.compute.process.selftest import SelfTest
from towpath.jobs.model import JobSpec
from towpath.jobs.secrets import SESSION, named_in
from towpath.runner import claim
from towpath.runner.command import folder_of_python
from towpath.runner.folder import Settings
from towpath.runner.sandbox import needed_for, without_links

#: The model server runs from here, which in an editable installation is not below this interpreter's folder.
_PACKAGE = str(Path(claim.__file__).resolve().parents[1])
#: Variables that tell uv where packages come from and how to reach them.
_CONCERNS_UV = re.compile(r"PATH|HOME|LANG|TMPDIR|NETRC|SSL_\w+|UV_\w+|XDG_\w+|(?i:\w+_proxy)")


class Telling:
    """Knows what runners of one home are told. What an interpreter needs is found out once for each that was made."""

    def __init__(
        self,
        home: Path,
        *,
        needed: Iterable[str] | None,
        groups: bool,
        log_bytes: int,
        secrets: Callable[[Iterable[str]], Mapping[str, str]],
        session: Callable[[JobSpec], Mapping[str, str]],
    ) -> None:
        """All but the first as of `ProcessBackend`."""
        self._home = home
        self._needed = tuple((sys.prefix, sys.base_prefix, _PACKAGE) if needed is None else needed)
        self._groups = groups
        self._log_bytes = log_bytes
        self._secrets = secrets
        self._session = session
        self._lock = threading.Lock()
        #: by path and age: what an interpreter needs, and the folder where it is `python`
        self._interpreters: dict[tuple[str, float], tuple[tuple[str, ...], str]] = {}

    def settings(self, job: JobSpec, tested: SelfTest) -> Settings:
        """Return what the runner of a job is told.

        Args:
            tested: the sandbox that jobs get here.
        """
        needed, python_folder = self._interpreter(job.python)
        return Settings(
            home=str(self._home),
            wake=str(self._home / "run"),
            sandbox=tested.chosen,
            user_namespace=tested.user_namespace,
            bwrap=tested.bwrap,
            needed=needed,
            python_folder=python_folder,
            groups=self._groups,
            log_bytes=self._log_bytes,
            layers=str(self._home / "layers"),
            uv=(sys.executable, "-m", "uv"),
            secrets=tuple(self._values(job).items()),
            uv_environment=tuple(item for item in os.environ.items() if _CONCERNS_UV.fullmatch(item[0])),
        )

    def _interpreter(self, python: str) -> tuple[tuple[str, ...], str]:
        known = python, _version(Path(python))
        with self._lock:
            if known not in self._interpreters:
                folders = without_links([*self._needed, *needed_for(python)])
                self._interpreters[known] = (tuple(folders), folder_of_python(python))
            return self._interpreters[known]

    def _values(self, job: JobSpec) -> Mapping[str, str]:
        named = named_in(job.environment.values())
        own = self._session(job) if any(name.startswith(SESSION) for name in named) else {}
        return {**self._secrets(named), **own}


def _version(python: Path) -> float:
    """Return what changes when an environment is made again under its old path."""
    configuration = python.parent.parent / "pyvenv.cfg"
    return configuration.stat().st_mtime if configuration.exists() else 0.0
