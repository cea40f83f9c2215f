"""Finds out what the Python interpreters on this host hold, for the image map and the lineage."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from towpath.jobs.images import Environment, ImageMap, Interpreter
from towpath.kernel.errors import Invalid

_PROBE = """
import importlib.metadata, json, os, platform, sys
times = {folder: os.stat(folder).st_mtime_ns if os.path.exists(folder) else None for folder in sys.path}
packages = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
print(json.dumps({"version": platform.python_version(), "packages": packages, "times": times}))
"""
_REMEMBERED = 64  #: image names whose environments are not worked out anew
PROBE_S = 60.0  #: an interpreter that does not answer by then is refused


def own_interpreter() -> Interpreter:
    """Return the platform's own environment."""
    return _own().interpreter


def probe(python: str) -> Interpreter:
    """Return what the interpreter at `python` holds.

    Raises:
        Invalid: there is no such interpreter, or it does not answer.
    """
    return _probed(python).interpreter


class WatchedImages:
    """Implements `jobs.images.Images`: the image map, with each interpreter as it is now.

    Installing a package changes the folder that packages lie in; what an interpreter holds is read anew only then.
    """

    def __init__(self, mapped: Mapping[str, str]) -> None:
        """Read all interpreters once.

        Args:
            mapped: image name or pattern -> path of the interpreter that stands for it.
        Raises:
            Invalid: an interpreter does not run here.
        """
        self._mapped = dict(mapped)
        self._lock = threading.Lock()
        self._own = _own()
        self._others = {python: _probed(python) for python in set(self._mapped.values())}
        self._resolve = self._new_map()

    def resolve(self, image: str) -> Environment:
        """Return the environment that runs `image`, as it is now.

        Raises:
            Invalid: nothing maps it, or an interpreter no longer runs here; the message says what to do.
        """
        with self._lock:
            if self._own.is_stale():
                self._own = _own()
                self._resolve = self._new_map()
            found = self._resolve(image)
            # Others only when they are meant: one that was removed must not stand in the way of those that are there.
            other = self._others.get(found.python)
            if other is not None and other.is_stale():
                self._others[found.python] = _probed(found.python)
                self._resolve = self._new_map()
                found = self._resolve(image)
            return found

    def _new_map(self) -> Callable[[str], Environment]:
        """Return what turns names into environments, and remembers those that it was asked for last."""
        mapped = {pattern: self._others[python].interpreter for pattern, python in self._mapped.items()}
        return lru_cache(_REMEMBERED)(ImageMap(platform=self._own.interpreter, mapped=mapped).resolve)


class _Reading(msgspec.Struct, frozen=True):
    """What an interpreter held when the folders of its packages had these times."""

    interpreter: Interpreter
    times: dict[str, int | None]  #: folder of the path -> its modification time in ns; None where there is none

    def is_stale(self) -> bool:
        """Whether packages were installed or removed since."""
        return _times(self.times) != self.times


def _own() -> _Reading:
    times = _times(sys.path)  # before the packages: what is installed meanwhile makes the reading stale at once
    packages = {
        found.metadata["Name"].lower(): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }
    interpreter = Interpreter(
        python=sys.executable,
        version=platform.python_version(),
        packages=packages,
        commands=_commands(Path(sys.executable)),
    )
    return _Reading(interpreter, times)


def _probed(python: str) -> _Reading:
    try:
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_S, check=True, cwd="/"
        )
        told = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Invalid(
            f"The image map names {python!r}, which is not a Python interpreter that runs here ({error}). "
            "Correct it under [images] in towpath.toml."
        ) from error
    interpreter = Interpreter(
        python=python, version=told["version"], packages=told["packages"], commands=_commands(Path(python))
    )
    return _Reading(interpreter, told["times"])


def _times(folders: Iterable[str]) -> dict[str, int | None]:
    return {folder: _modified(folder) for folder in folders}


def _modified(folder: str) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - asked for each step; a Path costs more than the question
    except (FileNotFoundError, NotADirectoryError):
        return None


def _commands(python: Path) -> tuple[str, ...]:
    """Return which of the image commands lie beside an interpreter."""
    return tuple(name for name in ("train", "serve") if (python.parent / name).exists())
