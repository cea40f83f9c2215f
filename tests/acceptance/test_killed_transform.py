"""A transform job whose server, runner or driver is killed over a record: nothing is lost, and no file is half."""

import io
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.test_crashes import kill_and_wait
from tests.acceptance.test_killed_parts import until

from towpath.runner import claim

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]

BUCKET = "killed"
#: Answers with its record in capitals; at "hold" it waits until somebody writes to the gate.
HANDLER = """
import os
def model_fn(folder):
    if not os.path.exists("/opt/ml/gate"):
        os.mkfifo("/opt/ml/gate")
    return folder
def transform_fn(folder, body, content_type, accept):
    if body == "hold":
        open("/opt/ml/held", "w").close()
        open("/opt/ml/gate").read()
    return body.upper(), accept
"""
ANSWERS = {"out/a.txt.out": b"ONE\nTWO\n", "out/b.txt.out": b"THREE\nHOLD\nFOUR\n"}


class Job:
    """A transform job that holds in the middle of its second file."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.aws = clients(machine)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(HANDLER)
            archive.addfile(member, io.BytesIO(HANDLER.encode()))
        s3 = self.aws["s3"]
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=stream.getvalue())
        s3.put_object(Bucket=BUCKET, Key="in/a.txt", Body=b"one\ntwo\n")
        s3.put_object(Bucket=BUCKET, Key="in/b.txt", Body=b"three\nhold\nfour\n")
        container = {"Image": "towpath", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
        role = "arn:aws:iam::000000000000:role/any"
        sagemaker = self.aws["sagemaker"]
        sagemaker.create_model(ModelName="holds", PrimaryContainer=container, ExecutionRoleArn=role)
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}
        sagemaker.create_transform_job(
            TransformJobName="holds",
            ModelName="holds",
            BatchStrategy="SingleRecord",
            TransformInput={"DataSource": source, "ContentType": "text/plain", "SplitType": "Line"},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/out", "Accept": "text/plain", "AssembleWith": "Line"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        )

    def until_held(self, attempt: int = 1) -> Path:
        """Wait until an attempt holds; return its folder."""

        def folders() -> list[Path]:
            return list(self.machine.home.jobs.glob(f"*-{attempt}"))

        until(lambda: folders() and (folders()[0] / "ml/held").exists(), within_s=120)
        return folders()[0]

    def go_on(self, attempt: Path) -> None:
        """Let it go on."""
        (attempt / "ml/gate").write_text("go")

    def ended(self) -> dict[str, Any]:
        """Wait for the end; return how the job is described then."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(clients(self.machine)["sagemaker"].describe_transform_job(TransformJobName="holds"))
            return found["TransformJobStatus"] not in {"InProgress", "Stopping"}

        until(has_ended, within_s=120)
        return found

    def written(self) -> dict[str, bytes]:
        """Return the answers, of each object the only version that there ever was."""
        s3 = clients(self.machine)["s3"]
        versions = s3.list_object_versions(Bucket=BUCKET, Prefix="out/").get("Versions", [])
        keys = [version["Key"] for version in versions]
        assert len(keys) == len(set(keys)), keys
        return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def drivers(attempt: Path) -> list[int]:
    """Return the processes of an attempt's driver and its model, the driver first: those below its runner."""
    found, waiting = [], [claim.look(attempt).holder]
    while waiting:
        pid = waiting.pop(0)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found += [int(child) for child in children]
        waiting += [int(child) for child in children]
    return [pid for pid in found if b"towpath.transform" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_server_that_is_killed_finds_the_job_again_and_its_answers(machine: Machine) -> None:
    server = machine.up()
    job = Job(machine)
    attempt = job.until_held()
    kill_and_wait(server.pid)
    job.go_on(attempt)
    machine.up()
    assert job.ended()["TransformJobStatus"] == "Completed"
    assert job.written() == ANSWERS


def test_a_runner_that_is_killed_publishes_nothing_and_a_second_attempt_everything(machine: Machine) -> None:
    machine.up()
    job = Job(machine)
    holder = claim.look(job.until_held()).holder
    assert holder is not None
    os.kill(holder, signal.SIGKILL)
    second = job.until_held(attempt=2)
    assert job.written() == {}
    job.go_on(second)
    assert job.ended()["TransformJobStatus"] == "Completed"
    assert job.written() == ANSWERS


def test_a_driver_that_is_killed_takes_its_model_along_and_leaves_no_half_a_file(machine: Machine) -> None:
    machine.up()
    job = Job(machine)
    attempt = job.until_held()
    driver, model = drivers(attempt)
    os.kill(driver, signal.SIGKILL)
    described = job.ended()
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: Killed by SIGKILL")
    # The last answers to the first file may still have been on their way.
    assert job.written().items() <= {"out/a.txt.out": ANSWERS["out/a.txt.out"]}.items()
    assert not Path(f"/proc/{model}").exists()
