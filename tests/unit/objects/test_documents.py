"""Documents are read in the version that is meant, and refused with their name when they cannot be read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.resource import Uid
from towpath.lineage import JobFacts, artifact, job_graph, record
from towpath.objects import FolderObjects
from towpath.objects.documents import StoredDocuments
from towpath.store import SqliteStore

KEY = "reports/evaluation.json"


@pytest.fixture
def documents(store: SqliteStore, tmp_path: Path) -> StoredDocuments:
    return StoredDocuments(store, FolderObjects(tmp_path / "objects"))


def written_by(store: SqliteStore, job: str, version: ObjectVersion) -> None:
    """Record that a job wrote a version."""
    facts = JobFacts(uid=Uid(job), arn=f"arn:{job}", kind="ProcessingJob", name=job, status="Completed")
    graph = job_graph(facts, inputs=(), outputs=[artifact(version)], environment_id=None, code=None)
    store.write(lambda transaction: record(transaction, graph))


def test_a_job_s_document_is_read_whatever_was_written_over_it(
    documents: StoredDocuments, store: SqliteStore, put: Callable[..., ObjectVersion]
) -> None:
    first = put(KEY, b'{"accuracy": 0.5}')
    written_by(store, "one", first)
    written_by(store, "two", put(KEY, b'{"accuracy": 0.6}'))
    put(KEY, b'{"accuracy": 1.0}')
    assert documents.read(first.uri, written_by=Uid("one")) == {"accuracy": 0.5}
    assert documents.read(first.uri, written_by=Uid("two")) == {"accuracy": 0.6}
    assert documents.read(first.uri, written_by=None) == {"accuracy": 1.0}


def test_a_document_of_another_job_does_not_stand_in_for_one_that_was_not_written(
    documents: StoredDocuments, store: SqliteStore, put: Callable[..., ObjectVersion]
) -> None:
    version = put(KEY, b'{"accuracy": 0.5}')
    written_by(store, "one", version)
    with pytest.raises(Invalid, match=r"There is no object s3://.*/evaluation\.json that the step's own job wrote"):
        documents.read(version.uri, written_by=Uid("two"))


def test_a_document_that_is_not_json_is_named(documents: StoredDocuments, put: Callable[..., ObjectVersion]) -> None:
    with pytest.raises(Invalid, match=r"evaluation\.json does not hold JSON"):
        documents.read(put(KEY, b"accuracy: 1").uri, written_by=None)
