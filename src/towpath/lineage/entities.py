"""What a node of the lineage is in SageMaker's words: an artifact, an action, a context or a trial component. Pure.

What the platform recorded by itself is shown so: versions of objects, code, environments and model packages as
artifacts, models as the action of deploying them, endpoints and executions as contexts, jobs as trial components.
What users make with CreateArtifact, CreateAction and CreateContext has nodes of its own types beside them.

Source: Amazon SageMaker Developer Guide, "Lineage Tracking Entities" and "Amazon SageMaker AI-Created Tracking
Entities", for the words of the types.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from towpath.kernel.resource import Document, Uid
from towpath.lineage.model import NodeType


class LineageType(StrEnum):
    """The four kinds of entities."""

    ARTIFACT = "Artifact"
    ACTION = "Action"
    CONTEXT = "Context"
    TRIAL_COMPONENT = "TrialComponent"


#: What an entity of users stands as in the graph: its kind is that of a resource.
NODE_TYPES: Mapping[LineageType, NodeType] = {
    LineageType.ARTIFACT: NodeType.NAMED_ARTIFACT,
    LineageType.ACTION: NodeType.ACTION,
    LineageType.CONTEXT: NodeType.CONTEXT,
}
_OF_USERS = {type_: lineage_type for lineage_type, type_ in NODE_TYPES.items()}
_JOB_TYPES = {
    "ProcessingJob": "SageMakerProcessingJob",
    "TrainingJob": "SageMakerTrainingJob",
    "TransformJob": "SageMakerTransformJob",
}
ARN_TYPES: Mapping[LineageType, str] = {
    LineageType.ARTIFACT: "artifact",
    LineageType.ACTION: "action",
    LineageType.CONTEXT: "context",
    LineageType.TRIAL_COMPONENT: "experiment-trial-component",
}


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is found and listed by."""

    lineage_type: LineageType
    entity: str  #: what stands in its ARN behind the type; does not change while the node lives
    type: str  #: "DataSet", "Model", "Endpoint", …
    source_uri: str = ""


def digest_of(node_id: str) -> str:
    """Return what stands for a node in the ARN of an artifact."""
    return hashlib.sha256(node_id.encode()).hexdigest()[:32]


def user_node(lineage_type: LineageType, uid: Uid) -> str:
    """Return the id of the node of an entity that a user made."""
    return f"{lineage_type.value.lower()}-entity:{uid}"


def component_node(uid: Uid) -> str:
    """Return the id of the node of a trial component that is not the record of a job."""
    return f"trial-component:{uid}"


def entity_of(node_id: str, type_: str, properties: Document) -> Entity:
    """Return the entity that a node is."""
    _, _, uid = node_id.partition(":")
    match type_:
        case NodeType.ARTIFACT:
            return _artifact(node_id, properties.get("artifact_type", "DataSet"), properties.get("uri", ""))
        case NodeType.CODE:
            # The objects that it consists of are artifacts of their own.
            return _artifact(node_id, "Code", properties.get("repository") or node_id)
        case NodeType.ENVIRONMENT:
            return _artifact(node_id, "Environment", node_id)
        case NodeType.MODEL_PACKAGE:
            return _artifact(node_id, "ModelPackage", properties.get("arn", ""))
        case NodeType.MODEL:
            return Entity(
                lineage_type=LineageType.ACTION,
                entity=f"{properties.get('name', 'model')}-{uid[:8]}-aws-model-deployment",
                type="ModelDeployment",
                source_uri=properties.get("arn", ""),
            )
        case NodeType.ENDPOINT:
            return Entity(
                lineage_type=LineageType.CONTEXT,
                entity=f"{properties.get('name', 'endpoint')}-{uid[:8]}-aws-endpoint",
                type="Endpoint",
                source_uri=properties.get("arn", ""),
            )
        case NodeType.EXECUTION:
            return Entity(
                lineage_type=LineageType.CONTEXT,
                entity=f"{uid}-aws-pipeline-execution",
                type="PipelineExecution",
                source_uri=properties.get("arn", ""),
            )
        case NodeType.JOB | NodeType.TRIAL_COMPONENT:
            return Entity(
                lineage_type=LineageType.TRIAL_COMPONENT,
                entity=uid,
                type=_JOB_TYPES.get(properties.get("kind", ""), "TrialComponent"),
                source_uri=properties.get("arn", ""),
            )
    return Entity(
        lineage_type=_OF_USERS[NodeType(type_)],
        entity=properties.get("entity", ""),
        type=properties.get("entity_type", ""),
        source_uri=properties.get("source_uri", ""),
    )


def _artifact(node_id: str, type_: str, source_uri: str) -> Entity:
    return Entity(lineage_type=LineageType.ARTIFACT, entity=digest_of(node_id), type=type_, source_uri=source_uri)


_SHOWN = {
    NodeType.ARTIFACT: {"version_id": "VersionId", "sha256": "Sha256", "size": "Size"},
    NodeType.CODE: {"commit": "Commit", "dirty": "Dirty", "tree": "TreeDigest"},
    NodeType.ENVIRONMENT: {"python_version": "PythonVersion", "fingerprint": "Fingerprint"},
    NodeType.ENDPOINT: {"config": "EndpointConfigName"},
}


def properties_of(type_: str, properties: Document) -> dict[str, str]:
    """Return what an entity that the platform recorded shows as its Properties: texts by name."""
    names = _SHOWN.get(NodeType(type_), {})
    return {shown: str(properties[name]) for name, shown in names.items() if properties.get(name) is not None}


def identities_of(type_: str, properties: Document) -> list[Document]:
    """Return the SourceTypes of an artifact: the exact version of an object, and its digest."""
    if type_ != NodeType.ARTIFACT:
        return []
    return [
        {"SourceIdType": "S3Version", "Value": str(properties.get("version_id", ""))},
        {"SourceIdType": "Custom", "Value": f"sha256:{properties.get('sha256', '')}"},
    ]
