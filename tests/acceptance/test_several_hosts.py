"""Jobs on two hosts, by boto3 and the command line: what each is given, what comes of both, and what happens when the
server, the runner or one of the hosts is killed while they talk to each other."""

import io
import json
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

BUCKET = "wide"
ROLE = "arn:aws:iam::000000000000:role/any"
INSTANCES = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
#: Both meet over TCP by name. The first holds until somebody writes to its gate, the second until the first tells it.
TRAIN = """
import json, os, socket, sys
hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
leads = me == hosts[0]
if leads:
    os.mkfifo("/opt/ml/gate")
    peer = socket.create_server((hosts[0], 7777)).accept()[0]
else:
    while True:
        try:
            peer = socket.create_connection((hosts[0], 7777))
            break
        except ConnectionRefusedError:
            os.sched_yield()
shard = sorted(os.listdir("/opt/ml/input/data/train"))
print(f"{me} reads {shard}", flush=True)
os.makedirs("/opt/ml/checkpoints", exist_ok=True)
open(f"/opt/ml/checkpoints/{me}", "w").write("half")
open("/opt/ml/held", "w").close()
if leads:
    print(f"{peer.recv(6).decode()} is there", flush=True)
    open("/opt/ml/gate").read()
    peer.sendall(b"go")
else:
    peer.sendall(me.encode())
    if peer.recv(2) != b"go":
        raise ConnectionError("the leading host is gone")
print(f"rows={len(shard)}")
open(f"/opt/ml/model/{me}.txt", "w").write(",".join(shard))
open(f"/opt/ml/output/data/{me}.json", "w").write(json.dumps(sys.argv[1:]))
"""
PREPARE = """
import json, os
told = json.load(open("/opt/ml/config/resourceconfig.json"))
me = told["current_host"]
for name in os.listdir("/opt/ml/processing/in"):
    rows = open(f"/opt/ml/processing/in/{name}").read().upper()
    open(f"/opt/ml/processing/out/{name}", "w").write(rows)
open("/opt/ml/processing/out/hosts", "w").write(me)
print(me, "of", told["hosts"], "prepared")
"""


def archive(**members: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, text in members.items():
            member = tarfile.TarInfo(f"{name}.py")
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


class Wide:
    """A training job on two hosts that hold."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        aws = clients(machine)
        put_rows(aws["s3"])
        aws["s3"].put_object(Bucket=BUCKET, Key="code.tar.gz", Body=archive(train=TRAIN))
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/", "S3DataDistributionType": "ShardedByS3Key"}
        aws["sagemaker"].create_training_job(
            TrainingJobName="wide",
            AlgorithmSpecification={
                "TrainingImage": "towpath",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "rows", "Regex": "rows=([0-9]+)"}],
            },
            HyperParameters={
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{BUCKET}/code.tar.gz",
                "epochs": "1",
            },
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
            ResourceConfig=INSTANCES,
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            RoleArn=ROLE,
        )

    def until_held(self, attempt: int = 1) -> Path:
        """Wait until both hosts of an attempt hold; return its folder."""

        def folders() -> list[Path]:
            return list(self.machine.home.jobs.glob(f"*-{attempt}"))

        def held() -> bool:
            return bool(folders()) and all(
                (folders()[0] / place / "held").exists() for place in ("ml", "hosts/algo-2/ml")
            )

        until(held, within_s=120)
        return folders()[0]

    def go_on(self, attempt: Path) -> None:
        (attempt / "ml/gate").write_text("go")

    def ended(self) -> dict[str, Any]:
        """Wait for the end; return how the job is described then."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(clients(self.machine)["sagemaker"].describe_training_job(TrainingJobName="wide"))
            return found["TrainingJobStatus"] not in {"InProgress", "Stopping"}

        until(has_ended, within_s=120, every_s=0.5)
        return found

    def written(self) -> dict[str, bytes]:
        """Return what lies below `out/`, of each object the only version that there ever was."""
        return written(clients(self.machine)["s3"], "out/")


def put_rows(s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET)
    for name in ("a", "b", "c"):
        s3.put_object(Bucket=BUCKET, Key=f"in/{name}.csv", Body=f"{name}\n".encode())


def written(s3: Any, prefix: str) -> dict[str, bytes]:
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=prefix).get("Versions", [])
    keys = [version["Key"] for version in versions]
    assert len(keys) == len(set(keys)), keys
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def unpacked(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        return {name: (packed.extractfile(name) or io.BytesIO()).read().decode() for name in packed.getnames()}


def script_of(folder: Path) -> int:
    """Return the process of the script that runs with an attempt's or a host's folder as its own."""
    held = (folder / "ml").stat()
    for pid in (int(process.name) for process in Path("/proc").glob("[0-9]*")):
        try:
            seen = Path(f"/proc/{pid}/root/opt/ml").stat()
        except OSError:
            continue
        if (seen.st_dev, seen.st_ino) == (held.st_dev, held.st_ino):
            return pid
    raise AssertionError(f"nothing runs in {folder}")


def check_completed(job: Wide) -> None:
    described = job.ended()
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    found = job.written()
    assert sorted(found) == ["out/wide/output/model.tar.gz", "out/wide/output/output.tar.gz"]
    model = unpacked(found["out/wide/output/model.tar.gz"])
    assert model == {"algo-1.txt": "a.csv,c.csv", "algo-2.txt": "b.csv"}
    data = unpacked(found["out/wide/output/output.tar.gz"])
    assert {name: json.loads(text) for name, text in data.items()} == {
        "algo-1.json": ["--epochs", "1"],
        "algo-2.json": ["--epochs", "1"],
    }


def test_two_hosts_train_and_what_both_wrote_is_one_model(machine: Machine) -> None:
    machine.up()
    job = Wide(machine)
    job.go_on(job.until_held())
    check_completed(job)
    aws = clients(machine)
    streams = aws["logs"].describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="wide/", limit=2
    )["logStreams"]
    assert [stream["logStreamName"].rpartition("-")[0] for stream in streams] == ["wide/algo-1", "wide/algo-2"]
    told = machine.towpath("logs", "wide")
    assert "algo-1: algo-1 reads ['a.csv', 'c.csv']\n" in told
    assert "algo-1: algo-2 is there\n" in told
    assert "algo-2: algo-2 reads ['b.csv']\n" in told
    lines = [json.loads(line) for line in machine.towpath("logs", "wide", "--json").splitlines()]
    assert {line["Host"] for line in lines} == {"algo-1", "algo-2"}
    described = aws["sagemaker"].describe_training_job(TrainingJobName="wide")
    assert described["ResourceConfig"]["InstanceCount"] == 2
    checkpoints = written(aws["s3"], "checkpoints/")
    assert checkpoints == {"checkpoints/algo-1": b"half", "checkpoints/algo-2": b"half"}
    assert described["FinalMetricDataList"][0]["MetricName"] == "rows"


def test_two_hosts_prepare_data_into_one_prefix(machine: Machine) -> None:
    machine.up()
    aws = clients(machine)
    put_rows(aws["s3"])
    aws["s3"].put_object(Bucket=BUCKET, Key="code/prepare.py", Body=PREPARE.encode())

    def read(name: str, key: str, *, sharded: bool) -> dict[str, Any]:
        return {
            "InputName": name,
            "S3Input": {
                "S3Uri": f"s3://{BUCKET}/{key}",
                "LocalPath": f"/opt/ml/processing/{name}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
                "S3DataDistributionType": "ShardedByS3Key" if sharded else "FullyReplicated",
            },
        }

    target = {"S3Uri": f"s3://{BUCKET}/out", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    aws["sagemaker"].create_processing_job(
        ProcessingJobName="prepare",
        AppSpecification={
            "ImageUri": "towpath",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/prepare.py"],
        },
        ProcessingInputs=[read("in", "in/", sharded=True), read("code", "code/prepare.py", sharded=False)],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": target}]},
        ProcessingResources={"ClusterConfig": INSTANCES},
        NetworkConfig={"EnableNetworkIsolation": True},
        RoleArn=ROLE,
    )

    def has_ended() -> bool:
        shown = aws["sagemaker"].describe_processing_job(ProcessingJobName="prepare")
        return bool(shown["ProcessingJobStatus"] == "Completed")

    until(has_ended, within_s=120, every_s=0.5)
    assert written(aws["s3"], "out/") == {
        "out/a.csv": b"A\n",
        "out/b.csv": b"B\n",
        "out/c.csv": b"C\n",
        "out/hosts": b"algo-1",
    }
    told = machine.towpath("logs", "prepare")
    assert "algo-1: towpath: output out: hosts of algo-2 was left out, algo-1 wrote another" in told
    assert "algo-2: algo-2 of ['algo-1', 'algo-2'] prepared" in told


def test_a_server_that_is_killed_finds_both_hosts_again(machine: Machine) -> None:
    server = machine.up()
    job = Wide(machine)
    attempt = job.until_held()
    kill_and_wait(server.pid)
    assert script_of(attempt) != script_of(attempt / "hosts/algo-2")
    machine.up()
    job.go_on(attempt)
    check_completed(job)
    assert not list(machine.home.jobs.glob("*-2")), "it was adopted, not begun again"


def test_a_runner_that_is_killed_takes_both_hosts_along_and_both_begin_again(machine: Machine) -> None:
    machine.up()
    job = Wide(machine)
    attempt = job.until_held()
    scripts = [script_of(attempt), script_of(attempt / "hosts/algo-2")]
    holder = claim.look(attempt).holder
    assert holder is not None
    os.kill(holder, signal.SIGKILL)
    second = job.until_held(attempt=2)
    assert not [pid for pid in scripts if Path(f"/proc/{pid}").exists()]
    assert job.written() == {}
    job.go_on(second)
    check_completed(job)


def test_a_host_that_is_killed_ends_the_other_and_the_job_names_it(machine: Machine) -> None:
    machine.up()
    job = Wide(machine)
    attempt = job.until_held()
    os.kill(script_of(attempt / "hosts/algo-2"), signal.SIGKILL)
    described = job.ended()
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: algo-2: Killed by SIGKILL"), described
    assert job.written() == {}


def test_stopping_stops_both_hosts(machine: Machine) -> None:
    machine.up()
    job = Wide(machine)
    attempt = job.until_held()
    scripts = [script_of(attempt), script_of(attempt / "hosts/algo-2")]
    machine.towpath("stop", "wide")
    assert job.ended()["TrainingJobStatus"] == "Stopped"
    assert not [pid for pid in scripts if Path(f"/proc/{pid}").exists()]
