"""The command line: its commands, and what an error becomes there."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

import towpath
from towpath.cli import (
    answering,
    backup,
    comparing,
    data,
    demo,
    doctor,
    environment,
    explaining,
    following,
    functions,
    hosting,
    housekeeping,
    keys,
    listing,
    registry,
    retrying,
    run,
    secrets,
    server,
    triggers,
)
from towpath.cli.console import note
from towpath.kernel.errors import Invalid, TowpathError
from towpath.sdk.errors import ClientError, DefinitionError, NoServer

DONE, FAILED, USAGE, NO_SERVER = 0, 1, 2, 3  #: the exit codes
INTERRUPTED = 130  #: what shells expect after Ctrl-C

app = typer.Typer(
    name="towpath",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help and errors: a line each, and brackets mean themselves
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A self-hosted MLOps platform with the SageMaker API.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server. Begin with: towpath demo",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"towpath {towpath.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (
    server.up,
    server.down,
    run.run,
    run.create,
    listing.ps,
    following.logs,
    listing.describe,
    explaining.explain,
    registry.models,
    registry.approve,
    registry.reject,
    hosting.deploy,
    hosting.invoke,
    registry.lineage,
    environment.env,
    doctor.doctor,
    answering.answer,
    following.stop,
    retrying.retry,
    housekeeping.delete,
    housekeeping.undelete,
    housekeeping.gc,
    backup.backup,
    backup.restore,
    demo.demo,
):
    app.command()(command)
app.command("compare")(comparing.compare_executions)
# What follows the command's own name belongs to it, options included.
app.command("exec", context_settings={"allow_interspersed_args": False})(environment.execute)
app.add_typer(data.app, name="data")
app.add_typer(secrets.app, name="secrets")
app.add_typer(keys.app, name="keys")
app.add_typer(triggers.app, name="triggers")
app.add_typer(functions.app, name="functions")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        app(arguments, prog_name="towpath")
    except NoServer as error:
        _fail(error, NO_SERVER)
    except (DefinitionError, Invalid) as error:
        _fail(error, USAGE)
    except (ClientError, TowpathError) as error:
        _fail(error, FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `towpath ps | head`.
        sys.stderr.close()
        sys.exit(DONE)
    except OSError as error:
        # A file or folder of the user's; what the server is asked for has its own errors.
        where = f"{error.filename}: " if error.filename is not None else ""
        _fail(f"{where}{error.strerror or error}", FAILED)
    sys.exit(DONE)


def _fail(error: Exception | str, code: int) -> NoReturn:
    note(f"Error: {error}")
    for added in getattr(error, "__notes__", ()):
        note(added)
    sys.exit(code)
