"""A call of a function whose process, runner or server is killed: it is made once, and whoever waits is told."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import recording
from tests.acceptance.crash_shapes import FUNCTION, PIPELINE, prepare
from tests.acceptance.test_crashes import Story, kill_and_wait
from tests.acceptance.test_killed_parts import runner_of, until

from towpath.home import HomeFolder
from towpath.runner import tree

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]
AGAIN = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 2}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return a home with a function that tells the recorder of its calls; it outlives every test."""
    folder = tmp_path_factory.mktemp("functions")
    machine = Machine(HomeFolder(folder / "home"))
    with recording(folder / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        prepare(aws, recorder)
        yield Story(machine, recorder, server, aws)
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture
def name() -> str:
    """Return the name under which the function speaks in a test, as a step or for a client."""
    return f"Call{uuid4().hex[:8]}"


def begin_call(story: Story, name: str, *, policies: tuple[dict[str, Any], ...] = ()) -> str:
    """Start an execution of one step that calls, and wait until the function holds; return the execution's ARN."""
    step = {
        "Name": name,
        "Type": "Lambda",
        "Arguments": {
            "step": name,
            "port": story.recorder.port,
            "execution": {"Get": "Execution.PipelineExecutionId"},
        },
        "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}",
        "OutputParameters": [{"OutputName": "told", "OutputType": "String"}],
        **({"RetryPolicies": list(policies)} if policies else {}),
    }
    document = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    story.aws["sagemaker"].update_pipeline(PipelineName=PIPELINE, PipelineDefinition=document)
    story.recorder.hold(name)
    arn = story.start(uuid4().hex, PIPELINE)
    story.recorder.until_begun(name)
    return arn


def words(story: Story, execution: str) -> Counter[str]:
    """Return how often the function said what in an execution."""
    return Counter(word for word, _, _ in story.recorder.told(execution.rpartition("/")[2]))


def handler_of(runner: int) -> int:
    """Return the process that runs the handler: the one below the supervisor, which is below the runner."""
    (supervisor,) = tree.children(runner)
    (handler,) = tree.children(supervisor)
    return handler


def answered(story: Story, arn: str) -> tuple[str, dict[str, Any]]:
    """Return how an execution has ended, and its step."""
    ended = story.until_ended(arn)
    (step,) = story.steps(arn).values()
    return str(ended["PipelineExecutionStatus"]), step


def test_a_server_that_is_killed_during_a_call_finds_it_again_and_its_answer(story: Story, name: str) -> None:
    arn = begin_call(story, name)
    kill_and_wait(story.server.pid)
    story.recorder.release(name)  # it ends while nobody is there to hear of it
    story.up()
    status, step = answered(story, arn)
    assert (status, words(story, arn)) == ("Succeeded", Counter(begin=1, end=1))
    assert step["Metadata"]["Lambda"]["OutputParameters"] == [{"Name": "told", "Value": f"told.by.{name}"}]
    assert step["AttemptCount"] == 1


@pytest.mark.parametrize("which", ["handler", "supervisor"])
def test_a_process_of_a_call_that_is_killed_fails_the_step_in_the_words_of_lambda(
    story: Story, name: str, which: str
) -> None:
    arn = begin_call(story, name)
    runner = runner_of(story)
    kill_and_wait(handler_of(runner) if which == "handler" else next(iter(tree.children(runner))))
    status, step = answered(story, arn)
    assert (status, words(story, arn)) == ("Failed", Counter(begin=1))
    assert step["FailureReason"].startswith(f"ClientError: {FUNCTION} failed: Runtime.ExitError: "), step
    assert "signal: killed" in step["FailureReason"]


def test_a_call_that_lost_its_runner_is_made_again_where_a_retry_policy_says_so(story: Story, name: str) -> None:
    arn = begin_call(story, name, policies=(AGAIN,))
    kill_and_wait(runner_of(story))
    story.recorder.until_begun(name, 2)
    story.recorder.release(name)
    status, step = answered(story, arn)
    assert (status, step["AttemptCount"]) == ("Succeeded", 2)
    assert words(story, arn) == Counter(begin=2, end=1)


def test_a_call_that_lost_its_runner_is_the_platforms_fault(story: Story, name: str) -> None:
    arn = begin_call(story, name)
    kill_and_wait(runner_of(story))
    status, step = answered(story, arn)
    assert (status, words(story, arn)) == ("Failed", Counter(begin=1))
    assert step["FailureReason"].startswith("InternalServerError: the runner of attempt 1 vanished"), step


class Waiting(threading.Thread):
    """A client that calls by itself and waits."""

    def __init__(self, story: Story, name: str) -> None:
        super().__init__()
        self.answer: Any = None
        self.error: Exception | None = None
        self._functions = story.aws["lambda"]
        self._event = json.dumps({"step": name, "port": story.recorder.port, "execution": name})
        story.recorder.hold(name)
        self.start()
        story.recorder.until_begun(name)

    def run(self) -> None:
        """Call, and keep what is answered."""
        try:
            answer = self._functions.invoke(FunctionName=FUNCTION, Payload=self._event)
            self.answer = (answer.get("FunctionError"), json.loads(answer["Payload"].read()))
        except (ClientError, NoConnection, HTTPClientError) as error:
            self.error = error


def test_a_waiting_client_of_a_server_that_is_killed_has_called_once(story: Story, name: str) -> None:
    waiting = Waiting(story, name)
    kill_and_wait(story.server.pid)
    waiting.join()
    assert isinstance(waiting.error, NoConnection | HTTPClientError)
    story.up()
    story.recorder.release(name)
    until(lambda: words(story, name)["end"])
    assert words(story, name) == Counter(begin=1, end=1)


def test_a_waiting_client_is_told_that_the_process_was_killed(story: Story, name: str) -> None:
    waiting = Waiting(story, name)
    os.kill(handler_of(runner_of(story)), 9)
    waiting.join()
    assert waiting.answer is not None, waiting.error
    error, told = waiting.answer
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert words(story, name) == Counter(begin=1)


def test_a_waiting_client_is_told_that_the_runner_was_lost(story: Story, name: str) -> None:
    waiting = Waiting(story, name)
    kill_and_wait(runner_of(story))
    waiting.join()
    assert isinstance(waiting.error, ClientError), waiting.answer
    told = waiting.error.response
    assert told["Error"]["Code"] == "ServiceException"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert words(story, name) == Counter(begin=1)
