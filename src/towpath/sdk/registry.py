"""Model versions, named `GROUP/VERSION`: find them, decide on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.known import nothing_called

if TYPE_CHECKING:
    from towpath.sdk.client import Client


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version of a model package group."""

    group: str
    version: int
    arn: str
    approval: str  #: PendingManualApproval, Approved or Rejected
    described: Document  #: what DescribeModelPackage answers

    @property
    def name(self) -> str:
        """`GROUP/VERSION`."""
        return f"{self.group}/{self.version}"


def split_version(name: str) -> tuple[str, int | None]:
    """Return (group, version) of `GROUP/VERSION`; the version is None for `GROUP` and `GROUP/latest`.

    Raises:
        DefinitionError: it has another form.
    """
    if name.startswith("arn:"):
        name = name.partition("model-package/")[2]
    group, _, version = name.partition("/")
    if group and version in {"", "latest"}:
        return group, None
    if not group or not version.isdigit() or int(version) < 1:
        raise DefinitionError(f"{name!r} is no model version; expected GROUP/VERSION, for example reviews/3")
    return group, int(version)


def find_version(client: Client, name: str, *, approved: bool = False) -> ModelVersion:
    """Return the version that `GROUP/VERSION` names; `GROUP` alone means the newest one.

    Args:
        approved: for `GROUP` alone, the newest approved one.
    Raises:
        NotFound: there is no such group or version.
    """
    group, version = split_version(name)
    if version is None:
        request: Document = {
            "ModelPackageGroupName": group,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": 1,
        }
        if approved:
            request["ModelApprovalStatus"] = "Approved"
        try:
            shown = client.call("SageMaker.ListModelPackages", request)["ModelPackageSummaryList"]
        except NotFound as missing:
            raise no_group(client, group, missing) from missing
        if not shown:
            raise NotFound(
                "ValidationException",
                f"model package group {group!r} has no {'approved ' if approved else ''}version",
                status=400,
            )
        arn = str(shown[0]["ModelPackageArn"])
    else:
        try:
            owner = client.call("SageMaker.DescribeModelPackageGroup", {"ModelPackageGroupName": group})
        except NotFound as missing:
            raise no_group(client, group, missing) from missing
        arn = f"{str(owner['ModelPackageGroupArn']).replace(':model-package-group/', ':model-package/', 1)}/{version}"
    try:
        return _version(client.call("SageMaker.DescribeModelPackage", {"ModelPackageName": arn}))
    except NotFound as missing:
        raise NotFound(
            missing.code,
            f"model group {group!r} has no version {version}; towpath models {group} lists those it has",
            status=missing.status,
        ) from missing


def no_group(client: Client, group: str, missing: NotFound) -> NotFound:
    """Return the error that tells which groups there are."""
    listed = client.pages("SageMaker.ListModelPackageGroups", "ModelPackageGroupSummaryList")
    names = (str(each["ModelPackageGroupName"]) for each in listed)
    return nothing_called("model group", group, names, missing, make="a pipeline's Register step makes one")


def decide(client: Client, name: str, approval: str, *, note: str | None) -> ModelVersion:
    """Set the approval status of a model version and return it as it stands then."""
    found = find_version(client, name)
    request = {"ModelPackageArn": found.arn, "ModelApprovalStatus": approval}
    if note:
        request["ApprovalDescription"] = note
    client.call("SageMaker.UpdateModelPackage", request)
    return _version(client.call("SageMaker.DescribeModelPackage", {"ModelPackageName": found.arn}))


def lineage(client: Client, found: ModelVersion) -> Document:
    """Return how a model version came to be: data, code, parameters, environment, metrics."""
    return client.call("Towpath.DescribeModelPackageLineage", {"ModelPackageName": found.arn})


def _version(described: Document) -> ModelVersion:
    return ModelVersion(
        group=str(described["ModelPackageGroupName"]),
        version=int(described["ModelPackageVersion"]),
        arn=str(described["ModelPackageArn"]),
        approval=str(described["ModelApprovalStatus"]),
        described=described,
    )
