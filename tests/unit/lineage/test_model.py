"""Facts become nodes and edges with ids that stay the same."""

from towpath.kernel.resource import Uid
from towpath.lineage import (
    Artifact,
    Association,
    CodeFacts,
    Edge,
    EnvironmentFacts,
    JobFacts,
    NodeType,
    endpoint_graph,
    environment_graph,
    job_graph,
    model_graph,
    model_package_graph,
)

DATA = Artifact(bucket="b", key="data.csv", version_id="v1", sha256="aa", size=1, name="train", dataset="reviews/2")
MODEL = Artifact(bucket="b", key="model.tar.gz", version_id="v2", sha256="bb", size=2, role="model", name="model")
JOB = JobFacts(uid=Uid("u1"), arn="arn:job", kind="TrainingJob", name="train", status="Completed", execution=Uid("e1"))


def test_an_artifact_is_known_by_its_exact_version() -> None:
    assert DATA.id == "artifact:s3://b/data.csv#v1"


def test_a_job_leaves_an_edge_for_everything_it_used_and_made() -> None:
    code = CodeFacts(commit="c0ffee", dirty=False)
    graph = job_graph(JOB, inputs=[DATA], outputs=[MODEL], environment_id="environment:f", code=code)
    assert set(graph.edges) == {
        Edge(DATA.id, "job:u1", Association.CONTRIBUTED_TO),
        Edge("environment:f", "job:u1", Association.CONTRIBUTED_TO),
        Edge(code.id, "job:u1", Association.CONTRIBUTED_TO),
        Edge("execution:e1", "job:u1", Association.ASSOCIATED_WITH),
        Edge("job:u1", MODEL.id, Association.PRODUCED),
    }
    nodes = {node.id: node for node in graph.nodes}
    assert nodes["job:u1"].properties["datasets"] == {DATA.id: "reviews/2"}
    assert nodes["job:u1"].properties["inputs"] == {DATA.id: {"name": "train", "role": "data"}}


def test_every_edge_of_a_job_ends_in_a_node_or_in_its_environment() -> None:
    graph = job_graph(JOB, inputs=[DATA], outputs=[MODEL], environment_id="environment:f", code=None)
    ends = {end for edge in graph.edges for end in (edge.source, edge.destination)}
    assert ends - {node.id for node in graph.nodes} == {"environment:f"}


def test_code_is_the_same_only_where_all_that_is_known_of_it_is() -> None:
    code = CodeFacts(commit="c0ffee", dirty=False, tree="t", objects=("s3://b/x aa",))
    assert code.id == CodeFacts(commit="c0ffee", dirty=False, tree="t", objects=("s3://b/x aa",)).id
    others = [
        CodeFacts(commit="c0ffee", dirty=True, tree="t", objects=("s3://b/x aa",)),
        CodeFacts(commit="decaf0", dirty=False, tree="t", objects=("s3://b/x aa",)),
        CodeFacts(commit="c0ffee", dirty=False, tree="u", objects=("s3://b/x aa",)),
        CodeFacts(commit="c0ffee", dirty=False, tree="t", objects=("s3://b/x bb",)),
    ]
    assert len({code.id, *(other.id for other in others)}) == 5


def test_the_same_packages_are_the_same_environment() -> None:
    environment = EnvironmentFacts(
        image="towpath", description="", python_version="3.11.7", fingerprint="f", packages={"numpy": "2"}
    )
    (node,) = environment_graph(environment).nodes
    assert (node.id, node.type, node.properties["packages"]) == (
        "environment:f",
        NodeType.ENVIRONMENT,
        {"numpy": "2"},
    )


def test_package_model_and_endpoint_are_chained() -> None:
    report = Artifact(bucket="b", key="evaluation.json", version_id="v3", sha256="cc", size=3, role="evaluation")
    graph = (
        model_package_graph(Uid("p"), "arn:p", models=[MODEL], evaluations=[report])
        + model_graph(Uid("m"), "arn:m", name="m", packages=[Uid("p")])
        + endpoint_graph(Uid("n"), "arn:n", name="n", models=[Uid("m")])
    )
    assert set(graph.edges) == {
        Edge(MODEL.id, "model-package:p", Association.CONTRIBUTED_TO),
        Edge(report.id, "model-package:p", Association.ASSOCIATED_WITH),
        Edge("model-package:p", "model:m", Association.CONTRIBUTED_TO),
        Edge("model:m", "endpoint:n", Association.CONTRIBUTED_TO),
    }
