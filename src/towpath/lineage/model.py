"""The lineage graph as values: nodes with stable ids, edges with SageMaker's words, and what each kind of fact adds."""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.resource import Document, Uid

_ARTIFACT = "artifact:s3://"  #: how the ids of the nodes of object versions begin


class NodeType(StrEnum):
    """What a node stands for."""

    ARTIFACT = "Artifact"  #: one version of an object
    JOB = "Job"  #: a trial component in SageMaker's words
    CODE = "Code"
    ENVIRONMENT = "Environment"
    EXECUTION = "PipelineExecution"
    MODEL_PACKAGE = "ModelPackage"
    MODEL = "Model"
    ENDPOINT = "Endpoint"
    TRIAL_COMPONENT = "TrialComponent"  #: one that is not the record of a job
    NAMED_ARTIFACT = "NamedArtifact"  #: made by a user, as are actions and contexts
    ACTION = "Action"
    CONTEXT = "Context"


class Association(StrEnum):
    """How two nodes belong together; SageMaker's words. An edge points the way that the data went."""

    CONTRIBUTED_TO = "ContributedTo"
    PRODUCED = "Produced"
    ASSOCIATED_WITH = "AssociatedWith"


class Node(msgspec.Struct, frozen=True):
    """One thing that data came from, went through or became."""

    id: str
    type: NodeType
    properties: Document = msgspec.field(default_factory=dict)


class Edge(msgspec.Struct, frozen=True):
    """A use."""

    source: str
    destination: str
    association: Association


class Graph(msgspec.Struct, frozen=True):
    """What one fact adds to the graph."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    def __add__(self, other: "Graph") -> "Graph":
        return Graph(self.nodes + other.nodes, self.edges + other.edges)


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One exact version of an object, and what it was to the one who used it."""

    bucket: str
    key: str
    version_id: str
    sha256: str
    size: int
    role: str = "data"  #: "data", "code", "model", "checkpoint", "evaluation", …
    name: str = ""  #: of the channel, input or output that it belonged to
    dataset: str | None = None  #: NAME/VERSION of the dataset version that it was read as, when known

    @property
    def uri(self) -> str:
        """The `s3://bucket/key` form."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def id(self) -> str:
        """The node's id."""
        return f"{_ARTIFACT}{self.bucket}/{self.key}#{self.version_id}"


def artifact(version: ObjectVersion, *, role: str = "data", name: str = "", dataset: str | None = None) -> Artifact:
    """Return a version of an object as an artifact."""
    return Artifact(
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        sha256=version.sha256,
        size=version.size,
        role=role,
        name=name,
        dataset=dataset,
    )


class CodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where code comes from."""

    commit: str | None = None
    dirty: bool | None = None
    tree: str | None = None  #: digest of the code itself
    repository: str | None = None
    objects: tuple[str, ...] = ()  #: `uri sha256` of the code objects

    @property
    def id(self) -> str:
        """The node's id. Jobs share the node only where all that is known of their code is the same: the steps of one
        commit run different files, and one tree may be part of many commits."""
        return f"code:{hashlib.sha256(msgspec.json.encode(self)).hexdigest()}"


class EnvironmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a job ran in."""

    image: str
    description: str
    python_version: str
    fingerprint: str
    packages: Mapping[str, str]

    @property
    def id(self) -> str:
        """The node's id: environments with the same Python and packages share it."""
        return environment_id(self.fingerprint)


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is, and how it ended where it has."""

    uid: Uid
    arn: str
    kind: str  #: "TrainingJob", "ProcessingJob"
    name: str
    status: str = ""  #: how it ended; empty while it runs
    attempt: int = 1
    image: str = ""
    command: tuple[str, ...] = ()
    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    metrics: Mapping[str, float] = msgspec.field(default_factory=dict)
    started_at: float | None = None  #: epoch seconds
    ended_at: float | None = None
    packs_only: bool = False  #: only packed code into a model that another job trained
    added_packages: Mapping[str, str] = msgspec.field(default_factory=dict)  #: by its requirements to its environment
    began: str = ""  #: "warm", or "cold" and why; empty where warm starts are off
    execution: Uid | None = None
    execution_arn: str = ""

    @property
    def id(self) -> str:
        """The node's id."""
        return job_id(self.uid)


def environment_id(fingerprint: str) -> str:
    """Return the id of the node of an environment."""
    return f"environment:{fingerprint}"


def version_of(node_id: str) -> ObjectRef | None:
    """Return the object version that the node of an artifact stands for, None of other nodes."""
    uri, _, version_id = node_id.removeprefix(_ARTIFACT).rpartition("#")
    bucket, _, key = uri.partition("/")
    return ObjectRef(bucket, key, version_id) if node_id.startswith(_ARTIFACT) else None


def job_id(uid: Uid) -> str:
    """Return the id of a job's node."""
    return f"job:{uid}"


def environment_graph(environment: EnvironmentFacts) -> Graph:
    """Return the node of an environment."""
    properties = {
        "python_version": environment.python_version,
        "fingerprint": environment.fingerprint,
        "packages": dict(sorted(environment.packages.items())),
    }
    return Graph((Node(environment.id, NodeType.ENVIRONMENT, properties),))


def datasets_graph(job: Uid, read: Iterable[Artifact]) -> Graph:
    """Return what is known when a job is given its inputs: the dataset versions that it reads."""
    return Graph((Node(job_id(job), NodeType.JOB, {"datasets": _datasets(read)}),))


def _datasets(read: Iterable[Artifact]) -> Document:
    # A file may be part of many versions of a dataset: which one it was read as is a property of the use.
    return {item.id: item.dataset for item in read if item.dataset is not None}


_ARTIFACT_TYPES = {"model": "Model", "checkpoint": "Checkpoint", "code": "Code", "evaluation": "Evaluation"}


def _artifact_node(item: Artifact) -> Node:
    properties = {"uri": item.uri, "version_id": item.version_id, "sha256": item.sha256, "size": item.size}
    # What it was to one job is a property of the use. What it is to everybody is told by the use that says most: a
    # model stays one when the next job reads it as its data.
    if item.role in _ARTIFACT_TYPES:
        properties["artifact_type"] = _ARTIFACT_TYPES[item.role]
    return Node(item.id, NodeType.ARTIFACT, properties)


def _present(document: Document) -> Document:
    return {name: value for name, value in document.items() if value not in (None, "", (), [], {})}


def job_graph(
    job: JobFacts,
    *,
    inputs: Iterable[Artifact],
    outputs: Iterable[Artifact],
    environment_id: str | None,
    code: CodeFacts | None,
    models: Iterable[Uid] = (),
    told: Iterable[Artifact] = (),
) -> Graph:
    """Return what a job adds that has ended, or that publishes while it runs: what it read, ran and ran in, each
    contributing to it, and what it produced.

    Args:
        models: those that it ran, of those that CreateModel made.
        told: what it produced, too, and `products_graph` has told of.
    """
    read, written, earlier = tuple(inputs), tuple(outputs), tuple(told)
    properties = _present(
        {
            "arn": job.arn,
            "kind": job.kind,
            "name": job.name,
            "status": job.status,
            "attempt": job.attempt,
            "image": job.image,
            "command": list(job.command),
            "parameters": dict(job.parameters),
            "metrics": dict(job.metrics),
            "started_at": job.started_at,
            "ended_at": job.ended_at,
            "packs_only": job.packs_only or None,
            "added_packages": dict(sorted(job.added_packages.items())),
            "began": job.began or None,
            "datasets": _datasets(read),
            # What an artifact was to this job is a property of the use, and one artifact has many uses.
            "inputs": {item.id: {"name": item.name, "role": item.role} for item in read},
            "outputs": {item.id: {"name": item.name, "role": item.role} for item in (*earlier, *written)},
        }
    )
    nodes = [Node(job.id, NodeType.JOB, properties), *map(_artifact_node, (*read, *written))]
    edges = [Edge(item.id, job.id, Association.CONTRIBUTED_TO) for item in read]
    edges += _produced(job.id, written)
    edges += [Edge(f"model:{model}", job.id, Association.CONTRIBUTED_TO) for model in models]
    if environment_id is not None:
        edges.append(Edge(environment_id, job.id, Association.CONTRIBUTED_TO))
    if code is not None:
        known = {
            "commit": code.commit,
            "dirty": code.dirty,
            "tree": code.tree,
            "repository": code.repository,
            "objects": list(code.objects),
        }
        nodes.append(Node(code.id, NodeType.CODE, _present(known)))
        edges.append(Edge(code.id, job.id, Association.CONTRIBUTED_TO))
    if job.execution is not None:
        execution_id = f"execution:{job.execution}"
        nodes.append(Node(execution_id, NodeType.EXECUTION, _present({"arn": job.execution_arn})))
        edges.append(Edge(execution_id, job.id, Association.ASSOCIATED_WITH))
    return Graph(tuple(nodes), tuple(edges))


def products_graph(job: Uid, outputs: Iterable[Artifact]) -> Graph:
    """Return what is known of some of a job's many outputs before all of it is told: that the job produced them.

    Its node does not name them yet: it would be written anew with each portion, and grow.
    """
    written = tuple(outputs)
    return Graph(tuple(map(_artifact_node, written)), tuple(_produced(job_id(job), written)))


def _produced(node: str, written: Iterable[Artifact]) -> list[Edge]:
    return [Edge(node, item.id, Association.PRODUCED) for item in written]


def taken_over_graph(job: Uid, execution: Uid, execution_arn: str, *, put_back: Iterable[Artifact]) -> Graph:
    """Return what an execution adds that takes the result of a job of an earlier one over.

    Args:
        put_back: the job's outputs that were put back into their places, which the execution goes on with.
    """
    again = tuple(put_back)
    execution_id = f"execution:{execution}"
    written = {item.id: {"name": item.name, "role": item.role} for item in again}
    nodes = [
        Node(job_id(job), NodeType.JOB, _present({"outputs": written})),
        Node(execution_id, NodeType.EXECUTION, _present({"arn": execution_arn})),
        *map(_artifact_node, again),
    ]
    edges = _produced(job_id(job), again)
    edges.append(Edge(execution_id, job_id(job), Association.ASSOCIATED_WITH))
    return Graph(tuple(nodes), tuple(edges))


def model_package_graph(
    uid: Uid,
    arn: str,
    *,
    models: Iterable[Artifact],
    evaluations: Iterable[Artifact] = (),
    execution: Uid | None = None,
) -> Graph:
    """Return what registering a model package adds: its archives contribute to it, its evaluations are associated."""
    package_id = f"model-package:{uid}"
    archives, reports = tuple(models), tuple(evaluations)
    nodes = [Node(package_id, NodeType.MODEL_PACKAGE, {"arn": arn}), *map(_artifact_node, (*archives, *reports))]
    edges = [Edge(item.id, package_id, Association.CONTRIBUTED_TO) for item in archives]
    edges += [Edge(item.id, package_id, Association.ASSOCIATED_WITH) for item in reports]
    if execution is not None:
        nodes.append(Node(f"execution:{execution}", NodeType.EXECUTION))
        edges.append(Edge(f"execution:{execution}", package_id, Association.ASSOCIATED_WITH))
    return Graph(tuple(nodes), tuple(edges))


def model_graph(
    uid: Uid, arn: str, *, name: str, packages: Iterable[Uid] = (), models: Iterable[Artifact] = ()
) -> Graph:
    """Return what creating a model adds: the packages or the archives that it is made of."""
    model_id = f"model:{uid}"
    archives = tuple(models)
    nodes = [Node(model_id, NodeType.MODEL, {"arn": arn, "name": name}), *map(_artifact_node, archives)]
    edges = [Edge(f"model-package:{package}", model_id, Association.CONTRIBUTED_TO) for package in packages]
    edges += [Edge(item.id, model_id, Association.CONTRIBUTED_TO) for item in archives]
    return Graph(tuple(nodes), tuple(edges))


def endpoint_graph(uid: Uid, arn: str, *, name: str, models: Iterable[Uid], config: str = "") -> Graph:
    """Return what an endpoint that serves these models adds. Models that it served before keep their edges; which it
    serves now is a property of its node."""
    endpoint_id = f"endpoint:{uid}"
    served = [f"model:{model}" for model in models]
    properties = _present({"arn": arn, "name": name, "config": config, "serves": served})
    edges = tuple(Edge(model, endpoint_id, Association.CONTRIBUTED_TO) for model in served)
    return Graph((Node(endpoint_id, NodeType.ENDPOINT, properties),), edges)
