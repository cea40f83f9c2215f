"""The kinds of lineage entities that users make: Artifact, Action and Context."""

from towpath.kernel.errors import Conflict, InUse
from towpath.kernel.kinds import COMMON_SORT, CREATED_FILTERS, Kind, View, resource_not_found
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import user_context
from towpath.kernel.resource import Document, Resource
from towpath.lineage.entities import LineageType, user_node

_SORT = {name: COMMON_SORT[name] for name in ("Name", "CreationTime")}


def _shown(entity: Resource) -> Document:
    last = entity.state.get("LastModifiedBy") or entity.created_by
    return {
        "CreatedBy": user_context(entity.account, entity.created_by),
        "LastModifiedBy": user_context(entity.account, last),
    }


def _artifact_shown(artifact: Resource) -> Document:
    # An artifact is known by its ARN; its name is a note, and several may have the same one.
    return {**_shown(artifact), "ArtifactName": artifact.spec.get("ArtifactName")}


def _refuse_associated(transaction: Transaction, entity: Resource) -> None:
    node = user_node(LineageType(entity.kind), entity.uid)
    rows = transaction.lineage
    others = [*rows.edges_into(node), *rows.edges_out_of(node)]
    if others:
        raise InUse(
            f"{entity.kind} {entity.name!r} cannot be deleted while it has {len(others)} associations; remove them "
            "first with DeleteAssociation",
            code="ValidationException",
        )


def _refuse_undelete(_: Transaction, entity: Resource) -> None:
    raise Conflict(f"{entity.kind} {entity.name!r} has left the lineage graph; make it anew with Create{entity.kind}")


ARTIFACT = Kind(
    noun="Artifact",
    arn_type="artifact",
    name_member="ArtifactName",
    arn_member="ArtifactArn",
    describe="DescribeArtifact",
    listing="ListArtifacts",
    list_member="ArtifactSummaries",
    delete="DeleteArtifact",
    missing=resource_not_found,
    view=View(computed=_artifact_shown),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    refuse_delete=_refuse_associated,
    refuse_undelete=_refuse_undelete,
    comes_back=False,
)

ACTION = Kind(
    noun="Action",
    arn_type="action",
    name_member="ActionName",
    arn_member="ActionArn",
    describe="DescribeAction",
    listing="ListActions",
    list_member="ActionSummaries",
    delete="DeleteAction",
    missing=resource_not_found,
    view=View(computed=_shown),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    refuse_delete=_refuse_associated,
    refuse_undelete=_refuse_undelete,
    comes_back=False,
)

CONTEXT = Kind(
    noun="Context",
    arn_type="context",
    name_member="ContextName",
    arn_member="ContextArn",
    describe="DescribeContext",
    listing="ListContexts",
    list_member="ContextSummaries",
    delete="DeleteContext",
    missing=resource_not_found,
    view=View(computed=_shown),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    refuse_delete=_refuse_associated,
    refuse_undelete=_refuse_undelete,
    comes_back=False,
)

KINDS = (ARTIFACT, ACTION, CONTEXT)
