"""Very many outputs become objects in portions: nobody waits for all of them, and each becomes one once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from towpath.jobs import publication, run_of
from towpath.jobs.model import Increment, JobObservation, Phase
from towpath.kernel.errors import Unavailable
from towpath.kernel.objects import ObjectRef, ObjectVersion, StoredBlob
from towpath.kernel.resource import Document, Uid
from towpath.lineage import outputs_of
from towpath.store import SqliteStore, SqlTransaction
from towpath.testing.crashes import Crash, CrashingStore

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

R = TypeVar("R")

PROCESSING: Document = {
    "ProcessingJobName": "many",
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 1}},
    "AppSpecification": {"ImageUri": "towpath", "ContainerEntrypoint": ["python3", "-c", "pass"]},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}


class WatchedStore:
    """A store that tells how many rows each transaction of the engine wrote, and lets somebody look after each."""

    def __init__(self, store: SqliteStore, afterwards: Callable[[], None]) -> None:
        self.rows: list[int] = []
        self._store = store
        self._afterwards = afterwards

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
        self._store.on_commit(listener)

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        return self._store.read(work)

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        return self.write(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        def counted(transaction: SqlTransaction) -> tuple[R, int]:
            driver: Any = transaction.connection.connection.dbapi_connection
            before = driver.total_changes
            return work(transaction), driver.total_changes - before

        result, rows = self._store.write(counted)
        self.rows.append(rows)
        self._afterwards()
        return result


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let very few be very many."""
    monkeypatch.setattr(publication, "PORTION", 3)
    monkeypatch.setattr(publication, "MANY_FILES", 1)


def begin(world: World, count: int) -> JobObservation:
    """Start the job; return how its attempt stands once it has left so many files."""
    world.call("CreateProcessingJob", PROCESSING)
    world.run()
    return world.finished(*(world.stage("out", f"s3://b/out/{number:05}", b"%d" % number) for number in range(count)))


def shown(world: World) -> list[ObjectVersion]:
    return world.store.read(lambda transaction: transaction.objects.listing("b", "out/", limit=100_000))


def status(world: World) -> str | None:
    return world.resource("ProcessingJob", "many").status


def all_versions(world: World, key: str) -> list[ObjectVersion]:
    return world.store.read(lambda transaction: transaction.objects.versions("b", key))


def produced(world: World) -> set[str]:
    """Return the nodes that the job has edges to."""
    uid = world.resource("ProcessingJob", "many").uid
    edges = world.store.read(lambda transaction: transaction.lineage.edges_out_of(f"job:{uid}"))
    return {node for node, _ in edges}


def test_no_transaction_grows_with_the_number_of_outputs_and_others_write_in_between(world: World) -> None:
    count = 2 * publication.PORTION + 500
    stood: list[tuple[int, str | None]] = []

    def write() -> None:
        world.store.write(lambda transaction: transaction.resources.next_number("another writer"))
        stood.append((len(shown(world)), status(world)))

    ended = begin(world, count)
    store = WatchedStore(world.store, write)
    world.engine = world.new_engine(store)
    world.move("ProcessingJob", "many", ended)
    assert max(store.rows) < 4 * publication.PORTION + 100, "a version, a node and an edge for each of a portion"
    assert sum(store.rows) > 3 * count
    portions = [publication.PORTION, 2 * publication.PORTION]
    assert [number for number in dict.fromkeys(number for number, _ in stood) if number] == [*portions, count]
    assert {how for number, how in stood if number < count} == {"InProgress"}
    assert {how for number, how in stood if number == count} == {"Completed"}, "the last ones come with the end"


def test_what_was_published_in_portions_is_told_like_all_else(world: World, small: None) -> None:
    world.move("ProcessingJob", "many", begin(world, 8))
    uid = world.resource("ProcessingJob", "many").uid
    names = {f"artifact:{version.uri}#{version.version_id}" for version in shown(world)}
    assert len(names) == 8
    assert produced(world) == names
    refs = world.store.read(lambda transaction: outputs_of(transaction, uid))
    assert [ref.key for ref in refs] == [f"out/{number:05}" for number in range(8)], "in the order of the manifest"
    assert world.store.read(lambda transaction: transaction.lineage.node(next(iter(names)))) is not None


def test_a_job_that_is_stopped_while_its_outputs_appear_has_completed(world: World, small: None) -> None:
    ended = begin(world, 8)

    def stop() -> None:
        if len(shown(world)) == 3 and status(world) == "InProgress":
            world.call("StopProcessingJob", {"ProcessingJobName": "many"})

    world.engine = world.new_engine(WatchedStore(world.store, stop))
    world.move("ProcessingJob", "many", ended)
    assert (status(world), len(shown(world))) == ("Completed", 8)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_crash_among_the_portions_changes_nothing_about_the_end(
    world: World, small: None, at: int, after: bool
) -> None:
    ended = begin(world, 8)
    uid = world.resource("ProcessingJob", "many").uid
    world.engine = world.new_engine(CrashingStore(world.store, at, after=after))
    with pytest.raises(Crash):
        world.move("ProcessingJob", "many", ended)
        raise Crash  # the life has fewer writes than `at`
    there = len(shown(world))
    assert there in (0, 3, 6, 8), "a portion is there or not"
    assert status(world) == ("Completed" if there == 8 else "InProgress")
    run = run_of(world.resource("ProcessingJob", "many"))
    assert run is not None
    assert run.outputs == there
    if there:  # while nobody adopts anything, users go on: one writes an object anew, one removes one for good
        newer = world.put("s3://b/out/00000", b"newer")
        gone = all_versions(world, "out/00001")[0]
        world.store.write(lambda transaction: transaction.objects.remove("b", gone.key, gone.version_id))

    world.engine = world.new_engine()
    world.store.write(lambda transaction: transaction.work.release_all())
    world.engine.wake(uid)
    world.run()
    assert status(world) == "Completed"
    kept = {version.key: b"".join(world.objects.read(version)) for version in shown(world)}
    expected = {f"out/{number:05}": b"%d" % number for number in range(8)}
    if there:
        del expected["out/00001"]
        expected["out/00000"] = b"newer"
        names = [version.version_id for version in all_versions(world, "out/00000")]
        assert [newer.version_id, *names[1:]] == names
        assert len(names) == 2
    assert kept == expected
    assert all(len(all_versions(world, f"out/{number:05}")) == 1 for number in range(2, 8)), "each was published once"
    assert len(produced(world)) == 8
    assert world.backend.untidy == set()
    events = world.store.read(lambda transaction: transaction.events.of(uid))
    assert [event.detail.get("ProcessingJobStatus") for event in events] == [None, "InProgress", "Completed"]


def test_what_was_sent_before_a_service_fell_silent_is_not_sent_again(
    world: World, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "_SENT_TOGETHER", 2)
    world.objects.is_far = True
    ended = begin(world, 8)
    sent: list[str] = []
    silent = iter([False, False, False, False, True])  # at the fifth file, in the second portion
    one_by_one = world.objects.adopt

    def adopt(path: str, blob: StoredBlob) -> None:
        if next(silent, False):
            raise Unavailable("The object store does not answer.")
        sent.append(path)
        one_by_one(path, blob)

    monkeypatch.setattr(world.objects, "adopt", adopt)
    world.move("ProcessingJob", "many", ended)
    assert (status(world), len(shown(world))) == ("InProgress", 3)
    world.clock.advance(60.0)
    world.run()
    assert (status(world), len(shown(world))) == ("Completed", 8)
    assert len(sent) == len(set(sent)) + 1, "only the portion in which it fell silent was begun anew"


def test_increments_come_before_the_portions_of_the_outputs(world: World, small: None) -> None:
    ended = begin(world, 5)
    early = Increment(number=7, file=world.stage("out", "s3://b/out/00004", b"early"))
    assert ended.manifest is not None
    seen = JobObservation(phase=Phase.FINISHED, increments=(early,), manifest=ended.manifest)
    world.move("ProcessingJob", "many", seen)
    contents = [b"".join(world.objects.read(version)) for version in all_versions(world, "out/00004")]
    assert (status(world), contents) == ("Completed", [b"4", b"early"])
    ref = ObjectRef("b", "out/00004", all_versions(world, "out/00004")[0].version_id)
    uid = world.resource("ProcessingJob", "many").uid
    assert ref in world.store.read(lambda transaction: outputs_of(transaction, uid))
