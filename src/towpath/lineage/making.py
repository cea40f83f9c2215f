"""The operations on artifacts, actions and contexts: those that users make, and those that the platform recorded.

What a user made is a resource, with a node in the graph by which it is found and associated. What the platform recorded
is a node alone: it is shown like the others, and refuses to be changed.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.kinds import Kind, resource_not_found
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, LineageNode, Query, Transaction
from towpath.kernel.principals import PLATFORM, user_context
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage.entities import ARN_TYPES, NODE_TYPES, LineageType, identities_of, properties_of, user_node
from towpath.lineage.kinds import ACTION, ARTIFACT, KINDS

GROUP = "sagemaker-default-lineage-group"  #: the one lineage group of an account
USERS_NODES = frozenset(NODE_TYPES.values())  #: types of the nodes of what users made


def entity_operations() -> list[Operation]:
    """Return the operations on artifacts, actions and contexts."""
    found = []
    for kind in KINDS:
        assert kind.describe is not None
        assert kind.listing is not None
        assert kind.delete is not None
        found += [
            Operation(name=f"Create{kind.noun}", function=_creating(kind)),
            Operation(name=kind.describe, function=_describing(kind), writes=False),
            Operation(name=kind.listing, function=_listing(kind), writes=False),
            Operation(name=f"Update{kind.noun}", function=_updating(kind)),
            Operation(name=kind.delete, function=_deleting(kind)),
        ]
    return found


def group_arn(transaction: Transaction) -> str:
    """Return the ARN of the lineage group that holds everything."""
    return transaction.home.arn("lineage-group", GROUP)


def page_of(kind: str, order: str, asked: Document) -> Query:
    """Return the page that a List request asks for."""
    return Query(
        kind=kind,
        sort_by=order,
        descending=asked.get("SortOrder", "Descending") == "Descending",
        limit=min(int(asked.get("MaxResults") or 10), 100),
        token=asked.get("NextToken"),
    )


def created_within(asked: Document) -> list[Filter]:
    """Return the filters by time of a List request."""
    return [
        Filter("created_at", operator, datetime.fromtimestamp(float(asked[member]), UTC))
        for member, operator in (("CreatedAfter", ">="), ("CreatedBefore", "<="))
        if asked.get(member) is not None
    ]


def _node_properties(kind: Kind, entity: Resource) -> Document:
    """Return what the node of a user's entity is found and filtered by; the entity itself is the resource."""
    return {
        "entity": entity.name,
        "entity_type": entity.spec[f"{kind.noun}Type"],
        "source_uri": entity.spec["Source"]["SourceUri"],
        "properties": entity.spec.get("Properties") or {},
    }


def _creating(kind: Kind) -> Any:
    lineage_type = LineageType(kind.noun)

    def create(transaction: Transaction, request: Request) -> Document:
        name = uuid4().hex if kind is ARTIFACT else request.input[kind.name_member]
        spec = {member: value for member, value in request.input.items() if member != "Tags"}
        entity = generic.create(transaction, kind, request, name=name, spec=spec)
        node_id = user_node(lineage_type, entity.uid)
        properties = _node_properties(kind, entity)
        transaction.lineage.put_node(node_id, NODE_TYPES[lineage_type].value, properties, transaction.now)
        return {kind.arn_member: entity.arn}

    return create


def _given(kind: Kind, asked: Document) -> str:
    return str(asked[kind.arn_member if kind is ARTIFACT else kind.name_member])


def _recorded(transaction: Transaction, kind: Kind, wanted: str) -> LineageNode | None:
    """Return the node of an entity that the platform recorded, None where a user made it."""
    arn = wanted if wanted.startswith("arn:") else transaction.home.arn(kind.arn_type, wanted)
    if transaction.resources.by_arn(arn) is not None:
        return None
    return transaction.lineage.by_entity(kind.noun, arn.rpartition("/")[2])


def _describing(kind: Kind) -> Any:
    def describe(transaction: Transaction, request: Request) -> Document:
        wanted = _given(kind, request.input)
        node = _recorded(transaction, kind, wanted)
        if node is not None:
            return _shown(transaction, kind, node)
        shown = generic.document(kind, generic.find(transaction, kind, wanted))
        return {**shown, "LineageGroupArn": group_arn(transaction)}

    return describe


def _shown(transaction: Transaction, kind: Kind, node: LineageNode) -> Document:
    """Return what is shown of an entity that the platform recorded."""
    by = user_context(transaction.home.account, PLATFORM.principal)
    name = node.source_uri.rpartition("/")[2] if kind is ARTIFACT else node.entity
    source: Document = {"SourceUri": node.source_uri}
    if kind is ARTIFACT:
        source["SourceTypes"] = identities_of(node.type, node.properties)
    document: Document = {
        kind.name_member: name,
        kind.arn_member: transaction.home.arn(kind.arn_type, node.entity),
        f"{kind.noun}Type": node.entity_type,
        "Source": source,
        "Properties": properties_of(node.type, node.properties),
        "CreationTime": node.created_at.timestamp(),
        "LastModifiedTime": node.modified_at.timestamp(),
        "CreatedBy": by,
        "LastModifiedBy": by,
        "LineageGroupArn": group_arn(transaction),
    }
    return {**document, "Status": "Completed"} if kind is ACTION else document


def _listing(kind: Kind) -> Any:
    def listing(transaction: Transaction, request: Request) -> Document:
        asked = request.input
        filters = [Filter("lineage_type", "=", kind.noun), *created_within(asked)]
        for member, column in (("SourceUri", "source_uri"), (f"{kind.noun}Type", "entity_type")):
            if asked.get(member) is not None:
                filters.append(Filter(column, "=", asked[member]))
        order = "entity" if asked.get("SortBy") == "Name" else "created_at"
        nodes, token = transaction.lineage.entities(filters, page_of(kind.noun, order, asked))
        answer: Document = {kind.list_member or "": [_summary(transaction, kind, node) for node in nodes]}
        return answer if token is None else {**answer, "NextToken": token}

    return listing


def _summary(transaction: Transaction, kind: Kind, node: LineageNode) -> Document:
    if node.type in USERS_NODES:
        entity = transaction.resources.get(Uid(node.id.partition(":")[2]))
        if entity is not None:
            return generic.document(kind, entity)
    return _shown(transaction, kind, node)


def _updating(kind: Kind) -> Any:
    lineage_type = LineageType(kind.noun)
    members = ("ArtifactName",) if kind is ARTIFACT else ("Description", "Status")

    def update(transaction: Transaction, request: Request) -> Document:
        asked = request.input
        entity = _users(transaction, kind, _given(kind, asked), "changed")
        properties = {**(entity.spec.get("Properties") or {}), **asked.get("Properties", {})}
        for name in asked.get("PropertiesToRemove", ()):
            properties.pop(name, None)
        changed = {member: asked[member] for member in members if member in asked}
        updated = transaction.resources.replace(
            entity,
            spec={**entity.spec, **changed, "Properties": properties},
            state={**entity.state, "LastModifiedBy": request.caller.principal},
            generation=entity.generation + 1,
        )
        node_id = user_node(lineage_type, entity.uid)
        transaction.lineage.put_node(
            node_id, NODE_TYPES[lineage_type].value, _node_properties(kind, updated), transaction.now
        )
        generic.record(transaction, updated, request, request.operation)
        return {kind.arn_member: updated.arn}

    return update


def _users(transaction: Transaction, kind: Kind, wanted: str, verb: str) -> Resource:
    """Return an entity that a user made.

    Raises:
        Conflict: the platform recorded it.
    """
    if _recorded(transaction, kind, wanted) is not None:
        raise Conflict(
            f"The platform recorded the {kind.noun.lower()} {wanted} when it happened, so it cannot be {verb}; "
            f"only what was made with Create{kind.noun} can",
            code="ValidationException",
        )
    return generic.find(transaction, kind, wanted)


def _deleting(kind: Kind) -> Any:
    generic_delete = generic.delete_operation(kind).function

    def delete(transaction: Transaction, request: Request) -> Document:
        wanted = _to_delete(transaction, kind, request.input)
        entity = _users(transaction, kind, wanted, "deleted")
        member = kind.arn_member if kind is ARTIFACT else kind.name_member
        answer = generic_delete(transaction, msgspec.structs.replace(request, input={member: entity.arn}))
        transaction.lineage.remove_node(user_node(LineageType(kind.noun), entity.uid))
        return answer

    return delete


def _to_delete(transaction: Transaction, kind: Kind, asked: Document) -> str:
    """Return the name or ARN of what is to be deleted; an artifact may be given by its source."""
    if kind is not ARTIFACT or asked.get("ArtifactArn"):
        return _given(kind, asked)
    source = asked.get("Source")
    if source is None:
        raise Invalid("DeleteArtifact needs either ArtifactArn or Source")
    filters = [Filter("lineage_type", "=", kind.noun), Filter("source_uri", "=", source["SourceUri"])]
    nodes, _ = transaction.lineage.entities(filters, Query(kind=kind.noun, limit=2))
    if len(nodes) > 1:
        raise Invalid(f"Several artifacts have the source {source['SourceUri']}; name one by its ArtifactArn")
    if not nodes:
        raise resource_not_found(kind.noun, source["SourceUri"])
    return transaction.home.arn(ARN_TYPES[LineageType.ARTIFACT], nodes[0].entity)
