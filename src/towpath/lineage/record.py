"""Writes graphs into the lineage of a home, and finds the artifacts that a URI stands for."""

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef, ObjectRows, parse_s3_uri
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Uid
from towpath.lineage.model import Artifact, Association, Graph, NodeType, artifact, job_id, version_of


def record(transaction: Transaction, graph: Graph) -> None:
    """Add a graph's nodes and edges; what is there already is merged, so a repeat changes nothing."""
    new = []
    for node in graph.nodes:
        written: Document = node.properties.get("outputs", {}) if node.type is NodeType.JOB else {}
        known = transaction.lineage.node(node.id) if written else None
        if known is None:
            new.append((node.id, node.type.value, node.properties))
        else:  # put down by itself: it may name a hundred thousand objects, and is not new
            merged = {**node.properties, "outputs": _with_earlier(written, known[1].get("outputs", {}))}
            transaction.lineage.put_node(node.id, node.type.value, merged, transaction.now)
    transaction.lineage.put_nodes(new, transaction.now)
    edges = [(edge.source, edge.destination, edge.association.value) for edge in graph.edges]
    transaction.lineage.put_edges(edges, transaction.now)


def _with_earlier(written: Document, earlier: Document) -> Document:
    """Return what a job published and what it had published before: of each object the last.

    A job that publishes one object again and again would else be a node that grows with each version; the edges stay.
    """
    if not earlier:
        return written
    again = {item.rpartition("#")[0] for item in written}
    return {**{item: use for item, use in earlier.items() if item.rpartition("#")[0] not in again}, **written}


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
    return next((found for found in versions if is_produced(transaction, job, found)), None)


def is_produced(transaction: Transaction, job: Uid, found: Artifact) -> bool:
    """Return whether a job wrote this version of an object."""
    return transaction.lineage.is_recorded(job_id(job), found.id, Association.PRODUCED.value)
