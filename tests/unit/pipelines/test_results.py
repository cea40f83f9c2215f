"""Earlier results on a real store: found by key, put back into their places, kept from house-keeping."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Table, update
from sqlalchemy.exc import ResourceClosedError

from towpath.housekeeping.model import VersionKey
from towpath.jobs.ingredients import Ingredients, Recorded
from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Invalid, StaleRevision, Unavailable
from towpath.kernel.kinds import Kind
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import JobFacts, artifact, artifact_of, job_graph, record
from towpath.pipelines.caching import Asked, Found, Lookup, verdict
from towpath.pipelines.definition import CacheConfig, parse
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.graph import Node, compile
from towpath.pipelines.kinds import PIPELINE_EXECUTION
from towpath.pipelines.model import CacheNote, StepRow, StepStatus
from towpath.pipelines.results import Results
from towpath.store import SqliteStore, SqlTransaction
from towpath.store.tables import cached_step, step

JOB = Kind(noun="ProcessingJob", arn_type="processing-job", name_member="ProcessingJobName", arn_member="Arn")
PIPELINE = Uid("pipeline-uid")
REQUEST: Document = {"AppSpecification": {"ImageUri": "towpath"}}
STEP: Document = {"Name": "Prepare", "Type": "Processing", "Arguments": REQUEST, "CacheConfig": {"Enabled": True}}
DEFINITION: Document = {"Version": "2020-12-01", "Steps": [STEP]}
ASKED = Asked(request=REQUEST)


class Given:
    """Stands for `JobIngredients`: what every job would be made of."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.made: Ingredients | None = None  #: what a job that has ended was made of; None: parts of it differ
        self.unread: Exception | None = None  #: why its archives cannot be read
        self.unrecorded: Exception | None = None  #: why the rows about it cannot be read

    def recorded(self, transaction: Any, job: Resource) -> Recorded:
        if self.made is None:
            raise Invalid("they were not made of the same")
        made = self.made

        def read() -> Mapping[str, str]:
            with pytest.raises(ResourceClosedError):
                transaction.resources.get(job.uid)  # no transaction stays open while archives are read
            if self.unread is not None:
                raise self.unread
            return made.code

        if self.unrecorded is not None:
            raise self.unrecorded
        return Recorded(replace(made, code={}), read)

    def of_request(self, noun: str, request: Document) -> Ingredients:
        assert noun in {"ProcessingJob", "HyperParameterTuningJob"}
        if self.refusal is not None:
            raise self.refusal
        return Ingredients(python_version="3.11")


class Past:
    """A pipeline, one execution of it with a job that left two objects, and another execution."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.store = SqliteStore(folder / "store.db", clock=self.clock)
        self.given = Given()
        self.results = Results(self.store, self.given)  # type: ignore[arg-type]
        self.node: Node = compile(parse(DEFINITION)).nodes["Prepare"]
        self.first, self.second = self.execution("first"), self.execution("second")
        self.outputs = [self.put("out/a"), self.put("out/b")]
        self.job = self.store.write(self._job)
        self.note = CacheNote(why="", key=self.look_up().key)
        self.row = StepRow(
            name="Prepare",
            status=StepStatus.SUCCEEDED,
            ended_at=self.clock.now(),
            resource=self.job.uid,
            resource_arn=self.job.arn,
            yielded=StepYield(document={"said": "so"}),
            metadata={"ProcessingJob": {"Arn": self.job.arn}},
            cache=self.note,
        )

    def execution(self, name: str) -> Resource:
        def make(transaction: SqlTransaction) -> Resource:
            request = Request(operation="StartPipelineExecution", input={}, caller=Caller("ada"))
            spec = {"PipelineUid": PIPELINE, "PipelineName": "p", "PipelineDefinition": json.dumps(DEFINITION)}
            return generic.create(transaction, PIPELINE_EXECUTION, request, name=name, spec=spec, status="Executing")

        return self.store.write(make)

    def put(self, key: str, content: str | None = None) -> ObjectVersion:
        """Make a content the latest of a key; without one, a delete marker."""
        number = self.store.write(lambda transaction: transaction.resources.next_number("content"))
        version = ObjectVersion(
            bucket="lake",
            key=key,
            version_id=f"v{number}",
            size=3,
            sha256=(content or key).encode().hex().ljust(64, "0"),
            etag="",
            blob=f"blob-{number}",
            created_at=self.clock.now(),
            created_by="ada",
        )
        self.store.write(lambda transaction: transaction.objects.put(version))
        return version

    def delete(self, key: str) -> None:
        marker = replace(self.put(key), version_id=f"deleted-{key}", blob=None, sha256="", is_delete_marker=True)
        self.store.write(lambda transaction: transaction.objects.put(marker))

    def latest(self, key: str) -> ObjectVersion | None:
        return self.store.read(lambda transaction: transaction.objects.get(ObjectRef("lake", key)))

    def made(self, uri: str) -> str | None:
        """Return the version of an object that the job made last, as the lineage has it."""
        found = self.store.read(lambda transaction: artifact_of(transaction, self.job.uid, uri))
        return None if found is None else found.version_id

    def _job(self, transaction: SqlTransaction) -> Resource:
        request = Request(operation="Create", input={"ProcessingJobName": "j"}, caller=Caller("ada"))
        made = generic.create(transaction, JOB, request, status="Completed")
        facts = JobFacts(uid=made.uid, arn=made.arn, kind=made.kind, name=made.name)
        written = [artifact(version, name="out") for version in self.outputs]
        record(transaction, job_graph(facts, inputs=(), outputs=written, environment_id=None, code=None))
        return made

    def keep(self, row: StepRow | None = None) -> None:
        """End the step of the first execution."""

        def end(transaction: SqlTransaction) -> None:
            self.results.keep(transaction, self.first, row or self.row)
            transaction.steps.put(self.first.uid, [row or self.row])

        self.store.write(end)

    def look_up(self) -> Lookup:
        return self.results.look_up(self.second, self.node, ASKED, REQUEST, {})

    def found(self) -> Found:
        found = self.look_up().found
        assert found is not None
        return found

    def take_over(self, displaced: tuple[ObjectRef, ...] = ()) -> None:
        self.store.write(lambda transaction: self.results.take_over(transaction, self.second, self.row, displaced))


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.store.close()


def test_the_newest_success_is_found_with_all_that_it_yielded(past: Past) -> None:
    assert past.look_up().found is None
    past.keep()
    found = past.found()
    assert found == Found(
        execution_arn=past.first.arn,
        ended_at=past.clock.now(),
        job=past.job.uid,
        job_arn=past.job.arn,
        metadata=past.row.metadata,
        yielded=StepYield(document={"said": "so"}),
    )
    past.clock.advance(60)
    past.keep(replace(past.row, ended_at=past.clock.now()))
    assert past.found().ended_at == found.ended_at + timedelta(seconds=60)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": StepStatus.FAILED},
        {"status": StepStatus.STOPPED},
        {"cache": None},
        {"cache": CacheNote(why="no key")},
        {"cache": CacheNote(why="taken over", key="k", source="arn:other")},
    ],
    ids=["failed", "stopped", "not asked", "no key", "taken over itself"],
)
def test_only_what_ran_and_succeeded_with_a_key_is_kept(past: Past, changes: dict[str, Any]) -> None:
    past.keep(replace(past.row, **changes))
    assert past.look_up().found is None


def test_without_its_inputs_a_step_has_no_key(past: Past) -> None:
    past.given.refusal = Invalid("There are no objects under s3://lake/in")
    looked = past.look_up()
    assert (looked.key, looked.keyless) == (None, "it has no key: There are no objects under s3://lake/in")


def test_what_a_step_reads_and_nobody_can_decode_leaves_it_without_a_key(past: Past) -> None:
    past.given.refusal = ValueError("damaged")
    looked = past.look_up()
    assert (looked.key, looked.keyless) == (None, "it has no key: what it reads cannot be read (ValueError: damaged)")


@pytest.mark.parametrize(
    "passing", [Unavailable("the store could not be read"), StaleRevision("changed"), OSError(24, "")]
)
def test_what_may_pass_makes_no_miss(past: Past, passing: Exception) -> None:
    past.given.refusal = passing
    with pytest.raises(type(passing)):
        past.look_up()


@pytest.mark.parametrize(("table", "column"), [(cached_step, "outputs"), (step, "data")], ids=["entry", "step"])
def test_a_record_of_the_earlier_result_that_is_damaged_makes_a_miss_that_says_so(
    past: Past, table: Table, column: str
) -> None:
    past.keep()
    past.store.write(lambda transaction: transaction.connection.execute(update(table).values({column: b"\xff["})))
    looked = past.look_up()
    note = verdict(looked, CacheConfig(enabled=True), past.clock.now())
    assert (note.key, note.source) == (past.note.key, None)
    assert "what is recorded of the newest success with this key cannot be read (DecodeError" in note.why
    past.keep()
    assert past.found().execution_arn == past.first.arn, "the step that ran leaves a whole entry"


def test_other_steps_and_pipelines_find_nothing(past: Past) -> None:
    past.keep()
    step = {"Name": "Other", "Type": "Processing", "Arguments": REQUEST}
    other = compile(parse({"Version": "2020-12-01", "Steps": [step]})).nodes["Other"]
    assert past.results.look_up(past.second, other, ASKED, REQUEST, {}).found is None
    elsewhere = replace(past.second, spec={**past.second.spec, "PipelineUid": "another"})
    assert past.results.look_up(elsewhere, past.node, ASKED, REQUEST, {}).found is None


def searched(past: Past) -> tuple[Node, StepRow]:
    """Return a step that searched, and how it stands when its search has been made of Python 3.11."""
    step = {"Name": "Tune", "Type": "Tuning", "Arguments": {}}
    node = compile(parse({"Version": "2020-12-01", "Steps": [step]})).nodes["Tune"]
    assert node.type is not None
    looked = past.results.look_up(past.first, node, ASKED, {}, {})
    note = verdict(looked, CacheConfig(enabled=True), past.clock.now())
    assert (note.key, note.settled is None, note.source) == (looked.key, False, None)
    return node, replace(past.row, name="Tune", cache=note)


@pytest.mark.parametrize(("python_version", "same"), [("3.11", True), ("3.12", False), (None, False)])
def test_a_search_may_be_kept_when_it_was_made_of_what_had_been_looked_up(
    past: Past, python_version: str | None, same: bool
) -> None:
    node, row = searched(past)
    past.given.made = None if python_version is None else Ingredients(python_version=python_version)
    assert past.results.is_as_looked_up(past.first, node, row) is same


@pytest.mark.parametrize(
    "unread",
    [FileNotFoundError("blob"), ValueError("no archive"), Unavailable("S3 does not answer")],
    ids=["gone", "broken", "not there now"],
)
def test_a_search_whose_code_cannot_be_read_when_it_ends_is_kept_like_a_job(past: Past, unread: Exception) -> None:
    node, row = searched(past)
    past.given.made, past.given.unread = Ingredients(python_version="3.11"), unread
    assert past.results.is_as_looked_up(past.first, node, row)


@pytest.mark.parametrize(
    "passing", [Unavailable("the store"), StaleRevision("changed"), OSError(24, "no more files")], ids=str
)
def test_what_may_pass_when_a_search_ends_costs_it_nothing(past: Past, passing: Exception) -> None:
    node, row = searched(past)
    past.given.made, past.given.unrecorded = Ingredients(python_version="3.11"), passing
    with pytest.raises(type(passing)):
        past.results.is_as_looked_up(past.first, node, row)
    past.given.unrecorded = None
    assert past.results.is_as_looked_up(past.first, node, row)


def test_a_search_whose_records_are_damaged_is_not_kept_and_holds_nothing_up(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    node, row = searched(past)
    past.given.made, past.given.unrecorded = Ingredients(python_version="3.11"), ValueError("damaged")
    assert not past.results.is_as_looked_up(past.first, node, row)
    assert "cannot be read; its result is not kept" in caplog.text


def test_a_search_that_began_before_it_was_noted_what_it_is_made_of_is_not_kept(past: Past) -> None:
    node, row = searched(past)
    assert row.cache is not None
    past.given.made = Ingredients(python_version="3.11")
    assert not past.results.is_as_looked_up(past.first, node, replace(row, cache=replace(row.cache, settled=None)))


def test_a_job_notes_no_more_than_its_key(past: Past) -> None:
    assert verdict(past.look_up(), CacheConfig(enabled=True), past.clock.now()).settled is None


def test_only_a_step_with_a_key_was_looked_up(past: Past) -> None:
    assert past.results.is_as_looked_up(past.first, past.node, past.row)
    for cache in (None, CacheNote(why="no key")):
        assert not past.results.is_as_looked_up(past.first, past.node, replace(past.row, cache=cache))


def test_outputs_that_are_not_in_their_places_are_put_back_as_new_versions(past: Past) -> None:
    past.keep()
    a, b = past.outputs
    past.put("out/a", "other")
    past.delete("out/b")
    found = past.found()
    assert set(found.displaced) == {a.ref, b.ref}
    assert found.gone is None
    past.take_over(found.displaced)
    for recorded in past.outputs:
        now = past.latest(recorded.key)
        assert now is not None
        assert (now.blob, now.sha256, now.is_delete_marker) == (recorded.blob, recorded.sha256, False)
        assert now.version_id != recorded.version_id
        assert past.made(now.uri) == now.version_id, "the lineage says that the job made what was put back"
    assert past.found().displaced == ()


def test_the_same_bytes_of_somebody_else_will_do(past: Past) -> None:
    past.keep()
    past.put("out/a")
    assert past.found().displaced == ()


def test_an_output_without_bytes_left_is_named(past: Past) -> None:
    past.keep()
    _, b = past.outputs
    past.delete("out/b")
    past.store.write(lambda transaction: transaction.objects.remove("lake", "out/b", b.version_id))
    found = past.found()
    assert found.gone == b.uri
    with pytest.raises(StaleRevision, match="out/b"):
        past.take_over((b.ref,))


def test_the_lineage_connects_an_execution_with_the_job_whose_result_it_took(past: Past) -> None:
    past.keep()
    past.take_over()
    into = past.store.read(lambda transaction: transaction.lineage.edges_into(f"job:{past.job.uid}"))
    assert into == [(f"execution:{past.second.uid}", "AssociatedWith")]


def test_house_keeping_sees_what_may_be_taken_over_until_the_execution_is_gone(past: Past) -> None:
    past.keep()

    def look(transaction: SqlTransaction) -> dict[Uid, int]:
        asked = frozenset(VersionKey(each.bucket, each.key, each.version_id) for each in past.outputs)
        some = transaction.housekeeping.references(asked, [past.first.uid])
        assert transaction.housekeeping.references(asked) == some
        return {uid: len(named) for uid, named in some.items()}

    assert past.store.read(look) == {past.first.uid: 2}

    def drop(transaction: SqlTransaction) -> None:
        transaction.resources.replace(past.first, deleted_at=transaction.now)
        transaction.housekeeping.drop_tombstones([past.first.uid])

    past.store.write(drop)
    assert past.store.read(look) == {}
    assert past.look_up().found is None
