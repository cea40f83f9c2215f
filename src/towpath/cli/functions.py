"""`towpath functions`: Python code that is called by name, by people, steps, rules and AWS clients."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from towpath.cli.console import note, say, show_json, show_table
from towpath.cli.following import show_json_line
from towpath.cli.options import HomeOption, JsonOption, connect, folder
from towpath.cli.run import client_with_server
from towpath.sdk.errors import DefinitionError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep Python functions that are called by name, as AWS Lambda's.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The function's name, as `towpath functions ls` shows it.")]


@app.command()
def create(
    name: Name,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="FILE.py[:FUNCTION], or FILE.zip:MODULE.FUNCTION.")],
    timeout: Annotated[int | None, typer.Option(min=1, max=900, help="Seconds that a call may take (3).")] = None,
    memory: Annotated[int | None, typer.Option(min=128, max=10_240, help="MB that a call may use (128).")] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="NAME=VALUE", help="Variable; {{secrets.NAME}} stands for a secret."),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a function, or change the one of that name. A server is started when none runs.

    It is called with an event and a context, and what it returns is answered as JSON. FUNCTION is `handler` where
    nothing is said.

    \b
    Examples:
      towpath functions create greet greet.py
      towpath functions create notify hooks.py:on_approval --timeout 30 -e CHANNEL=releases
    """
    made = client_with_server(folder(home)).functions.create(
        name, source, timeout_s=timeout, memory_mb=memory, environment=_variables(variable)
    )
    if as_json:
        show_json(asdict(made))
    else:
        say(f"{made.name} calls {made.handler}; try it: towpath functions invoke {made.name} '{{}}'")


@app.command()
def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the functions.

    Example: towpath functions ls
    """
    found = connect(home).functions.ls()
    if as_json:
        show_json([asdict(function) for function in found])
    elif not found:
        say("There are no functions yet. Make one: towpath functions create NAME FILE.py")
    else:
        rows = [
            (each.name, each.handler, each.runtime, f"{each.timeout_s} s", f"{each.memory_mb} MB", each.changed_at[:19])
            for each in found
        ]
        show_table(("function", "handler", "runtime", "timeout", "memory", "changed (UTC)"), rows)


@app.command()
def invoke(
    name: Name,
    payload: Annotated[str, typer.Argument(metavar="[JSON]", help="What it is called with; - reads it.")] = "{}",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Wait for nothing; it is tried up to three times.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Call a function and print what it returns, as JSON. Where it fails, the exit code is 1.

    \b
    Examples:
      towpath functions invoke greet '{"name": "Ann"}'
      towpath functions invoke greet - < event.json
    """
    event = _read(payload)
    functions = connect(home).functions
    if no_wait:
        functions.start(name, event)
        say(f"{name} is called; what it prints: towpath functions logs {name}")
        return
    print(json.dumps(functions.invoke(name, event), indent=2, ensure_ascii=False))


@app.command()
def logs(
    name: Name,
    calls: Annotated[int, typer.Option("--calls", "-n", min=1, help="Of the last so many calls.")] = 10,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Print the log of a function's last calls.

    The oldest of them comes first.

    Example: towpath functions logs greet -n 1
    """
    shown = False
    for line in connect(home).functions.logs(name, calls=calls):
        shown = True
        if as_json:
            show_json_line(line)
        else:
            print(f"{line.at.astimezone():%H:%M:%S} {line.text}")
    if not shown:
        note(f"No call of a function {name} has printed anything.")


@app.command()
def delete(name: Name, home: HomeOption = None) -> None:
    """Remove a function. Calls that were begun go on, and logs stay.

    Example: towpath functions delete greet
    """
    connect(home).functions.delete(name)
    say(f"{name} is removed")


def _variables(given: list[str] | None) -> dict[str, str] | None:
    if given is None:
        return None
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise DefinitionError(f"--env {each!r} is not of the form NAME=VALUE")
        found[name] = value
    return found


def _read(payload: str) -> Any:
    text = sys.stdin.read() if payload == "-" else payload
    try:
        return json.loads(text)
    except ValueError as fault:
        where = "standard input" if payload == "-" else repr(payload)
        is_file = payload != "-" and len(payload) < 256 and Path(payload).is_file()
        like = f"; to send a file: towpath functions invoke NAME - < {payload}" if is_file else ""
        raise DefinitionError(f"{where} is not valid JSON: {fault}{like}") from fault
