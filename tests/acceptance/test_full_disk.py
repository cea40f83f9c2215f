"""The disk of the home is full for real: what finds no room is refused in words, and all else goes on."""

import io
import json
import os
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import Machine, clients, wait_for_execution
from tests.acceptance.crash_pipeline import JOBS, make_pipeline, recording
from tests.acceptance.test_crashes import Story
from tests.acceptance.test_killed_parts import begin_train, check_succeeded, runner_of, told, until

from towpath.home import HomeFolder
from towpath.runner import wake
from towpath.store.reserve import RESERVE_BYTES

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]

MB = 1 << 20
DISK_MB = 64
ROLE = "arn:aws:iam::000000000000:role/anything"


@dataclass(frozen=True)
class Disk:
    """A small file system, and a file on it that takes the room away."""

    folder: Path

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all the room there is but for so much."""
        with self.ballast.open("ab", buffering=0) as file:
            for size in (MB, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.strerror == "No space left on device"
            file.truncate(os.fstat(file.fileno()).st_size - leave_bytes)

    def empty(self) -> None:
        """Give the room back."""
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small file system; where that cannot be done the test is skipped, which in CI is a failure."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    why = "there is no program `mount`"
    if mount is not None:
        command = [mount, "-t", "tmpfs", "-o", f"size={DISK_MB}m", "towpath-test", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = f"a small file system cannot be mounted here: {done.stderr.strip()}" if done.returncode else ""
    if why:
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # gone as well when a failed test left a process


@pytest.fixture
def machine(disk: Disk) -> Iterator[Machine]:
    """Return a home on the small disk; whatever runs in it is stopped in the end, and nothing may be left."""
    machine = Machine(HomeFolder(disk.folder / "home"))
    yield machine
    disk.ballast.unlink(missing_ok=True)
    machine.towpath("down", "--all")
    assert machine.processes() == []


def refused(call: Callable[..., Any], **arguments: Any) -> None:
    """Hold a call to the answer that the disk is full."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 507
    assert response["ResponseMetadata"]["RetryAttempts"] == 0
    assert response["Error"]["Code"] == "InsufficientStorage"
    assert "The disk of the platform's home is full, and nothing was changed. Make room" in response["Error"]["Message"]


def files(folder: Path) -> set[Path]:
    """Return the files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def test_an_upload_without_room_is_refused_and_leaves_nothing(machine: Machine, disk: Disk) -> None:
    server = machine.up()
    s3, bucket = clients(machine)["s3"], "uploads"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    large = os.urandom(6 * MB)
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    first = s3.upload_part(**upload, PartNumber=1, Body=large)["ETag"]
    before = files(machine.home.objects)
    disk.fill(leave_bytes=4 * MB)

    refused(s3.put_object, Bucket=bucket, Key="large", Body=large)
    refused(s3.put_object, Bucket=bucket, Key="streamed", Body=io.BytesIO(large))
    refused(s3.upload_part, **upload, PartNumber=2, Body=large)
    joined = {"Parts": [{"PartNumber": 1, "ETag": first}]}
    refused(s3.complete_multipart_upload, **upload, MultipartUpload=joined)
    assert files(machine.home.objects) == before
    assert [item["Key"] for item in s3.list_object_versions(Bucket=bucket)["Versions"]] == ["kept"]
    assert [part["PartNumber"] for part in s3.list_parts(**upload)["Parts"]] == [1]
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
    s3.put_object(Bucket=bucket, Key="small", Body=b"small")  # for this one there is room
    assert "Traceback" not in machine.home.server_log.read_text()

    disk.empty()
    s3.put_object(Bucket=bucket, Key="large", Body=large)
    second = s3.upload_part(**upload, PartNumber=2, Body=large)["ETag"]
    joined["Parts"].append({"PartNumber": 2, "ETag": second})
    s3.complete_multipart_upload(**upload, MultipartUpload=joined)
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == large
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == large + large
    assert machine.home.running_server() == server


@pytest.fixture
def story(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home on the small disk with the pipeline of the crash tests."""
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_pipeline(aws, recorder)
        yield Story(machine, recorder, server, aws)


def pipeline(name: str) -> dict[str, Any]:
    """Return a request for a pipeline that needs room: its definition is longer than what the store's log has left."""
    document = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Long", "Type": "String", "DefaultValue": "x" * 500_000}],
        "Steps": [{"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
    }
    return {
        "PipelineName": name,
        "PipelineDefinition": json.dumps(document),
        "RoleArn": ROLE,
        "ClientRequestToken": uuid4().hex,
    }


def test_a_commit_without_room_changes_nothing_and_all_goes_on_afterwards(story: Story, disk: Disk) -> None:
    sagemaker = story.aws["sagemaker"]
    arn = begin_train(story)
    disk.fill()
    logged = story.machine.home.server_log.stat().st_size

    request = pipeline("refused")
    for _ in range(3):
        refused(sagemaker.create_pipeline, **request)
    names = [item["PipelineName"] for item in sagemaker.list_pipelines()["PipelineSummaries"]]
    assert names == ["crashes"]
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_pipeline(PipelineName="refused")
    # The engine is told of something as well, and finds no room either.
    keys = [path.name for path in story.machine.home.jobs.iterdir()]
    for _ in range(3):
        for key in keys:
            wake.tell(str(story.machine.home.path / "run"), key)
        threading.Event().wait(1.0)  # on the clock: a log that tells of every try would be long by now
    shown = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert shown["PipelineExecutionStatus"] == "Executing"
    assert story.steps(arn)["Train"]["StepStatus"] == "Executing"
    assert runner_of(story)

    disk.empty()
    sagemaker.create_pipeline(**request)
    assert sagemaker.describe_pipeline(PipelineName="refused")["PipelineDefinition"] == request["PipelineDefinition"]
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=1)
    assert Counter(told(story, arn)).most_common(1)[0][1] == 1, "each step was run once"
    assert {step for _, step, _ in told(story, arn)} == set(JOBS)
    assert story.machine.home.running_server() == story.server
    log = story.machine.home.server_log.read_bytes()[logged:].decode()
    assert "Traceback" not in log
    assert log.count("disk of the platform's home is full") <= 1


#: Writes a part of what was asked for, and rings up when nothing more fits; then it fails as any script would.
FILL = """
import os, pathlib, socket, sys
port, size = int(sys.argv[2]), int(sys.argv[4])
output = pathlib.Path("/opt/ml/processing/output/out")
try:
    (output / "large").write_bytes(os.urandom(size))
except OSError:
    print("found no room", flush=True)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.recv(100)
    raise
"""
#: Prints while it waits for a word, and writes then.
BESIDE = """
import pathlib, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as line, line.makefile("rw") as words:
    for word in words:
        print(word.strip(), flush=True)
        words.write("printed\\n")
        words.flush()
pathlib.Path("/opt/ml/processing/output/out/small").write_text("whole")
"""
PROJECT = """
from towpath import Pipeline, Processing
step = Processing("Step", script="{name}.py", outputs=["out"], arguments={{"port": {port}, "size": {size}}})
pipeline = Pipeline("{name}", steps=[step])
"""


@dataclass(frozen=True)
class Line:
    """Where a job rings up."""

    listener: socket.socket

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def answer(self) -> socket.socket:
        """Return the line to a job that has rung up, or does so soon."""
        line, _ = self.listener.accept()
        line.settimeout(60)
        return line


@pytest.fixture
def lines() -> Iterator[tuple[Line, Line]]:
    """Return a line for each job."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        for listener in (one, other):
            listener.settimeout(60)
        yield Line(one), Line(other)


def say(line: socket.socket, word: str) -> None:
    """Have the job beside print a word."""
    line.sendall(f"{word}\n".encode())
    assert line.recv(100) == b"printed\n"


def step_of(sagemaker: Any, arn: str) -> dict[str, Any]:
    """Return the only step of an execution."""
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return dict(step)


def job_of(sagemaker: Any, arn: str) -> dict[str, Any]:
    """Return the Describe document of the job of an execution's only step."""
    name = step_of(sagemaker, arn)["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    return dict(sagemaker.describe_processing_job(ProcessingJobName=name))


def objects(aws: dict[str, Any]) -> set[str]:
    """Return every object version there is, as bucket and key."""
    buckets = [bucket["Name"] for bucket in aws["s3"].list_buckets()["Buckets"]]
    listed = ((bucket, aws["s3"].list_object_versions(Bucket=bucket)) for bucket in buckets)
    return {f"{bucket}/{version['Key']}" for bucket, found in listed for version in found.get("Versions", [])}


def outputs(aws: dict[str, Any], arn: str) -> set[str]:
    """Return what the execution's job was to write, as far as it is published."""
    (output,) = job_of(aws["sagemaker"], arn)["ProcessingOutputConfig"]["Outputs"]
    prefix = output["S3Output"]["S3Uri"].removeprefix("s3://").rstrip("/") + "/"
    return {key.removeprefix(prefix) for key in objects(aws) if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("leave_mb", "reason"),
    [
        (
            6,
            (
                "AlgorithmError: ExitCode 1: OSError: ",
                "No space left on device",
                "disk of the platform's home was full",
            ),
        ),
        (18, ("InternalServerError: The disk of the platform's home is full: ", "Make room")),
    ],
    ids=["while it is written", "while it is kept"],
)
def test_a_job_whose_output_fills_the_disk_fails_alone(
    machine: Machine, disk: Disk, lines: tuple[Line, Line], tmp_path: Path, leave_mb: int, reason: tuple[str, ...]
) -> None:
    fill, beside = lines
    project = tmp_path / "project"
    project.mkdir()
    for name, line, script in (("fill", fill, FILL), ("beside", beside, BESIDE)):
        (project / f"{name}.py").write_text(script)
        (project / f"{name}_pipeline.py").write_text(PROJECT.format(name=name, port=line.port, size=12 * MB))

    def run(name: str) -> str:
        return str(machine.json("run", str(project / f"{name}_pipeline.py"), "--detach")["PipelineExecutionArn"])

    server = machine.up()
    aws = clients(machine)
    sagemaker = aws["sagemaker"]
    other = run("beside")
    with beside.answer() as held:
        say(held, "before")
        disk.fill(leave_bytes=leave_mb * MB)
        arn = run("fill")
        if leave_mb < 12:
            with fill.answer():
                refused(sagemaker.create_pipeline, **pipeline("refused"))
                say(held, "while the disk was full")
                assert step_of(sagemaker, other)["StepStatus"] == "Executing"
        assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Failed"
        job = job_of(sagemaker, arn)
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith(reason[0])
        assert all(words in job["FailureReason"] for words in reason), job["FailureReason"]
        assert outputs(aws, arn) == set()
        until(lambda: not any(path.name == "large" for path in files(machine.home.path)))
        say(held, "after")
    # The ballast still lies there: the room that the first job took was given back by the platform.
    assert wait_for_execution(sagemaker, other)["PipelineExecutionStatus"] == "Succeeded"
    assert job_of(sagemaker, other)["ProcessingJobStatus"] == "Completed"
    assert outputs(aws, other) == {"small"}

    disk.empty()
    arn = run("fill")
    assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"
    assert outputs(aws, arn) == {"large"}
    assert machine.home.running_server() == server
    assert "Traceback" not in machine.home.server_log.read_text()


def test_without_room_a_server_does_not_start_and_says_why(machine: Machine, disk: Disk) -> None:
    machine.up()
    clients(machine)["s3"].create_bucket(Bucket="kept")
    machine.towpath("down")
    disk.fill()
    told = machine.towpath("up", "--background", code=3)
    assert "disk of the platform's home is full" in told
    assert "Make room" in told
    assert "Traceback" not in told
    disk.empty()
    machine.up()
    clients(machine)["s3"].head_bucket(Bucket="kept")


def test_a_backup_without_room_leaves_nothing(machine: Machine, disk: Disk) -> None:
    machine.up()
    disk.fill(leave_bytes=65536)
    before = files(disk.folder)
    told = machine.towpath("backup", str(disk.folder / "home.tar"), code=1)
    assert "There is no room for a copy of the database" in told
    assert "Traceback" not in told
    assert files(disk.folder) == before
    disk.empty()
    machine.towpath("backup", str(disk.folder / "home.tar"))


def exhaust(machine: Machine, disk: Disk, aws: dict[str, Any]) -> None:
    """Fill the disk until the room that the store's log has within itself is used up as well."""
    disk.fill()
    for number in range(100):
        try:
            aws["sagemaker"].create_pipeline(**pipeline(f"more-{number}"))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InsufficientStorage"
            break
    refused(aws["sagemaker"].create_pipeline, **pipeline("refused"))


def doctor_says(machine: Machine, code: int) -> dict[str, str]:
    """Return the state of each check of `towpath doctor`."""
    told = json.loads(machine.towpath("doctor", "--json", code=code))
    return {check["Name"]: check["State"] for check in told["Checks"]}


def put_many(s3: Any, bucket: str) -> None:
    """Put objects whose rows are large: to remove them all at once takes more than the store's log has left."""
    for each in range(400):
        s3.put_object(Bucket=bucket, Key=f"{'long' * 200}/{each}", Body=b"x")


def check_reserve(machine: Machine) -> None:
    """The reserve was needed, and is kept again with the next change that finds room."""
    assert "the reserve is used" in machine.home.server_log.read_text()
    aws = clients(machine)
    aws["s3"].create_bucket(Bucket="empty")
    aws["s3"].delete_bucket(Bucket="empty")
    assert machine.home.reserve.stat().st_size == RESERVE_BYTES
    assert doctor_says(machine, 1)["reserve"] == "ok"


def test_a_full_disk_lets_objects_be_deleted(machine: Machine, disk: Disk) -> None:
    machine.up()
    aws = clients(machine)
    s3, sagemaker = aws["s3"], aws["sagemaker"]
    s3.create_bucket(Bucket="full")
    put_many(s3, "full")
    s3.put_object(Bucket="full", Key="large", Body=os.urandom(4 * MB))
    exhaust(machine, disk, aws)
    assert "the reserve is used" not in machine.home.server_log.read_text(), "it is for deletions alone"

    listed = s3.list_object_versions(Bucket="full")["Versions"]
    named = [{name: version[name] for name in ("Key", "VersionId")} for version in listed]
    assert "Errors" not in s3.delete_objects(Bucket="full", Delete={"Objects": named})
    assert "Versions" not in s3.list_object_versions(Bucket="full")
    sagemaker.create_pipeline(**pipeline("refused"))  # now there is room
    check_reserve(machine)


@pytest.mark.parametrize("running", [True, False], ids=["through the server", "without one"])
def test_house_keeping_makes_room_on_a_full_disk(machine: Machine, disk: Disk, running: bool) -> None:
    machine.home.path.mkdir()
    machine.home.settings_file.write_text("keep_versions_days = 0\n")
    machine.up()
    aws = clients(machine)
    aws["s3"].create_bucket(Bucket="old")
    for _ in range(2):
        aws["s3"].put_object(Bucket="old", Key="large", Body=os.urandom(4 * MB))
    exhaust(machine, disk, aws)
    if not running:
        machine.towpath("down")
        disk.fill()
        machine.towpath("up", "--background", code=3)
    went = machine.json("gc")
    assert {group["What"]: group["Count"] for group in went["Groups"]} == {"object version": 1}
    machine.up()  # now there is room for that, too
    clients(machine)["sagemaker"].create_pipeline(**pipeline("refused"))
