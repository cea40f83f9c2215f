"""What users say of the graph and what the platform saw happen are told apart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Query
from towpath.kernel.resource import Uid
from towpath.lineage.model import Artifact, Association, JobFacts, artifact, job_graph
from towpath.lineage.record import artifact_of, record
from towpath.store import SqliteStore, SqlTransaction

JOB = Uid("0" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def item(store: SqliteStore) -> Artifact:
    def write(transaction: SqlTransaction) -> Artifact:
        transaction.objects.create_bucket("lake", transaction.now)
        version = ObjectVersion(
            bucket="lake",
            key="report.json",
            version_id="v1",
            size=1,
            sha256="00",
            etag="00",
            blob="b",
            created_at=transaction.now,
            created_by="ada",
        )
        transaction.objects.put(version)
        return artifact(version)

    return store.write(write)


def say(store: SqliteStore, item: Artifact) -> None:
    produced = Association.PRODUCED.value
    store.write(lambda tx: tx.lineage.put_edge(f"job:{JOB}", item.id, produced, tx.now, by="ada"))


def see(store: SqliteStore, item: Artifact) -> None:
    facts = JobFacts(uid=JOB, arn="arn", kind="ProcessingJob", name="j", status="Completed")
    graph = job_graph(facts, inputs=[], outputs=[item], environment_id=None, code=None)
    store.write(lambda transaction: record(transaction, graph))


def found(store: SqliteStore) -> Artifact | None:
    return store.read(lambda transaction: artifact_of(transaction, JOB, "s3://lake/report.json"))


def test_a_job_wrote_what_the_platform_saw_it_write_and_not_what_somebody_says(
    store: SqliteStore, item: Artifact
) -> None:
    say(store, item)
    assert found(store) is None
    see(store, item)
    assert found(store) is not None


@pytest.mark.parametrize("order", [(say, see), (see, say)])
def test_what_the_platform_saw_cannot_be_taken_back_whoever_said_it_first(
    store: SqliteStore, item: Artifact, order: tuple[object, object]
) -> None:
    for tell in order:
        assert callable(tell)
        tell(store, item)
    assert store.write(lambda transaction: transaction.lineage.remove_edges(f"job:{JOB}", item.id)) == 0
    assert found(store) is not None


def test_associations_are_sorted_by_arn_also_when_the_job_behind_a_node_is_gone(store: SqliteStore) -> None:
    names = {Uid("2" * 32): "alpha", Uid("1" * 32): "beta", Uid("3" * 32): ""}

    def write(transaction: SqlTransaction) -> None:
        transaction.lineage.put_node("env", "Environment", {}, transaction.now)
        for uid, name in names.items():
            told = {"name": name, "kind": "TrainingJob"} if name else {}
            transaction.lineage.put_node(f"job:{uid}", "Job", told, transaction.now)
            transaction.lineage.put_edge(f"job:{uid}", "env", "Produced", transaction.now)

    store.write(write)
    found: list[str] = []
    query = Query(kind="Association", sort_by="source_arn", descending=False, limit=1)
    for _ in names:
        edges, token = store.read(lambda transaction, asked=query: transaction.lineage.associations([], asked))  # type: ignore[misc]
        found += [edge.source.entity for edge in edges]
        query = replace(query, token=token)
    assert found == ["3" * 32, "2" * 32, "1" * 32], "one without a name is called by its uid, digits before letters"
    assert query.token is None
