"""Writes graphs into the lineage of a home, and finds the artifacts that a URI stands for."""

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef, ObjectRows, parse_s3_uri
from towpath.kernel.ports import Transaction
from towpath.lineage.model import Artifact, Graph, artifact


def record(transaction: Transaction, graph: Graph) -> None:
    """Add a graph's nodes and edges; what is there already is merged, so a repeat changes nothing."""
    for node in graph.nodes:
        transaction.lineage.put_node(node.id, node.type.value, node.properties, transaction.now)
    for edge in graph.edges:
        transaction.lineage.put_edge(edge.source, edge.destination, edge.association.value, transaction.now)


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
