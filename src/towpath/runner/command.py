"""What a job executes, with its interpreter, its paths and its environment filled in."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from towpath.runner import sandbox
from towpath.runner.folder import ML, OPT_ML, TMP, Settings

#: As `towpath.jobs.secrets` reads it.
_SECRET = re.compile(r"\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
_STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SecretMissing(Exception):
    """The job names a secret that there is not; the message is the job's failure reason."""


class Command(NamedTuple):
    """What is executed, as the job sees it."""

    argv: list[str]
    environment: dict[str, str]
    cwd: str
    cwd_on_host: str  #: the same folder where the runner finds it
    rewrite: Callable[[str], str]  #: from the job's words to the paths of this host


def command_of(job: dict[str, Any], attempt: Path, settings: Settings) -> Command:
    """Return the command of a job. Makes the scripts that stand for its interpreter if they are needed."""
    ml, tmp = str(attempt / ML), str(attempt / TMP)
    private = settings.sandbox != "paths"

    def rewrite(text: str) -> str:
        return text if private else sandbox.rewritten(text, ml)

    python = job["python"]
    own_tmp = "/tmp" if private else tmp
    first = settings.python_folder or f"{own_tmp}/{_stand_in(python, attempt)}:{Path(python).parent}"
    asked = {name: rewrite(value) for name, value in job.get("environment", {}).items()}
    environment = environment_of(asked, first, own_tmp)
    argv = [rewrite(word.replace("{python}", python)) for word in job["argv"]]
    cwd = job.get("cwd") or OPT_ML
    return Command(argv, environment, rewrite(cwd), sandbox.rewritten(cwd, ml), rewrite)


def environment_of(asked: Mapping[str, str], python_folder: str, tmp: str = "/tmp") -> dict[str, str]:
    """Return all variables of a job.

    Args:
        asked: those that the job names.
        python_folder: comes first on its PATH.
        tmp: where it may keep files.
    """
    environment = {"HOME": tmp, "TMPDIR": tmp, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **asked}
    return {**environment, "PATH": f"{python_folder}:{environment.get('PATH', _STANDARD_PATH)}"}


def with_secrets(command: Command, secrets: Mapping[str, str]) -> Command:
    """Return a command whose variables hold the secrets that they name as `{{secrets.NAME}}`.

    Raises:
        SecretMissing: one of them is not set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in secrets:
            raise SecretMissing(
                f"The secret {found[1]!r} is not set. Set it (towpath secrets set {found[1]}) and start the job again."
            )
        return secrets[found[1]]

    filled = {name: _SECRET.sub(value, text) for name, text in command.environment.items()}
    return command._replace(environment=filled)


def folder_of_python(python: str) -> str:
    """Return the folder in which both `python` and `python3` are this interpreter, or nothing if it has none."""
    program = Path(python)
    names = [program.parent / name for name in ("python", "python3")]
    same = all(name.exists() and name.resolve() == program.resolve() for name in names)
    return str(program.parent) if same else ""


def _stand_in(python: str, attempt: Path) -> str:
    """Make `python` and `python3` that start this interpreter; return their folder below the job's /tmp.

    Scripts and not links: through a link elsewhere Python would not find its virtual environment.
    """
    folder = attempt / TMP / ".python"
    folder.mkdir(exist_ok=True)
    for name in ("python", "python3"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
        script.chmod(0o755)
    return folder.name
