"""What the nodes that the platform records are in SageMaker's words."""

import pytest

from towpath.kernel.resource import Uid
from towpath.lineage.entities import Entity, LineageType, entity_of, identities_of, properties_of
from towpath.lineage.model import Artifact, Node, NodeType, endpoint_graph, model_graph, model_package_graph

UID = Uid("0123456789abcdef0123456789abcdef")
MODEL = Artifact(bucket="lake", key="model.tar.gz", version_id="v1", sha256="00ff", size=3, role="model")


def entity(node: Node) -> Entity:
    return entity_of(node.id, node.type, node.properties)


def test_an_object_is_an_artifact_with_its_version_and_digest() -> None:
    _, archive = model_package_graph(UID, "arn:package", models=[MODEL]).nodes
    found = entity(archive)
    assert (found.lineage_type, found.type, found.source_uri) == (
        LineageType.ARTIFACT,
        "Model",
        "s3://lake/model.tar.gz",
    )
    assert properties_of(archive.type, archive.properties) == {"VersionId": "v1", "Sha256": "00ff", "Size": "3"}
    assert {"SourceIdType": "S3Version", "Value": "v1"} in identities_of(archive.type, archive.properties)


def test_a_model_stays_a_model_when_it_is_read_as_data() -> None:
    known = model_package_graph(UID, "arn:package", models=[MODEL]).nodes[1].properties
    read = model_graph(
        UID,
        "arn:model",
        name="m",
        models=[Artifact(bucket="lake", key="model.tar.gz", version_id="v1", sha256="00ff", size=3)],
    ).nodes[1]
    assert entity_of(read.id, read.type, {**known, **read.properties}).type == "Model"
    assert entity(read).type == "DataSet"


def test_two_versions_of_an_object_are_two_artifacts() -> None:
    first = model_package_graph(UID, "arn", models=[MODEL]).nodes[1]
    other = Node(first.id.replace("#v1", "#v2"), NodeType.ARTIFACT, first.properties)
    assert entity(first).entity != entity(other).entity


@pytest.mark.parametrize(
    ("node", "lineage_type", "type_", "source"),
    [
        (model_package_graph(UID, "arn:package", models=[]).nodes[0], "Artifact", "ModelPackage", "arn:package"),
        (model_graph(UID, "arn:model", name="m").nodes[0], "Action", "ModelDeployment", "arn:model"),
        (endpoint_graph(UID, "arn:endpoint", name="e", models=[]).nodes[0], "Context", "Endpoint", "arn:endpoint"),
        (Node(f"execution:{UID}", NodeType.EXECUTION, {"arn": "arn:run"}), "Context", "PipelineExecution", "arn:run"),
        (Node(f"job:{UID}", NodeType.JOB, {"kind": "TrainingJob"}), "TrialComponent", "SageMakerTrainingJob", ""),
    ],
)
def test_what_the_platform_records_has_a_word_of_sagemaker(
    node: Node, lineage_type: str, type_: str, source: str
) -> None:
    found = entity(node)
    assert (found.lineage_type, found.type, found.source_uri) == (lineage_type, type_, source)


def test_every_type_of_node_is_an_entity() -> None:
    for type_ in NodeType:
        assert entity_of(f"any:{UID}", type_, {"entity": "e"}).lineage_type in LineageType
