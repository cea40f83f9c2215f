"""The kinds of datasets: a dataset is a named list of versions, each with a manifest."""

from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View, resource_not_found
from towpath.kernel.resource import Document, Resource


def _created_by(resource: Resource) -> Document:
    return {"CreatedBy": resource.created_by}


def _version_indexed(resource: Resource) -> dict[str, str | float | None]:
    return {
        "dataset": resource.spec["DatasetName"],
        "version": resource.state["Version"],
        "manifest": resource.state["ManifestSha256"],
    }


DATASET = Kind(
    noun="Dataset",
    arn_type="dataset",
    name_member="DatasetName",
    arn_member="DatasetArn",
    describe="DescribeDataset",
    listing="ListDatasets",
    list_member="Datasets",
    missing=resource_not_found,
    view=View(computed=_created_by),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime", "LastModifiedTime")},
    filters={name: COMMON_FILTERS[name] for name in ("NameContains", "CreationTimeAfter", "CreationTimeBefore")},
)

#: A version's name is DATASET/VERSION, which is also what follows the type in its ARN.
DATASET_VERSION = Kind(
    noun="DatasetVersion",
    arn_type="dataset-version",
    name_member="DatasetVersionName",
    arn_member="DatasetVersionArn",
    listing="ListDatasetVersions",
    list_member="DatasetVersions",
    missing=resource_not_found,
    view=View(computed=_created_by, hidden=frozenset({"Manifest"})),
    sort_by={"Version": "version", "CreationTime": COMMON_SORT["CreationTime"]},
    default_sort="version",
    filters={"DatasetName": ("dataset", "=")},
    indexed=_version_indexed,
)

KINDS = (DATASET, DATASET_VERSION)
