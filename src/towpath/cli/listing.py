"""`towpath ps` and `towpath describe`: what there is, and how it stands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from towpath.cli.console import duration, note, say, say_as_it_is, show_document, show_json, show_table, when
from towpath.cli.naming import JOBS, TUNING, StepNames, find, never_run, steps_of_jobs
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.cli.questions import Question, answer_command, declared_outputs, open_questions, outputs_of
from towpath.cli.trials import names_of_trials, without_trials
from towpath.sdk.client import Client
from towpath.sdk.errors import Denied, NotFound, NotOffered, RequestFailed
from towpath.sdk.expressions import Document
from towpath.sdk.step_runs import step_run

RECENT = 10  #: executions and jobs shown without --all
_RUNNING = {"Executing", "InProgress", "Stopping"}


def ps(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="Only its executions, with their jobs.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", "-a", help=f"Not only what runs and the last {RECENT}; training jobs of tuning jobs, too."
        ),
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show executions, jobs and endpoints, newest first.

    What a fault of the platform holds up stands below them.

    Example: towpath ps reviews --all
    """
    client = connect(home)
    if pipeline is not None:
        find(client, pipeline, kinds=("Pipeline",))  # says what there is where nothing has the name
    held_up, untold = _held_up(client)
    there = executions(client, pipeline)
    shown = _chosen(there, "PipelineExecutionStatus", everything=everything)
    jobs_there = jobs(client)
    # A page of steps for each execution: programs that ask for everything do without.
    steps = {} if as_json and pipeline is None else steps_of_jobs(client, (e["PipelineExecutionArn"] for e in shown))
    steps |= names_of_trials(jobs_there, steps)
    if pipeline is not None:
        jobs_there = [each for each in jobs_there if each["Arn"] in steps]
        held_up = held_up and [each for each in held_up if _named(each["ResourceArn"]).startswith(f"{pipeline}/")]
    listed, trials = (jobs_there, 0) if everything else without_trials(jobs_there)
    found = {
        "Executions": shown,
        "Jobs": _chosen(listed, "Status", everything=everything or pipeline is not None),
        "Endpoints": list(client.pages("SageMaker.ListEndpoints", "Endpoints")) if pipeline is None else [],
    }
    if as_json:
        show_json({**found, "HeldUp": held_up})
        return
    if not held_up and not any(found.values()):
        say(
            "Nothing has run here yet. Try: towpath run pipeline.py, or: towpath demo"
            if pipeline is None
            else never_run(pipeline)
        )
        return
    command = "towpath ps --all" if pipeline is None else f"towpath ps {pipeline} --all"
    if found["Executions"]:
        _show_executions(client, found["Executions"])
        _say_more(len(there) - len(shown), "", command)
    if found["Jobs"] or trials:
        say("")
        _show_jobs(client, found["Jobs"], steps)
        left_out = len(listed) - len(found["Jobs"])
        count = f"{trials} of them " if left_out else ""
        _say_more(left_out + trials, f"{count}training jobs of tuning jobs" if trials else "", command)
    if found["Endpoints"]:
        say("")
        _show_endpoints(client, found["Endpoints"])
    if held_up:
        say("")
        _show_held_up(held_up)
    if untold is not None and any(each["PipelineExecutionStatus"] in _RUNNING for each in found["Executions"]):
        note(f"Whether a fault of the platform holds an execution up is not told: {untold}")


def _say_more(left_out: int, of_them: str, command: str) -> None:
    if left_out:
        say_as_it_is(f"{left_out} more{of_them and ', ' + of_them}: {command}")


def _show_executions(client: Client, found: list[Document]) -> None:
    running = (str(each["PipelineExecutionArn"]) for each in found if each["PipelineExecutionStatus"] == "Executing")
    asked: dict[str, list[Question]] = {}
    for question in open_questions(client, running):
        asked.setdefault(question.execution, []).append(question)
    rows = [
        (
            f"{each['PipelineName']}/{each['PipelineExecutionArn'].rpartition('/')[2]}",
            each["PipelineExecutionStatus"],
            when(each.get("StartTime")),
            _given_name(each),
            _waits(asked.get(each["PipelineExecutionArn"], [])),
        )
        for each in found
    ]
    show_table(("execution", "state", "started", "name", ""), rows)
    for question in (question for questions in asked.values() for question in questions):
        if question.step.undelivered is not None:
            say(f"{question.name}: {question.step.undelivered}")
    if asked:
        say_as_it_is("What to type to answer: towpath answer")


def _waits(questions: list[Question]) -> str:
    return f"waits for answer: {', '.join(each.step.name for each in questions)}" if questions else ""


def _show_jobs(client: Client, found: list[Document], steps: Mapping[str, str]) -> None:
    """Show jobs, those of the executions that are shown by the names of their steps."""
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


def executions(client: Client, pipeline: str | None = None) -> list[Document]:
    """Return the executions of a pipeline, or of all of them, newest first, each with its PipelineName."""
    names = [pipeline] if pipeline is not None else _pipelines(client)
    found = []
    for name in names:
        request = {"PipelineName": name}
        for shown in client.pages("SageMaker.ListPipelineExecutions", "PipelineExecutionSummaries", request):
            found.append({"PipelineName": name, **shown})
    return sorted(found, key=lambda each: float(each.get("StartTime") or 0), reverse=True)


def _pipelines(client: Client) -> list[str]:
    return [str(each["PipelineName"]) for each in client.pages("SageMaker.ListPipelines", "PipelineSummaries")]


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


def _chosen(found: list[Document], status: str, *, everything: bool) -> list[Document]:
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
        if target.kind == "PipelineExecutionStep" and step_run(document).waits_for_answer:
            place, _, step = target.name.rpartition("/")
            declared = declared_outputs(client, client.execution(place).arn)
            command = answer_command(target.name, outputs_of(declared, step))
            say_as_it_is(f"It waits for its answer: {command}")
            say_as_it_is(f"Or let it fail:          {answer_command(target.name, ())} --fail REASON")
