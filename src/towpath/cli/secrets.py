"""`towpath secrets`: values that jobs get by name, and that no log and no document shows."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from towpath.cli.console import say, show_json, show_table, when
from towpath.cli.options import HomeOption, JsonOption, connect, folder
from towpath.cli.run import client_with_server
from towpath.sdk.errors import DefinitionError
from towpath.sdk.secrets import secret

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Set, list and remove what jobs get by name alone.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name; a job's variable names it as {{secrets.NAME}}.")]


@app.command("set")
def set_(name: Name, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Set a secret, or replace its value. The value is asked for, or read from standard input; never an argument.

    A server is started when none runs.

    Example: towpath secrets set HUB_TOKEN < token.txt
    """
    secret(name)  # refuses what is no name before anybody types a value
    value = _value(name)
    client_with_server(folder(home)).secrets.set(name, value)
    if as_json:
        show_json({"Name": name})
    else:
        say(f"{name} is set; a job gets it in a variable whose value names it: {secret(name)}")


@app.command()
def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the names of the secrets.

    Example: towpath secrets ls
    """
    found = connect(home).secrets.ls()
    if as_json:
        show_json([{"Name": item.name, "LastModifiedTime": item.changed_at} for item in found])
    elif not found:
        say("There are no secrets yet. Set one: towpath secrets set NAME")
    else:
        show_table(("secret", "set"), [(item.name, when(item.changed_at)) for item in found])


@app.command()
def rm(name: Name, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Remove a secret. Jobs that have it keep it until they end.

    Example: towpath secrets rm HUB_TOKEN
    """
    connect(home).secrets.rm(name)
    if as_json:
        show_json({"Name": name})
    else:
        say(f"{name} is removed")


def _value(name: str) -> str:
    """Return the value from a terminal, without showing it, else from standard input without its last line end."""
    if not sys.stdin.isatty():
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    value = getpass.getpass(f"Value of {name}: ")
    if getpass.getpass("Once more: ") != value:
        raise DefinitionError("the two values differ; nothing was set")
    return value
