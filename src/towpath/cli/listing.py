"""`towpath ps` and `towpath describe`: what there is, and how it stands."""

from __future__ import annotations

import json
import re
import time
from typing import Annotated

import typer

from towpath.cli.console import duration, note, say, show_document, show_json, show_table, when
from towpath.cli.naming import JOBS, TUNING, StepNames, find, steps_of_jobs
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk.client import Client
from towpath.sdk.errors import Denied, NotFound, NotOffered, RequestFailed
from towpath.sdk.expressions import Document

RECENT = 10  #: executions and jobs shown without --all
_RUNNING = {"Executing", "InProgress", "Stopping"}


def ps(
    everything: Annotated[bool, typer.Option("--all", "-a", help=f"Not only what runs and the last {RECENT}.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show executions, jobs and endpoints, newest first.

    What a fault of the platform holds up stands below them.

    Example: towpath ps --all
    """
    client = connect(home)
    held_up, untold = _held_up(client)
    found = {
        "Executions": _chosen(executions(client), "PipelineExecutionStatus", "StartTime", everything=everything),
        "Jobs": _chosen(jobs(client), "Status", "CreationTime", everything=everything),
        "Endpoints": list(client.pages("SageMaker.ListEndpoints", "Endpoints")),
    }
    if as_json:
        show_json({**found, "HeldUp": held_up})
        return
    if not held_up and not any(found.values()):
        say("Nothing has run here yet. Try: towpath run pipeline.py, or: towpath demo")
        return
    if found["Executions"]:
        _show_executions(found["Executions"])
    if found["Jobs"]:
        say("")
        _show_jobs(client, found["Jobs"], found["Executions"])
    if found["Endpoints"]:
        say("")
        _show_endpoints(client, found["Endpoints"])
    if held_up:
        say("")
        _show_held_up(held_up)
    if untold is not None and any(each["PipelineExecutionStatus"] in _RUNNING for each in found["Executions"]):
        note(f"Whether a fault of the platform holds an execution up is not told: {untold}")


def _show_executions(found: list[Document]) -> None:
    rows = [
        (
            f"{each['PipelineName']}/{each['PipelineExecutionArn'].rpartition('/')[2]}",
            each["PipelineExecutionStatus"],
            when(each.get("StartTime")),
            _given_name(each),
        )
        for each in found
    ]
    show_table(("execution", "state", "started", "name"), rows)


def _show_jobs(client: Client, found: list[Document], shown: list[Document]) -> None:
    """Show jobs, those of the executions that are shown by the names of their steps."""
    steps = steps_of_jobs(client, (each["PipelineExecutionArn"] for each in shown))
    named = StepNames(client)
    rows = [
        (
            steps.get(each["Arn"], str(each["Name"])),
            each["Status"],
            when(each.get("CreationTime")),
            _took(each),
            named.in_(each["WaitingFor"] or ""),
        )
        for each in found
    ]
    show_table(("job", "state", "started", "time", ""), rows)


def _show_endpoints(client: Client, found: list[Document]) -> None:
    rows = [
        (
            each["EndpointName"],
            each["EndpointStatus"],
            when(each.get("LastModifiedTime")),
            ", ".join(served(client, each["EndpointName"])),
        )
        for each in found
    ]
    show_table(("endpoint", "state", "changed", "serves"), rows)


def _show_held_up(found: list[Document]) -> None:
    rows = [
        (_named(each["ResourceArn"]), when(each["Since"]), str(each["Tries"]), when(each["NextTryAt"]))
        for each in found
    ]
    show_table(("held up", "since", "tries", "next try"), rows)
    say("These wait for a fault of the platform to go away. Why: towpath doctor")


def _held_up(client: Client) -> tuple[list[Document] | None, RequestFailed | None]:
    """Return what a fault of the platform holds up, or why the server does not tell: no right, an older release."""
    try:
        answer = client.call("Towpath.DescribeHeldUpWork", {})
    except (Denied, NotOffered) as refused:
        return None, refused
    return answer["HeldUp"], None


def _named(arn: str) -> str:
    """Return what a resource is called on the command line: PIPELINE/EXECUTION, KIND/NAME."""
    return arn.split(":", 5)[-1].removeprefix("pipeline/").replace("/execution/", "/")


def served(client: Client, endpoint: str) -> list[str]:
    """Return what is behind an endpoint: GROUP/VERSION, or the name of a model that is no model version."""
    try:
        config = client.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint})["EndpointConfigName"]
        variants = client.call("SageMaker.DescribeEndpointConfig", {"EndpointConfigName": config})["ProductionVariants"]
        models = [client.call("SageMaker.DescribeModel", {"ModelName": each["ModelName"]}) for each in variants]
    except NotFound:  # deleted since it was listed; endpoints outlive their configs and models
        return []
    packages = [str((model.get("PrimaryContainer") or {}).get("ModelPackageName") or "") for model in models]
    return [
        package.rpartition("model-package/")[2] or str(model["ModelName"])
        for package, model in zip(packages, models, strict=True)
    ]


def _given_name(execution: Document) -> str:
    """Return the name that somebody gave to an execution; the platform's own, of a number, say nothing."""
    name = str(execution.get("PipelineExecutionDisplayName") or "")
    return "" if re.fullmatch(r"execution-\d+", name) else name


def _for_people(document: Document) -> Document:
    """Return a description with the definition of a pipeline in short: its parameters and the steps it begins with."""
    if "PipelineDefinition" not in document:
        return document
    definition = json.loads(document["PipelineDefinition"])
    parameters = {
        each["Name"]: f"{each['Type']}, {each['DefaultValue']}"
        if "DefaultValue" in each
        else f"{each['Type']}, required"
        for each in definition.get("Parameters") or []
    }
    shown = {"Parameters": parameters, "Steps": _steps(definition.get("Steps") or [])}
    name = "PipelineDefinition"
    return {
        (f"{key} (whole with --json)" if key == name else key): (shown if key == name else value)
        for key, value in document.items()
    }


def _steps(steps: list[Document]) -> Document:
    """Return the types of steps by their names, those inside conditions and loops below them."""
    shown: Document = {}
    for step in steps:
        arguments = step.get("Arguments") or {}
        branches = {
            word: _steps(arguments[member])
            for word, member in (("then", "IfSteps"), ("otherwise", "ElseSteps"), ("each", "ForEachBody"))
            if arguments.get(member)
        }
        shown[step["Name"]] = branches or step["Type"]
    return shown


def executions(client: Client) -> list[Document]:
    """Return the executions of all pipelines, newest first, each with its PipelineName."""
    found = []
    for pipeline in client.pages("SageMaker.ListPipelines", "PipelineSummaries"):
        request = {"PipelineName": pipeline["PipelineName"]}
        for shown in client.pages("SageMaker.ListPipelineExecutions", "PipelineExecutionSummaries", request):
            found.append({"PipelineName": pipeline["PipelineName"], **shown})
    return sorted(found, key=lambda each: float(each.get("StartTime") or 0), reverse=True)


def jobs(client: Client) -> list[Document]:
    """Return jobs, newest first, with the same members for all kinds."""
    found = []
    for kind in (*JOBS, TUNING):
        for shown in client.pages(f"SageMaker.List{kind}s", f"{kind}Summaries"):
            found.append(
                {
                    "Kind": kind,
                    "Name": shown[f"{kind}Name"],
                    "Arn": shown[f"{kind}Arn"],
                    "Status": shown[f"{kind}Status"],
                    "CreationTime": shown.get("CreationTime"),
                    "EndTime": shown.get(f"{kind.removesuffix('Job')}EndTime"),
                    "WaitingFor": _waiting_for(client, kind, shown),
                }
            )
    return sorted(found, key=lambda each: float(each.get("CreationTime") or 0), reverse=True)


def _waiting_for(client: Client, kind: str, shown: Document) -> str | None:
    """Return what of the host a job waits for, None where it does not."""
    if shown[f"{kind}Status"] not in _RUNNING:
        return None
    if kind == "ProcessingJob":
        said: str | None = shown.get("ExitMessage")
        return said
    if kind != "TrainingJob" or shown.get("SecondaryStatus") != "Pending":
        return None
    described = client.call("SageMaker.DescribeTrainingJob", {"TrainingJobName": shown["TrainingJobName"]})
    last: Document = described["SecondaryStatusTransitions"][-1]
    return str(last["StatusMessage"]) if last["Status"] == "Pending" else None


def _chosen(found: list[Document], status: str, at: str, *, everything: bool) -> list[Document]:
    if everything:
        return found
    return [each for index, each in enumerate(found) if index < RECENT or each[status] in _RUNNING]


def _took(job: Document) -> str:
    started, ended = job.get("CreationTime"), job.get("EndTime")
    if started is None or (ended is None and job["Status"] not in _RUNNING):
        return ""
    return duration((time.time() if ended is None else float(ended)) - float(started))


def describe(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="KIND/NAME, PIPELINE/EXECUTION[/STEP], GROUP/VERSION, dataset/NAME, or a plain name."
        ),
    ],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show everything about one resource.

    Example: towpath describe endpoint/reviews
    """
    client = connect(home)
    target = find(client, name)
    document = target.described
    if target.kind == "PipelineExecution":
        request = {"PipelineExecutionArn": document["PipelineExecutionArn"], "SortOrder": "Ascending"}
        steps = client.pages("SageMaker.ListPipelineExecutionSteps", "PipelineExecutionSteps", request)
        document = {**document, "PipelineExecutionSteps": list(steps)}
    if as_json:
        show_json(document)
    else:
        say(f"{target.kind} {target.name}")
        show_document(_for_people(document))
