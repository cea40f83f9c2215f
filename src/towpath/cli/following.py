"""`towpath logs` and `towpath stop`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Annotated

import typer
from rich.text import Text

from towpath.cli.console import console, note, say, show_json
from towpath.cli.naming import JOBS, STEP, TUNING, Target, find, find_entry
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.cli.run import ends_of_logs, how_it_ended
from towpath.cli.server import folder
from towpath.home import HomeFolder
from towpath.sdk.client import Client
from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.executions import Execution
from towpath.sdk.logs import LONGEST_TAIL, LogLine
from towpath.sdk.step_runs import step_run

_SUCCEEDED = frozenset({"Succeeded", "Completed"})
#: Of the steps of an execution, in the order in which they print first. Red is for failures.
COLOURS_OF_STEPS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green")


def logs(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="PIPELINE[/EXECUTION[/STEP[/N]]], an endpoint, or a job.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job or execution has ended.")] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", min=1, max=LONGEST_TAIL, help="Only the last lines, of all together."),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Show when each line was written.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Print the log of an execution, a step, an endpoint or a job.

    PIPELINE alone means its newest execution, as PIPELINE/latest does; PIPELINE/latest/STEP is a step of that. An
    execution that is followed shows all its steps side by side. On a terminal each step has its colour; NO_COLOR takes
    them away, FORCE_COLOR gives them to a pipe as well.

    The log of a Tuning step is that of all its training jobs, each line with the number of its own: STEP/N, as in
    reviews/latest/Tune/3, is the log of one. The log of a Lambda step is what its function printed when it was called.

    With --follow the exit code is that of `towpath run`: 0 when the execution or job succeeded, 1 when it failed or was
    stopped. Why it failed goes to standard error, and standard output is the log alone.

    Example: towpath logs reviews/4k2j9s8d7f6g/Train --follow
    """
    client = connect(home)
    target = find(client, name, kinds=(*JOBS, TUNING, STEP, "PipelineExecution", "Endpoint", "Pipeline"))
    execution = None
    if target.kind in {"PipelineExecution", "Pipeline"}:
        execution = client.execution(
            f"{target.name}/latest" if target.kind == "Pipeline" else target.described["PipelineExecutionArn"]
        )
        lines = execution.logs(follow=follow, tail=tail)
    elif target.kind == STEP:
        place, _, step = target.name.rpartition("/")
        of_step = client.execution(place).logs(step, follow=follow, tail=tail)
        lines = (replace(line, step="") for line in of_step)  # as those of a step that runs a job
    else:
        lines = client.logs(target.kind, target.name, follow=follow, tail=tail)
    prefix = StepColours()
    shown = 0
    try:
        for line in lines:
            shown += 1
            if as_json:
                show_json_line(line)
                continue
            time = [line.at.astimezone().strftime("%H:%M:%S")] if timestamps else []
            print(" ".join([*time, *prefix.of(line), line.text]), flush=follow)
    except KeyboardInterrupt:
        note(f"\nStopped following; {target.name} goes on.")
        return
    ended = _as_it_ended(client, target, execution) if follow else target
    if not shown:
        note(nothing_printed(ended, name))
    if not follow or ended.status in _SUCCEEDED:
        return
    if execution is not None and not as_json:
        _say_why_it_failed(execution, ended, client, folder(home))
    elif shown and not as_json:
        note(f"\n{name} {ended.status}: {ended.described.get('FailureReason') or 'no reason given'}")
    raise typer.Exit(1)


def _as_it_ended(client: Client, followed: Target, execution: Execution | None) -> Target:
    """Return what was followed as it stands now."""
    if execution is None:
        return find(client, followed.name, kinds=(followed.kind,))
    name = f"{execution.pipeline}/{execution.id}"
    return Target(kind="PipelineExecution", name=name, described=execution.describe())


def _say_why_it_failed(execution: Execution, ended: Target, client: Client, home: HomeFolder) -> None:
    """Say why an execution failed, and repeat the last lines of the steps that did: others have printed since."""
    steps = execution.steps()
    note(f"\n{how_it_ended(ended.name, ended.described, steps)}")
    for line in ends_of_logs(steps, execution, client, home):
        print(line, file=sys.stderr)


def nothing_printed(target: Target, name: str) -> str:
    """Return what is told instead of an empty log: that it is empty, and where the job failed, why."""
    reason = target.described.get("FailureReason")
    return f"The log of {name} is empty." + (f" It is {target.status}: {reason}" if reason else "")


class StepColours:
    """What stands before the lines of a log: the step, the number of the training job and the host that printed them.

    Each step has its colour, or each training job where it is the log of one tuning job.
    """

    def __init__(self) -> None:
        self._console = console()
        self._prefixes: dict[tuple[str, str], str] = {}
        self._colours: dict[str, str] = {}

    def of(self, line: LogLine) -> list[str]:
        """Return the words before a line: one, or none where it is not of several."""
        key = ("/".join(filter(None, (line.step, line.part))), line.host)
        if not any(key):
            return []
        if key not in self._prefixes:
            one = line.step or line.part
            colour = self._colours.setdefault(one, COLOURS_OF_STEPS[len(self._colours) % len(COLOURS_OF_STEPS)])
            with self._console.capture() as written:
                self._console.print(Text(" ".join(filter(None, key)) + ":", style=colour), end="", soft_wrap=True)
            self._prefixes[key] = written.get()
        return [self._prefixes[key]]


def show_json_line(line: LogLine) -> None:
    """Print a log line as one line of JSON."""
    shown = {"At": line.at.timestamp(), "Step": line.step or None, "Message": line.text}
    more = {name: text for name, text in (("Part", line.part), ("Host", line.host)) if text}
    print(json.dumps({**shown, **more}, ensure_ascii=False))


def stop(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="PIPELINE/EXECUTION, a job, PIPELINE/EXECUTION/STEP, or an endpoint.")
    ],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Stop an execution or a job, or take an endpoint down.

    Example: towpath stop endpoint/reviews
    """
    client = connect(home)
    try:
        target = find(client, name, kinds=("PipelineExecution", *JOBS, "HyperParameterTuningJob", "Endpoint"))
    except NotFound:
        _refuse_step(client, name)
        raise
    if target.kind == "PipelineExecution":
        client.execution(target.described["PipelineExecutionArn"]).stop()
        done = "is stopping; its jobs get their time of grace"
    elif target.kind == "Endpoint":
        client.call("SageMaker.DeleteEndpoint", {"EndpointName": target.name})
        done = "is being taken down; its config and model stay, so it can be deployed again"
    else:
        client.call(f"SageMaker.Stop{target.kind}", {f"{target.kind}Name": target.name})
        done = "is stopping"
    if as_json:
        show_json({"Kind": target.kind, "Name": target.name})
    else:
        say(f"{target.kind} {target.name} {done}.")


def _refuse_step(client: Client, name: str) -> None:
    """Refuse to stop a step that runs no job of its own, with what can be stopped instead; nothing for other names.

    Raises:
        DefinitionError: the name is that of such a step.
    """
    step = find_entry(client, name)
    if step is None:
        return
    status = step.described["StepStatus"]
    place = step.name.rpartition("/")[0]
    if step_run(step.described).has_ended:
        raise DefinitionError(f"step {step.name} is {status}; nothing of it is left to stop")
    raise DefinitionError(
        f"step {step.name} is {status} and runs no job that could be stopped by itself; it ends with its execution: "
        f"towpath stop {place}"
    )
