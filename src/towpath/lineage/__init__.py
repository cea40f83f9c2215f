"""Where everything came from: nodes, edges, and the questions people ask of them."""

from towpath.lineage.model import (
    Artifact,
    Association,
    CodeFacts,
    Edge,
    EnvironmentFacts,
    Graph,
    JobFacts,
    Node,
    NodeType,
    artifact,
    endpoint_graph,
    environment_graph,
    job_graph,
    model_graph,
    model_package_graph,
)
from towpath.lineage.query import OPERATIONS, downstream, summary_of, upstream
from towpath.lineage.record import artifact_at, record

__all__ = [
    "OPERATIONS",
    "Artifact",
    "Association",
    "CodeFacts",
    "Edge",
    "EnvironmentFacts",
    "Graph",
    "JobFacts",
    "Node",
    "NodeType",
    "artifact",
    "artifact_at",
    "downstream",
    "endpoint_graph",
    "environment_graph",
    "job_graph",
    "model_graph",
    "model_package_graph",
    "record",
    "summary_of",
    "upstream",
]
