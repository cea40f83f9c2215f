"""A job that does not fit beside what runs waits, says for what, and starts when there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from towpath.jobs.admission import Demand, Ledger
from towpath.jobs.instances import GIB, Capacity
from towpath.jobs.model import JobObservation, Phase
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

HOST = Capacity(cores=2.0, memory_bytes=16 * GIB)


def restarted(world: World) -> World:
    """Return the world with a new process of the platform: an empty queue that is filled from the store."""
    world.surroundings = replace(world.surroundings, host_memory_bytes=HOST.memory_bytes)
    world.admission = ledger = Ledger(HOST, lambda uid: world.engine.wake(uid))
    world.engine = world.new_engine()
    standing = [controller.standing() for controller in world.controllers.values()]
    ledger.restore([each for held, _ in standing for each in held], [each for _, some in standing for each in some])
    return world


@pytest.fixture
def queued(world: World) -> World:
    """A world whose host has two cores and 16 GB."""
    return restarted(world)


def training(name: str, instance_type: str = "ml.m5.xlarge") -> Document:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "towpath", "ContainerEntrypoint": ["python3", "-c", "pass"]},
        "OutputDataConfig": {"S3OutputPath": "s3://models"},
        "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1},
        "RoleArn": "arn:aws:iam::000000000000:role/any",
    }


def processing(name: str, instance_type: str = "ml.m5.xlarge") -> Document:
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": "python", "ContainerEntrypoint": ["python3", "-c", "pass"]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "RoleArn": "arn:aws:iam::000000000000:role/any",
    }


def create(world: World, *documents: Document) -> None:
    for document in documents:
        operation = "CreateTrainingJob" if "TrainingJobName" in document else "CreateProcessingJob"
        world.call(operation, document)
        world.clock.advance(1)
        world.run()


def started(world: World) -> list[str]:
    return [job.name for job in world.backend.jobs.values()]


def test_two_jobs_that_chose_no_machine_run_side_by_side_and_a_third_waits(queued: World) -> None:
    create(queued, *(training(name, "ml.m5.large") for name in ("a", "b", "c")))
    assert started(queued) == ["a", "b"]


def test_a_waiting_training_job_is_pending_and_says_for_what(queued: World) -> None:
    create(queued, training("first"), training("second"))
    assert started(queued) == ["first"]
    shown = queued.call("DescribeTrainingJob", {"TrainingJobName": "second"})
    said = "Waiting for 2 cores and 16 GB of memory: 0 of 2 cores and 0 GB of 16 GB free, in use by first"
    assert shown["TrainingJobStatus"] == "InProgress"
    assert shown["SecondaryStatus"] == "Pending"
    assert shown["SecondaryStatusTransitions"][-1]["StatusMessage"] == said
    assert "WaitingFor" not in shown
    queued.move("TrainingJob", "first", queued.finished())
    queued.run()
    assert started(queued) == ["first", "second"]
    shown = queued.call("DescribeTrainingJob", {"TrainingJobName": "second"})
    assert [item["Status"] for item in shown["SecondaryStatusTransitions"]] == ["Starting", "Pending", "Starting"]


def test_a_waiting_processing_job_says_for_what_until_it_starts(queued: World) -> None:
    create(queued, training("first"), processing("second"))
    shown = queued.call("DescribeProcessingJob", {"ProcessingJobName": "second"})
    assert shown["ExitMessage"].startswith("Waiting for 2 cores")
    listed = queued.call("ListProcessingJobs", {})["ProcessingJobSummaries"]
    assert listed[0]["ExitMessage"] == shown["ExitMessage"]
    queued.move("TrainingJob", "first", queued.finished())
    queued.run()
    assert "ExitMessage" not in queued.call("DescribeProcessingJob", {"ProcessingJobName": "second"})


def test_what_a_job_waits_for_is_that_of_the_moment_in_which_somebody_asks(queued: World) -> None:
    create(queued, *(training(name) for name in ("a", "b", "c")), processing("d"))
    needs = "Waiting for 2 cores and 16 GB of memory: 0 of 2 cores and 0 GB of 16 GB free, in use by "

    def said(training_job: str) -> tuple[str, str, str]:
        shown = queued.call("DescribeTrainingJob", {"TrainingJobName": training_job})
        (listed,) = queued.call("ListProcessingJobs", {})["ProcessingJobSummaries"]
        described = queued.call("DescribeProcessingJob", {"ProcessingJobName": "d"})["ExitMessage"]
        return shown["SecondaryStatusTransitions"][-1]["StatusMessage"], described, listed["ExitMessage"]

    assert said("c") == (f"{needs}a; 1 is before it", *[f"{needs}a; 2 are before it"] * 2)
    queued.move("TrainingJob", "a", queued.finished())
    assert said("c") == (f"{needs}b", *[f"{needs}b; 1 is before it"] * 2)
    queued.move("TrainingJob", "b", queued.finished())
    assert said("b")[1:] == (f"{needs}c", f"{needs}c")
    stored = queued.resource("ProcessingJob", "d").state["WaitingFor"]
    assert stored == f"{needs}a; 2 are before it", "nothing is written because of somebody else's end"
    assert queued.admission is not None
    queued.admission.release(queued.resource("TrainingJob", "c").uid)
    shown = queued.call("DescribeProcessingJob", {"ProcessingJobName": "d"})
    assert "ExitMessage" not in shown, "its turn has come, and nobody has looked at it since"


def test_jobs_of_both_kinds_start_in_the_order_in_which_they_were_created(queued: World) -> None:
    create(queued, training("a"), processing("b"), training("c"), processing("d"))
    for name, kind in (("a", "TrainingJob"), ("b", "ProcessingJob"), ("c", "TrainingJob")):
        queued.move(kind, name, queued.finished())
        queued.run()
    assert started(queued) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("ending", ["fails", "is stopped", "is lost"])
def test_however_a_job_ends_the_next_one_starts(queued: World, ending: str) -> None:
    create(queued, training("first"), training("second"))
    match ending:
        case "fails":
            queued.move("TrainingJob", "first", queued.finished(exit_code=1, reason="no"))
        case "is stopped":
            queued.call("StopTrainingJob", {"TrainingJobName": "first"})
            queued.run()
            queued.move("TrainingJob", "first", queued.finished(stopped=True))
        case "is lost":
            queued.move("TrainingJob", "first", JobObservation(phase=Phase.LOST))
            assert started(queued) == ["first", "first"], "its second attempt does not wait again"
            queued.move("TrainingJob", "first", JobObservation(phase=Phase.LOST))
    queued.run()
    assert started(queued)[-1] == "second"


def test_looking_again_takes_no_second_place_in_the_queue_and_changes_no_answer(queued: World) -> None:
    create(queued, training("first"), training("second"))
    assert queued.admission is not None
    controller = queued.controllers["TrainingJob"]
    before = (queued.admission.held(), queued.admission.waiting())
    for name in ("first", "second", "second"):
        resource = queued.resource("TrainingJob", name)
        seen = controller.observe(resource)
        assert controller.observe(resource) == seen
        assert controller.decide(resource, seen, queued.clock.now()) == controller.decide(
            resource, seen, queued.clock.now()
        )
    assert (queued.admission.held(), queued.admission.waiting()) == before


def test_stopping_a_waiting_job_takes_it_out_of_the_queue(queued: World) -> None:
    create(queued, training("first"), training("second"), training("third"))
    queued.call("StopTrainingJob", {"TrainingJobName": "second"})
    queued.run()
    shown = queued.call("DescribeTrainingJob", {"TrainingJobName": "second"})
    assert (shown["TrainingJobStatus"], shown["FailureReason"]) == ("Stopped", "Stopped before it started")
    queued.move("TrainingJob", "first", queued.finished())
    queued.run()
    assert started(queued) == ["first", "third"]


def test_a_restarted_platform_keeps_what_runs_and_the_order_of_the_queue(queued: World) -> None:
    create(queued, training("first"), processing("second"), training("third"))
    restarted(queued)
    queued.run()
    assert started(queued) == ["first"]
    create(queued, training("late", "ml.m5.large"))
    queued.move("TrainingJob", "first", queued.finished())
    queued.run()
    assert started(queued) == ["first", "second"]
    queued.move("ProcessingJob", "second", queued.finished())
    queued.run()
    assert started(queued) == ["first", "second", "third"]


def test_what_ended_while_no_platform_ran_makes_room_when_it_is_seen(queued: World) -> None:
    create(queued, training("first"), training("second"))
    first = queued.resource("TrainingJob", "first")
    queued.backend.seen[f"{first.uid}-1"] = queued.finished()
    restarted(queued)
    queued.engine.wake(first.uid)  # as the back end does for each attempt that it finds on disk
    queued.run()
    assert started(queued) == ["first", "second"]


def test_a_job_whose_input_is_missing_fails_and_holds_nothing(queued: World) -> None:
    wrong = training("wrong")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://nowhere/x"}}
    wrong["InputDataConfig"] = [{"ChannelName": "train", "DataSource": source}]
    create(queued, wrong, training("right"))
    assert queued.call("DescribeTrainingJob", {"TrainingJobName": "wrong"})["TrainingJobStatus"] == "Failed"
    assert started(queued) == ["right"]


def test_a_machine_larger_than_this_host_is_refused_where_a_setting_says_so(world: World) -> None:
    world.surroundings = replace(world.surroundings, oversized_jobs="refuse")
    restarted(world)
    create(world, training("huge", "ml.c5.9xlarge"))
    shown = world.call("DescribeTrainingJob", {"TrainingJobName": "huge"})
    assert shown["TrainingJobStatus"] == "Failed"
    assert shown["FailureReason"].startswith("ClientError: ml.c5.9xlarge has 36 cores, 72 GB of memory, this host 2")


def test_a_model_server_takes_memory_from_jobs_but_keeps_none_waiting_for_ever(queued: World) -> None:
    assert queued.admission is not None
    wants = Capacity(memory_bytes=8 * GIB)
    queued.admission.hold(Demand(key="server", name="endpoint shop", wants=wants, serves=True))
    create(queued, training("first", "ml.m5.xlarge"), training("second", "ml.c5.large"))
    assert started(queued) == ["first"]
    said = queued.call("DescribeTrainingJob", {"TrainingJobName": "second"})["SecondaryStatusTransitions"][-1]
    assert said["StatusMessage"].endswith("in use by endpoint shop, first")


def test_a_job_whose_creation_was_undone_keeps_no_place_in_the_queue(queued: World) -> None:
    assert queued.admission is not None
    queued.call("CreateTrainingJob", training("first"))
    controller = queued.controllers["TrainingJob"]
    resource = queued.resource("TrainingJob", "first")
    seen = queued.store.read(lambda transaction: controller.observe_within(transaction, resource))
    assert seen == controller.observe(resource), "what it sees in a transaction is what it sees outside"
    assert [demand.key for demand in queued.admission.held()] == [resource.uid]
    controller.unobserved(resource)
    assert queued.admission.held() == []


def test_a_job_is_not_looked_at_in_a_transaction_where_bytes_are_fetched_or_an_attempt_is_under_way(
    queued: World,
) -> None:
    queued.call("CreateTrainingJob", training("first"))
    controller = queued.controllers["TrainingJob"]

    def look() -> object:
        resource = queued.resource("TrainingJob", "first")
        return queued.store.read(lambda transaction: controller.observe_within(transaction, resource))

    queued.objects.is_far = True
    assert look() is None
    queued.objects.is_far = False
    assert look() is not None
    queued.run()
    assert look() is None


def test_a_job_on_several_hosts_starts_with_all_of_them_or_waits(queued: World) -> None:
    wide = training("wide", "ml.m5.large")
    wide["ResourceConfig"]["InstanceCount"] = 2
    second = training("second", "ml.m5.large")
    second["ResourceConfig"]["InstanceCount"] = 2
    create(queued, training("one", "ml.m5.large"), wide, second, training("small", "ml.m5.large"))
    assert started(queued) == ["one"], "half of its room is kept for the first in turn, so nobody takes it"
    shown = queued.call("DescribeTrainingJob", {"TrainingJobName": "wide"})
    assert shown["SecondaryStatusTransitions"][-1]["StatusMessage"].startswith("Waiting for 2 cores: 1 of 2 cores free")
    queued.move("TrainingJob", "one", queued.finished())
    queued.run()
    assert started(queued) == ["one", "wide"]
    queued.move("TrainingJob", "wide", queued.finished())
    queued.run()
    assert started(queued) == ["one", "wide", "second"]
