"""Jobs are started once, followed, and ended with everything that belongs to them in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from towpath.jobs import ImageMap, attempt_keys, run_of, uid_of
from towpath.jobs.decisions import Submit
from towpath.jobs.images import Environment
from towpath.jobs.model import Increment, JobObservation, Layer, MetricPoint, Phase
from towpath.kernel.errors import Conflict, StaleRevision, Unavailable
from towpath.kernel.objects import ObjectRef, ObjectVersion, StoredBlob
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.lineage import upstream
from towpath.lineage.model import job_id

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

TRAINING: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {
        "TrainingImage": "towpath",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/train.py"],
        "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy: ([0-9.]+)"}],
    },
    "HyperParameters": {"epochs": "2"},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}}},
        {"ChannelName": "code", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/code/"}}},
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://models/here"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
    "Tags": [
        {"Key": "towpath:code-commit", "Value": "c0ffee"},
        {"Key": "towpath:code-dirty", "Value": "true"},
        {"Key": "towpath:code-tree", "Value": "sha256:beef"},
    ],
}
PROCESSING: Document = {
    "ProcessingJobName": "prepare",
    "AppSpecification": {"ImageUri": "python", "ContainerEntrypoint": ["python3", "-c", "pass"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "x", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}


@pytest.fixture
def training(world: World) -> World:
    """A world in which a training job has been handed to the back end."""
    world.put("s3://b/data/reviews.csv", b"data")
    world.put("s3://b/code/train.py", b"code")
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    return world


def described(world: World, name: str = "train") -> Document:
    return world.call("DescribeTrainingJob", {"TrainingJobName": name})


def test_a_job_is_handed_over_once_and_waits_for_the_back_end(training: World) -> None:
    assert len(training.backend.jobs) == 1
    assert described(training)["TrainingJobStatus"] == "InProgress"
    assert described(training)["SecondaryStatus"] == "Starting"
    training.engine.wake(training.resource("TrainingJob", "train").uid)
    training.run()
    assert len(training.backend.submits) == 1


def test_the_attempt_is_known_by_a_key_that_leads_back_to_the_job(training: World) -> None:
    resource = training.resource("TrainingJob", "train")
    assert attempt_keys(resource) == [f"{resource.uid}-1"] == list(training.backend.jobs)
    assert uid_of(f"{resource.uid}-1") == resource.uid


def test_progress_and_metrics_show_while_the_job_runs(training: World) -> None:
    training.clock.advance(1)
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING, activity="Downloading"))
    assert described(training)["SecondaryStatus"] == "Downloading"
    training.clock.advance(1)
    now = training.clock.now()
    points = (MetricPoint(name="accuracy", value=0.5, at=now),)
    training.move(
        "TrainingJob",
        "train",
        JobObservation(phase=Phase.RUNNING, activity="Training", started_at=now, metrics=points),
    )
    shown = described(training)
    assert shown["SecondaryStatus"] == "Training"
    assert shown["TrainingStartTime"] == now.timestamp()
    assert shown["FinalMetricDataList"] == [{"MetricName": "accuracy", "Value": 0.5, "Timestamp": now.timestamp()}]
    transitions = shown["SecondaryStatusTransitions"]
    assert [item["Status"] for item in transitions] == ["Starting", "Downloading", "Training"]
    assert [item.get("EndTime") for item in transitions] == [
        transitions[1]["StartTime"],
        transitions[2]["StartTime"],
        None,
    ]


def complete(world: World) -> None:
    world.clock.advance(60)
    model = world.stage("model", "s3://models/here/train/output/model.tar.gz", b"weights")
    now = world.clock.now()
    metrics = (MetricPoint(name="accuracy", value=0.75, at=now),)
    world.move("TrainingJob", "train", world.finished(model, metrics=metrics))


def test_the_end_publishes_outputs_status_and_times_together(training: World) -> None:
    complete(training)
    shown = described(training)
    assert shown["TrainingJobStatus"] == shown["SecondaryStatus"] == "Completed"
    assert shown["ModelArtifacts"] == {"S3ModelArtifacts": "s3://models/here/train/output/model.tar.gz"}
    assert shown["TrainingTimeInSeconds"] == shown["BillableTimeInSeconds"] == 10
    assert shown["TrainingEndTime"] == training.clock.now().timestamp()
    assert shown["FinalMetricDataList"][0]["Value"] == 0.75
    assert "FailureReason" not in shown
    assert "Run" not in shown
    version = training.store.read(
        lambda transaction: transaction.objects.get(ObjectRef("models", "here/train/output/model.tar.gz"))
    )
    assert version is not None
    assert b"".join(training.objects.read(version)) == b"weights"
    assert training.store.read(lambda transaction: transaction.objects.bucket_created_at("models")) is not None


def test_what_the_attempts_worked_on_is_removed_once_their_outputs_are_published(training: World) -> None:
    uid = training.resource("TrainingJob", "train").uid
    training.move("TrainingJob", "train", JobObservation(phase=Phase.LOST))
    assert training.backend.tidied == []
    complete(training)
    assert training.backend.tidied == [f"{uid}-1", f"{uid}-2"]


def test_what_a_crash_kept_from_being_tidied_is_tidied_at_the_next_look(training: World) -> None:
    complete(training)
    uid = training.resource("TrainingJob", "train").uid
    training.backend.untidy.add(f"{uid}-1")  # as if the platform had died between the commit and the tidying
    training.backend.tidied.clear()
    training.engine.wake(uid)
    training.run()
    assert training.backend.tidied == [f"{uid}-1"]


def test_each_change_of_status_is_an_event(training: World) -> None:
    complete(training)
    resource = training.resource("TrainingJob", "train")
    events = training.store.read(lambda transaction: transaction.events.of(resource.uid))
    assert [(event.type, event.detail.get("TrainingJobStatus")) for event in events] == [
        ("CreateTrainingJob", None),
        ("SageMaker Training Job State Change", "InProgress"),
        ("SageMaker Training Job State Change", "Completed"),
    ]


def test_lineage_knows_data_code_environment_parameters_and_model(training: World) -> None:
    complete(training)
    resource = training.resource("TrainingJob", "train")
    version = training.store.read(
        lambda transaction: transaction.objects.get(ObjectRef("models", "here/train/output/model.tar.gz"))
    )
    assert version is not None
    found = training.store.read(
        lambda transaction: list(upstream(transaction.lineage, f"artifact:{version.uri}#{version.version_id}"))
    )
    assert found[0].id == f"job:{resource.uid}"
    assert found[0].properties["parameters"] == {"epochs": 2}
    assert found[0].properties["metrics"] == {"accuracy": 0.75}
    by_type = {node.type: node.properties for node in found}
    assert by_type["Code"]["commit"] == "c0ffee"
    assert by_type["Code"]["dirty"] is True
    assert by_type["Environment"]["packages"] == {"numpy": "2.4.0", "scikit-learn": "1.9.1"}
    uris = {node.properties["uri"] for node in found if node.type == "Artifact"}
    assert uris == {"s3://b/data/reviews.csv", "s3://b/code/train.py"}
    roles = {use["name"]: use["role"] for use in found[0].properties["inputs"].values()}
    assert roles == {"train": "data", "code": "code"}


def test_packages_that_requirements_added_show_in_the_lineage_of_their_job(training: World) -> None:
    layer = Layer(hash="f" * 64, python_version="3.11.7", base={"numpy": "2.4.0"}, packages={"humanize": "4.9.0"})
    training.move("TrainingJob", "train", training.finished(layer=layer))
    uid = training.resource("TrainingJob", "train").uid
    node = training.store.read(lambda transaction: transaction.lineage.node(f"job:{uid}"))
    assert node is not None
    assert node[1]["added_packages"] == {"humanize": "4.9.0"}
    found = training.store.read(lambda transaction: list(upstream(transaction.lineage, f"job:{uid}")))
    environments = [node.properties for node in found if node.type == "Environment"]
    assert [environment["packages"] for environment in environments] == [{"humanize": "4.9.0", "numpy": "2.4.0"}]


def test_an_input_that_belongs_to_a_dataset_says_so_in_the_lineage(world: World) -> None:
    data = world.put("s3://b/data/reviews.csv", b"data")
    world.put("s3://b/code/train.py", b"code")
    world.datasets[data.ref] = "reviews/3"
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    complete(world)
    uid = world.resource("TrainingJob", "train").uid
    node = world.store.read(lambda transaction: transaction.lineage.node(f"job:{uid}"))
    assert node is not None
    assert node[1]["datasets"] == {f"artifact:{data.uri}#{data.version_id}": "reviews/3"}
    assert world.check_outs == [("reviews/3", "ada", world.resource("TrainingJob", "train").arn)]


def test_a_new_attempt_is_no_new_check_out(training: World) -> None:
    data = training.store.read(lambda transaction: transaction.objects.get(ObjectRef("b", "data/reviews.csv")))
    assert data is not None
    training.datasets[data.ref] = "reviews/3"
    training.move("TrainingJob", "train", JobObservation(phase=Phase.LOST))
    assert len(training.backend.jobs) == 2
    assert training.check_outs == []


def test_the_versions_of_the_start_are_used_though_newer_ones_came(training: World) -> None:
    before = next(iter(training.backend.jobs.values())).inputs
    training.put("s3://b/data/reviews.csv", b"newer")
    training.backend.jobs.clear()
    training.backend.seen.clear()  # the platform died before the back end heard of the attempt
    training.engine = training.new_engine()
    training.engine.wake(training.resource("TrainingJob", "train").uid)
    training.run()
    assert next(iter(training.backend.jobs.values())).inputs == before


def test_a_missing_input_fails_the_job_by_its_name(world: World) -> None:
    world.put("s3://b/code/train.py", b"code")
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    shown = described(world)
    assert shown["TrainingJobStatus"] == "Failed"
    assert shown["FailureReason"] == (
        "ClientError: There are no objects under s3://b/data/ (input 'train'); s3://b/ holds code/"
    )
    assert world.backend.submits == []


def test_a_failure_says_why_in_the_words_of_the_script(training: World) -> None:
    training.move("TrainingJob", "train", training.finished(exit_code=1, reason="ValueError: no rows"))
    shown = described(training)
    assert shown["TrainingJobStatus"] == shown["SecondaryStatus"] == "Failed"
    assert shown["FailureReason"] == "AlgorithmError: ValueError: no rows, ExitCode 1"


def test_what_a_failed_job_left_on_purpose_is_published_too(training: World) -> None:
    data = training.stage("data", "s3://models/here/train/output/output.tar.gz", b"log")
    training.move("TrainingJob", "train", training.finished(data, exit_code=1, reason="no"))
    assert training.store.read(
        lambda transaction: transaction.objects.get(ObjectRef("models", "here/train/output/output.tar.gz"))
    )


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"exit_code": -9, "reason": None}, "AlgorithmError: killed by signal 9"),
        ({"exit_code": None, "reason": "input is damaged"}, "ClientError: input is damaged"),
        ({"exit_code": 4, "reason": "ExitCode 4: KeyError"}, "AlgorithmError: ExitCode 4: KeyError"),
        ({"exit_code": 0, "reason": "The disk is full", "no_room": True}, "InternalServerError: The disk is full"),
        ({"exit_code": 3, "reason": "x" * 5000}, "AlgorithmError: xxx"),
    ],
)
def test_every_way_to_fail_has_words_that_fit_the_api(training: World, changes: Document, start: str) -> None:
    training.move("TrainingJob", "train", training.finished(**changes))
    reason = described(training)["FailureReason"]
    assert reason.startswith(start)
    assert len(reason) <= 1024


def test_a_lost_runner_means_one_more_attempt_on_the_same_inputs(training: World) -> None:
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    training.move("TrainingJob", "train", JobObservation(phase=Phase.LOST))
    resource = training.resource("TrainingJob", "train")
    assert attempt_keys(resource) == list(training.backend.jobs)
    first, second = training.backend.jobs.values()
    assert (first.inputs, first.argv) == (second.inputs, second.argv)
    assert described(training)["TrainingJobStatus"] == "InProgress"
    assert "Restarting" in [item["Status"] for item in described(training)["SecondaryStatusTransitions"]]
    training.move("TrainingJob", "train", JobObservation(phase=Phase.LOST))
    shown = described(training)
    assert shown["TrainingJobStatus"] == "Failed"
    assert shown["FailureReason"].startswith("InternalServerError: the runner of attempt 2 vanished")


def test_an_attempt_that_was_seen_and_is_gone_was_lost(training: World) -> None:
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    training.move("TrainingJob", "train", JobObservation(phase=Phase.ABSENT))
    assert len(training.backend.jobs) == 2


def test_stopping_asks_the_back_end_once_and_again_only_after_a_while(training: World) -> None:
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    training.call("StopTrainingJob", {"TrainingJobName": "train"})
    assert described(training)["TrainingJobStatus"] == "Stopping"
    training.run()
    assert described(training)["SecondaryStatus"] == "Stopping"
    assert len(training.backend.stops) == 1
    training.clock.advance(5)
    training.run()
    assert len(training.backend.stops) == 1
    training.clock.advance(5)
    training.run()
    assert len(training.backend.stops) == 2
    training.move("TrainingJob", "train", training.finished(exit_code=-15, reason=None, stopped=True))
    shown = described(training)
    assert shown["TrainingJobStatus"] == shown["SecondaryStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("exit_code", "stopped", "status", "versions"),
    [(0, False, "Completed", 1), (3, False, "Failed", 0), (0, True, "Stopped", 1), (-15, True, "Stopped", 1)],
)
def test_a_job_that_ended_by_itself_is_not_stopped_by_a_stop_that_came_too_late(
    training: World, exit_code: int, stopped: bool, status: str, versions: int
) -> None:
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    outputs = [training.stage("model", "s3://models/train/output/model.tar.gz", b"weights")] * versions
    uid = training.resource("TrainingJob", "train").uid
    (key,) = training.backend.jobs
    training.backend.seen[key] = training.finished(*outputs, exit_code=exit_code, stopped=stopped)
    training.call("StopTrainingJob", {"TrainingJobName": "train"})  # nobody has looked at it since it ended
    training.run()
    assert described(training)["TrainingJobStatus"] == status
    made = training.store.read(lambda transaction: transaction.objects.versions("models", "train/output/model.tar.gz"))
    assert len(made) == versions
    node = training.store.read(lambda transaction: transaction.lineage.node(job_id(uid)))
    assert node is not None
    assert node[1]["status"] == status
    with pytest.raises(Conflict, match=f"in status {status}"):
        training.call("StopTrainingJob", {"TrainingJobName": "train"})


def test_a_job_stopped_before_it_starts_never_starts(world: World) -> None:
    world.call("CreateProcessingJob", PROCESSING)
    world.call("StopProcessingJob", {"ProcessingJobName": "prepare"})
    world.run()
    assert world.resource("ProcessingJob", "prepare").status == "Stopped"
    assert world.backend.submits == []


def test_running_too_long_is_told_as_such(training: World) -> None:
    training.move("TrainingJob", "train", training.finished(exit_code=-15, timed_out=True))
    shown = described(training)
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert shown["FailureReason"].startswith("MaxRuntimeExceeded")


def test_a_processing_job_ends_with_an_exit_message_of_its_failure(world: World) -> None:
    world.call("CreateProcessingJob", PROCESSING)
    world.run()
    world.move("ProcessingJob", "prepare", world.finished(exit_code=2, reason="no such column"))
    shown = world.call("DescribeProcessingJob", {"ProcessingJobName": "prepare"})
    assert shown["ProcessingJobStatus"] == "Failed"
    assert shown["ExitMessage"] == "AlgorithmError: no such column, ExitCode 2"
    assert shown["ProcessingEndTime"] - shown["ProcessingStartTime"] == timedelta(seconds=10).total_seconds()


def test_a_death_between_adoption_and_commit_is_harmless(training: World) -> None:
    resource = training.resource("TrainingJob", "train")
    key = next(iter(training.backend.jobs))
    model = training.stage("model", "s3://models/here/train/output/model.tar.gz", b"weights")
    training.backend.seen[key] = training.finished(model)
    controller = training.controllers["TrainingJob"]
    observation = controller.observe(resource)
    decision = controller.decide(resource, observation, training.clock.now())

    def die(transaction: Transaction) -> None:
        controller.apply(transaction, resource, decision)
        raise StaleRevision

    with pytest.raises(StaleRevision):
        training.store.write(die)
    assert not training.objects.staged, "the file was moved"
    training.engine.wake(resource.uid)
    training.run()
    assert described(training)["TrainingJobStatus"] == "Completed"
    version = training.store.read(
        lambda transaction: transaction.objects.get(ObjectRef("models", "here/train/output/model.tar.gz"))
    )
    assert version is not None
    assert b"".join(training.objects.read(version)) == b"weights"


@pytest.mark.parametrize("dies_first", [False, True])
def test_very_many_outputs_are_taken_in_before_the_transaction_that_shows_them(
    training: World, monkeypatch: pytest.MonkeyPatch, dies_first: bool
) -> None:
    files = [training.stage("data", f"s3://b/out/{number}", b"%d" % number) for number in range(200)]
    adopted: list[tuple[int, str]] = []
    whole = training.objects.adopt_all
    dies = [OSError("died")] if dies_first else []

    def watched(files: Sequence[tuple[str, StoredBlob]]) -> None:
        if dies:
            raise dies.pop()
        adopted.append((len(files), threading.current_thread().name))
        whole(files)

    monkeypatch.setattr(training.objects, "adopt_all", watched)
    training.move("TrainingJob", "train", training.finished(*files))
    training.clock.advance(60.0)
    training.run()
    assert described(training)["TrainingJobStatus"] == "Completed"
    listed = training.store.read(lambda transaction: transaction.objects.listing("b", "out/"))
    assert len(listed) == 200
    assert adopted == [(200, "MainThread")], "the transaction has nothing left to take in"


def test_what_has_to_travel_is_taken_in_before_the_transaction_that_shows_it(
    training: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.objects.is_far = True
    where: list[str] = []
    one_by_one = training.objects.adopt

    def watched(path: str, blob: StoredBlob) -> None:
        if blob.blob not in training.objects.blobs:
            where.append(threading.current_thread().name)
        one_by_one(path, blob)

    monkeypatch.setattr(training.objects, "adopt", watched)
    model = training.stage("model", "s3://models/here/train/output/model.tar.gz", b"weights")
    checkpoint = training.stage("checkpoint", "s3://models/checkpoints/1", b"half")
    training.move(
        "TrainingJob", "train", JobObservation(phase=Phase.RUNNING, increments=(Increment(number=1, file=checkpoint),))
    )
    shown = training.store.read(lambda transaction: transaction.objects.get(ObjectRef("models", "checkpoints/1")))
    assert shown is not None
    training.move("TrainingJob", "train", training.finished(model))
    assert described(training)["TrainingJobStatus"] == "Completed"
    assert where == ["MainThread", "MainThread"]


def test_a_job_whose_inputs_cannot_be_fetched_just_now_waits_and_does_not_fail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(version: ObjectVersion) -> str:
        raise Unavailable("The object store does not answer.")

    path = world.objects.path
    world.put("s3://b/data/reviews.csv", b"data")
    world.put("s3://b/code/train.py", b"code")
    monkeypatch.setattr(world.objects, "path", away)
    world.call("CreateTrainingJob", TRAINING)
    world.run()
    assert (described(world)["TrainingJobStatus"], world.backend.jobs) == ("InProgress", {})
    monkeypatch.setattr(world.objects, "path", path)
    world.clock.advance(3600.0)
    world.run()
    assert len(world.backend.jobs) == 1


def test_deciding_twice_on_the_same_sight_gives_the_same(training: World) -> None:
    resource: Resource = training.resource("TrainingJob", "train")
    controller = training.controllers["TrainingJob"]
    key = next(iter(training.backend.jobs))
    sights = [
        JobObservation(phase=Phase.ABSENT),
        JobObservation(phase=Phase.RUNNING),
        JobObservation(phase=Phase.LOST),
        training.finished(training.stage("model", "s3://models/x", b"x")),
    ]
    for sight in sights:
        training.backend.seen[key] = sight
        observation = controller.observe(resource)
        now = training.clock.now()
        assert controller.decide(resource, observation, now) == controller.decide(resource, observation, now)


class OnceAsked:
    """Implements `jobs.images.Images`: answers until the test says that nobody may ask any more."""

    def __init__(self, images: ImageMap) -> None:
        self.images = images
        self.asked: list[str] = []
        self.silent = False

    def resolve(self, image: str) -> Environment:
        assert not self.silent, "an environment is looked for while deciding"
        self.asked.append(image)
        return self.images.resolve(image)


@pytest.mark.parametrize("image", ["towpath", "nobody/knows:1"])
@pytest.mark.parametrize("phase", [None, Phase.ABSENT, Phase.LOST])
def test_deciding_looks_for_no_environment(world: World, image: str, phase: Phase | None) -> None:
    world.images = images = OnceAsked(world.images)
    world.engine = world.new_engine()
    document = {key: value for key, value in TRAINING.items() if key not in {"InputDataConfig", "Tags"}}
    world.call("CreateTrainingJob", document)
    resource = world.resource("TrainingJob", "train")
    if phase is not None:
        world.run()
        world.backend.seen[f"{resource.uid}-1"] = JobObservation(phase=phase)
        resource = world.resource("TrainingJob", "train")
    spec = {**resource.spec, "AlgorithmSpecification": {**TRAINING["AlgorithmSpecification"], "TrainingImage": image}}
    resource = replace(resource, spec=spec)
    controller, now = world.controllers["TrainingJob"], world.clock.now()
    observation = controller.observe(resource)
    assert images.asked[-1] == image
    images.silent = True
    decision = controller.decide(resource, observation, now)
    assert decision == controller.decide(resource, observation, now)
    if image == "towpath":
        assert isinstance(decision.effects[0], Submit)
    else:
        assert decision.state is not None
        assert decision.state["FailureReason"].startswith("ClientError: Image 'nobody/knows:1' is not mapped")


def test_no_environment_is_looked_for_where_no_attempt_may_begin(training: World) -> None:
    training.images = images = OnceAsked(training.images)
    training.engine = training.new_engine()
    training.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    complete(training)
    assert images.asked == []


def test_the_record_of_the_attempt_survives_the_store(training: World) -> None:
    run = run_of(training.resource("TrainingJob", "train"))
    assert run is not None
    assert [item.name for item in run.inputs] == ["train", "code"]
    assert run.code is not None
    assert run.code.objects[0].startswith("s3://b/code/train.py ")
