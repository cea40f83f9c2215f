"""A model as the model dashboard and a search show it: with the endpoints that serve it."""

from towpath.hosting.kinds import ENDPOINT, MODEL
from towpath.kernel.generic import document
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, Uid


def dashboard_entry(transaction: Transaction, model: Resource) -> Document:
    """Return a model and the endpoints that were made with it and still are there."""
    found = []
    rows, node = transaction.lineage, f"model:{model.uid}"
    for node_id, association in rows.edges_out_of(node):
        word, _, uid = node_id.partition(":")
        served = word == "endpoint" and rows.is_recorded(node, node_id, association)
        endpoint = transaction.resources.get(Uid(uid)) if served else None
        if endpoint is not None and endpoint.is_live:
            found.append(document(ENDPOINT, endpoint))
    tags = [{"Key": key, "Value": value} for key, value in sorted(transaction.resources.tags(model.uid).items())]
    return {"Model": {**document(MODEL, model), "Tags": tags}, "Endpoints": found}
