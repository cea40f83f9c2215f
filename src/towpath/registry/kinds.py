"""The kinds of the model registry."""

from towpath.kernel.errors import Conflict, InUse, NotFound
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.principals import user_context
from towpath.kernel.resource import Document, Resource
from towpath.registry.cards import MODEL_CARD, MODEL_CARD_VERSION
from towpath.registry.packages import indexed, shown

POLICY = "ResourcePolicy"  #: member of a group's state, shown by an operation of its own


def _does_not_exist(noun: str, name: str) -> NotFound:
    # The SDKs look for "does not exist" with groups and versions, where other kinds say "Could not find".
    return NotFound(f"{noun} {name} does not exist.", code="ValidationException")


def _group_shown(resource: Resource) -> Document:
    return {"CreatedBy": user_context(resource.account, resource.created_by)}


def _refuse_with_versions(transaction: Transaction, group: Resource) -> None:
    versions = transaction.resources.query(
        Query(kind="ModelPackage", filters=(Filter("group", "=", group.name),), limit=1)
    )
    if versions.items:
        raise InUse(
            f"Model Package Group cannot be deleted because it still has versions, for example "
            f"{versions.items[0].name} ({group.arn}); delete them first with DeleteModelPackage",
            code="ConflictException",
        )


def _refuse_without_group(transaction: Transaction, package: Resource) -> None:
    name = package.state.get("ModelPackageGroupName")
    if name is None:
        return
    group = transaction.resources.find("ModelPackageGroup", name)
    if group is None:
        raise Conflict(f"{package.name} belongs to the group {name!r}, which is deleted too; undelete the group first")
    if package.deleted_at is not None and group.created_at > package.deleted_at:
        # The counter of the new group gives the same numbers again.
        raise Conflict(
            f"{package.name} belongs to a group {name!r} that was deleted; the group of that name today is another one"
        )


_SORT = {name: COMMON_SORT[name] for name in ("Name", "CreationTime")}
_FILTERS = {name: COMMON_FILTERS[name] for name in ("NameContains", "CreationTimeAfter", "CreationTimeBefore")}

MODEL_PACKAGE_GROUP = Kind(
    noun="ModelPackageGroup",
    arn_type="model-package-group",
    name_member="ModelPackageGroupName",
    arn_member="ModelPackageGroupArn",
    status_member="ModelPackageGroupStatus",
    describe="DescribeModelPackageGroup",
    listing="ListModelPackageGroups",
    list_member="ModelPackageGroupSummaryList",
    delete="DeleteModelPackageGroup",
    missing=_does_not_exist,
    view=View(computed=_group_shown, hidden=frozenset({POLICY})),
    sort_by=_SORT,
    filters=_FILTERS,
    ascending=True,
    refuse_delete=_refuse_with_versions,
)

#: A version's name is GROUP/VERSION, which is also what follows the type in its ARN.
MODEL_PACKAGE = Kind(
    noun="ModelPackage",
    arn_type="model-package",
    name_member="ModelPackageName",
    arn_member="ModelPackageArn",
    status_member="ModelPackageStatus",
    describe="DescribeModelPackage",
    listing="ListModelPackages",
    list_member="ModelPackageSummaryList",
    delete="DeleteModelPackage",
    missing=_does_not_exist,
    view=View(
        computed=shown,
        hidden=frozenset(
            {
                *("ModelData", "Reports", "Environments", "History"),
                *("ClientToken", "RequestDigest", "UpdateToken", "UpdateDigest"),
            }
        ),
    ),
    sort_by=_SORT,
    filters={
        **_FILTERS,
        "ModelPackageGroupName": ("group", "="),
        "ModelApprovalStatus": ("approval", "="),
        "ModelPackageType": ("type", "="),
    },
    ascending=True,
    indexed=indexed,
    refuse_undelete=_refuse_without_group,
)

KINDS = (MODEL_PACKAGE_GROUP, MODEL_PACKAGE, MODEL_CARD, MODEL_CARD_VERSION)
