"""`towpath run`: upload a pipeline, start it, and follow it to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import is_terminal, note, say, show_json
from towpath.cli.loading import load_pipeline
from towpath.cli.options import HomeOption, JsonOption, folder
from towpath.cli.progress import Look, follow
from towpath.cli.server import ensure_server
from towpath.home import HomeFolder
from towpath.sdk.client import Client
from towpath.sdk.executions import Execution, StepRun, failure_text
from towpath.sdk.pipeline import Pipeline

LOG_LINES = 12  #: of a failed step's log


def run(
    file: Annotated[Path, typer.Argument(help="Python file with a module-level `pipeline`, or its folder.")],
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Follow it to its end, or return at once.")] = True,
    name: Annotated[str | None, typer.Option(help="Name of this execution, for lists.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Run the pipeline of a file and follow it; a server is started when none runs.

    Ctrl-C detaches: the execution goes on. Exit code 0 when it succeeded, 1 when it did not.

    Example: towpath run pipeline.py -p MinAccuracy=0.7 -p Model=baseline
    """
    values = parse_parameters(parameters or [])
    pipeline = load_pipeline(file)
    where = folder(home)
    client = client_with_server(where)
    execution = client.run(pipeline, values, name=name)
    if not wait:
        if as_json:
            show_json({"PipelineExecutionArn": execution.arn})
        else:
            say(f"Started {execution.pipeline}/{execution.id}")
            say(how_to_go_on(execution))
        return
    look = follow_or_detach(execution, client, pipeline, quiet=as_json)
    if as_json:
        show_json(
            {**look.described, "PipelineExecutionSteps": [_shown(step) for step in look.steps]},
        )
    else:
        report(look, execution, client)
    if look.status != "Succeeded":
        raise typer.Exit(1)


def parse_parameters(given: list[str]) -> dict[str, str]:
    """Return `NAME=VALUE` texts as a mapping; a text of another form is wrong usage."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="'-p'")
        values[name] = value
    return values


def client_with_server(home: HomeFolder) -> Client:
    """Return a client of the home's server, started in the background when none runs, which is then said."""
    import os

    if not os.environ.get("TOWPATH_ENDPOINT") and home.running_server() is None:
        server = ensure_server(home)
        note(f"Started a server at {server.url} (home {server.home}). End it with: towpath down --home {server.home}")
    return Client(home=home.path)


def follow_or_detach(execution: Execution, client: Client, pipeline: Pipeline, *, quiet: bool = False) -> Look:
    """Follow an execution to its end; on Ctrl-C say how to go on and leave."""
    if not quiet and not is_terminal():
        say(f"{execution.pipeline}/{execution.id}")
    try:
        return follow(execution, client, [step.name for step in pipeline.all_steps()], quiet=quiet)
    except KeyboardInterrupt:
        note(f"\nDetached; {execution.pipeline}/{execution.id} goes on.\n{how_to_go_on(execution)}")
        raise typer.Exit(0) from None


def how_to_go_on(execution: Execution) -> str:
    """Return how an execution is followed and stopped."""
    name = f"{execution.pipeline}/{execution.id}"
    return f"Follow it: towpath logs {name} --follow\nStop it:   towpath stop {name}"


def report(look: Look, execution: Execution, client: Client) -> None:
    """Print how an execution ended; of a failed one the step, the reason and the end of its log."""
    if look.status == "Succeeded":
        say(f"{execution.pipeline}/{execution.id} Succeeded")
        return
    failed = [step for step in look.steps if step.status == "Failed"]
    say(f"{execution.pipeline}/{execution.id} {look.status}: {failure_text(look.described, list(look.steps))}")
    for step in failed:
        if step.job is None:
            continue
        lines = list(client.logs(step.type, step.job, tail=LOG_LINES))[-LOG_LINES:]
        if lines:
            say(f"\nThe last lines of {step.name} (towpath logs {execution.pipeline}/{execution.id}/{step.name}):")
            for line in lines:
                say(f"  {line.text}")


def _shown(step: StepRun) -> dict[str, object]:
    return {
        "StepName": step.name,
        "StepStatus": step.status,
        "FailureReason": step.failure_reason,
        "Type": step.type,
        "Arn": step.arn,
        "StartTime": step.started_at.timestamp() if step.started_at else None,
        "EndTime": step.ended_at.timestamp() if step.ended_at else None,
    }
