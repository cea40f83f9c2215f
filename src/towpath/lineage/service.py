"""The operations on associations and the queries, over the one graph in which the platform records by itself."""

from collections.abc import Callable

from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.kinds import resource_not_found
from towpath.kernel.objects import default_bucket
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, LineageEdge, LineageNode, Transaction
from towpath.kernel.principals import PLATFORM, user_context
from towpath.kernel.resource import Document, Uid
from towpath.lineage.entities import (
    digest_of,
    properties_of,
)
from towpath.lineage.making import GROUP, USERS_NODES, created_within, entity_operations, group_arn, page_of
from towpath.lineage.model import Association, NodeType
from towpath.lineage.naming import ComponentName, Naming
from towpath.lineage.walk import Direction, Step, walk

_DEEPEST = 10  #: MaxDepth of a query, as on SageMaker
_MOST_VERTICES = 50  #: in an answer
#: SortBy of ListAssociations -> what the store sorts by.
_ASSOCIATION_ORDER = {
    "SourceArn": "source_arn",
    "DestinationArn": "destination_arn",
    "SourceType": "source_type",
    "DestinationType": "destination_type",
    "CreationTime": "created_at",
}


class Lineage:
    """The operations on artifacts, actions, contexts, their associations and lineage groups."""

    def __init__(self, component_name: ComponentName) -> None:
        """Take what a job's trial component is called: (kind, name of the job) -> name."""
        self._naming = Naming(component_name)

    def operations(self) -> list[Operation]:
        """Return all of them."""
        return [
            *entity_operations(),
            Operation(name="AddAssociation", function=self.add_association),
            Operation(name="DeleteAssociation", function=self.delete_association),
            Operation(name="ListAssociations", function=self.list_associations, writes=False),
            Operation(name="QueryLineage", function=self.query_lineage, writes=False),
            Operation(name="DescribeLineageGroup", function=describe_lineage_group, writes=False),
            Operation(name="ListLineageGroups", function=list_lineage_groups, writes=False),
            Operation(name="GetLineageGroupPolicy", function=get_lineage_group_policy, writes=False),
        ]

    def add_association(self, transaction: Transaction, request: Request) -> Document:
        """Carry out AddAssociation: an edge of the one graph, said by the caller."""
        asked = request.input
        source = self._naming.node_id(transaction, asked["SourceArn"])
        destination = self._naming.node_id(transaction, asked["DestinationArn"])
        if source == destination:
            raise Invalid("SourceArn and DestinationArn are the same; an association is between two entities")
        for node_id in (source, destination):
            _ensure_node(transaction, node_id)
        transaction.lineage.put_edge(
            source,
            destination,
            asked.get("AssociationType", Association.ASSOCIATED_WITH.value),
            transaction.now,
            by=request.caller.principal,
        )
        return {"SourceArn": asked["SourceArn"], "DestinationArn": asked["DestinationArn"]}

    def delete_association(self, transaction: Transaction, request: Request) -> Document:
        """Carry out DeleteAssociation.

        Raises:
            Conflict: the platform itself recorded it.
            NotFound: the entities are not associated so.
        """
        asked = request.input
        source = self._naming.node_id(transaction, asked["SourceArn"])
        destination = self._naming.node_id(transaction, asked["DestinationArn"])
        if not transaction.lineage.remove_edges(source, destination):
            if any(known == destination for known, _ in transaction.lineage.edges_out_of(source)):
                raise Conflict(
                    "The platform recorded this association when it happened, and what happened cannot be taken back; "
                    "only associations made with AddAssociation can be deleted",
                    code="ValidationException",
                )
            raise resource_not_found("Association", f"{asked['SourceArn']} -> {asked['DestinationArn']}")
        return {"SourceArn": asked["SourceArn"], "DestinationArn": asked["DestinationArn"]}

    def list_associations(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ListAssociations."""
        asked = request.input
        filters = created_within(asked)
        for member, column in (("SourceArn", "source"), ("DestinationArn", "destination")):
            if asked.get(member) is not None:
                filters.append(Filter(column, "=", self._naming.node_id(transaction, asked[member])))
        for member, column in (
            ("SourceType", "source_type"),
            ("DestinationType", "destination_type"),
            ("AssociationType", "association"),
        ):
            if asked.get(member) is not None:
                filters.append(Filter(column, "=", asked[member]))
        order = _ASSOCIATION_ORDER[asked.get("SortBy", "CreationTime")]
        edges, token = transaction.lineage.associations(filters, page_of("Association", order, asked))
        answer: Document = {"AssociationSummaries": [self._association(transaction, edge) for edge in edges]}
        return answer if token is None else {**answer, "NextToken": token}

    def _association(self, transaction: Transaction, edge: LineageEdge) -> Document:
        return {
            "SourceArn": self._naming.arn(transaction, edge.source),
            "DestinationArn": self._naming.arn(transaction, edge.destination),
            "SourceType": edge.source.entity_type,
            "DestinationType": edge.destination.entity_type,
            "AssociationType": edge.association,
            "SourceName": self._naming.name(transaction, edge.source),
            "DestinationName": self._naming.name(transaction, edge.destination),
            "CreationTime": edge.created_at.timestamp(),
            "CreatedBy": user_context(transaction.home.account, edge.created_by or PLATFORM.principal),
        }

    def query_lineage(self, transaction: Transaction, request: Request) -> Document:
        """Carry out QueryLineage.

        The vertices are what is reached and passes the filters, without the start. With IncludeEdges they are all that
        lies on the way, and the start, as the edges between them name it.
        """
        asked = request.input
        arns = asked.get("StartArns")
        if not arns:
            raise Invalid("QueryLineage needs StartArns: the ARNs of artifacts, actions, contexts or trial components")
        start = [self._naming.node_id(transaction, arn) for arn in arns]
        direction = Direction(asked.get("Direction", Direction.BOTH))
        depth = min(int(asked.get("MaxDepth") or _DEEPEST), _DEEPEST)
        limit = min(int(asked.get("MaxResults") or _MOST_VERTICES), _MOST_VERTICES)
        with_edges = bool(asked.get("IncludeEdges"))
        wanted = _wanted(asked.get("Filters") or {})
        vertices: list[Document] = []
        edges: list[Document] = []
        seen_edges: set[tuple[str, str, str]] = set()
        after, last = asked.get("NextToken"), ""
        if after is None and with_edges:
            vertices += [self._vertex(transaction, node) for node in map(transaction.lineage.find, start) if node]
        waiting = after is not None
        for number, step in enumerate(walk(transaction.lineage, start, direction, depth)):
            # What a page shows follows from the walk alone, so the next page walks again and goes on behind the last.
            place = f"{number}-{digest_of(chr(10).join(step.edge))}"
            if waiting:
                waiting = place != after
                continue
            node = transaction.lineage.find(step.node_id)
            shown = step.new and node is not None and (with_edges or wanted(node))
            if shown and len(vertices) >= limit:
                return {"Vertices": vertices, "Edges": edges, "NextToken": last}
            if shown and node is not None:
                vertices.append(self._vertex(transaction, node))
            if with_edges and step.edge not in seen_edges:
                seen_edges.add(step.edge)
                edges += self._edge(transaction, step)
            last = place
        if waiting:
            raise Invalid(f"NextToken {after!r} is not one of this query, or the graph has changed; begin anew")
        return {"Vertices": vertices, "Edges": edges}

    def _vertex(self, transaction: Transaction, node: LineageNode) -> Document:
        return {
            "Arn": self._naming.arn(transaction, node),
            "Type": node.entity_type,
            "LineageType": node.lineage_type,
        }

    def _edge(self, transaction: Transaction, step: Step) -> list[Document]:
        source, destination = (transaction.lineage.find(node_id) for node_id in step.edge[:2])
        if source is None or destination is None:
            return []
        return [
            {
                "SourceArn": self._naming.arn(transaction, source),
                "DestinationArn": self._naming.arn(transaction, destination),
                "AssociationType": step.edge[2],
            }
        ]


def _ensure_node(transaction: Transaction, node_id: str) -> None:
    """Make the node of a trial component that nothing was associated with before."""
    word, _, uid = node_id.partition(":")
    types = {"job": NodeType.JOB, "trial-component": NodeType.TRIAL_COMPONENT}
    if word in types and transaction.lineage.node(node_id) is None:
        resource = transaction.resources.get(Uid(uid))
        properties = {} if resource is None else {"arn": resource.arn, "kind": resource.kind}
        transaction.lineage.put_node(node_id, types[word].value, properties, transaction.now)


def _wanted(filters: Document) -> Callable[[LineageNode], bool]:
    """Return whether a node passes the filters of a query; of several properties one has to match.

    Source: Amazon SageMaker API Reference, "QueryFilters".
    """
    types, lineage_types = filters.get("Types"), filters.get("LineageTypes")
    properties = filters.get("Properties")
    bounds = [
        (filters[member], attribute, after)
        for member, attribute, after in (
            ("CreatedAfter", "created_at", True),
            ("CreatedBefore", "created_at", False),
            ("ModifiedAfter", "modified_at", True),
            ("ModifiedBefore", "modified_at", False),
        )
        if filters.get(member) is not None
    ]

    def passes(node: LineageNode) -> bool:
        if types and node.entity_type not in types:
            return False
        if lineage_types and node.lineage_type not in lineage_types:
            return False
        for bound, attribute, after in bounds:
            moment = getattr(node, attribute).timestamp()
            if moment < bound if after else moment > bound:
                return False
        held = _held(node)
        return not properties or any(held.get(name) == value for name, value in properties.items())

    return passes


def _held(node: LineageNode) -> dict[str, str]:
    if node.type in USERS_NODES:
        held: dict[str, str] = node.properties.get("properties", {})
        return held
    return properties_of(node.type, node.properties)


def _group(transaction: Transaction) -> Document:
    group: Document = {"LineageGroupName": GROUP, "LineageGroupArn": group_arn(transaction), "DisplayName": GROUP}
    # A home has had its group since it has had its default bucket.
    created_at = transaction.objects.bucket_created_at(default_bucket(transaction.home))
    if created_at is not None:
        group |= {"CreationTime": created_at.timestamp(), "LastModifiedTime": created_at.timestamp()}
    return group


def describe_lineage_group(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeLineageGroup: an account has the default group, which holds all."""
    wanted = request.input["LineageGroupName"]
    if wanted not in {GROUP, group_arn(transaction)}:
        raise resource_not_found("LineageGroup", wanted)
    return _group(transaction)


def list_lineage_groups(transaction: Transaction, request: Request) -> Document:
    """Carry out ListLineageGroups: there is one, whose place no order changes."""
    group, asked = _group(transaction), request.input
    if asked.get("NextToken"):
        raise Invalid("This list has one page, whose NextToken is none")
    created = group.get("CreationTime", 0.0)
    within = asked.get("CreatedAfter", created) <= created <= asked.get("CreatedBefore", created)
    return {"LineageGroupSummaries": [group] if within else []}


def get_lineage_group_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out GetLineageGroupPolicy: a group has a policy when it is shared, which nobody does with this one."""
    describe_lineage_group(transaction, request)
    raise resource_not_found("Resource policy of the lineage group", GROUP)
