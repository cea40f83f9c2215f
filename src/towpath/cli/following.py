"""`towpath logs` and `towpath stop`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated

import typer

from towpath.cli.console import note, say, show_json
from towpath.cli.naming import JOBS, Target, find
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk.client import Client
from towpath.sdk.executions import ENDED, POLL_S, Execution
from towpath.sdk.logs import LogLine


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="PIPELINE[/EXECUTION[/STEP]], an endpoint, or a job.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job or execution has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Only the last so many lines.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Show when each line was written.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Print the log of an execution, a step, an endpoint or a job.

    PIPELINE alone means its newest execution, as PIPELINE/latest does; PIPELINE/latest/STEP is a step of that.

    Example: towpath logs reviews/4k2j9s8d7f6g/Train --follow
    """
    client = connect(home)
    target = find(client, name, kinds=(*JOBS, "PipelineExecution", "Endpoint", "Pipeline"))

    shown = 0

    def show(line: LogLine, step: str) -> None:
        nonlocal shown
        shown += 1
        if as_json:
            show_json_line(line, step)
            return
        words = [line.at.astimezone().strftime("%H:%M:%S")] if timestamps else []
        words += [" ".join(filter(None, (step, line.host))) + ":"] if step or line.host else []
        print(" ".join([*words, line.text]), flush=follow)

    try:
        if target.kind in {"PipelineExecution", "Pipeline"}:
            execution = client.execution(
                f"{target.name}/latest" if target.kind == "Pipeline" else target.described["PipelineExecutionArn"]
            )
            _execution_logs(client, execution, show, follow=follow, tail=tail)
        else:
            for line in client.logs(target.kind, target.name, follow=follow, tail=tail):
                show(line, "")
    except KeyboardInterrupt:
        note(f"\nStopped following; {target.name} goes on.")
        return
    if not shown:
        note(nothing_printed(find(client, name, kinds=(target.kind,)) if follow else target, name))


def nothing_printed(target: Target, name: str) -> str:
    """Return what is told instead of an empty log: that it is empty, and where the job failed, why."""
    reason = target.described.get("FailureReason")
    return f"The log of {name} is empty." + (f" It is {target.status}: {reason}" if reason else "")


def show_json_line(line: LogLine, step: str) -> None:
    """Print a log line as one line of JSON."""
    shown = {"At": line.at.timestamp(), "Step": step or None, "Message": line.text}
    print(json.dumps({**shown, **({"Host": line.host} if line.host else {})}, ensure_ascii=False))


def _execution_logs(
    client: Client, execution: Execution, show: Callable[[LogLine, str], None], *, follow: bool, tail: int | None
) -> None:
    """Show the logs of an execution's jobs, one after the other as they began."""
    done: set[str] = set()
    while True:
        # Asked first: a job that begins before the execution ends is then not missed.
        ended = execution.status in ENDED
        for step in execution.steps():
            if step.job is None or step.name in done:
                continue
            done.add(step.name)
            for line in client.logs(step.type, step.job, follow=follow, tail=tail):
                show(line, step.name)
        if ended or not follow:
            return
        time.sleep(POLL_S)


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
    target = find(client, name, kinds=("PipelineExecution", *JOBS, "HyperParameterTuningJob", "Endpoint"))
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
