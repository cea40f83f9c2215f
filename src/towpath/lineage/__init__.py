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
    datasets_graph,
    endpoint_graph,
    environment_graph,
    job_graph,
    model_graph,
    model_package_graph,
)
from towpath.lineage.query import downstream, operations, summary_of, upstream
from towpath.lineage.record import artifact_at, artifact_of, is_produced, record

__all__ = [
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
    "artifact_of",
    "datasets_graph",
    "downstream",
    "endpoint_graph",
    "environment_graph",
    "is_produced",
    "job_graph",
    "model_graph",
    "model_package_graph",
    "operations",
    "record",
    "summary_of",
    "upstream",
]
