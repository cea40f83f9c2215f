"""The platform dies before or after any write, and a job still runs once and publishes once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from towpath.jobs.model import JobObservation, MetricPoint, Phase
from towpath.kernel.resource import Document, Uid
from towpath.lineage import upstream
from towpath.testing.crashes import Crash, CrashingStore

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

TRAINING: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {
        "TrainingImage": "towpath",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "-c", "pass"],
    },
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}}}
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://models"},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}
MODEL = ("models", "train/output/model.tar.gz")


def live(world: World, uid: Uid, sights: list[JobObservation]) -> None:
    """Let the job's attempt stand like each of these in turn, as far as that has not happened yet."""
    world.engine.wake(uid)
    world.run()
    while sights:
        for key in world.backend.jobs:
            world.backend.seen[key] = sights[0]
        world.engine.wake(uid)
        world.run()
        sights.pop(0)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 14))
def test_a_crash_at_any_write_changes_nothing_about_the_end(world: World, at: int, after: bool) -> None:
    data = world.put("s3://b/data/part-0", b"data")
    world.datasets[data.ref] = "reviews/1"
    world.call("CreateTrainingJob", TRAINING)
    uid = world.resource("TrainingJob", "train").uid
    metric = MetricPoint(name="accuracy", value=0.5, at=world.clock.now())
    sights = [
        JobObservation(phase=Phase.RUNNING, activity="Downloading"),
        JobObservation(phase=Phase.RUNNING, activity="Training", metrics=(metric,)),
        world.finished(world.stage("model", "s3://models/train/output/model.tar.gz", b"weights"), metrics=(metric,)),
    ]
    world.engine = world.new_engine(CrashingStore(world.store, at, after=after))
    with pytest.raises(Crash):
        live(world, uid, sights)
        raise Crash  # the life has fewer writes than `at`: the restart below must then find nothing to do
    world.engine = world.new_engine()
    world.store.write(lambda transaction: transaction.work.release_all())
    live(world, uid, sights)

    assert world.resource("TrainingJob", "train").status == "Completed"
    assert list(world.backend.jobs) == [f"{uid}-1"]
    assert world.backend.untidy == set()
    versions = world.store.read(lambda transaction: transaction.objects.versions(*MODEL))
    assert [b"".join(world.objects.read(version)) for version in versions] == [b"weights"]
    events = world.store.read(lambda transaction: transaction.events.of(uid))
    assert [event.detail.get("TrainingJobStatus") for event in events] == [None, "InProgress", "Completed"]
    assert world.check_outs[0][0] == "reviews/1"
    model = f"artifact:{versions[0].uri}#{versions[0].version_id}"
    came_from = world.store.read(lambda transaction: {node.id for node in upstream(transaction.lineage, model)})
    assert f"artifact:{data.uri}#{data.version_id}" in came_from


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_stop_that_comes_too_late_changes_nothing_whenever_the_platform_dies(
    world: World, at: int, after: bool
) -> None:
    world.put("s3://b/data/part-0", b"data")
    world.call("CreateTrainingJob", TRAINING)
    uid = world.resource("TrainingJob", "train").uid
    sights = [
        JobObservation(phase=Phase.RUNNING, activity="Training"),
        world.finished(world.stage("model", "s3://models/train/output/model.tar.gz", b"weights")),
    ]
    world.engine = world.new_engine(CrashingStore(world.store, at, after=after))
    with pytest.raises(Crash):
        live(world, uid, list(sights))
        raise Crash
    begun = list(world.backend.jobs)
    for key in begun:
        world.backend.seen[key] = sights[-1]  # it has ended, and the platform that is dead cannot know
    if world.resource("TrainingJob", "train").status == "InProgress":
        world.call("StopTrainingJob", {"TrainingJobName": "train"})
    world.engine = world.new_engine()
    world.store.write(lambda transaction: transaction.work.release_all())
    world.run()
    versions = world.store.read(lambda transaction: transaction.objects.versions(*MODEL))
    ended = world.resource("TrainingJob", "train").status
    assert (ended, len(versions)) == (("Completed", 1) if begun else ("Stopped", 0))
