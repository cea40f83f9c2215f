"""Transform jobs through unmodified boto3 on a running server: what is read, asked, written, told and refused."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.clients.records.conftest import IMAGE, ROLE, Aws, refusal

pytestmark = pytest.mark.slow

#: Sums the numbers of each line, and says so in JSON, or in CSV where that is asked for.
SUMS = """
import json
def model_fn(model_dir):
    return open(model_dir + "/word.txt").read()
def transform_fn(word, body, content_type, accept):
    rows = [json.loads(line) if content_type == "application/json" else line.split(",") for line in body.split("\\n")]
    sums = [sum(float(cell) for cell in row) for row in rows]
    if accept == "text/csv":
        return "".join(f"{each:g}\\n" for each in sums), accept
    return json.dumps({word: sums[0]}), "application/json"
"""


def put_model(aws: Aws, name: str, script: str, **options: Any) -> None:
    """Make a model of a script, and of a file beside it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, text in (("code/inference.py", script), ("word.txt", "sum")):
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    aws.s3.put_object(Bucket="sums", Key=f"{name}/model.tar.gz", Body=stream.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://sums/{name}/model.tar.gz", **options}
    aws.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)


@pytest.fixture(scope="module")
def sums(aws: Aws) -> Iterator[str]:
    """Return the name of a model that sums the numbers of each line; the bucket `sums` is there too."""
    aws.s3.create_bucket(Bucket="sums")
    put_model(aws, "sums", SUMS)
    yield "sums"


def request(name: str, model: str, source: str = "in/", **options: Any) -> dict[str, Any]:
    """Return a request; `options` with a dotted name go into TransformInput and TransformOutput."""
    asked: dict[str, Any] = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://sums/{name}/{source}"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://sums/{name}/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "BatchStrategy": "SingleRecord",
    }
    for place, value in options.items():
        section, _, member = place.partition("__")
        if member:
            asked[section] = {**asked[section], member: value}
        else:
            asked[section] = value
    return asked


def put(aws: Aws, job: str, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        aws.s3.put_object(Bucket="sums", Key=f"{job}/{key}", Body=body)


def transform(aws: Aws, asked: dict[str, Any]) -> dict[str, Any]:
    """Create a job and wait for its end as boto3 does; return how it is described then."""
    aws.sagemaker.create_transform_job(**asked)
    return ended(aws, asked["TransformJobName"])


def ended(aws: Aws, name: str) -> dict[str, Any]:
    waiter = aws.sagemaker.get_waiter("transform_job_completed_or_stopped")
    with suppress(WaiterError):  # Failed; which end it was is the test's to say
        waiter.wait(TransformJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 2000})
    found: dict[str, Any] = aws.sagemaker.describe_transform_job(TransformJobName=name)
    return found


def results(aws: Aws, job: str) -> dict[str, bytes]:
    """Return what lies at the job's S3OutputPath."""
    listed = aws.s3.list_objects_v2(Bucket="sums", Prefix=f"{job}/out/").get("Contents", [])
    return {
        item["Key"].removeprefix(f"{job}/out/"): aws.s3.get_object(Bucket="sums", Key=item["Key"])["Body"].read()
        for item in listed
    }


@pytest.mark.shows("sagemaker", "CreateTransformJob", how="executes")
@pytest.mark.shows("sagemaker", "DescribeTransformJob", how="executes")
def test_each_line_of_each_file_is_answered_in_its_place(aws: Aws, sums: str) -> None:
    put(aws, "plain", {"in/a.csv": b"1,2\n3,4\n\n5,6", "in/deep/b.csv": b"10,20\n"})
    described = transform(aws, request("plain", sums))
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert results(aws, "plain") == {
        "a.csv.out": b'{"sum": 3.0}\n{"sum": 7.0}\n{"sum": 11.0}\n',
        "deep/b.csv.out": b'{"sum": 30.0}\n',
    }
    assert described["TransformStartTime"] <= described["TransformEndTime"]
    assert described["ModelName"] == sums


@pytest.mark.shows("sagemaker", "ListTransformJobs", "StopTransformJob", how="executes")
def test_jobs_are_listed_sorted_filtered_in_pages_and_stopped(aws: Aws, sums: str) -> None:
    """None of what a stopped job answered is kept, as on SageMaker."""
    put_model(aws, "waits", "import signal\ndef model_fn(folder): return 1\ndef predict_fn(x, m): signal.pause()\n")
    made = ["list-b", "list-a", "list-c"]
    for name in made:
        put(aws, name, {"in/a.csv": b"1\n"})
        aws.sagemaker.create_transform_job(**request(name, "waits"))
    listing = aws.sagemaker.list_transform_jobs

    def names(**asked: Any) -> list[str]:
        found = listing(NameContains="LIST-", **asked)["TransformJobSummaries"]
        return [item["TransformJobName"] for item in found]

    assert names() == made[::-1]
    assert names(SortBy="Name", SortOrder="Ascending") == sorted(made)
    first = listing(NameContains="list-", SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert [item["TransformJobName"] for item in first["TransformJobSummaries"]] == ["list-a", "list-b"]
    assert names(SortBy="Name", SortOrder="Ascending", NextToken=first["NextToken"]) == ["list-c"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert names(CreationTimeAfter=tomorrow) == names(LastModifiedTimeAfter=tomorrow) == []
    assert sorted(names(CreationTimeBefore=tomorrow, LastModifiedTimeBefore=tomorrow)) == sorted(made)
    assert sorted(names(StatusEquals="InProgress")) == sorted(made)
    for name in made:
        aws.sagemaker.stop_transform_job(TransformJobName=name)
    assert [ended(aws, name)["TransformJobStatus"] for name in made] == ["Stopped"] * 3
    assert sorted(names(StatusEquals="Stopped", SortBy="Status")) == sorted(made)
    assert [results(aws, name) for name in made] == [{}] * 3
    code, message = refusal(aws.sagemaker.stop_transform_job, TransformJobName="list-a")
    assert (code, "the transform job is in status Stopped" in message) == ("ValidationException", True)


def test_the_model_is_the_one_of_the_moment_in_which_the_job_was_created(aws: Aws, sums: str) -> None:
    put_model(aws, "fleeting", SUMS)
    put(aws, "fleeting", {"in/a.csv": b"1\n"})
    aws.sagemaker.create_transform_job(**request("fleeting", "fleeting"))
    aws.sagemaker.delete_model(ModelName="fleeting")
    assert ended(aws, "fleeting")["TransformJobStatus"] == "Completed"
    code, message = refusal(aws.sagemaker.create_transform_job, **request("later", "fleeting"))
    assert (code, message) == ("ValidationException", 'Could not find model "fleeting".')
