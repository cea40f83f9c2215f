"""`towpath approve`, `reject` and `lineage`: deciding on model versions, and where they come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice
from typing import Annotated

import typer

from towpath.cli.console import duration, say, show_facts, show_json, show_table, size, when
from towpath.cli.naming import steps_of_jobs
from towpath.cli.options import EXAMPLE_VERSION, HomeOption, JsonOption, connect
from towpath.sdk.client import Client
from towpath.sdk.comparison import without_job
from towpath.sdk.errors import NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.registry import ModelVersion, no_group
from towpath.sdk.registry import lineage as lineage_of

RECENT = 10  #: versions of each group shown without --all
VersionArgument = Annotated[str, typer.Argument(metavar="GROUP/VERSION", help=EXAMPLE_VERSION)]
NoteOption = Annotated[str | None, typer.Option("--note", "-m", help="Why; kept with the version.")]


def approve(
    version: VersionArgument, note: NoteOption = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Approve a model version, so that it may be deployed.

    Example: towpath approve reviews/3 --note "better on neutral reviews"
    """
    _decided(connect(home).approve(version, note=note), as_json=as_json)


def reject(
    version: VersionArgument, note: NoteOption = None, as_json: JsonOption = False, home: HomeOption = None
) -> None:
    """Reject a model version.

    Example: towpath reject reviews/3 --note "fails on short reviews"
    """
    _decided(connect(home).reject(version, note=note), as_json=as_json)


def _decided(version: ModelVersion, *, as_json: bool) -> None:
    if as_json:
        show_json(version.described)
    else:
        say(f"{version.name} is {version.approval}{decided_by(version.described)}")


def decided_by(described: Document) -> str:
    """Return by whom and why a version has its approval status, ready to follow the status word."""
    by = (described.get("LastModifiedBy") or {}).get("UserProfileName")
    note = described.get("ApprovalDescription")
    return (f", by {by}" if by else "") + (f": {note}" if note else "")


def models(
    group: Annotated[str | None, typer.Argument(metavar="[GROUP]", help="Only this group's versions.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help=f"Not only the last {RECENT} versions of each group.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List model versions and how they were decided on, newest first.

    Example: towpath models reviews
    """
    client = connect(home)
    groups = client.pages("SageMaker.ListModelPackageGroups", "ModelPackageGroupSummaryList")
    names = [str(each["ModelPackageGroupName"]) for each in groups] if group is None else [group]
    found: list[Document] = []
    for name in names:
        request = {"ModelPackageGroupName": name, "SortBy": "CreationTime", "SortOrder": "Descending"}
        versions = client.pages("SageMaker.ListModelPackages", "ModelPackageSummaryList", request)
        try:
            found += versions if everything else islice(versions, RECENT)
        except NotFound as missing:
            raise no_group(client, name, missing) from missing
    if as_json:
        show_json(found)
        return
    if not found:
        say("No model has been registered yet. A pipeline's Register step does that.")
        return
    show_table(
        ("version", "approval", "made", ""),
        [
            (
                f"{each['ModelPackageGroupName']}/{each['ModelPackageVersion']}",
                str(each["ModelApprovalStatus"]),
                when(each.get("CreationTime")),
                str(each.get("ModelPackageDescription") or ""),
            )
            for each in found
        ],
    )


def lineage(version: VersionArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show where a model version comes from, and who approved it.

    Told are data, code, parameters, environment, metrics, approval and endpoints.
    With --json each file is there with its whole address, digest and version id.

    Example: towpath lineage reviews/3
    """
    client = connect(home)
    found = client.model_version(version)
    document = lineage_of(client, found)
    if as_json:
        show_json(document)
        return
    say(found.name)
    show_lineage(document, steps_in(client, document))


def steps_in(client: Client, document: Document) -> dict[str, str]:
    """Return `PIPELINE/EXECUTION/STEP` by job ARN for the execution that made a version; empty when it is gone.

    Those whose results it took over are among them.
    """
    execution = document.get("PipelineExecution")
    if not execution:
        return {}
    found: dict[str, str] = {}
    arn = str(execution["PipelineExecutionArn"])
    try:
        steps = client.execution(arn).steps()
    except NotFound:
        return {}
    for each in dict.fromkeys([arn, *(step.cached_from for step in steps if step.cached_from is not None)]):
        with suppress(NotFound):  # deleted since
            found |= steps_of_jobs(client, [each])
    return found


def show_lineage(document: Document, steps: Mapping[str, str]) -> None:
    """Print the story of a model version: what is known of it, then the files of which it was made.

    Args:
        steps: as `steps_in` returns them.
    """
    show_facts(facts(document, steps))
    rows = files(document, steps)
    if rows:
        say("")
        show_table(("", "file", "size", "sha256"), rows, indent=2)


def facts(document: Document, steps: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is told of a model version, each with what it tells about."""
    told: list[tuple[str, str]] = []
    approval = document.get("Approval") or {}
    if approval.get("ModelApprovalStatus"):
        told.append(("approval", _approval(approval)))
    for endpoint in document.get("Endpoints") or []:
        text = f"endpoint {endpoint['EndpointName']} ({endpoint['EndpointStatus']})"
        if not endpoint["Serving"] and endpoint["EndpointStatus"] != "Deleted":
            text += ", which has another version now"
        told.append(("serves" if endpoint["Serving"] else "served", text))
    training = document.get("TrainingJob")
    if training:
        job = steps.get(training.get("Arn", ""), training["Name"])
        told.append(("trained by", f"{job}{_at(training.get('EndTime'))}{_took(training)}"))
        if training.get("Parameters"):
            given = sorted(training["Parameters"].items())
            shown = [f"{name} {value}" for name, value in given if not name.startswith("sagemaker_")]
            told.append(("parameters", ", ".join(shown)))
        if training.get("Metrics"):
            shown = [f"{name} {_number(value)}" for name, value in sorted(training["Metrics"].items())]
            told.append(("metrics", ", ".join(shown)))
    execution = document.get("PipelineExecution")
    if execution:
        arn = execution["PipelineExecutionArn"].split("/")
        told.append(("execution", f"{arn[1]}/{arn[-1]}" if len(arn) > 2 else arn[-1]))
    told += [("code", text) for text in _code(document.get("Code") or {})]
    environment = document.get("Environment")
    if environment:
        packages = environment.get("Packages") or []
        count = f", {len(packages)} packages" if packages else ""
        told.append(("environment", f"Python {environment['PythonVersion']}{count}"))
    return told


def _approval(approval: Document) -> str:
    """Return how a version was decided on; of one that waits for that, no more than since when."""
    status, at = approval["ModelApprovalStatus"], approval.get("At")
    why = f": {approval['ApprovalDescription']}" if approval.get("ApprovalDescription") else ""
    if status == "PendingManualApproval":
        return f"{status}{f' since {when(at)}' if at else ''}, nobody has decided{why}"
    return f"{status}{f' by {by}' if (by := approval.get('By')) else ''}{_at(at)}{why}"


def files(document: Document, steps: Mapping[str, str] | None = None) -> list[tuple[str, str, str, str]]:
    """Return the files of the story: what each is to the model, where it lies, its size, the head of its digest.

    Args:
        steps: as `steps_in` returns them; files of these executions are told by the execution's name.
    """
    arn = (document.get("PipelineExecution") or {}).get("PipelineExecutionArn", "")
    inside = f"/{arn.rpartition('/')[2]}/" if arn else ""
    others = {name.rpartition("/")[0] for name in (steps or {}).values()}
    told = [("model", each) for each in document.get("Models") or []]
    told += [(f"read {each.get('Name') or ''}".strip(), each) for each in document.get("Data") or []]
    told += [("made from", each) for each in document.get("SourceData") or []]
    told += [("evaluation", each) for each in document.get("Evaluations") or []]
    return [(what, _where(each, inside, others), size(each["Size"]), str(each["Sha256"])[:12]) for what, each in told]


def _where(artifact: Document, inside: str, others: Collection[str]) -> str:
    """Return where a file lies, as short as it can be told: in a dataset's version, or in an execution's folder."""
    where = str(artifact["S3Uri"])
    other = next((each for each in others if f"/{each}/" in where), None)
    if artifact.get("Dataset"):
        # Its files lie below datasets/NAME/: what comes after that is enough to know them by.
        name = str(artifact["Dataset"])
        rest = where.rpartition(f"datasets/{name.partition('/')[0]}/")[2]
        where = f"dataset {name}" + (f", {rest}" if rest else "")
    elif inside and inside in where:
        where = without_job(where.partition(inside)[2])
    elif other is not None:
        where = without_job(f"{other}/{where.partition(f'/{other}/')[2]}")
    count = f", {artifact['FileCount']} files" if artifact.get("FileCount", 1) > 1 else ""
    return f"{where}{count}"


def _took(job: Document) -> str:
    begun, ended = job.get("StartTime"), job.get("EndTime")
    return f", in {duration(ended - begun)}" if begun and ended else ""


def _code(code: Document) -> list[str]:
    lines = []
    if code.get("Commit"):
        changed = ", changed since" if code.get("Dirty") in {True, "true"} else ""
        where = f" of {code['Repository']}" if code.get("Repository") else ""
        lines.append(f"commit {code['Commit'][:12]}{where}{changed}")
    if code.get("TreeDigest"):
        lines.append(f"scripts with sha256 {str(code['TreeDigest']).removeprefix('sha256:')[:12]}")
    return lines


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _at(epoch_s: float | None) -> str:
    return f" at {when(epoch_s)}" if epoch_s else ""
