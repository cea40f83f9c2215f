"""Finds out what a Python interpreter on this host holds, for the image map and the lineage."""

import functools
import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path

from towpath.jobs.images import Interpreter
from towpath.kernel.errors import Invalid

_PROBE = """
import importlib.metadata, json, platform
packages = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
print(json.dumps({"version": platform.python_version(), "packages": packages}))
"""
PROBE_S = 60.0  #: an interpreter that does not answer by then is refused


def own_interpreter() -> Interpreter:
    """Return the platform's own environment."""
    packages = {
        found.metadata["Name"].lower(): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }
    return Interpreter(
        python=sys.executable,
        version=platform.python_version(),
        packages=packages,
        commands=_commands(Path(sys.executable)),
    )


@functools.cache
def probe(python: str) -> Interpreter:
    """Return what the interpreter at `python` holds; asked once for each path.

    Raises:
        Invalid: there is no such interpreter, or it does not answer.
    """
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
    return Interpreter(
        python=python, version=told["version"], packages=told["packages"], commands=_commands(Path(python))
    )


def _commands(python: Path) -> tuple[str, ...]:
    """Return which of the image commands lie beside an interpreter."""
    return tuple(name for name in ("train", "serve") if (python.parent / name).exists())
