"""`towpath run`: upload a pipeline, start it, and follow it to its end; `towpath create`: upload it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import duration, is_terminal, note, say, say_as_it_is, show_json
from towpath.cli.loading import load_pipeline
from towpath.cli.options import HomeOption, JsonOption, folder
from towpath.cli.progress import Look, follow, most_telling_line
from towpath.cli.server import ensure_server
from towpath.home import HomeFolder
from towpath.sdk.client import Client
from towpath.sdk.errors import DataMissing
from towpath.sdk.executions import Execution, why
from towpath.sdk.expressions import Document
from towpath.sdk.log_sources import log_of_step
from towpath.sdk.pipeline import Pipeline
from towpath.sdk.step_runs import StepRun
from towpath.sdk.steps.step import TAKEN_OVER

FETCHING = "data.py"  #: script of a project that fetches its data, beside the pipeline
_NOTHING_THERE = "There are no objects under "  #: what a step fails with that reads what nobody has put
LOG_LINES = 12  #: of a failed step's log


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="It has a module-level `pipeline`; or its folder.")]


def create(file: FileArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Store the pipeline of a file, and start nothing.

    Triggers and others can start it then. One of that name that is there already is updated. A server is started when
    none runs.

    Example: towpath create deploy.py
    """
    pipeline = load_pipeline(file)
    say_what_is_not_cached(pipeline)
    arn = client_with_server(folder(home)).upsert(pipeline)
    if as_json:
        show_json({"PipelineArn": arn})
        return
    needed = [each.name for each in pipeline.parameters if each.default is None]
    say(f"{pipeline.name} can be started" + (f"; each start has to give {', '.join(needed)}" if needed else ""))


def run(
    file: FileArgument,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Follow it to its end, or return at once.")] = True,
    name: Annotated[str | None, typer.Option(help="Name of this execution, for lists.")] = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", min=1, help="At most so many steps run side by side.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Run the pipeline of a file and follow it to its end.

    A server is started when none runs. Ctrl-C detaches: the execution goes on. Exit code 0 when it succeeded, 1
    when it did not.

    Example: towpath run pipeline.py -p MinAccuracy=0.7 -p Model=baseline
    """
    values = parse_parameters(parameters or [])
    pipeline = load_pipeline(file)
    say_what_is_not_cached(pipeline)
    where = folder(home)
    client = client_with_server(where)
    try:
        execution = client.run(pipeline, values, name=name, at_once=at_once)
    except DataMissing:
        for line in how_to_fetch(file):
            note(line)
        raise
    if not wait:
        if as_json:
            show_json({"PipelineExecutionArn": execution.arn})
        else:
            say(f"Started {execution.pipeline}/{execution.id}")
            say_as_it_is(how_to_go_on(execution, where))
        return
    names = [step.name for step in pipeline.all_steps()]
    look = follow_or_detach(execution, client, names, where, quiet=as_json)
    end_of_run(look, execution, client, where, as_json=as_json, file=file)


def end_of_run(
    look: Look, execution: Execution, client: Client, home: HomeFolder, *, as_json: bool, file: Path | None = None
) -> None:
    """Show how an execution that was followed has ended, and end the command with 1 where it has not succeeded.

    Args:
        file: that made its pipeline, where it is known: the data that it reads may be fetched by a script beside it.
    """
    if as_json:
        show_json(
            {**look.described, "PipelineExecutionSteps": [_shown(step) for step in look.steps]},
        )
    else:
        report(look, execution, client, home)
        if file is not None and any(_NOTHING_THERE in (step.failure_reason or "") for step in look.steps):
            for line in how_to_fetch(file):
                say_as_it_is(line)
    if look.status != "Succeeded":
        raise typer.Exit(1)


def how_to_fetch(pipeline: Path) -> list[str]:
    """Return in lines how the data of a project comes, where it has a script for that beside its pipeline."""
    script = (pipeline if pipeline.is_dir() else pipeline.parent) / FETCHING
    if not script.is_file():
        return []
    return [f"{script} fetches what this project reads. How, and what to put then: python {script} --help"]


def say_what_is_not_cached(pipeline: Pipeline) -> None:
    """Say of which steps the cache is asked for and not used."""
    for step in pipeline.all_steps():
        if step.cache and step.type not in TAKEN_OVER:
            note(f"The cache of step {step.name} is not used: steps of the type {step.type} run every time.")


def parse_parameters(given: list[str], option: str = "-p") -> dict[str, str]:
    """Return the `NAME=VALUE` texts of an option as a mapping; a text of another form is wrong usage."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint=f"'{option}'")
        values[name] = value
    return values


def client_with_server(home: HomeFolder) -> Client:
    """Return a client of the home's server, started in the background when none runs, which is then said."""
    import os

    if not os.environ.get("TOWPATH_ENDPOINT") and home.running_server() is None:
        server = ensure_server(home)
        note(f"Started a server at {server.url} (home {server.home}).\nEnd it with: towpath down{home.option}")
        if server.moved:
            note(server.moved)
    return Client(home=home.path)


def follow_or_detach(
    execution: Execution, client: Client, names: Sequence[str], home: HomeFolder, *, quiet: bool = False
) -> Look:
    """Follow an execution to its end; on Ctrl-C say how to go on and leave.

    Args:
        names: of all its steps, in the order in which they are shown.
    """
    if not quiet and not is_terminal():
        say(f"{execution.pipeline}/{execution.id}")
    try:
        return follow(execution, client, names, quiet=quiet)
    except KeyboardInterrupt:
        note(f"\nDetached; {execution.pipeline}/{execution.id} goes on.\n{how_to_go_on(execution, home)}")
        raise typer.Exit(0) from None


def how_to_go_on(execution: Execution, home: HomeFolder) -> str:
    """Return how an execution is followed and stopped."""
    name = f"{execution.pipeline}/{execution.id}"
    return f"Follow it: towpath logs {name} --follow{home.option}\nStop it:   towpath stop {name}{home.option}"


def report(look: Look, execution: Execution, client: Client, home: HomeFolder) -> None:
    """Print how an execution ended: what it registered, or which step failed, why, and the end of its log."""
    name = f"{execution.pipeline}/{execution.id}"
    if look.status == "Succeeded":
        say(f"{name} Succeeded{_took(look)}")
        for step in look.steps:
            if step.type == "RegisterModel" and step.arn:
                for line in registered(client, step.arn, home):
                    say_as_it_is(line)
    else:
        say(how_it_ended(name, look.described, look.steps))
        for line in ends_of_logs(look.steps, execution, client, home):
            say_as_it_is(line)
    for step in look.steps:
        for line in unmatched_metrics(client, step):
            note(line)


def registered(client: Client, arn: str, home: HomeFolder) -> list[str]:
    """Return in lines what became of a model version, and what to do with it next."""
    version = client.model_version(arn)
    told = [f"Registered {version.name}, {version.approval}"]
    if version.approval == "PendingManualApproval":
        told.append(f"Decide on it: towpath approve {version.name} --note WHY{home.option}")
    if version.approval == "Approved":
        told.append(f"Put it to work: towpath deploy {version.name}{home.option}")
    return told


def how_it_ended(name: str, described: Document, steps: Sequence[StepRun]) -> str:
    """Return in a line how an execution ended that did not succeed, and why; what goes on below it is in a log."""
    short = [
        replace(each, failure_reason=most_telling_line(each.failure_reason))
        if each.failure_reason and each.type != "Fail"  # the message of that is the author's own
        else each
        for each in steps
    ]
    reason = why(described, short)
    return f"{name} {described['PipelineExecutionStatus']}" + (f": {reason}" if reason else "")


def ends_of_logs(steps: Iterable[StepRun], execution: Execution, client: Client, home: HomeFolder) -> Iterator[str]:
    """Yield what the failed steps printed last, and where all of it is."""
    for step in steps:
        log = log_of_step(client, execution.arn, step) if step.status == "Failed" else None
        found = log.last(LOG_LINES) if log is not None else []
        if found:
            yield ""
            yield f"The last lines of {step.name}:"
            for line in found:
                place = " ".join(filter(None, (line.part, line.host)))
                yield f"  {place}: {line.text}" if place else f"  {line.text}"
            yield f"All of them: towpath logs {execution.pipeline}/{execution.id}/{step.name}{home.option}"
            yield f"Log stream:  {found[-1].place}"


def unmatched_metrics(client: Client, step: StepRun) -> list[str]:
    """Return a warning for each metric of a training job whose pattern matched nothing that the job printed."""
    if step.type != "TrainingJob" or step.job is None or step.status != "Succeeded":
        return []
    described = client.call("SageMaker.DescribeTrainingJob", {"TrainingJobName": step.job})
    wanted = described["AlgorithmSpecification"].get("MetricDefinitions") or []
    seen = {metric["MetricName"] for metric in described.get("FinalMetricDataList") or []}
    return [
        f"Warning: {step.name} has no metric {each['Name']!r}: nothing it printed matches {each['Regex']}"
        for each in wanted
        if each["Name"] not in seen
    ]


def _took(look: Look) -> str:
    begun, ended = look.described.get("CreationTime"), look.described.get("LastModifiedTime")
    return f" in {duration(float(ended) - float(begun))}" if begun is not None and ended is not None else ""


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
