"""Checkpoints outlive runners and servers: what a job wrote while it ran is there, and the next attempt goes on."""

import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.jobs import attempt_keys
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource
from towpath.runner import claim
from towpath.settings import Settings

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
BUCKET = "checkpoints"
#: Counts in a checkpoint, which it replaces by renaming; each time it tells that it counted, and waits to be told to
#: go on: a file that the test makes. At three it is done.
COUNTING = """
import json, os, signal
place = "/opt/ml/checkpoints/count.json"
found = os.path.exists(place)
count = json.load(open(place))["count"] if found else 0
print("resumed=%d" % count, flush=True)
half = open("/opt/ml/checkpoints/half", "w")
half.write("never whole"); half.flush()

while count < 3:
    count += 1
    json.dump({"count": count}, open("/opt/ml/checkpoints/.new", "w"))
    os.replace("/opt/ml/checkpoints/.new", place)
    if count == 2 and not found:
        signal.pause()
"""
#: Writes when it is told to.
LATER = """
import os, signal
os.mkfifo("/opt/ml/go")
open("/opt/ml/go").read()
open("/opt/ml/checkpoints/a", "w").write("a")
signal.pause()
"""
WRITING = """
import os, signal
open("/opt/ml/processing/out/early.txt", "w").write("early")
signal.pause()
"""


class Running:
    """A home, and the platform that runs on it now."""

    def __init__(self, home: HomeFolder) -> None:
        self.home = home
        self._open()

    def _open(self) -> None:
        self.platform = Platform.open(self.home, Settings(), url="http://127.0.0.1:1")
        self.platform.start()

    def leave(self) -> None:
        """End the platform; jobs go on."""
        self.platform.close()

    def come_back(self) -> None:
        self._open()

    def close(self) -> None:
        self.platform.engine.stop()
        self.platform.stop_everything()
        self.platform.close()

    def create(self, operation: str, document: Document) -> None:
        found = self.platform.operations[operation]
        request = Request(operation=operation, input=document, caller=Caller("admin", "request-1"), parent=None)
        self.platform.store.write(lambda transaction: found.function(transaction, request))

    def job(self, kind: str, name: str) -> Resource:
        found = self.platform.store.read(lambda transaction: transaction.resources.find(kind, name))
        assert found is not None
        return found

    def versions(self, key: str) -> list[ObjectVersion]:
        """Return the versions of an object, newest first."""
        return self.platform.store.read(lambda transaction: transaction.objects.versions(BUCKET, key))

    def read(self, version: ObjectVersion) -> bytes:
        assert version.blob is not None
        return (self.home.objects / "blobs" / version.blob[:2] / version.blob).read_bytes()

    def log(self, key: str) -> list[str]:
        return [line.text for line in self.platform.backend.log(key).lines]


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask again until something holds, as clients do."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        pause.wait(0.05)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    home = HomeFolder(tmp_path / "home")
    home.path.mkdir()
    found = Running(home)
    yield found
    found.close()


def kill_and_wait(pid: int) -> None:
    watched = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([watched], [], [], PATIENCE_S)[0]
    os.close(watched)


def runner_of(running: Running, key: str) -> int:
    holder = claim.look(running.home.jobs / key).holder
    assert holder is not None
    return holder


def training(code: str, **members: Any) -> Document:
    return {
        "TrainingJobName": "train",
        "AlgorithmSpecification": {"TrainingImage": "towpath", "ContainerEntrypoint": ["python3", "-c", code]},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/train"},
        "RoleArn": "arn:aws:iam::000000000000:role/any",
        **members,
    }


@pytest.mark.shows("sagemaker", "CreateTrainingJob", how="executes")
def test_after_its_runner_was_killed_a_job_goes_on_from_its_last_checkpoint(running: Running) -> None:
    running.create("CreateTrainingJob", training(COUNTING))

    def counted() -> bool:
        found = running.versions("train/count.json")
        return bool(found) and json.loads(running.read(found[0]))["count"] == 2

    until(counted, "the checkpoint is published while the job runs")
    first, *_ = attempt_keys(running.job("TrainingJob", "train"))
    assert running.job("TrainingJob", "train").status == "InProgress"
    assert running.versions("train/half") == [], "nothing half-written is published"
    kill_and_wait(runner_of(running, first))
    until(lambda: running.job("TrainingJob", "train").status == "Completed", "the next attempt ends")
    assert attempt_keys(running.job("TrainingJob", "train")) == [first, f"{first[:-1]}2"]
    assert running.log(first) == ["resumed=0"]
    said = [line for line in running.log(f"{first[:-1]}2") if not line.startswith("towpath: ")]
    assert said == ["resumed=2"]
    found = running.versions("train/count.json")
    assert json.loads(running.read(found[0])) == {"count": 3}
    assert [json.loads(running.read(version))["count"] for version in found][-1] in {1, 2}
    uid = running.job("TrainingJob", "train").uid
    produced = running.platform.store.read(
        lambda transaction: {node for node, _ in transaction.lineage.edges_out_of(f"job:{uid}")}
    )
    assert {f"artifact:{version.uri}#{version.version_id}" for version in found} <= produced


def test_what_is_written_while_the_server_is_away_is_published_when_it_is_back(running: Running) -> None:
    running.create("CreateTrainingJob", training(LATER))
    key = f"{running.job('TrainingJob', 'train').uid}-1"
    attempt = running.home.jobs / key
    until((attempt / "ml/go").exists, "it runs")
    running.leave()
    (attempt / "ml/go").write_text("go")
    announced = attempt / "increments/0000000001.json"
    until(announced.exists, "the runner stages without a server")
    running.come_back()
    until(lambda: bool(running.versions("train/a")), "what waited is published")
    assert running.read(running.versions("train/a")[0]) == b"a"
    running.create("StopTrainingJob", {"TrainingJobName": "train"})
    until(lambda: running.job("TrainingJob", "train").status == "Stopped", "it is stopped")
    assert len(running.versions("train/a")) == 1, "and not published again"


@pytest.mark.shows("sagemaker", "CreateProcessingJob", how="executes")
def test_a_continuous_output_is_there_before_its_job_has_ended(running: Running) -> None:
    output = {
        "OutputName": "out",
        "S3Output": {
            "S3Uri": f"s3://{BUCKET}/out",
            "LocalPath": "/opt/ml/processing/out",
            "S3UploadMode": "Continuous",
        },
    }
    running.create(
        "CreateProcessingJob",
        {
            "ProcessingJobName": "write",
            "AppSpecification": {"ImageUri": "towpath", "ContainerEntrypoint": ["python3", "-c", WRITING]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "ProcessingOutputConfig": {"Outputs": [output]},
            "RoleArn": "arn:aws:iam::000000000000:role/any",
        },
    )
    until(lambda: bool(running.versions("out/early.txt")), "it is published")
    assert running.job("ProcessingJob", "write").status == "InProgress"
    version = running.platform.store.read(
        lambda transaction: transaction.objects.get(ObjectRef(BUCKET, "out/early.txt"))
    )
    assert version is not None
    assert running.read(version) == b"early"
