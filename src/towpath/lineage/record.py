"""Writes graphs into the lineage of a home, and finds the artifacts that a URI stands for."""

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef, ObjectRows, parse_s3_uri
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Uid
from towpath.lineage.model import Artifact, Association, Graph, Node, NodeType, artifact, job_id, version_of


def record(transaction: Transaction, graph: Graph) -> None:
    """Add a graph's nodes and edges; what is there already is merged, so a repeat changes nothing."""
    nodes = [(node.id, node.type.value, _whole(transaction, node)) for node in graph.nodes]
    transaction.lineage.put_nodes(nodes, transaction.now)
    edges = [(edge.source, edge.destination, edge.association.value) for edge in graph.edges]
    transaction.lineage.put_edges(edges, transaction.now)


def _whole(transaction: Transaction, node: Node) -> Document:
    """Return a node's properties with what a job had published before it published this: of each object the last.

    A job that publishes one object again and again would else be a node that grows with each version; the edges stay.
    """
    written: Document = node.properties.get("outputs", {})
    known = transaction.lineage.node(node.id) if written and node.type is NodeType.JOB else None
    if known is None:
        return node.properties
    again = {item.rpartition("#")[0] for item in written}
    before = {item: use for item, use in known[1].get("outputs", {}).items() if item.rpartition("#")[0] not in again}
    return {**node.properties, "outputs": {**before, **written}}


def artifact_at(rows: ObjectRows, uri: str, *, role: str = "data", name: str = "") -> Artifact | None:
    """Return the latest version of the object at an `s3://` URI, None when there is no such object here."""
    try:
        bucket, key = parse_s3_uri(uri)
    except Invalid:
        return None
    version = rows.get(ObjectRef(bucket, key)) if key else None
    if version is None or version.is_delete_marker:
        return None
    return artifact(version, role=role, name=name)


def outputs_of(transaction: Transaction, job: Uid) -> list[ObjectRef]:
    """Return the object versions that a job produced, of each object the last."""
    known = transaction.lineage.node(job_id(job))
    written = {} if known is None else known[1].get("outputs", {})
    return [ref for ref in map(version_of, written) if ref is not None]


def artifact_of(transaction: Transaction, job: Uid, uri: str) -> Artifact | None:
    """Return the version of the object at an `s3://` URI that a job wrote, None when it wrote none or it is gone."""
    bucket, key = parse_s3_uri(uri)
    versions = (artifact(version) for version in transaction.objects.versions(bucket, key) if version.blob is not None)
    rows = transaction.lineage
    made = (found for found in versions if rows.is_recorded(job_id(job), found.id, Association.PRODUCED.value))
    return next(made, None)
