"""A secret reaches the job that names it, and nothing that the platform keeps or answers shows it."""

import base64
import hashlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.sdk.client import Client
from towpath.sdk.errors import NotFound, RequestFailed
from towpath.sdk.secrets import secret
from towpath.server import bind
from towpath.settings import Settings

pytestmark = pytest.mark.slow

TOKEN, OTHER = "s3cr3t-Pa55/w=rd", "an0ther-s3cret-0f-nobody"
ROLE = "arn:aws:iam::000000000000:role/any"
TELLING = """
import base64, hashlib, json, os, sys
token = os.environ["TOKEN"]
print("digest", hashlib.sha256(token.encode()).hexdigest())
print("token=" + token, repr(token), json.dumps(dict(os.environ)))
print(base64.b64encode(token.encode()).decode(), os.environ["URL"], flush=True)
os.makedirs("/opt/ml/output", exist_ok=True)
if sys.argv[-1] == "fail":
    open("/opt/ml/output/failure", "w").write("cannot log in with " + token)
    raise SystemExit("login failed for " + token)
"""

BRIEFLY = 'import os; print("token=" + os.environ["TOKEN"], os.environ["URL"])'


@pytest.fixture
def home(tmp_path: Path) -> HomeFolder:
    home = HomeFolder(tmp_path / "home")
    home.path.mkdir()
    return home


@pytest.fixture
def client(home: HomeFolder) -> Iterator[Client]:
    listener = bind("127.0.0.1", 0, exactly=True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    platform = Platform.open(home, Settings(), url=url)
    platform.start()
    config = uvicorn.Config(platform.application, loop="uvloop", http="httptools", log_config=None, access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    keys = home.credentials()
    assert keys is not None
    try:
        yield Client(url, token=keys.token)
    finally:
        running.should_exit = True
        thread.join()
        platform.engine.stop()
        platform.stop_everything()
        platform.close()


def ended(client: Client, operation: str, member: str, name: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        shown = client.call(f"SageMaker.{operation}", {member: name})
        if shown[status] in {"Completed", "Failed", "Stopped"}:
            return dict(shown)
        assert time.monotonic() < deadline, shown
        threading.Event().wait(0.05)


def answers(client: Client) -> Iterator[str]:
    """Yield what the API tells of everything that there is."""
    for operation, request in (
        ("SageMaker.ListTrainingJobs", {}),
        ("SageMaker.ListProcessingJobs", {}),
        ("SageMaker.DescribeTrainingJob", {"TrainingJobName": "fails"}),
        ("SageMaker.DescribeProcessingJob", {"ProcessingJobName": "works"}),
        ("SageMaker.ListTags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/fails"}),
        ("Towpath.ListJobSecrets", {}),
    ):
        yield json.dumps(client.call(operation, request))
    for group in ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"):
        yield json.dumps(client.call("Logs_20140328.FilterLogEvents", {"logGroupName": group}))
        streams = client.call("Logs_20140328.DescribeLogStreams", {"logGroupName": group})
        yield json.dumps(streams)
        for stream in streams["logStreams"]:
            request = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
            yield json.dumps(client.call("Logs_20140328.GetLogEvents", request))


def shows(data: bytes) -> list[bytes]:
    """Return every form of a secret that stands in some bytes."""
    forms = [form for value in (TOKEN, OTHER) for form in (value.encode(), base64.b64encode(value.encode()))]
    return [form for form in forms if form in data]


def test_no_file_of_the_home_and_no_answer_shows_a_secret_that_a_job_told(client: Client, home: HomeFolder) -> None:
    client.secrets.set("TOKEN", TOKEN)
    client.secrets.set("OTHER", OTHER)
    environment = {"TOKEN": secret("TOKEN"), "URL": f"https://ada:{secret('TOKEN')}@host/"}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(TELLING)
        tar.addfile(member, io.BytesIO(TELLING.encode()))
    client.lake.ensure_bucket("lake")
    client.lake.put_bytes("s3://lake/sourcedir.tar.gz", stream.getvalue())
    client.call(
        "SageMaker.CreateTrainingJob",
        {
            "TrainingJobName": "fails",
            "AlgorithmSpecification": {
                "TrainingImage": "towpath",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "token", "Regex": "token=(.*)"}],
            },
            "HyperParameters": {
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": '"s3://lake/sourcedir.tar.gz"',
                "how": "fail",
            },
            "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "RoleArn": ROLE,
            "Environment": environment,
        },
    )
    client.call(
        "SageMaker.CreateProcessingJob",
        {
            "ProcessingJobName": "works",
            "AppSpecification": {"ImageUri": "towpath", "ContainerEntrypoint": ["python3", "-c", BRIEFLY]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "RoleArn": ROLE,
            "Environment": environment,
        },
    )
    failed = ended(client, "DescribeTrainingJob", "TrainingJobName", "fails", "TrainingJobStatus")
    worked = ended(client, "DescribeProcessingJob", "ProcessingJobName", "works", "ProcessingJobStatus")
    assert worked["ProcessingJobStatus"] == "Completed"
    assert failed["FailureReason"].startswith("AlgorithmError: cannot log in with ***")
    assert failed["Environment"] == environment
    told = "\n".join(answers(client))
    assert hashlib.sha256(TOKEN.encode()).hexdigest() in told, "the job had the secret"
    assert "token=***" in told
    assert shows(told.encode()) == []
    files = [path for path in home.path.rglob("*") if path.is_file() and path != home.secrets]
    assert {"towpath.db", "log", "job.json", "manifest.json", "host.log"} <= {path.name for path in files}
    assert {path.name: shows(path.read_bytes()) for path in files if shows(path.read_bytes())} == {}
    assert home.secrets.stat().st_mode & 0o777 == 0o600
    assert TOKEN in home.secrets.read_text()


@pytest.mark.shows("towpath", "PutJobSecret", "ListJobSecrets", "DeleteJobSecret")
def test_secrets_are_set_listed_and_removed_and_never_read_back(client: Client) -> None:
    client.secrets.set("A.b-c_1", TOKEN)
    client.secrets.set("A.b-c_1", OTHER)
    assert [item.name for item in client.secrets.ls()] == ["A.b-c_1"]
    client.secrets.rm("A.b-c_1")
    assert client.secrets.ls() == []
    with pytest.raises(NotFound, match=r"no secret 'A\.b-c_1'"):
        client.secrets.rm("A.b-c_1")


@pytest.mark.parametrize("value", ["pw", "   x        ", "x" * 5000, "a NUL \0 within"])
def test_a_value_that_cannot_be_kept_is_refused_without_being_quoted(client: Client, value: str) -> None:
    with pytest.raises(RequestFailed) as refused:
        client.secrets.set("TOKEN", value)
    assert "value of secret 'TOKEN'" in str(refused.value)
    assert value not in str(refused.value)
