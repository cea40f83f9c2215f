"""The operations on datasets, of the service `towpath`."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.generic import create, describe_operation, document, find, list_operation, record
from towpath.kernel.objects import default_bucket, parse_s3_uri
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.objects.check_outs import DatasetUse, check_out, check_outs_of
from towpath.objects.kinds import DATASET, DATASET_VERSION
from towpath.objects.manifest import ManifestFile, difference, digest, files_of, import_from

VERSION_CREATED = "Dataset Version Created"


def operations(flush: Callable[[], None] = lambda: None) -> list[Operation]:
    """Return the operations on datasets.

    Args:
        flush: has recorded what was read of objects before somebody asks who did.
    """
    return [
        Operation(name="CreateDatasetVersion", function=create_dataset_version),
        describe_operation(DATASET),
        list_operation(DATASET),
        Operation(name="ListDatasetVersions", function=list_dataset_versions, writes=False),
        Operation(name="DescribeDatasetVersion", function=describe_dataset_version, writes=False),
        Operation(name="CheckOutDataset", function=check_out_dataset),
        Operation(
            name="ListDatasetCheckOuts", function=list_dataset_check_outs, writes=False, prepare=lambda _: flush()
        ),
        Operation(name="DiffDatasetVersions", function=diff_dataset_versions, writes=False),
    ]


def import_folder(name: str) -> str:
    """Return the key prefix in the default bucket below which the files of a dataset are put, slash included."""
    return f"datasets/{name}/"


def create_default_bucket(transaction: Transaction) -> None:
    """Make the bucket that imports go to, unless it is there; done at each start."""
    transaction.objects.create_bucket(default_bucket(transaction.home), transaction.now)


def create_dataset_version(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateDatasetVersion: make the files at `S3Uri` the next version, or find the version they are already.

    Raises:
        Invalid: there are no objects.
    """
    asked = request.input
    name = asked["DatasetName"]
    default = f"s3://{default_bucket(transaction.home)}/{import_folder(name)}"
    uri = asked.get("S3Uri") or default
    source, files = import_from(transaction.objects, *parse_s3_uri(uri))
    if not files:
        raise Invalid(f"There are no objects under {source}; put the files of the dataset there first.")
    dataset = transaction.resources.find(DATASET.noun, name)
    if dataset is None:
        spec: Document = {member: value for member, value in asked.items() if member in {"DatasetName", "Description"}}
        dataset = create(transaction, DATASET, request, spec=spec, state={"LatestVersion": 0, "Sources": []})
    found = _same_content(transaction, dataset, digest(files))
    version = found if found is not None else _next_version(transaction, dataset, request, source, files)
    state = {
        **dataset.state,
        "LatestVersion": max(dataset.state["LatestVersion"], version.state["Version"]),
        "Sources": sorted({*dataset.state["Sources"], source}),
    }
    if state != dataset.state:
        transaction.resources.replace(dataset, state=state)
    return {
        "DatasetName": name,
        "DatasetArn": dataset.arn,
        "DatasetVersionArn": version.arn,
        "Version": version.state["Version"],
        "Created": found is None,
        "ManifestSha256": version.state["ManifestSha256"],
        "FileCount": version.state["FileCount"],
        "TotalSize": version.state["TotalSize"],
    }


def list_dataset_versions(transaction: Transaction, request: Request) -> Document:
    """Carry out ListDatasetVersions, the newest first unless asked otherwise."""
    find(transaction, DATASET, request.input["DatasetName"])
    return list_operation(DATASET_VERSION).function(transaction, request)


def describe_dataset_version(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeDatasetVersion: the manifest with everything known of it."""
    _, version = _named(transaction, request.input["DatasetName"], request.input.get("Version"))
    return {**document(DATASET_VERSION, version), "Files": _documents(files_of(version.state))}


def check_out_dataset(transaction: Transaction, request: Request) -> Document:
    """Carry out CheckOutDataset: return the manifest of a version, and record who took it."""
    asked = request.input
    dataset, version = _named(transaction, asked["DatasetName"], asked.get("Version"))
    files = files_of(version.state)
    use = DatasetUse(
        dataset=dataset.name,
        version=version.state["Version"],
        arn=version.arn,
        dataset_uid=dataset.uid,
        manifest_sha256=version.state["ManifestSha256"],
        refs=tuple(file.ref for file in files),
        complete=True,
    )
    check_out(
        transaction,
        use,
        principal=request.caller.principal,
        purpose=asked.get("Purpose", ""),
        request_id=request.caller.request_id,
    )
    return {
        "DatasetName": dataset.name,
        "DatasetVersionArn": version.arn,
        "Version": use.version,
        "ManifestSha256": use.manifest_sha256,
        "CheckOutTime": transaction.now.timestamp(),
        "Files": _documents(files),
    }


def list_dataset_check_outs(transaction: Transaction, request: Request) -> Document:
    """Carry out ListDatasetCheckOuts, the newest first."""
    asked = request.input
    dataset = find(transaction, DATASET, asked["DatasetName"])
    shown, token = check_outs_of(
        transaction,
        dataset,
        version=asked.get("Version"),
        limit=int(asked.get("MaxResults") or 100),
        token=asked.get("NextToken"),
    )
    return {"CheckOuts": shown, **({"NextToken": token} if token is not None else {})}


def diff_dataset_versions(transaction: Transaction, request: Request) -> Document:
    """Carry out DiffDatasetVersions."""
    asked = request.input
    dataset, before = _named(transaction, asked["DatasetName"], asked["FromVersion"])
    _, after = _named(transaction, asked["DatasetName"], asked.get("ToVersion"))
    found = difference(files_of(before.state), files_of(after.state))
    return {
        "DatasetName": dataset.name,
        "FromVersion": before.state["Version"],
        "ToVersion": after.state["Version"],
        "Added": _documents(found.added),
        "Removed": _documents(found.removed),
        "Changed": [{"Path": new.path, "Before": old.document, "After": new.document} for old, new in found.changed],
        "UnchangedCount": found.unchanged,
    }


def _same_content(transaction: Transaction, dataset: Resource, sha256: str) -> Resource | None:
    """Return the version of a dataset that has this content."""
    filters = (Filter("dataset", "=", dataset.name), Filter("manifest", "=", sha256))
    page = transaction.resources.query(Query(kind=DATASET_VERSION.noun, filters=filters, sort_by="version", limit=1))
    return page.items[0] if page.items else None


def _next_version(
    transaction: Transaction, dataset: Resource, request: Request, source: str, files: list[ManifestFile]
) -> Resource:
    number = transaction.resources.next_number(f"dataset:{dataset.uid}")
    spec: dict[str, Any] = {"DatasetName": dataset.name, "S3Uri": source}
    if "Description" in request.input:
        spec["Description"] = request.input["Description"]
    without_tags = {member: value for member, value in request.input.items() if member != "Tags"}
    version = create(
        transaction,
        DATASET_VERSION,
        replace(request, input=without_tags),
        name=f"{dataset.name}/{number}",
        spec=spec,
        state={
            "Version": number,
            "ManifestSha256": digest(files),
            "FileCount": len(files),
            "TotalSize": sum(file.size for file in files),
            "Manifest": msgspec.to_builtins(files),
        },
    )
    record(transaction, dataset, request, VERSION_CREATED, version=number, source=source)
    return version


def _named(transaction: Transaction, name: str, number: int | None) -> tuple[Resource, Resource]:
    """Return a dataset and one of its versions, the latest when none is named.

    Raises:
        NotFound: there is no such dataset, or it has no such version.
    """
    dataset = find(transaction, DATASET, name)
    latest = dataset.state["LatestVersion"]
    wanted = latest if number is None else number
    version = transaction.resources.find(DATASET_VERSION.noun, f"{dataset.name}/{wanted}")
    if version is None:
        raise NotFound(
            f"Dataset '{dataset.name}' has no version {wanted}; its latest is {latest}.", code="ResourceNotFound"
        )
    return dataset, version


def _documents(files: list[ManifestFile]) -> list[Document]:
    return [file.document for file in files]
