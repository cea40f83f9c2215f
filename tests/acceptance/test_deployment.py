"""A user's story: whoever approves a version has deployed it, by the example's second pipeline and one trigger."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from tests.acceptance.conftest import EXAMPLE, Machine, clients, wait_for_execution

pytestmark = pytest.mark.acceptance

BUCKET = "models"
#: Judges by a word, and says which version of it answers.
HANDLERS = """
import json

def model_fn(folder):
    with open(f"{folder}/version.json") as file:
        return json.load(file)

def predict_fn(asked, model):
    found = [label for word, label in model["words"].items() if word in asked["text"]]
    label = found[0] if found else "neutral"
    shares = {name: float(name == label) for name in ("negative", "neutral", "positive")}
    return {"label": label, "probabilities": shares, "version": model["version"]}
"""
GOOD = {"Love": "positive", "disappointed": "negative"}
BAD = {"Love": "negative", "disappointed": "negative"}


class Shop:
    """A server whose trigger deploys the approved versions of `reviews`, and what is asked of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.up()
        self.aws = clients(machine)
        self.aws["s3"].create_bucket(Bucket=BUCKET)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="reviews")
        told = machine.towpath("create", str(EXAMPLE / "deploy.py"))
        assert told == "reviews-deploy can be started; each start has to give ModelPackageArn\n"
        machine.towpath(
            *("triggers", "create", "roll-out", "--approved", "reviews", "--pipeline", "reviews-deploy"),
            *("-p", "ModelPackageArn=$.detail.ModelPackageArn"),
        )

    @property
    def sagemaker(self) -> Any:
        return self.aws["sagemaker"]

    def register(self, version: int, words: dict[str, str]) -> str:
        """Register a version that waits for approval, and return its ARN."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            about = json.dumps({"version": version, "words": words})
            for name, text in (("code/inference.py", HANDLERS), ("version.json", about)):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        self.aws["s3"].put_object(Bucket=BUCKET, Key=f"{version}/model.tar.gz", Body=data.getvalue())
        container = {"Image": "towpath/default", "ModelDataUrl": f"s3://{BUCKET}/{version}/model.tar.gz"}
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName="reviews",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelApprovalStatus="PendingManualApproval",
        )["ModelPackageArn"]
        assert arn.endswith(f"/{version}")
        return str(arn)

    def decide(self, arn: str, status: str, sagemaker: Any | None = None) -> None:
        """Decide on a version by boto3."""
        (sagemaker or self.sagemaker).update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)

    def deployment(self, number: int) -> dict[str, Any]:
        """Wait until the trigger has started so many deployments and the last one has ended; return how it ended."""
        while len(arns := self.started()) < number:
            pass
        return wait_for_execution(self.sagemaker, arns[number - 1])

    def started(self) -> list[str]:
        """Return the deployments, oldest first."""
        listed = self.sagemaker.list_pipeline_executions(PipelineName="reviews-deploy", SortOrder="Ascending")
        return [str(each["PipelineExecutionArn"]) for each in listed["PipelineExecutionSummaries"]]

    def deployed(self) -> list[tuple[str, str]]:
        """Return of each deployment the version that it was started for, and how it ended."""
        found = []
        for arn in self.started():
            given = self.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
            values = {each["Name"]: each["Value"] for each in given["PipelineParameters"]}
            ended = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            found.append((values["ModelPackageArn"], str(ended["PipelineExecutionStatus"])))
        return found

    def answer(self) -> dict[str, Any]:
        """Return what the endpoint answers."""
        told = self.aws["sagemaker-runtime"].invoke_endpoint(
            EndpointName="reviews", ContentType="application/json", Body=json.dumps({"text": "Love this dress!"})
        )
        found: dict[str, Any] = json.loads(told["Body"].read())
        return found

    @contextmanager
    def asked_all_the_time(self) -> Iterator[list[int]]:
        """Ask the endpoint again and again; give the versions that answered. A request that fails fails the test."""
        versions, is_enough = [self.answer()["version"]], threading.Event()

        def ask() -> None:
            while not is_enough.is_set():
                versions.append(self.answer()["version"])

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            try:
                yield versions
            finally:
                is_enough.set()
            asking.result()


def of_a_new_user(machine: Machine, name: str, role: str) -> Any:
    """Return the SageMaker client of a new user with one role."""
    key = machine.json("keys", "create", name, "--role", role)
    return boto3.client(
        "sagemaker",
        endpoint_url=machine.json("env")["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )


def test_what_is_approved_answers_and_what_fails_its_smoke_test_does_not(machine: Machine) -> None:
    shop = Shop(machine)
    first, rejected, second, bad = (
        shop.register(1, GOOD),
        shop.register(2, GOOD),
        shop.register(3, GOOD),
        shop.register(4, BAD),
    )

    # Whoever may only approve has the model deployed; an approval that says nothing new does nothing.
    approver = of_a_new_user(machine, "ada", "approver")
    shop.decide(rejected, "Rejected", approver)
    shop.decide(first, "Approved", approver)
    shop.decide(first, "Approved", approver)
    ended = shop.deployment(1)
    assert ended["PipelineExecutionStatus"] == "Succeeded", ended
    assert ended["PipelineExecutionDescription"] == (
        f"Started by the rule roll-out: SageMaker Model Package State Change of {first}"
    )
    assert shop.answer() == {
        "label": "positive",
        "probabilities": {"negative": 0.0, "neutral": 0.0, "positive": 1.0},
        "version": 1,
    }

    # A newer version takes over, by the command line, without a failed request.
    with shop.asked_all_the_time() as versions:
        machine.towpath("approve", "reviews/3", "--note", "better")
        assert shop.deployment(2)["PipelineExecutionStatus"] == "Succeeded"
        while shop.answer()["version"] != 3:
            pass
    assert set(versions) == {1, 3}
    assert versions == sorted(versions)

    # One that misjudges what is plain is told why, and leaves the one before in its place.
    shop.decide(bad, "Approved")
    ended = shop.deployment(3)
    assert ended["PipelineExecutionStatus"] == "Failed"
    (failed,) = (
        step
        for step in shop.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=shop.started()[2])[
            "PipelineExecutionSteps"
        ]
        if step["StepStatus"] == "Failed"
    )
    assert failed["StepName"] == "SmokeTest"
    for reason in (failed["FailureReason"], ended["FailureReason"]):
        assert "smoke test" in reason
    assert "positive was meant, negative is the answer" in failed["FailureReason"]
    assert shop.answer()["version"] == 3
    described = shop.sagemaker.describe_endpoint(EndpointName="reviews")
    assert described["EndpointStatus"] == "InService"

    # Two that are approved at the same time take turns.
    both = [shop.register(5, GOOD), shop.register(6, GOOD)]
    for arn in both:
        shop.decide(arn, "Approved")
    assert [shop.deployment(number)["PipelineExecutionStatus"] for number in (4, 5)] == ["Succeeded", "Succeeded"]
    assert shop.answer()["version"] in {5, 6}

    # Nothing else was started, and nothing was started twice.
    assert shop.deployed()[:3] == [(first, "Succeeded"), (second, "Succeeded"), (bad, "Failed")]
    assert sorted(version for version, _ in shop.deployed()[3:]) == both
    log = machine.json("triggers", "log", "roll-out")
    assert sorted(delivery["about"] for delivery in log) == [[first], [second], [bad], *([arn] for arn in both)]
