"""Checkpoints and Continuous outputs are published while their job runs, once each, and the next attempt has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from towpath.jobs import run_of
from towpath.jobs.model import Increment, JobObservation, Phase
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.resource import Document
from towpath.lineage import upstream
from towpath.testing.crashes import Crash, CrashingStore

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

TRAINING: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {"TrainingImage": "towpath", "ContainerEntrypoint": ["python3", "-c", "pass"]},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}}}
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://models"},
    "CheckpointConfig": {"S3Uri": "s3://b/checkpoints"},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}


@pytest.fixture
def training(world: World) -> World:
    """A world in which a training job with checkpoints has been handed to the back end."""
    world.put("s3://b/data/part-0", b"data")
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    return world


def increment(world: World, number: int, name: str, data: bytes) -> Increment:
    return Increment(number=number, file=world.stage("checkpoints", f"s3://b/checkpoints/{name}", data))


def running(*increments: Increment, phase: Phase = Phase.RUNNING) -> JobObservation:
    return JobObservation(phase=phase, activity="Training", increments=increments)


def versions(world: World, name: str) -> list[ObjectVersion]:
    return world.store.read(lambda transaction: transaction.objects.versions("b", f"checkpoints/{name}"))


def contents(world: World, name: str) -> list[bytes]:
    """Return what the versions of a checkpoint hold, newest first."""
    return [b"".join(world.objects.read(version)) for version in versions(world, name)]


def test_a_checkpoint_is_an_object_while_its_job_runs(training: World) -> None:
    key = training.move("TrainingJob", "train", running(increment(training, 1, "last", b"one")))
    assert contents(training, "last") == [b"one"]
    assert training.resource("TrainingJob", "train").status == "InProgress"
    assert training.backend.dropped == [(key, 1)]
    two, other = increment(training, 2, "last", b"two"), increment(training, 4, "other", b"other")
    training.move("TrainingJob", "train", running(two, other))
    assert contents(training, "last") == [b"two", b"one"]
    assert contents(training, "other") == [b"other"]


def test_what_is_published_leads_back_to_what_the_job_read(training: World) -> None:
    uid = training.resource("TrainingJob", "train").uid
    training.move("TrainingJob", "train", running(increment(training, 1, "last", b"one")))
    training.move("TrainingJob", "train", running(increment(training, 2, "last", b"two")))
    for version in versions(training, "last"):
        found = training.store.read(
            lambda transaction, of=version: list(upstream(transaction.lineage, f"artifact:{of.uri}#{of.version_id}"))  # type: ignore[misc]
        )
        assert found[0].id == f"job:{uid}"
        assert "s3://b/data/part-0" in {node.properties.get("uri") for node in found}
        assert "status" not in found[0].properties, "it has not ended"
    training.move("TrainingJob", "train", training.finished(training.stage("model", "s3://models/x", b"weights")))
    node = training.store.read(lambda transaction: transaction.lineage.node(f"job:{uid}"))
    assert node is not None
    newest = versions(training, "last")[0]
    assert node[1]["status"] == "Completed"
    assert {use["role"] for use in node[1]["outputs"].values()} == {"model", "checkpoint"}
    assert [item for item in node[1]["outputs"] if "checkpoints" in item] == [
        f"artifact:{newest.uri}#{newest.version_id}"
    ]


def test_what_is_still_shown_after_it_was_published_is_dropped_and_not_published_again(training: World) -> None:
    first = increment(training, 1, "last", b"one")
    key = training.move("TrainingJob", "train", running(first))
    training.backend.dropped.clear()
    training.move("TrainingJob", "train", running(first))  # as if the platform had died before it dropped it
    assert contents(training, "last") == [b"one"]
    assert training.backend.dropped == [(key, 1)]


def test_very_many_files_are_published_in_parts(training: World) -> None:
    many = [increment(training, number, f"{number:04d}", b"%d" % number) for number in range(1, 201)]
    training.move("TrainingJob", "train", running(*many))
    listed = training.store.read(lambda transaction: transaction.objects.listing("b", "checkpoints/"))
    assert [b"".join(training.objects.read(version)) for version in listed] == [
        b"%d" % number for number in range(1, 201)
    ]
    assert len(training.backend.dropped) == 4


def test_what_waited_while_no_platform_ran_is_published_before_what_the_end_left(training: World) -> None:
    waited = increment(training, 1, "last", b"before")
    end = training.finished(training.stage("checkpoints", "s3://b/checkpoints/last", b"at the end"))
    assert end.manifest is not None
    training.move(
        "TrainingJob", "train", JobObservation(phase=Phase.FINISHED, increments=(waited,), manifest=end.manifest)
    )
    assert contents(training, "last") == [b"at the end", b"before"]
    assert training.resource("TrainingJob", "train").status == "Completed"


def test_a_new_attempt_begins_with_what_the_lost_one_published_and_else_as_it_did(training: World) -> None:
    first = next(iter(training.backend.jobs.values()))
    training.move("TrainingJob", "train", running(increment(training, 1, "step-1", b"one")))
    training.put("s3://b/data/part-0", b"newer")
    training.move("TrainingJob", "train", running(increment(training, 2, "step-2", b"two"), phase=Phase.LOST))
    assert len(training.backend.jobs) == 2
    second = list(training.backend.jobs.values())[-1]
    laid_out = {item.path: item.version_id for item in second.inputs}
    assert laid_out == {
        **{item.path: item.version_id for item in first.inputs},
        "checkpoints/step-1": versions(training, "step-1")[0].version_id,
        "checkpoints/step-2": versions(training, "step-2")[0].version_id,
    }
    training.move("TrainingJob", "train", running(increment(training, 1, "step-1", b"of the second")))
    assert contents(training, "step-1") == [b"of the second", b"one"], "attempts count by themselves"
    training.move("TrainingJob", "train", training.finished())
    assert training.resource("TrainingJob", "train").status == "Completed"
    uid = training.resource("TrainingJob", "train").uid
    inputs = training.store.read(lambda transaction: {item for item, _ in transaction.lineage.edges_into(f"job:{uid}")})
    newest = versions(training, "step-2")[0]
    assert f"artifact:{newest.uri}#{newest.version_id}" in inputs, "the attempt that ended read it"


def test_a_job_without_an_attempt_left_keeps_its_checkpoints(training: World) -> None:
    training.move("TrainingJob", "train", JobObservation(phase=Phase.LOST))
    training.move("TrainingJob", "train", running(increment(training, 1, "last", b"one"), phase=Phase.LOST))
    assert training.resource("TrainingJob", "train").status == "Failed"
    assert contents(training, "last") == [b"one"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_crash_at_any_write_publishes_each_file_once(training: World, at: int, after: bool) -> None:
    uid = training.resource("TrainingJob", "train").uid
    sights = [
        running(increment(training, 1, "last", b"one")),
        running(increment(training, 2, "last", b"two"), increment(training, 3, "other", b"x")),
        training.finished(training.stage("checkpoints", "s3://b/checkpoints/last", b"three")),
    ]

    def live() -> None:
        while sights:
            training.backend.seen[f"{uid}-1"] = sights[0]
            training.engine.wake(uid)
            training.run()
            sights.pop(0)

    training.engine = training.new_engine(CrashingStore(training.store, at, after=after))
    with pytest.raises(Crash):
        live()
        raise Crash  # fewer writes than `at`
    training.engine = training.new_engine()
    training.store.write(lambda transaction: transaction.work.release_all())
    live()
    assert training.resource("TrainingJob", "train").status == "Completed"
    assert contents(training, "last") == [b"three", b"two", b"one"]
    assert contents(training, "other") == [b"x"]
    run = run_of(training.resource("TrainingJob", "train"))
    assert run is not None
    assert run.published == 3


def test_a_continuous_output_of_a_processing_job_is_published_alike(world: World) -> None:
    output = {
        "OutputName": "report",
        "S3Output": {"S3Uri": "s3://b/reports", "LocalPath": "/opt/ml/processing/report", "S3UploadMode": "Continuous"},
    }
    world.call(
        "CreateProcessingJob",
        {
            "ProcessingJobName": "prepare",
            "AppSpecification": {"ImageUri": "python", "ContainerEntrypoint": ["python3", "-c", "pass"]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "ProcessingOutputConfig": {"Outputs": [output]},
            "RoleArn": "arn:aws:iam::000000000000:role/any",
        },
    )
    world.run()
    (job,) = world.backend.jobs.values()
    assert [(item.continuous, item.on_failure) for item in job.outputs] == [(True, True)]
    part = Increment(number=1, file=world.stage("report", "s3://b/reports/a", b"a"))
    world.move("ProcessingJob", "prepare", running(part))
    found = world.store.read(lambda transaction: transaction.objects.get(ObjectRef("b", "reports/a")))
    assert found is not None
    world.move("ProcessingJob", "prepare", world.finished(exit_code=1, reason="no"))
    assert world.resource("ProcessingJob", "prepare").status == "Failed"
