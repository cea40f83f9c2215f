"""Callback steps through unmodified boto3: a message asks, an answer lets the execution go on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import ROLE, Aws, refusal
from tests.clients.records.test_triggers import WAIT_S, Webhook

from towpath.sdk import Callback, Client, Conflict, Fail, NotFound, Pipeline, RequestFailed, join

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parents[2] / "golden" / "definitions" / "v2_callback.json"  # as the SageMaker SDK 2 wrote it
OUTPUTS = [{"OutputName": name, "OutputType": kind} for name, kind in (("ticket", "String"), ("risk", "Float"))]


class Asked:
    """An execution of a pipeline whose first step asks, and whose second fails with what was answered."""

    def __init__(self, aws: Aws, address: str) -> None:
        self.aws = aws
        values = [{"Get": f"Steps.Ask.OutputParameters['{name}']"} for name in ("ticket", "risk")]
        step = {
            "Name": "Ask",
            "Type": "Callback",
            "Arguments": {"what": "a ticket", "number": 5},
            "SqsQueueUrl": address,
            "OutputParameters": OUTPUTS,
        }
        told = {
            "Name": "Told",
            "Type": "Fail",
            "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ", "Values": values}}},
        }
        name = f"asks-{uuid4().hex[:8]}"
        definition = json.dumps({"Version": "2020-12-01", "Steps": [step, told]})
        aws.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)
        self.arn = str(aws.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])

    def succeed(self, token: str, *, request: str | None = None, **outputs: str) -> Any:
        given = [{"Name": name, "Value": value} for name, value in outputs.items()]
        more = {} if request is None else {"ClientRequestToken": request}
        return self.aws.sagemaker.send_pipeline_execution_step_success(
            CallbackToken=token, OutputParameters=given, **more
        )

    def step(self, name: str = "Ask") -> dict[str, Any]:
        listed = self.aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=self.arn)
        return next(step for step in listed["PipelineExecutionSteps"] if step["StepName"] == name)

    def ended(self) -> tuple[str, str]:
        """Return status and reason of the execution once it has ended."""
        ended = wait_for_execution(self.aws.sagemaker, self.arn)
        return ended["PipelineExecutionStatus"], ended.get("FailureReason", "")


class Queue:
    """A new queue."""

    def __init__(self, aws: Aws) -> None:
        self._sqs = aws.client("sqs")
        self.name = f"asked-{uuid4().hex[:8]}"
        self.url = str(self._sqs.create_queue(QueueName=self.name)["QueueUrl"])

    def message(self) -> dict[str, Any]:
        """Return the next message, and delete it."""
        (message,) = self._sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=20)["Messages"]
        self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        body: dict[str, Any] = json.loads(message["Body"])
        return body


@pytest.fixture
def queue(aws: Aws) -> Queue:
    return Queue(aws)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


@pytest.mark.shows("sagemaker", "SendPipelineExecutionStepSuccess", how="executes")
def test_an_answer_lets_the_execution_go_on_with_its_values(aws: Aws, queue: Queue) -> None:
    asked = Asked(aws, queue.url)
    message = queue.message()
    assert message == {
        "token": message["token"],
        "pipelineExecutionArn": asked.arn,
        "arguments": {"what": "a ticket", "number": 5},
        "status": "Executing",
    }
    told = {"CallbackToken": message["token"], "SqsQueueUrl": queue.url}
    assert (asked.step()["StepStatus"], asked.step()["Metadata"]["Callback"]) == ("Executing", told)
    code, text = refusal(asked.succeed, token=message["token"], risk="high", urgency="1")
    assert code == "ValidationException"
    assert "output 'risk': the text 'high' is not a Float" in text and "no output 'urgency'" in text
    for _ in range(2):  # the second as a client sends it that lost the answer
        answer = asked.succeed(message["token"], request="r" * 32, ticket="T-1", risk="0.5")
        assert answer["PipelineExecutionArn"] == asked.arn
    assert asked.ended() == ("Failed", "T-1 0.5")
    assert asked.step()["Metadata"]["Callback"]["OutputParameters"] == [
        {"Name": "ticket", "Value": "T-1"},
        {"Name": "risk", "Value": "0.5"},
    ]
    code, text = refusal(asked.succeed, token=message["token"], ticket="T-2", risk="1")
    assert (code, "has ended already: Succeeded" in text) == ("ConflictException", True)


@pytest.mark.shows("sagemaker", "SendPipelineExecutionStepFailure", how="executes")
def test_a_failure_ends_the_execution_and_a_retry_asks_anew(aws: Aws, queue: Queue) -> None:
    asked = Asked(aws, queue.url)
    fail = aws.sagemaker.send_pipeline_execution_step_failure
    first = queue.message()["token"]
    assert fail(CallbackToken=first, FailureReason="declined")["PipelineExecutionArn"] == asked.arn
    assert asked.ended() == ("Failed", "Step 'Ask' failed: declined")
    aws.sagemaker.retry_pipeline_execution(PipelineExecutionArn=asked.arn)
    second = queue.message()["token"]
    assert second != first
    assert refusal(fail, CallbackToken=first)[0] == "ConflictException"
    asked.succeed(second, ticket="T-3", risk="1")
    assert asked.ended() == ("Failed", "T-3 1.0")


def test_a_token_that_nobody_waits_for_is_not_found(aws: Aws) -> None:
    for call in (
        aws.sagemaker.send_pipeline_execution_step_success,
        aws.sagemaker.send_pipeline_execution_step_failure,
    ):
        assert refusal(call, CallbackToken="a" * 10)[0] == "ResourceNotFound"
        assert refusal(call, CallbackToken="a-b-c-d-e-")[0] == "ValidationException"


def test_a_stop_ends_the_step_and_is_told(aws: Aws, queue: Queue) -> None:
    asked = Asked(aws, queue.url)
    message = queue.message()
    aws.sagemaker.stop_pipeline_execution(PipelineExecutionArn=asked.arn)
    assert asked.ended()[0] == "Stopped"
    assert queue.message() == {**message, "status": "Stopping"}
    assert asked.succeed(message["token"], ticket="late")["PipelineExecutionArn"] == asked.arn
    assert asked.step()["StepStatus"] == "Stopped"


def test_a_webhook_gets_the_message_again_until_it_takes_it(aws: Aws, webhook: Webhook) -> None:
    webhook.answers = [503]
    asked = Asked(aws, webhook.url)
    tries = [webhook.got.get(timeout=WAIT_S) for _ in range(2)]
    assert len({headers["x-towpath-delivery"] for headers, _ in tries}) == 1
    (body,) = {body for _, body in tries}
    asked.succeed(json.loads(body)["token"], ticket="T-9", risk="0")
    assert asked.ended() == ("Failed", "T-9 0.0")


def test_a_webhook_that_refuses_the_message_fails_the_step(aws: Aws, webhook: Webhook) -> None:
    webhook.answers = [404]
    status, reason = Asked(aws, webhook.url).ended()
    assert status == "Failed"
    assert reason.startswith(
        f"Step 'Ask' failed: the message with the token could not be sent to {webhook.url}: HTTP 404"
    )


def test_the_document_of_the_sagemaker_sdk_is_executed_as_it_is(aws: Aws) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]  # the document names it at a host of AWS
    aws.sagemaker.create_pipeline(
        PipelineName="sdk-callback", PipelineDefinition=GOLDEN.read_text("utf-8"), RoleArn=ROLE
    )
    arn = aws.sagemaker.start_pipeline_execution(PipelineName="sdk-callback")["PipelineExecutionArn"]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    token = json.loads(message["Body"])["token"]
    given = [{"Name": "o1", "Value": "x"}, {"Name": "o2", "Value": "2"}]
    aws.sagemaker.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=given)
    assert wait_for_execution(aws.sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"


def test_the_sdk_of_ours_asks_and_answers(aws: Aws) -> None:
    keys = aws.home.credentials()
    assert keys is not None
    with Client(aws.url, token=keys.token) as client:
        ask = Callback("Ask", to=client.queue("board"), inputs={"n": 1}, outputs={"ticket": str, "ok": bool})
        told = Fail("Told", message=join(ask.output("ticket"), ask.output("ok"), on=" "))
        execution = client.run(Pipeline("asks-board", steps=[ask, told]))
        while not any(step.waits_for_answer for step in execution.steps()):
            pass
        with pytest.raises(NotFound, match=r"has no step 'Nothing' that has begun; those that have: Ask"):
            execution.answer("Nothing")
        with pytest.raises(RequestFailed, match="'maybe' is not a Boolean"):
            execution.answer("Ask", {"ok": "maybe"})
        execution.answer("Ask", {"ticket": "T-4", "ok": True})
        execution.wait(check=False)
        assert execution.describe()["FailureReason"] == "T-4 True"
        with pytest.raises(Conflict, match="step Ask is Succeeded and waits for no answer; steps that do: none"):
            execution.answer("Ask", fail="too late")
