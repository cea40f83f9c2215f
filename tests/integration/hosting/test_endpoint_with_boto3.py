"""Registry and hosting through unmodified boto3 on the whole platform: register, approve, deploy, invoke, delete."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.server import bind
from towpath.settings import Settings

pytestmark = pytest.mark.slow

HANDLER = """
def model_fn(model_dir): return 3
def predict_fn(data, model):
    if not isinstance(data, list): raise TypeError("send a list")
    return [model * x for x in data]
"""
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


class Aws:
    """boto3 clients of a running server."""

    def __init__(self, url: str, home: HomeFolder) -> None:
        keys = home.credentials()
        assert keys is not None
        session = boto3.Session(
            aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key, region_name="us-east-1"
        )
        once = Config(retries={"total_max_attempts": 1})
        self.sagemaker = session.client("sagemaker", endpoint_url=url, config=once)
        self.runtime = session.client("sagemaker-runtime", endpoint_url=url, config=once)
        self.s3 = session.client("s3", endpoint_url=url, config=once)
        self.logs = session.client("logs", endpoint_url=url, config=once)
        self.metrics = session.client("cloudwatch", endpoint_url=url, config=once)


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    home = HomeFolder(tmp_path / "home")
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


def archive(handler: str = HANDLER) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(handler)
        tar.addfile(member, io.BytesIO(handler.encode()))
    return stream.getvalue()


@pytest.mark.shows("sagemaker", "CreateEndpoint", how="executes")
@pytest.mark.shows("sagemaker-runtime", "InvokeEndpoint", how="executes")
@pytest.mark.shows("sagemaker", "DescribeEndpoint", "CreateModelPackage", "UpdateModelPackage", "DescribeModelPackage")
def test_from_an_archive_in_the_lake_to_an_answer(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="lake")
    aws.s3.put_object(Bucket="lake", Key="m/model.tar.gz", Body=archive())
    sagemaker = aws.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName="g")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="g",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://lake/m/model.tar.gz"}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    container: Any = {"ModelPackageName": arn}
    role = "arn:aws:iam::000000000000:role/any"
    with pytest.raises(ClientError, match="waits for approval"):
        sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
    shown = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (shown["ModelApprovalStatus"], shown["LastModifiedBy"]["UserProfileName"]) == ("Approved", "admin")
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
    sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
    )
    with pytest.raises(ClientError) as unknown:
        aws.runtime.invoke_endpoint(EndpointName="e", Body=b"[1]", ContentType="application/json")
    assert unknown.value.response["Error"]["Code"] == "ValidationError"
    assert unknown.value.response["Error"]["Message"] == "Endpoint e of account 000000000000 not found."

    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    variants = sagemaker.describe_endpoint(EndpointName="e")["ProductionVariants"]
    assert [(v["VariantName"], v["CurrentInstanceCount"], v["CurrentWeight"]) for v in variants] == [("v", 1, 1.0)]

    answer = aws.runtime.invoke_endpoint(
        EndpointName="e", Body=b"[1, 2]", ContentType="application/json", Accept="application/json"
    )
    assert json.loads(answer["Body"].read()) == [3, 6]
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "v")

    with pytest.raises(aws.runtime.exceptions.ModelError) as failed:
        aws.runtime.invoke_endpoint(EndpointName="e", Body=b"7", ContentType="application/json")
    assert failed.value.response["OriginalStatusCode"] == 500
    assert failed.value.response["OriginalMessage"] == "TypeError: send a list"

    of_variant = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}]
    today = {"StartTime": datetime.now(UTC) - timedelta(hours=1), "EndTime": datetime.now(UTC) + timedelta(hours=1)}
    sums = {}
    for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency"):
        points = aws.metrics.get_metric_statistics(
            Namespace="AWS/SageMaker", MetricName=name, Dimensions=of_variant, Statistics=["Sum"], Period=60, **today
        )["Datapoints"]
        sums[name] = sum(point["Sum"] for point in points)
    latency_us = sums.pop("ModelLatency")
    assert sums == {"Invocations": 2, "Invocation4XXErrors": 0, "Invocation5XXErrors": 1}
    assert 0 < latency_us < 60e6

    (stream,) = aws.logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/e")["logStreams"]
    events = aws.logs.get_log_events(
        logGroupName="/aws/sagemaker/Endpoints/e", logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert any("TypeError: send a list" in event["message"] for event in events)

    sagemaker.delete_endpoint(EndpointName="e")
    waiter = sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


PIDS = """
import os
def model_fn(model_dir): return None
def predict_fn(data, model): return os.getpid()
"""


@pytest.mark.shows("sagemaker", "UpdateEndpointWeightsAndCapacities", how="executes")
@pytest.mark.shows("sagemaker", "DescribeEndpoint", "ListEndpoints")
def test_weights_and_instance_counts_of_a_serving_endpoint_change(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="lake")
    aws.s3.put_object(Bucket="lake", Key="m/model.tar.gz", Body=archive(PIDS))
    sagemaker = aws.sagemaker
    container: Any = {"Image": IMAGE, "ModelDataUrl": "s3://lake/m/model.tar.gz"}
    sagemaker.create_model(
        ModelName="m", PrimaryContainer=container, ExecutionRoleArn="arn:aws:iam::000000000000:role/any"
    )
    variants: Any = [
        {"VariantName": name, "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        for name in ("old", "new")
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")

    def answers(requests: int) -> list[tuple[str, int]]:
        """Return who answered each request: variant and process."""
        told = []
        for _ in range(requests):
            answer = aws.runtime.invoke_endpoint(EndpointName="e", Body=b"1", ContentType="application/json")
            told.append((answer["InvokedProductionVariant"], json.loads(answer["Body"].read())))
        return told

    def shown() -> dict[str, tuple[float, int]]:
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        found = sagemaker.describe_endpoint(EndpointName="e")["ProductionVariants"]
        return {item["VariantName"]: (item["CurrentWeight"], item["CurrentInstanceCount"]) for item in found}

    assert shown() == {"old": (1.0, 1), "new": (1.0, 1)}
    before = dict(answers(60))
    assert set(before) == {"old", "new"}

    wanted: Any = [{"VariantName": "new", "DesiredWeight": 1}, {"VariantName": "old", "DesiredWeight": 0}]
    updated = sagemaker.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=wanted)
    assert updated["EndpointArn"].endswith(":endpoint/e")
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] in {"Updating", "InService"}
    assert shown() == {"old": (0.0, 1), "new": (1.0, 1)}
    assert set(answers(60)) == {("new", before["new"])}, "the same process, and no other"

    more: Any = [{"VariantName": "new", "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=more)
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError) as busy:
        sagemaker.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=more)
    code, message = busy.value.response["Error"]["Code"], busy.value.response["Error"]["Message"]
    assert (code, "in-progress endpoint" in message) == ("ValidationException", True)
    assert shown() == {"old": (0.0, 1), "new": (1.0, 2)}
    pids = {pid for _, pid in answers(20)}
    assert before["new"] in pids
    assert len(pids) == 2

    fewer: Any = [{"VariantName": "new", "DesiredInstanceCount": 1}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=fewer)
    assert shown() == {"old": (0.0, 1), "new": (1.0, 1)}
    assert {pid for _, pid in answers(20)} == {before["new"]}
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "c"
    (listed,) = sagemaker.list_endpoints(NameContains="e", StatusEquals="InService", SortBy="Status")["Endpoints"]
    assert listed["EndpointName"] == "e"
    assert sagemaker.list_endpoints(StatusEquals="Updating")["Endpoints"] == []
