"""The story of a model package, told from the graph alone."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from towpath.kernel.errors import NotFound
from towpath.kernel.events import Event
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import (
    Artifact,
    CodeFacts,
    EnvironmentFacts,
    Graph,
    JobFacts,
    artifact_at,
    downstream,
    endpoint_graph,
    environment_graph,
    job_graph,
    model_graph,
    model_package_graph,
    operations,
    record,
    upstream,
)
from towpath.store import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RAW = Artifact(bucket="b", key="raw.csv", version_id="1", sha256="a1", size=1, name="raw", dataset="reviews/1")
SCRIPT = Artifact(bucket="b", key="prepare.py", version_id="1", sha256="a2", size=1, name="code", role="code")
TRAIN = Artifact(bucket="b", key="train.csv", version_id="1", sha256="a3", size=1, name="train")
TEST = Artifact(bucket="b", key="test.csv", version_id="1", sha256="a4", size=1, name="test")
MODEL = Artifact(bucket="b", key="model.tar.gz", version_id="1", sha256="a5", size=1, name="model", role="model")
PACKED = Artifact(bucket="b", key="packed.tar.gz", version_id="1", sha256="a6", size=1, name="model", role="model")
REPORT = Artifact(bucket="b", key="evaluation.json", version_id="1", sha256="a7", size=1, name="evaluation")
ENVIRONMENT = EnvironmentFacts(
    image="towpath", description="", python_version="3.11.7", fingerprint="f1", packages={"numpy": "2.4.0"}
)


def job(name: str, kind: str = "ProcessingJob", **members: object) -> JobFacts:
    return JobFacts(
        uid=Uid(name),
        arn=f"arn:{name}",
        kind=kind,
        name=name,
        status="Completed",
        execution=Uid("e"),
        **members,  # type: ignore[arg-type]
    )


def story() -> Graph:
    """From raw data to an endpoint, with a repack job between training and registration."""
    code = CodeFacts(commit="c0ffee", dirty=True, tree="sha256:beef")
    train = job("train", "TrainingJob", parameters={"epochs": 1}, metrics={"accuracy": 0.7})
    at = {"environment_id": ENVIRONMENT.id, "code": code}
    return (
        environment_graph(ENVIRONMENT)
        + job_graph(job("prepare"), inputs=[RAW, SCRIPT], outputs=[TRAIN, TEST], **at)  # type: ignore[arg-type]
        + job_graph(train, inputs=[TRAIN], outputs=[MODEL], **at)  # type: ignore[arg-type]
        + job_graph(job("evaluate"), inputs=[MODEL, TEST], outputs=[REPORT], **at)  # type: ignore[arg-type]
        + job_graph(
            job("pack", "TrainingJob", packs_only=True),
            inputs=[MODEL],
            outputs=[PACKED],
            environment_id=None,
            code=None,
        )
        + model_package_graph(Uid("p"), "arn:p", models=[PACKED], evaluations=[REPORT], execution=Uid("e"))
        + model_graph(Uid("m"), "arn:m", name="reviews-1", packages=[Uid("p")])
        + endpoint_graph(Uid("n"), "arn:n", name="reviews", models=[Uid("m")])
    )


def resource(uid: str, kind: str, name: str, arn: str, status: str | None = None, **spec: object) -> Resource:
    return Resource(
        uid=Uid(uid),
        account="000000000000",
        region="us-east-1",
        kind=kind,
        name=name,
        arn=arn,
        spec=dict(spec),
        status=status,
        created_at=NOW,
        created_by="ada",
        modified_at=NOW,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def tell(store: SqliteStore) -> None:
    def write(transaction: Transaction) -> None:
        record(transaction, story())
        arn = transaction.home.arn("model-package", "reviews/1")
        transaction.resources.insert(
            resource("p", "ModelPackage", "reviews/1", arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
        )
        transaction.resources.insert(resource("n", "Endpoint", "reviews", "arn:n", "InService"))
        transaction.resources.insert(resource("e", "PipelineExecution", "e", "arn:execution"))
        decided = {"ModelApprovalStatus": "Approved", "PreviousModelApprovalStatus": "PendingManualApproval"}
        change = "SageMaker Model Package State Change"
        transaction.events.append(Event(type=change, subject=Uid("p"), principal="grace", at=NOW, detail=decided))
        renamed = {"members": ["CustomerMetadataProperties"]}
        later = NOW + timedelta(hours=1)
        transaction.events.append(
            Event(type="UpdateModelPackage", subject=Uid("p"), principal="joan", at=later, detail=renamed)
        )

    store.write(write)


def asked(store: SqliteStore, name: str) -> Document:
    (operation,) = operations()
    request = Request(operation=operation.name, input={"ModelPackageName": name}, caller=PLATFORM)
    return store.read(lambda transaction: operation.function(transaction, request))


def test_the_summary_tells_the_whole_story(store: SqliteStore) -> None:
    tell(store)
    told = asked(store, "reviews/1")
    assert told["Endpoints"] == [
        {"EndpointName": "reviews", "EndpointArn": "arn:n", "EndpointStatus": "InService", "Serving": True}
    ]
    assert [(item["S3Uri"], item["Sha256"]) for item in told["Models"]] == [("s3://b/packed.tar.gz", "a6")]
    assert told["TrainingJob"]["Name"] == "train"
    assert told["TrainingJob"]["Parameters"] == {"epochs": 1}
    assert told["TrainingJob"]["Metrics"] == {"accuracy": 0.7}
    assert [(item["Name"], item["Sha256"]) for item in told["Data"]] == [("train", "a3")]
    assert [(item["S3Uri"], item["Dataset"]) for item in told["SourceData"]] == [("s3://b/raw.csv", "reviews/1")]
    assert told["Code"] == {
        "Commit": "c0ffee",
        "Dirty": True,
        "TreeDigest": "sha256:beef",
        "Repository": None,
        "Objects": [],
    }
    assert told["Environment"] == {"PythonVersion": "3.11.7", "Fingerprint": "f1", "Packages": {"numpy": "2.4.0"}}
    assert [(item["S3Uri"], item["Job"]) for item in told["Evaluations"]] == [("s3://b/evaluation.json", "evaluate")]
    assert told["Approval"] == {
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "good",
        "By": "grace",
        "At": NOW.timestamp(),
    }
    assert told["PipelineExecution"] == {"PipelineExecutionArn": "arn:execution"}
    assert {item["Name"] for item in told["ProcessingJobs"]} == {"prepare", "evaluate"}


def test_a_package_that_nobody_trained_here_still_has_its_archive(store: SqliteStore) -> None:
    def write(transaction: Transaction) -> None:
        record(transaction, model_package_graph(Uid("p"), "arn:p", models=[MODEL]))
        arn = transaction.home.arn("model-package", "foreign/1")
        transaction.resources.insert(resource("p", "ModelPackage", "foreign/1", arn))

    store.write(write)
    told = asked(store, "foreign/1")
    assert [item["Sha256"] for item in told["Models"]] == ["a5"]
    assert "TrainingJob" not in told


def test_files_that_belong_together_are_told_together(store: SqliteStore) -> None:
    files = [
        Artifact(bucket="b", key=f"w/{key}", version_id="1", sha256=key, size=2, name="start", dataset="weights/1")
        for key in ("b.bin", "a.json")
    ]

    def write(transaction: Transaction) -> None:
        train = job("train", "TrainingJob")
        record(transaction, job_graph(train, inputs=files, outputs=[MODEL], environment_id=None, code=None))
        record(transaction, model_package_graph(Uid("p"), "arn:p", models=[MODEL]))
        arn = transaction.home.arn("model-package", "reviews/1")
        transaction.resources.insert(resource("p", "ModelPackage", "reviews/1", arn))

    store.write(write)
    told = asked(store, "reviews/1")
    (start,) = told["Data"]
    assert (start["Name"], start["Dataset"], start["S3Uri"]) == ("start", "weights/1", "s3://b/w/")
    assert (start["FileCount"], start["Size"]) == (2, 4)
    assert start["Sha256"] == hashlib.sha256(b"a.json  w/a.json\nb.bin  w/b.bin\n").hexdigest()
    assert [item["S3Uri"] for item in start["Files"]] == ["s3://b/w/a.json", "s3://b/w/b.bin"]
    assert told["SourceData"] == [], "what the job read itself is not told again"


def test_an_object_that_a_running_job_published_again_and_again_is_no_source_data(store: SqliteStore) -> None:
    """Its node names the last version only, so that it does not grow; the edges know the others."""
    versions = [
        Artifact(bucket="b", key="train.csv", version_id=f"c{number}", sha256=f"c{number}", size=1, name="train")
        for number in range(3)
    ]

    def write(transaction: Transaction) -> None:
        for version in versions:
            facts = job("prepare")
            record(transaction, job_graph(facts, inputs=[RAW], outputs=[version], environment_id=None, code=None))
        split = Artifact(bucket="b", key="split.csv", version_id="1", sha256="s", size=1, name="split")
        for facts, read, made in (
            (job("split"), versions[0], split),
            (job("train", "TrainingJob"), split, PACKED),
        ):
            record(transaction, job_graph(facts, inputs=[read], outputs=[made], environment_id=None, code=None))
        record(transaction, model_package_graph(Uid("p"), "arn:p", models=[PACKED]))
        arn = transaction.home.arn("model-package", "reviews/1")
        transaction.resources.insert(resource("p", "ModelPackage", "reviews/1", arn))

    store.write(write)
    node = store.read(lambda transaction: transaction.lineage.node("job:prepare"))
    assert node is not None
    assert list(node[1]["outputs"]) == [versions[-1].id]
    assert store.read(lambda transaction: transaction.lineage.edges_into(versions[0].id)) != []
    told = asked(store, "reviews/1")
    assert [item["S3Uri"] for item in told["SourceData"]] == ["s3://b/raw.csv"]


def test_an_endpoint_that_serves_another_version_by_now_is_told_so(store: SqliteStore) -> None:
    tell(store)
    later = model_package_graph(Uid("p2"), "arn:p2", models=[PACKED])
    later += model_graph(Uid("m2"), "arn:m2", name="reviews-2", packages=[Uid("p2")])
    later += endpoint_graph(Uid("n"), "arn:n", name="reviews", models=[Uid("m2")])

    def write(transaction: Transaction) -> None:
        record(transaction, later)
        arn = transaction.home.arn("model-package", "reviews/2")
        transaction.resources.insert(resource("p2", "ModelPackage", "reviews/2", arn))

    store.write(write)
    told = [asked(store, f"reviews/{number}")["Endpoints"] for number in (1, 2)]
    assert [[(item["EndpointName"], item["Serving"]) for item in each] for each in told] == [
        [("reviews", False)],
        [("reviews", True)],
    ]


def test_later_jobs_do_not_change_what_is_told_of_earlier_ones(store: SqliteStore) -> None:
    """The same commit and the same file of a dataset: what each job ran and read them as stays its own."""

    def trained(name: str, dataset: str) -> Graph:
        data = Artifact(bucket="b", key="datasets/a.csv", version_id="1", sha256="aa", size=1, dataset=dataset)
        code = CodeFacts(commit="c0ffee", dirty=False, tree=f"sha256:{name}", objects=(f"s3://b/{name}.py aa",))
        model = Artifact(bucket="b", key=f"{name}.tar.gz", version_id="1", sha256="bb", size=1)
        graph = job_graph(job(name, "TrainingJob"), inputs=[data], outputs=[model], environment_id=None, code=code)
        return graph + model_package_graph(Uid(f"p-{name}"), f"arn:{name}", models=[model])

    def write(transaction: Transaction) -> None:
        for number, name in enumerate(("first", "second"), 1):
            record(transaction, trained(name, f"reviews/{number}"))
            arn = transaction.home.arn("model-package", f"reviews/{number}")
            transaction.resources.insert(resource(f"p-{name}", "ModelPackage", f"reviews/{number}", arn))

    store.write(write)
    for number, name in enumerate(("first", "second"), 1):
        told = asked(store, f"reviews/{number}")
        assert (told["Code"]["TreeDigest"], told["Code"]["Objects"]) == (f"sha256:{name}", [f"s3://b/{name}.py aa"])
        assert [item["Dataset"] for item in told["Data"]] == [f"reviews/{number}"]


def test_an_unknown_package_is_not_found(store: SqliteStore) -> None:
    with pytest.raises(NotFound, match="GROUP/VERSION"):
        asked(store, "nothing/1")


def test_searches_go_to_any_depth_or_to_a_given_one_and_meet_each_node_once(store: SqliteStore) -> None:
    tell(store)
    above = store.read(lambda transaction: list(upstream(transaction.lineage, "endpoint:n")))
    assert len({node.id for node in above}) == len(above)
    assert RAW.id in {node.id for node in above}
    near = store.read(lambda transaction: list(upstream(transaction.lineage, "endpoint:n", depth=2)))
    assert [node.id for node in near] == ["model:m", "model-package:p"]
    below = store.read(lambda transaction: list(downstream(transaction.lineage, RAW.id)))
    assert "endpoint:n" in {node.id for node in below}
    assert [node.distance for node in below] == sorted(node.distance for node in below)


def test_recording_again_changes_nothing(store: SqliteStore) -> None:
    tell(store)
    before = asked(store, "reviews/1")
    store.write(lambda transaction: record(transaction, story()))
    assert asked(store, "reviews/1") == before


def test_an_uri_that_is_no_object_here_has_no_artifact(store: SqliteStore) -> None:
    for uri in ("s3://b/none", "s3://b", "https://example.org"):
        assert store.read(lambda transaction, uri=uri: artifact_at(transaction.objects, uri)) is None  # type: ignore[misc]
