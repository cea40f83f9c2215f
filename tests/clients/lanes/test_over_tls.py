"""Each client of AWS against a server with a certificate, as a user of another machine whose role is not everything."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine
from tests.certificates import make_certificate
from tests.clients.lanes.conftest import Lane, made_lane

from towpath.home import HomeFolder

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

BOTO3 = """
import boto3, io, os
from botocore.exceptions import ClientError
assert os.environ["AWS_ENDPOINT_URL"].startswith("https://")
print(boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com").get_caller_identity()["UserId"])
s3, bucket = boto3.client("s3"), "sagemaker-us-east-1-000000000000"
content = os.urandom(9 << 20)
s3.upload_fileobj(io.BytesIO(content), bucket, "tls/large")
assert s3.get_object(Bucket=bucket, Key="tls/large")["Body"].read() == content
try:
    boto3.client("sagemaker").create_endpoint(EndpointName="not-hers", EndpointConfigName="not-hers")
except ClientError as error:
    print("refused", error.response["Error"]["Code"])
"""
PIPELINE = """
session = PipelineSession()
role = get_execution_role(session)
processor = ScriptProcessor(
    role=role, image_uri="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    command=["python3"], instance_count=1, instance_type="ml.m5.large", sagemaker_session=session,
)
step = ProcessingStep("Hello", step_args=processor.run(code="hello.py"))
pipeline = Pipeline(NAME, steps=[step], sagemaker_session=session)
pipeline.upsert(role_arn=role)
execution = pipeline.start()
execution.wait(delay=1, max_attempts=240)
print("execution", execution.describe()["PipelineExecutionStatus"])
"""
SDK2 = """
from sagemaker import get_execution_role
from sagemaker.processing import ScriptProcessor
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep
NAME = "tls2"
"""
SDK3 = """
import os
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "true"
from sagemaker.core.helper.session_helper import get_execution_role
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep
NAME = "tls3"
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return what a data scientist on another machine sets, for a server with a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    made = make_certificate(folder, "127.0.0.1")
    machine = Machine(HomeFolder(folder / "home"))
    machine.home.path.mkdir()
    files = {"tls_certificate": made.certificate, "tls_key": made.key, "tls_ca": made.certificate}
    machine.home.settings_file.write_text(
        "".join(f"{name} = {json.dumps(str(file))}\n" for name, file in files.items())
    )
    url = machine.up().url
    key = machine.json("keys", "create", "ada", "--role=data-scientist")
    yield {
        "TOWPATH_ENDPOINT": url,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_CA_BUNDLE": str(made.certificate),
    }
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture
def lane(elsewhere: dict[str, str], tmp_path: Path) -> Callable[[str], Lane]:
    """Return a function that gives the lane of a name, on a machine with an empty home."""
    nobody = Machine(HomeFolder(tmp_path / "empty"))
    return lambda name: replace(made_lane(name, nobody, tmp_path), variables=elsewhere)


def program(lane: Lane, text: str) -> Path:
    """Write a program and a script for a job into the lane's folder."""
    (lane.scratch / "hello.py").write_text("print('hello from a job')\n")
    file = lane.scratch / "program.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", ["boto3", "boto3-minimum"])
def test_boto3(lane: Callable[[str], Lane], name: str) -> None:
    client = lane(name)
    who, refused = client.run(program(client, BOTO3)).out.splitlines()
    assert who.endswith(":ada")
    assert refused == "refused AccessDeniedException"


@pytest.mark.parametrize(("name", "imports"), [("sagemaker2", SDK2), ("sagemaker3", SDK3)])
def test_the_sdks(lane: Callable[[str], Lane], name: str, imports: str) -> None:
    sdk = lane(name)
    assert "execution Succeeded" in sdk.run(program(sdk, imports + PIPELINE)).out


def test_the_command_line(lane: Callable[[str], Lane]) -> None:
    aws = lane("awscli")
    large, back = aws.scratch / "large.bin", aws.scratch / "back.bin"
    large.write_bytes(b"towpath" * 3_000_000)
    target = "s3://sagemaker-us-east-1-000000000000/tls/large.bin"
    aws.run("aws", "s3", "cp", "--no-progress", large, target)
    aws.run("aws", "s3", "cp", "--no-progress", target, back)
    assert back.read_bytes() == large.read_bytes()
    assert "AccessDenied" in aws.run("aws", "iam", "list-users", code=255).error
