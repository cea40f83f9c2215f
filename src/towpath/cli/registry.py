"""`towpath approve`, `reject` and `lineage`: deciding on model versions, and where they come from."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.cli.console import say, show_json, size, when
from towpath.cli.options import EXAMPLE_VERSION, HomeOption, JsonOption, connect
from towpath.sdk.expressions import Document
from towpath.sdk.registry import ModelVersion
from towpath.sdk.registry import lineage as lineage_of

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


def lineage(version: VersionArgument, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show where a model version comes from: data, code, parameters, environment, metrics, approval, endpoints.

    Example: towpath lineage reviews/3
    """
    client = connect(home)
    found = client.model_version(version)
    document = lineage_of(client, found)
    if as_json:
        show_json(document)
        return
    say(found.name)
    for line in lineage_lines(document):
        say(line)


def lineage_lines(document: Document) -> list[str]:
    """Return the story of a model version in lines for people, each beginning with what it tells about."""
    lines: list[tuple[str, str]] = []
    for model in document.get("Models") or []:
        lines.append(("model", _artifact(model)))
    training = document.get("TrainingJob")
    if training:
        lines.append(("trained by", f"{training['Name']}{_at(training.get('EndTime'))}"))
        if training.get("Parameters"):
            given = sorted(training["Parameters"].items())
            told = [f"{name} {value}" for name, value in given if not name.startswith("sagemaker_")]
            lines.append(("parameters", ", ".join(told)))
        if training.get("Metrics"):
            told = [f"{name} {_number(value)}" for name, value in sorted(training["Metrics"].items())]
            lines.append(("metrics", ", ".join(told)))
    for data in document.get("Data") or []:
        lines.append(("read", _artifact(data)))
    for data in document.get("SourceData") or []:
        lines.append(("from", _artifact(data)))
    lines += [("code", text) for text in _code(document.get("Code") or {})]
    environment = document.get("Environment")
    if environment:
        packages = environment.get("Packages") or []
        count = f", {len(packages)} packages" if packages else ""
        lines.append(("environment", f"Python {environment['PythonVersion']}{count}"))
    for report in document.get("Evaluations") or []:
        lines.append(("evaluated", f"{_artifact(report)}{' by ' + report['Job'] if report.get('Job') else ''}"))
    approval = document.get("Approval") or {}
    if approval.get("ModelApprovalStatus"):
        by = f" by {approval['By']}" if approval.get("By") else ""
        why = f": {approval['ApprovalDescription']}" if approval.get("ApprovalDescription") else ""
        lines.append(("approval", f"{approval['ModelApprovalStatus']}{by}{_at(approval.get('At'))}{why}"))
    for endpoint in document.get("Endpoints") or []:
        shown = f"endpoint {endpoint['EndpointName']} ({endpoint['EndpointStatus']})"
        if not endpoint["Serving"] and endpoint["EndpointStatus"] != "Deleted":
            shown += ", which has another version now"
        lines.append(("serves" if endpoint["Serving"] else "served", shown))
    execution = document.get("PipelineExecution")
    if execution:
        arn = execution["PipelineExecutionArn"].split("/")
        lines.append(("execution", f"{arn[1]}/{arn[-1]}" if len(arn) > 2 else arn[-1]))
    return [f"  {what.ljust(12)} {text}" for what, text in lines]


def _artifact(artifact: Document) -> str:
    named = f"{artifact['Name']}: " if artifact.get("Name") else ""
    where = str(artifact["S3Uri"])
    if artifact.get("Dataset"):
        # Its files lie below datasets/NAME/: what comes after that is enough to know them by.
        name = str(artifact["Dataset"])
        inside = where.rpartition(f"datasets/{name.partition('/')[0]}/")[2]
        where = f"dataset {name}" + (f", {inside}" if inside else "")
    count = f"{artifact['FileCount']} files, " if artifact.get("FileCount", 1) > 1 else ""
    return f"{named}{where}, {count}{size(artifact['Size'])}, sha256 {artifact['Sha256'][:12]}"


def _code(code: Document) -> list[str]:
    lines = []
    if code.get("Commit"):
        changed = ", changed since" if code.get("Dirty") in {True, "true"} else ""
        where = f" of {code['Repository']}" if code.get("Repository") else ""
        lines.append(f"commit {code['Commit'][:12]}{where}{changed}")
    if code.get("TreeDigest"):
        lines.append(f"tree {str(code['TreeDigest']).removeprefix('sha256:')[:12]}")
    return lines


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _at(epoch_s: float | None) -> str:
    return f" at {when(epoch_s)}" if epoch_s else ""
