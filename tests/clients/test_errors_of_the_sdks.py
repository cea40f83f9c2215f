"""Errors whose code or text the SageMaker SDKs match on, as unmodified boto3 sees them from a real server.

Each row names the place in the SDKs that would go wrong with another code or another text.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import Machine

import towpath.aws
from towpath.home import HomeFolder

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::000000000000:role/anything"
TOKEN = "x" * 32
DEFINITION = '{"Version": "2020-12-01", "Steps": [{"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]}'
PIPELINE = {"PipelineName": "there", "PipelineDefinition": DEFINITION, "RoleArn": ROLE, "ClientRequestToken": TOKEN}
MODEL = {
    "ModelName": "there",
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {
        "Image": "towpath",
        "ModelDataUrl": "s3://sagemaker-us-east-1-000000000000/there/model.tar.gz",
    },
}

#: service, operation, request, code, part of the text, who matches on it
TABLE = [
    ("sagemaker", "create_pipeline", {**PIPELINE, "ClientRequestToken": "y" * 32}, "ValidationException",
     "already exists", "Pipeline.upsert: update instead of create, 2.x and 3.x"),
    ("sagemaker", "describe_pipeline", {"PipelineName": "none"}, "ResourceNotFound", "does not exist",
     "Pipeline.put_triggers; resources of 3.x"),
    ("sagemaker", "create_model", MODEL, "ValidationException", "Cannot create already existing model",
     "Session.create_model: go on with the model that is there, 2.x"),
    ("sagemaker", "describe_model", {"ModelName": "none"}, "ValidationException", "Could not find model",
     "resources of 3.x: get_all and wait_for_delete"),
    ("sagemaker", "describe_endpoint", {"EndpointName": "none"}, "ValidationException", "Could not find",
     "Endpoint.wait_for_delete of 3.x; the waiter endpoint_deleted of boto3"),
    ("sagemaker", "describe_endpoint_config", {"EndpointConfigName": "none"}, "ValidationException",
     "Could not find", "Predictor.delete_endpoint, 2.x"),
    ("sagemaker", "describe_training_job", {"TrainingJobName": "none"}, "ValidationException",
     "", "Session.wait_for_job, 2.x"),
    ("sagemaker", "describe_processing_job", {"ProcessingJobName": "none"}, "ValidationException",
     "", "Session.wait_for_processing_job, 2.x"),
    ("sagemaker", "describe_model_package_group", {"ModelPackageGroupName": "none"}, "ValidationException",
     "does not exist", "Session.create_model_package_from_containers: make the group, 2.x and 3.x"),
    ("logs", "describe_log_streams", {"logGroupName": "/aws/sagemaker/NoJobs"}, "ResourceNotFoundException", "",
     "logs=True of every job: wait until the group is there, 2.x and 3.x"),
    ("s3", "head_bucket", {"Bucket": "no-such-bucket"}, "404", "", "Session.default_bucket: create it, 2.x and 3.x"),
    ("s3", "head_object", {"Bucket": "sagemaker-us-east-1-000000000000", "Key": "none"}, "404", "",
     "S3Downloader; upload of unchanged code"),
    ("ecr", "get_authorization_token", {}, "UnsupportedOperation", "towpath.toml", "docker login: says what to do"),
]  # fmt: skip


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("errors") / "home"))
    machine.up()
    try:
        session = towpath.aws.session(machine.home.path)
        session.client("sagemaker").create_pipeline(**PIPELINE)
        session.client("s3").put_object(
            Bucket="sagemaker-us-east-1-000000000000", Key="there/model.tar.gz", Body=b"not looked at"
        )
        session.client("sagemaker").create_model(**MODEL)
        yield session
    finally:
        machine.towpath("down", "--all")


@pytest.mark.parametrize(("service", "operation", "request_", "code", "text", "_who"), TABLE, ids=lambda each: None)
def test_an_error_is_told_as_the_sdks_match_on_it(
    session: Any, service: str, operation: str, request_: dict[str, Any], code: str, text: str, _who: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(session.client(service), operation)(**request_)
    told = caught.value.response["Error"]
    assert told["Code"] == code, told
    assert text in told["Message"]


def test_a_session_needs_no_variables_and_heeds_none(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    at_aws = session.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    assert at_aws.get_caller_identity()["Account"] == "000000000000"
    assert [bucket.name for bucket in session.resource("s3").buckets.all()] == ["sagemaker-us-east-1-000000000000"]
    assert session.client("towpath").list_datasets()["Datasets"] == []
