"""`towpath data`: datasets of the lake, version by version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import busy, note, say, show_json, show_table, size, when
from towpath.cli.naming import StepNames
from towpath.cli.options import HomeOption, JsonOption, connect, folder, listing_all
from towpath.cli.run import client_with_server
from towpath.sdk.accesses import Access, accesses
from towpath.sdk.build import is_code
from towpath.sdk.dataset_versions import DatasetVersion, split_dataset
from towpath.sdk.datasets import dataset
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document
from towpath.sdk.lake import split_uri

RECENT = 50  #: accesses that are shown where not all are asked for

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Put datasets into the lake, get them out, compare versions."
)


@app.command()
def put(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders that make up the version.")],
    description: Annotated[str | None, typer.Option(help="What is in it, or new in it.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make files and folders the newest version of a dataset.

    The same content keeps its number. A server is started when none runs.

    Example: towpath data put reviews reviews.parquet
    """
    dataset(name)  # a name that none can have is refused before anything is started
    for path in paths:
        if not path.exists():
            raise DefinitionError(f"there is no file or folder {str(path)!r}")
    client = client_with_server(folder(home))
    with busy(f"Putting {name} into the lake"):
        version = client.datasets.put(name, paths, description=description)
    if as_json:
        show_json(
            {
                "DatasetName": version.dataset,
                "Version": version.version,
                "FileCount": version.files,
                "TotalSize": version.size,
                "Created": version.created,
            }
        )
    else:
        say(put_line(version))


def put_line(version: DatasetVersion) -> str:
    """Return in a line what a put made."""
    unchanged = "" if version.created else ", unchanged"
    return f"{version.name}: {version.files} file{'s' * (version.files != 1)}, {size(version.size)}{unchanged}"


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME[/VERSION]", help="The newest version, or that one.")],
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to write it.")] = Path(),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write a version of a dataset into a folder. The server records who took which version and when.

    Example: towpath data get reviews/2 ./reviews
    """

    def written(file: str, count: int) -> None:
        if not as_json:
            note(f"{file}  {size(count)}")

    version = connect(home).datasets.get(name, folder, progress=written)
    if as_json:
        show_json({"DatasetName": version.dataset, "Version": version.version, "Folder": str(folder)})
    else:
        say(f"{version.name} is in {folder}: {version.files} file{'s' * (version.files != 1)}, {size(version.size)}")


@app.command(cls=listing_all("towpath data versions {}"))
def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the datasets.

    Example: towpath data ls
    """
    found = list(connect(home).datasets.names())
    if as_json:
        show_json(found)
    elif not found:
        say("There are no datasets yet. Put one: towpath data put NAME FILE")
    else:
        rows = [
            (each["DatasetName"], str(each.get("LatestVersion", "")), when(each.get("LastModifiedTime")))
            for each in found
        ]
        show_table(("dataset", "newest", "changed"), rows)


@app.command()
def versions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the versions of a dataset, newest first.

    Example: towpath data versions reviews
    """
    found = list(connect(home).datasets.versions(name))
    if as_json:
        show_json(found)
        return
    rows = [
        (
            f"{name}/{each['Version']}",
            str(each["FileCount"]),
            size(each["TotalSize"]),
            when(each.get("CreationTime")),
            str(each.get("CreatedBy", "")),
            str(each.get("Description") or ""),
        )
        for each in found
    ]
    show_table(("version", "files", "size", "made", "by", ""), rows)


@app.command("check-outs")
def check_outs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List who took which version of a dataset, newest first.

    Told are check-outs, jobs, and reads of its files by S3, one line for what somebody read within an hour.

    Example: towpath data check-outs reviews
    """
    client = connect(home)
    found = list(client.datasets.check_outs(name))
    if as_json:
        show_json(found)
        return
    steps = StepNames(client)
    rows = [
        (f"{name}/{each['Version']}", str(each["Principal"]), when(each["CheckOutTime"]), steps.in_(_for(each)))
        for each in found
    ]
    show_table(("version", "by", "at", "for"), rows)


@app.command("accesses")
def list_accesses(
    uri: Annotated[
        str | None, typer.Argument(metavar="[S3URI]", help="Only of s3://BUCKET, or of s3://BUCKET/KEY.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="USER", help="Only what this user did.")] = None,
    operation: Annotated[str | None, typer.Option(metavar="NAME", help="Only this, for example GetObject.")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help=f"Not only the last {RECENT}.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List who read and wrote which objects, newest first.

    One line for what somebody did with one version of an object within an hour. What jobs read is in their lineage. The
    code that pipelines take along is only counted, unless --all, --json or S3URI asks for it.

    Example: towpath data accesses s3://sagemaker-us-east-1-000000000000/datasets/reviews/reviews.parquet
    """
    if uri is not None:
        split_uri(uri)  # what names no bucket is refused here, with what was expected
    found = accesses(connect(home), uri, by=by, operation=operation)
    if as_json:
        show_json([asdict(each) for each in (found if everything else islice(found, RECENT))])
        return
    code: list[Access] = []
    told = found if everything or uri is not None else without_code(found, code)
    shown = list(told if everything else islice(told, RECENT))
    if not shown and not code:
        say("Nothing was read or written there, as far as it is kept.")
        return
    rows = [
        (each.operation, each.principal, when(each.last_at), str(each.requests), each.uri, each.version_id[:12])
        for each in shown
    ]
    show_table(("operation", "by", "last", "requests", "object", "version"), rows)
    if code:
        say(f"Left out: {len(code)} of the code that pipelines took along (--all shows it)")


def without_code(found: Iterable[Access], left_out: list[Access]) -> Iterator[Access]:
    """Yield the accesses but for those of the code that `towpath run` and `create` put beside a pipeline."""
    for access in found:
        if is_code(access.uri):
            left_out.append(access)
        else:
            yield access


def _for(check_out: Document) -> str:
    """Return what read the data, or why it was taken."""
    if check_out.get("EventName"):
        files = check_out["FileCount"]
        part = "all files" if check_out["Complete"] else f"{files} file{'s' * (files != 1)}"
        return f"{part} by {check_out['EventName']}"
    reader = str(check_out.get("Reader") or "")
    return reader.rpartition("/")[2] or str(check_out.get("Purpose") or "")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="NAME/VERSION", help="The version before.")],
    after: Annotated[str, typer.Argument(metavar="VERSION", help="The version after, as NAME/VERSION or VERSION.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how two versions of a dataset differ.

    Told are the files that were added, removed and changed.

    Example: towpath data diff reviews/1 reviews/2
    """
    name, first = split_dataset(before)
    other, second = split_dataset(after if "/" in after else f"{name}/{after}")
    if first is None or second is None:
        raise DefinitionError("give two versions, for example: towpath data diff reviews/1 reviews/2")
    if other != name:
        raise DefinitionError(f"{before} and {after} are versions of two datasets; expected two of one")
    document = connect(home).datasets.diff(name, first, second)
    if as_json:
        show_json(document)
        return
    rows = [(what.lower(), str(entry["Path"])) for what in ("Added", "Removed", "Changed") for entry in document[what]]
    if rows:
        show_table(("", "file"), rows)
    else:
        say(f"{name}/{first} and {name}/{second} hold the same files")
