"""Finds out which kind of sandbox works on this host, and why the others do not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args

import msgspec

import towpath.runner
from towpath.kernel.errors import Unavailable, Unsupported

SandboxMode = Literal["auto", "namespace", "bwrap", "paths"]
#: Best first. Without a user namespace the jobs of root could look at each other through /proc.
_TRIALS = ("namespace", "namespace-root", "bwrap")
_TIMEOUT_S = 60.0
_PROBE_PROGRAM = """
import json, sys, types
package = types.ModuleType("towpath")
package.__path__ = [sys.argv[1]]
sys.modules["towpath"] = package
from towpath.runner import probe
print(json.dumps(probe.try_modes(json.loads(sys.argv[2]), sys.argv[3], sys.argv[4])))
"""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How a trial of one kind of sandbox went."""

    mode: str  #: "namespace", "namespace-root" (without user namespaces) or "bwrap"
    works: bool
    detail: str  #: what it gives, or why it cannot be used


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """Which sandbox jobs will get, and what was tried to find out."""

    wanted: str
    chosen: str  #: "namespace", "bwrap" or "paths"
    user_namespace: bool  #: each job in a user namespace of its own
    bwrap: str  #: path of the program, empty unless it is used
    trials: tuple[Trial, ...]  #: best first; trials end with the first that works
    summary: str  #: a sentence for people


def self_test(home: Path, wanted: SandboxMode = "auto") -> SelfTest:
    """Try the sandboxes in a process of their own, until one works.

    Args:
        home: the platform's folder, which the sandbox has to hide.
        wanted: "auto" takes the best that works; any other is taken or refused.
    Raises:
        Unavailable: the sandbox that was asked for does not work here; the message says why.
    """
    if wanted not in get_args(SandboxMode):
        raise Unsupported(f"There is no sandbox {wanted!r}; choose one of {', '.join(get_args(SandboxMode))}")
    modes = [mode for mode in _TRIALS if wanted == "auto" or mode.partition("-")[0] == wanted]
    trials: list[Trial] = []
    for mode in modes:
        trials += _try([mode], home)
        if trials[-1].works:
            break
    works = next((trial.mode for trial in trials if trial.works), None)
    if works is None and wanted not in ("auto", "paths"):
        reasons = "; ".join(f"{trial.mode}: {trial.detail}" for trial in trials)
        raise Unavailable(f"The sandbox {wanted!r} does not work on this host ({reasons}). Set it to 'auto' or 'paths'")
    chosen = (works or "paths").partition("-")[0]
    if chosen == "paths":
        summary = "Jobs run without isolation: /opt/ml is rewritten in their command, environment and files."
    else:
        summary = f"Jobs run in a sandbox ({works}): own /opt/ml and /tmp, all else read-only, the home hidden."
    return SelfTest(
        wanted=wanted,
        chosen=chosen,
        user_namespace=works == "namespace",
        bwrap=(shutil.which("bwrap") or "") if chosen == "bwrap" else "",
        trials=tuple(trials),
        summary=summary,
    )


def try_all(home: Path) -> list[Trial]:
    """Return how each kind of sandbox does on this host, best first."""
    return [trial for mode in _TRIALS for trial in _try([mode], home)]


def _try(modes: list[str], home: Path) -> list[Trial]:
    package = Path(next(iter(towpath.runner.__path__))).parent
    bwrap = shutil.which("bwrap") or ""
    command = [sys.executable, "-S", "-E", "-c", _PROBE_PROGRAM, str(package), json.dumps(modes), str(home), bwrap]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return [Trial(mode=mode, works=False, detail=words[-1] if words else "the trial died") for mode in modes]
    return msgspec.json.decode(done.stdout, type=list[Trial])
