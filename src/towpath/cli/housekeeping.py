"""`towpath gc`, `delete` and `undelete`: what goes, and what comes back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import say, show_json, show_table, size, when
from towpath.cli.naming import WORDS, Target, find
from towpath.cli.options import HomeOption, JsonOption, connect, folder
from towpath.sdk.client import Client
from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.expressions import Document

#: Nouns of the kinds that can be deleted -> the member that DeleteX takes.
DELETED_BY = {
    "TrainingJob": "TrainingJobName",
    "ProcessingJob": "ProcessingJobName",
    "HyperParameterTuningJob": "HyperParameterTuningJobName",
    "Endpoint": "EndpointName",
    "EndpointConfig": "EndpointConfigName",
    "Model": "ModelName",
    "Pipeline": "PipelineName",
    "ModelPackageGroup": "ModelPackageGroupName",
    "ModelPackage": "ModelPackageName",
}
_SHOWN = 40  #: items that a person is shown; --json shows more


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Remove what nothing needs any more.

    What was deleted, logs and old versions are kept for as long as the settings say.

    Example: towpath gc --dry-run
    """
    where = folder(home)
    if where.running_server() is not None:
        told = connect(home).call("Towpath.CollectGarbage", {"DryRun": dry_run})
    else:
        told = _without_server(where.path, dry_run=dry_run)
    if as_json:
        show_json(told)
        return
    if not told["Groups"]:
        say("Nothing is to go." if dry_run else "Nothing had to go.")
        return
    if dry_run:
        rows = [
            (str(item["What"]), str(item["Name"]), size(item["Size"]), str(item["Reason"]))
            for item in told["Items"][:_SHOWN]
        ]
        show_table(("what", "name", "size", "why"), rows)
        if told["Count"] > len(rows):
            say(f"… and {told['Count'] - len(rows)} more (--json shows up to 1,000)")
    for group in told["Groups"]:
        say(f"{group['What']}: {group['Count']}, {size(group['Size'])}")
    say(f"{'Would free' if dry_run else 'Freed'} {size(told['Size'])}.")


def _without_server(path: Path, *, dry_run: bool) -> Document:
    """Collect under the home's lock, as the server would."""
    # The server's packages are imported here: with a server running they are not needed.
    from towpath import settings
    from towpath.app import collect_garbage
    from towpath.home import HomeFolder
    from towpath.housekeeping import described
    from towpath.server import held

    home = HomeFolder(path)
    if not home.database.exists():
        raise DefinitionError(f"{path} holds no home; name one with --home or TOWPATH_HOME")
    with held(home):
        outcome = collect_garbage(home, settings.load(home.settings_file), dry_run=dry_run)
    return described(outcome, dry_run=dry_run)


def delete(
    name: Annotated[str, typer.Argument(help="KIND/NAME, GROUP/VERSION, an ARN or a bare name.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Delete something; `towpath undelete` brings it back.

    For how long, the setting keep_deleted_days says. Something is a job, an endpoint, a config, a model, a
    pipeline, a model version or an empty group.

    Example: towpath delete reviews/2 --yes
    """
    client = connect(home)
    target = find(client, name, kinds=tuple(DELETED_BY))
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise DefinitionError(
                f"this would delete the {target.kind} {target.name}; add --yes where nobody can answer"
            )
        if not typer.confirm(f"Delete the {target.kind} {target.name}?"):
            say("Nothing was deleted.")
            return
    client.call(f"SageMaker.Delete{target.kind}", {DELETED_BY[target.kind]: _identity(target)})
    if as_json:
        show_json({"Kind": target.kind, "Name": target.name})
        return
    taken_down = "is being taken down" if target.kind == "Endpoint" else "is deleted"
    say(f"{target.kind} {target.name} {taken_down}. Bring it back: towpath undelete {_typed(target)}")


def _identity(target: Target) -> str:
    return str(target.described["ModelPackageArn"]) if target.kind == "ModelPackage" else target.name


def _typed(target: Target) -> str:
    """Return what somebody types to mean a target."""
    if target.kind == "ModelPackage":
        return target.name
    word = next(word for word, noun in WORDS.items() if noun == target.kind)
    return f"{word}/{target.name}"


def undelete(
    name: Annotated[
        str | None, typer.Argument(help="KIND/NAME, GROUP/VERSION or a bare name. Without one: what there is.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Bring back what was deleted, or list what can come back.

    Example: towpath undelete reviews/2
    """
    client = connect(home)
    if name is None:
        _list_deleted(client, as_json=as_json)
        return
    kind, plain = _deleted(client, name)
    told = client.call("Towpath.Undelete", {"ResourceKind": kind, "ResourceName": plain})
    if as_json:
        show_json(told)
    else:
        starts = "; it starts again" if kind == "Endpoint" else ""
        say(f"{kind} {plain} is back, as it was at {when(told['DeletionTime'])}{starts}.")


def _list_deleted(client: Client, *, as_json: bool) -> None:
    found = list(client.pages("Towpath.ListDeletedResources", "DeletedResources"))
    if as_json:
        show_json(found)
    elif not found:
        say("Nothing was deleted that could come back.")
    else:
        rows = [
            (each["ResourceKind"], each["ResourceName"], when(each["DeletionTime"]), when(each["KeptUntil"]))
            for each in found
        ]
        show_table(("kind", "name", "deleted", "kept until"), rows)


def _deleted(client: Client, name: str) -> tuple[str, str]:
    """Return kind and name of what a name stands for among the deleted."""
    word, _, rest = name.partition("/")
    if rest and word in WORDS:
        return WORDS[word], rest
    if rest:
        return "ModelPackage", rest if word == "model-package" else name
    found = client.pages("Towpath.ListDeletedResources", "DeletedResources", {"ResourceName": name})
    kinds = sorted({str(each["ResourceKind"]) for each in found})
    if not kinds:
        raise NotFound(
            "ResourceNotFound", f"nothing called {name!r} was deleted lately; see: towpath undelete", status=404
        )
    if len(kinds) > 1:
        words = " or ".join(f"{word}/{name}" for word, noun in WORDS.items() if noun in kinds)
        raise DefinitionError(f"several things called {name!r} were deleted; name one as {words}")
    return kinds[0], name
