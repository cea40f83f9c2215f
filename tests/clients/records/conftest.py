"""One whole platform for all tests of records: boto3 on a server in whose home a small pipeline has run."""

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.acceptance.conftest import wait_for_execution

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.server import bind
from towpath.settings import Settings

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/any"
PREPARE = """
import pathlib
text = pathlib.Path("/opt/ml/processing/input/raw/words.txt").read_text()
pathlib.Path("/opt/ml/processing/output/train/words.txt").write_text(text.upper())
"""
TRAIN = """
import os, pathlib
words = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "words.txt").read_text()
for epoch, accuracy in enumerate((0.5, 0.75, 0.625), start=1):
    print(f"epoch={epoch} validation:accuracy={accuracy}", flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(words)
"""


class Aws:
    """boto3 clients of a running server."""

    def __init__(self, url: str, home: HomeFolder) -> None:
        keys = home.credentials()
        assert keys is not None
        self._session = boto3.Session(
            aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key, region_name="us-east-1"
        )
        self.url = url
        self.home = home
        self.sagemaker = self.client("sagemaker")
        self.metrics = self.client("sagemaker-metrics")
        self.s3 = self.client("s3")

    def client(self, service: str) -> Any:
        """Return a client that tries each request once."""
        once = Config(retries={"total_max_attempts": 1})
        return self._session.client(service, endpoint_url=self.url, config=once)


def definition() -> str:
    """Return the pipeline: prepare, train, register."""
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
    base = "/opt/ml/processing"
    file = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    prepare = {
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": resources},
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{base}/input/code/prepare.py"]},
        "ProcessingInputs": [
            {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": f"{base}/input/{name}", **file}}
            for name, uri in (("raw", "s3://lake/raw/"), ("code", "s3://lake/code/prepare.py"))
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "train",
                    "S3Output": {
                        "S3Uri": "s3://lake/train/",
                        "LocalPath": f"{base}/output/train",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    }
    prepared = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
    train = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}],
        },
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": "s3://lake/code/source.tar.gz",
            "epochs": "3",
        },
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": prepared}}}
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
        "ResourceConfig": resources,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    register = {
        "ModelPackageGroupName": "words",
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    }
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Steps": [
                {"Name": "Prepare", "Type": "Processing", "Arguments": prepare},
                {"Name": "Train", "Type": "Training", "Arguments": train},
                {"Name": "Register", "Type": "RegisterModel", "Arguments": register},
            ],
        }
    )


def archive(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    home = HomeFolder(tmp_path_factory.mktemp("records") / "home")
    home.path.mkdir()
    listener = bind("127.0.0.1", 0, exactly=True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    platform = Platform.open(home, Settings(), url=url)
    platform.start()
    config = uvicorn.Config(platform.application, loop="uvloop", http="httptools", log_config=None, access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Aws(url, home)
    finally:
        running.should_exit = True
        thread.join()
        platform.engine.stop()
        platform.stop_everything()
        platform.close()


@pytest.fixture(scope="session")
def ran(aws: Aws) -> dict[str, str]:
    """Return the ARNs of the pipeline, of its execution and of what its steps made, once all of them have succeeded."""
    aws.s3.create_bucket(Bucket="lake")
    aws.s3.put_object(Bucket="lake", Key="raw/words.txt", Body=b"one two three")
    aws.s3.put_object(Bucket="lake", Key="code/prepare.py", Body=PREPARE.encode())
    aws.s3.put_object(Bucket="lake", Key="code/source.tar.gz", Body=archive("train.py", TRAIN))
    sagemaker = aws.sagemaker
    pipeline = sagemaker.create_pipeline(
        PipelineName="Words", PipelineDefinition=definition(), RoleArn=ROLE, ClientRequestToken="x" * 32
    )["PipelineArn"]
    execution = sagemaker.start_pipeline_execution(PipelineName="Words")["PipelineExecutionArn"]
    ended = wait_for_execution(sagemaker, execution)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
    assert ended["PipelineExecutionStatus"] == "Succeeded", steps
    made = {step["StepName"]: next(iter(step["Metadata"].values()))["Arn"] for step in steps}
    return {"pipeline": pipeline, "execution": execution, **made}


Refusal = Callable[..., tuple[str, str]]


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """Return the code and the message of the error that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    told = caught.value.response["Error"]
    return told["Code"], told["Message"]
