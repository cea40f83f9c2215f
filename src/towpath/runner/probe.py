"""Tries each kind of sandbox for real and says what works here and why the rest does not."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn, TypedDict

from towpath.runner import sandbox, syscalls
from towpath.runner.folder import OPT_ML


class Result(TypedDict):
    """How a trial of one kind of sandbox went."""

    mode: str  #: "namespace", "namespace-root" (without a user namespace) or "bwrap"
    works: bool
    detail: str  #: what was seen, or why it cannot be used


def try_modes(modes: list[str], masked: str, bwrap: str) -> list[Result]:
    """Enter each kind of sandbox in a child process and try to break out of it.

    Args:
        masked: an existing folder that must appear empty, normally the platform's home.
        bwrap: path of bubblewrap, or empty to look for it.
    """
    return [_try(mode, masked, bwrap) for mode in modes]


def _try(mode: str, masked: str, bwrap: str) -> Result:
    if mode == "bwrap":
        bwrap = bwrap or shutil.which("bwrap") or ""
        if not bwrap:
            return {"mode": mode, "works": False, "detail": "bwrap is not installed (Debian package: bubblewrap)"}
    if mode == "namespace-root" and os.geteuid() != 0:
        return {"mode": mode, "works": False, "detail": "needs root; an ordinary user needs user namespaces"}
    with tempfile.TemporaryDirectory(prefix="towpath-probe-") as scratch:
        folder = Path(scratch)
        (folder / "ml").mkdir()
        (folder / "tmp").mkdir()
        view = sandbox.View(
            ml=str(folder / "ml"),
            tmp=str(folder / "tmp"),
            masked=masked,
            needed=(),
            network=True,
            user_namespace=mode != "namespace-root",
        )
        problems = _problems_with_bwrap(view, bwrap) if mode == "bwrap" else _problems_with_namespace(view)
    if problems:
        return {"mode": mode, "works": False, "detail": problems}
    keeps = mode != "bwrap" and syscalls.can_keep_signals()
    signals = "signals to its own processes alone" if keeps else "signals to any process of this user"
    return {"mode": mode, "works": True, "detail": f"own /opt/ml, the rest read-only, {signals}"}


def _problems_with_namespace(view: sandbox.View) -> str:
    """Return what went wrong in a fork that entered its own namespaces; empty if nothing did."""
    answer, answer_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _examine(view, answer_end)
    os.close(answer_end)
    text = b""
    while chunk := os.read(answer, 4096):
        text += chunk
    os.close(answer)
    os.waitpid(pid, 0)
    return str(json.loads(text)) if text else "the trial process died without a word"


def _examine(view: sandbox.View, answer: int) -> NoReturn:
    found = ""
    try:
        sandbox.enter(view)
        found = _seen_inside(view.masked)
    except OSError as error:
        found = _explained(error)
    except BaseException as error:  # noqa: BLE001 - this fork must end here and answer
        found = f"{type(error).__name__}: {error}"
    os.write(answer, json.dumps(found).encode())
    os._exit(0)


def _seen_inside(masked: str) -> str:
    """Return what is wrong with the view from inside a sandbox."""
    Path(OPT_ML, "probe").write_text("x")
    Path("/tmp/probe").write_text("x")
    for place in (Path("/etc"), Path("/usr"), Path("/opt")):
        if place.is_dir() and os.access(place, os.W_OK):
            return f"{place} can still be written"
    if Path(masked).is_dir() and any(Path(masked).iterdir()):
        return f"{masked} can still be read"
    return ""


def _problems_with_bwrap(view: sandbox.View, program: str) -> str:
    script = f'echo x > {OPT_ML}/probe && echo x > /tmp/probe && test ! -w /etc && test -z "$(ls -A "$0" 2>/dev/null)"'
    command = sandbox.bwrap_argv(view, program, ["/bin/sh", "-c", script, view.masked], OPT_ML)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (
        "" if done.returncode == 0 else done.stderr.strip() or "its view is wrong: /etc writable or the home readable"
    )


def _explained(error: OSError) -> str:
    hints = {
        28: "user namespaces are switched off (sysctl user.max_user_namespaces=0)",  # ENOSPC stands for that limit
        1: "the kernel or a container's security profile forbids it",
        13: "the kernel or a container's security profile forbids it",
        38: "the kernel is too old (Linux 5.12 or newer is needed)",
    }
    hint = hints.get(error.errno or 0)
    return f"{error}: {hint}" if hint else str(error)
