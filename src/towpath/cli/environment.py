"""`towpath env` and `towpath exec`: what AWS clients need so that they talk to this server."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import Annotated

import typer

from towpath.aws import HOOK, client_environment
from towpath.cli.console import note, show_json
from towpath.cli.options import HomeOption, JsonOption, folder

NOT_EXECUTABLE, NOT_FOUND = 126, 127  #: exit codes, as shells and env(1) have them


def env(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Print what a shell needs for AWS clients, as `export` lines. They hold keys.

    For the home's server they are the administrator's; for one elsewhere set TOWPATH_ENDPOINT, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY first.

    Example: eval "$(towpath env)"
    """
    changes = client_environment(folder(home), os.environ)
    if as_json:
        show_json(changes.values)
        return
    for name in changes.unset:
        print(f"unset {name}")
    for name, value in changes.values.items():
        print(f"export {name}={shlex.quote(value)}")


def execute(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, with its arguments.")],
    home: HomeOption = None,
) -> None:
    """Run a command whose AWS clients talk to this server.

    That holds for those that name a host of AWS in their code too. The command's exit code is its own.

    Example: towpath exec -- python train_on_sagemaker.py
    """
    environment = client_environment(folder(home), os.environ).applied(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HOOK), environment.get("PYTHONPATH"))))
    # The command takes this process over: its exit code, its signals and its terminal are nobody else's. Python ignores
    # these two, and what is ignored stays so in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        note(f"Error: there is no command {command[0]!r}")
        raise typer.Exit(NOT_FOUND) from None
    except OSError as error:
        note(f"Error: {command[0]} cannot be run: {error.strerror}")
        raise typer.Exit(NOT_EXECUTABLE) from None
