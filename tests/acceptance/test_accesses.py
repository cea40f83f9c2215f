"""Who read and wrote an object is known after the server has ended, and who wrote it also after it was killed."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine

import towpath.aws

pytestmark = pytest.mark.acceptance


def told(machine: Machine) -> list[tuple[str, str, int]]:
    found: list[dict[str, Any]] = machine.json("data", "accesses", "s3://lake/a")
    return sorted((each["operation"], each["principal"], each["requests"]) for each in found)


def test_reads_outlast_the_end_of_a_server_and_writes_its_being_killed(machine: Machine) -> None:
    server = machine.up()
    s3 = towpath.aws.session(machine.home.path).client("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="a", Body=b"1")
    for _ in range(3):
        s3.get_object(Bucket="lake", Key="a")["Body"].read()
    machine.towpath("down")
    server = machine.up()
    assert told(machine) == [("GetObject", "admin", 3), ("PutObject", "admin", 1)]
    s3 = towpath.aws.session(machine.home.path).client("s3")
    s3.put_object(Bucket="lake", Key="a", Body=b"2")
    os.kill(server.pid, signal.SIGKILL)
    machine.up()
    assert told(machine) == [("GetObject", "admin", 3), ("PutObject", "admin", 1), ("PutObject", "admin", 1)]


def test_a_dataset_read_by_s3_is_shown_among_its_check_outs(machine: Machine, tmp_path: Path) -> None:
    machine.up()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(name)
    machine.towpath("data", "put", "pair", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    s3 = towpath.aws.session(machine.home.path).client("s3")
    bucket = "sagemaker-us-east-1-000000000000"
    s3.get_object(Bucket=bucket, Key="datasets/pair/a.csv")["Body"].read()
    assert "1 file by GetObject" in machine.towpath("data", "check-outs", "pair")
    s3.get_object(Bucket=bucket, Key="datasets/pair/b.csv")["Body"].read()
    assert "all files by GetObject" in machine.towpath("data", "check-outs", "pair")
    assert "Nothing was read" in machine.towpath("data", "accesses", "--by", "nobody")
    assert "is not an S3 URI" in machine.towpath("data", "accesses", "pair", code=2)
