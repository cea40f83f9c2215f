"""Callback steps on a real store and virtual time: asked, answered, stopped, and given up."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.test_controller import ALL_KINDS, ANN, Platform

from towpath.engine import Engine
from towpath.kernel.errors import Conflict, Invalid, NotFound
from towpath.kernel.operations import Request
from towpath.kernel.ports import Query
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.callbacks import Output, output_faults, outputs_of
from towpath.pipelines.controller import ExecutionController
from towpath.pipelines.ports import Shapes
from towpath.pipelines.waiting import CallbackController
from towpath.queues import KINDS as QUEUE_KINDS
from towpath.queues import Queues, RetentionController
from towpath.store import SqliteStore
from towpath.testing.crashes import Crash, CrashingStore
from towpath.testing.replay import replay_all
from towpath.triggers import KINDS as TRIGGER_KINDS
from towpath.triggers import DeliveryController
from towpath.triggers.ports import Answer, Message

Golden = Callable[[str], Any]
KINDS = {**ALL_KINDS, **{kind.noun: kind for kind in (*QUEUE_KINDS, *TRIGGER_KINDS)}}
QUEUES = Queues("http://127.0.0.1:7400").operations()
QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/q"  # as the real document names it
HOOK = "https://tickets.example.org/hook"
DAY_S = 86_400.0


class Asking(Platform):
    """A platform with a queue, and a webhook that answers as it is told to."""

    def __init__(self, path: Path, shapes: Shapes) -> None:
        self.sent: list[Message] = []
        self.answers: list[Answer] = []
        self.timeout_days = 7.0
        super().__init__(path, shapes)
        self.ask("CreateQueue", QueueName="q")

    def new_engine(self, store: SqliteStore | None = None) -> Engine:
        self.controller = ExecutionController(
            store=self.store,
            operations=self.operations,
            kinds=KINDS,
            documents=self.reports,
            results=self.results,
            shapes=self.shapes,
        )
        controllers: list[Any] = [
            self.controller,
            CallbackController(self.store, timeout_days=self.timeout_days),
            DeliveryController(self.operations, self._send, wake=lambda _: None),
            RetentionController(self.store),
        ]
        by_kind = {controller.kind: controller for controller in controllers}
        return Engine(store or self.store, by_kind, clock=self.clock, kinds=KINDS)

    def _send(self, _: Uid, message: Message, answered: Callable[[Answer | None], None]) -> None:
        self.sent.append(message)
        answered(self.answers.pop(0) if self.answers else Answer(status=200))

    def ask(self, operation: str, **asked: Any) -> Document:
        request = Request(operation=operation, input=asked, caller=ANN)
        return self.store.write(lambda transaction: QUEUES[operation].function(transaction, request))

    def messages(self) -> list[Document]:
        """Return the messages that are in the queue, and delete them."""
        found = self.ask("ReceiveMessage", QueueUrl=QUEUE, MaxNumberOfMessages=10).get("Messages", ())
        for message in found:
            self.ask("DeleteMessage", QueueUrl=QUEUE, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    def answer(self, token: str, *, fail: str | None = None, request: str | None = None, **outputs: str) -> str:
        """Answer a step; return the execution that goes on."""
        asked: Document = {"CallbackToken": token}
        if request is not None:
            asked["ClientRequestToken"] = request
        if fail is not None:
            told = self.call("SendPipelineExecutionStepFailure", **asked, FailureReason=fail)
        else:
            given = [{"Name": name, "Value": value} for name, value in outputs.items()]
            told = self.call("SendPipelineExecutionStepSuccess", **asked, OutputParameters=given)
        self.engine.run_until_idle()
        return str(told["PipelineExecutionArn"])

    def stop(self, arn: str) -> None:
        self.call("StopPipelineExecution", PipelineExecutionArn=arn)
        self.engine.run_until_idle()

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.engine.run_until_idle()

    def all_of(self, kind: str) -> list[Resource]:
        return self.store.read(lambda transaction: transaction.resources.query(Query(kind=kind))).items


@pytest.fixture
def platform(tmp_path: Path, shapes: Shapes) -> Iterator[Asking]:
    opened = Asking(tmp_path, shapes)
    yield opened
    again = replay_all(opened.store, opened.reports, shapes)
    assert (again.left_out, again.complaints) == ((), ())
    opened.store.close()


@pytest.fixture
def asking(golden: Golden) -> Callable[..., Document]:
    """Return a function that gives the SDK's document of a Callback step, and a step behind it that uses the answer."""

    def make(**members: Any) -> Document:
        document: Document = golden("v2_callback")
        document["Steps"][0] |= members
        values = [{"Get": f"Steps.C.OutputParameters['{name}']"} for name in ("o1", "o2")]
        behind = {"ErrorMessage": {"Std:Join": {"On": " ", "Values": values}}}
        document["Steps"].append({"Name": "Behind", "Type": "Fail", "Arguments": behind})
        return document

    return make


def test_a_step_asks_once_waits_and_yields_the_answer(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    (message,) = platform.messages()
    token = message.pop("token")
    assert message == {"pipelineExecutionArn": arn, "arguments": {"a": 1, "b": arn}, "status": "Executing"}
    assert platform.steps(arn)["C"]["Metadata"] == {"Callback": {"CallbackToken": token, "SqsQueueUrl": QUEUE}}
    platform.later(3 * DAY_S)
    assert platform.statuses(arn) == {"C": "Executing"}
    assert platform.answer(token, o1="yes", o2="1") == arn
    shown = platform.steps(arn)
    assert shown["C"]["Metadata"]["Callback"]["OutputParameters"] == [
        {"Name": "o1", "Value": "yes"},
        {"Name": "o2", "Value": "1.0"},
    ]
    assert (shown["C"]["StepStatus"], shown["Behind"]["FailureReason"]) == ("Succeeded", "yes 1.0")
    assert platform.messages() == []


def test_a_failure_fails_the_step_with_its_reason(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    (message,) = platform.messages()
    platform.answer(message["token"], fail="the board said no")
    assert platform.execution(arn)["FailureReason"] == "Step 'C' failed: the board said no"
    with pytest.raises(Conflict, match=r"has ended already: Failed \(the board said no\)"):
        platform.answer(message["token"], o1="yes")


def test_an_answer_that_is_not_as_declared_is_refused_and_the_step_waits_on(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    (message,) = platform.messages()
    with pytest.raises(
        Invalid, match=r"output 'o2': the text 'two' is not a Float; .* no output 'o3'; it declares o1, o2"
    ):
        platform.answer(message["token"], o1="yes", o2="two", o3="x")
    assert platform.statuses(arn) == {"C": "Executing"}
    platform.answer(message["token"], o1="yes", o2="2")
    assert platform.steps(arn)["C"]["StepStatus"] == "Succeeded"


def test_an_answer_that_leaves_out_an_output_is_refused_and_the_step_waits_on(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    token = platform.messages()[0]["token"]
    with pytest.raises(
        Invalid, match=r"leaves out outputs that the step declares: o1 \(String\), o2 \(Float\);"
    ) as told:
        platform.answer(token)
    assert told.value.code == "ValidationException"
    with pytest.raises(Invalid, match=r"declares: o2 \(Float\); give each of them a value"):
        platform.answer(token, o1="yes")
    assert platform.statuses(arn) == {"C": "Executing"}
    platform.answer(token, o1="yes", o2="1")
    assert platform.steps(arn)["Behind"]["FailureReason"] == "yes 1.0"


def test_a_token_that_nobody_waits_for_is_not_found(platform: Asking) -> None:
    with pytest.raises(NotFound) as caught:
        platform.answer("a" * 10)
    assert caught.value.code == "ResourceNotFound"


def test_the_same_answer_may_come_again_and_another_may_not(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    token = platform.messages()[0]["token"]
    for _ in range(2):
        assert platform.answer(token, request="r" * 32, o1="yes", o2="1") == arn
    with pytest.raises(Conflict, match="came with another request before"):
        platform.answer(token, request="r" * 32, o1="no", o2="1")
    with pytest.raises(Conflict, match="came with another request before"):
        platform.answer(token, request="r" * 32, fail="yes and no")
    for request in (None, "s" * 32):
        with pytest.raises(Conflict, match="has ended already: Succeeded") as caught:
            platform.answer(token, request=request, o1="yes", o2="1")
        assert caught.value.code == "ConflictException"


def test_a_step_that_nobody_answers_fails_when_its_time_is_over(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    platform.later(7 * DAY_S - 1)
    assert platform.statuses(arn) == {"C": "Executing"}
    platform.later(1)
    assert platform.execution(arn)["FailureReason"] == "Step 'C' failed: no answer came within 7 days"
    with pytest.raises(Conflict, match="no answer came within 7 days"):
        platform.answer(platform.steps(arn)["C"]["Metadata"]["Callback"]["CallbackToken"])


def test_without_a_time_out_a_step_waits_for_ever(platform: Asking, asking: Any) -> None:
    platform.timeout_days = 0
    platform.engine = platform.new_engine()
    platform.create(asking())
    arn = platform.start()
    platform.later(365 * DAY_S)
    assert platform.statuses(arn) == {"C": "Executing"}


def test_stopping_ends_the_step_tells_whoever_was_asked_and_takes_their_answer(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    (message,) = platform.messages()
    platform.stop(arn)
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    assert platform.statuses(arn) == {"C": "Stopped"}
    assert platform.messages() == [{**message, "status": "Stopping"}]
    assert platform.answer(message["token"], o1="too late", o2="1") == arn
    assert platform.statuses(arn) == {"C": "Stopped"}


def test_stopping_works_when_the_queue_is_gone(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    platform.ask("DeleteQueue", QueueUrl=QUEUE)
    platform.stop(arn)
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"


def test_a_retried_execution_asks_anew_with_another_token(platform: Asking, asking: Any) -> None:
    platform.create(asking())
    arn = platform.start()
    first = platform.messages()[0]["token"]
    platform.answer(first, fail="not yet")
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    second = platform.messages()[0]["token"]
    assert second != first
    assert platform.steps(arn)["C"]["Metadata"]["Callback"]["CallbackToken"] == second
    with pytest.raises(Conflict):
        platform.answer(first, o1="old")
    platform.answer(second, o1="new", o2="2")
    assert platform.steps(arn)["Behind"]["FailureReason"] == "new 2.0"


def test_a_queue_that_is_not_there_fails_the_step(platform: Asking, asking: Any) -> None:
    platform.create(asking(SqsQueueUrl=QUEUE.replace("/q", "/nowhere")))
    arn = platform.start()
    assert platform.execution(arn)["FailureReason"] == "Step 'C' failed: The specified queue does not exist: nowhere"
    assert platform.all_of("Callback") == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ftp://example.org/q", "is neither the address of a queue"),
        (QUEUE.replace("/q", "/q.fifo"), "FIFO queues are not there"),
        ("https://user:word@example.org/", "is not the address of a webhook"),
        ("https://example.org/" + "x" * 256, "expected a text of 1 to 256 characters"),
        (7, "expected a text of 1 to 256 characters"),
    ],
)
def test_an_address_that_is_known_only_then_is_checked_when_the_step_begins(
    platform: Asking, asking: Any, address: object, told: str
) -> None:
    document = asking(SqsQueueUrl={"Get": "Parameters.Where"})
    kind = "String" if isinstance(address, str) else "Integer"
    document["Parameters"] = [{"Name": "Where", "Type": kind, "DefaultValue": address}]
    platform.create(document)
    assert told in platform.execution(platform.start())["FailureReason"]


def test_each_round_of_a_loop_asks_for_itself(platform: Asking, golden: Golden) -> None:
    step = golden("v2_callback")["Steps"][0]
    step["Arguments"] = {"item": {"Get": "ForEach.CurrentItem"}}
    body = {"IterableItems": ["x", "y"], "ForEachBody": [step]}
    platform.create({"Version": "2020-12-01", "Steps": [{"Name": "Each", "Type": "ForEach", "Arguments": body}]})
    arn = platform.start()
    asked = {message["arguments"]["item"]: message["token"] for message in platform.messages()}
    assert set(asked) == {"x", "y"} and asked["x"] != asked["y"]
    platform.answer(asked["y"], o1="a", o2="1")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Executing"
    platform.answer(asked["x"], o1="b", o2="2")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_a_webhook_is_told_by_a_delivery_until_it_takes_the_message(platform: Asking, asking: Any) -> None:
    platform.answers = [Answer(reason="nobody listens"), Answer(status=503)]
    platform.create(asking(SqsQueueUrl=HOOK))
    arn = platform.start()
    waits = platform.steps(arn)["C"]
    assert waits["StepStatus"] == "Executing", "it may be answered by hand"
    told_at = rf"{platform.clock.now() + timedelta(seconds=2):%Y-%m-%d %H:%M:%S} UTC"
    assert waits["StepDescription"] == (
        f"The message is not delivered yet: nobody listens; tried 1 time, next try at {told_at}"
    )
    for _ in range(2):
        platform.later(10)
    assert len(platform.sent) == 3
    assert "StepDescription" not in platform.steps(arn)["C"], "it has arrived"
    (told,) = {(message.url, message.body, message.headers["X-Towpath-Delivery"]) for message in platform.sent}
    assert told[0] == HOOK
    token = platform.steps(arn)["C"]["Metadata"]["Callback"]["CallbackToken"]
    assert json.loads(told[1]) == {
        "token": token,
        "pipelineExecutionArn": arn,
        "arguments": {"a": 1, "b": arn},
        "status": "Executing",
    }
    platform.answer(token, o1="ok", o2="1")
    assert platform.steps(arn)["C"]["StepStatus"] == "Succeeded"
    platform.later(DAY_S)
    assert len(platform.sent) == 3


def test_a_webhook_that_refuses_the_message_fails_the_step(platform: Asking, asking: Any) -> None:
    platform.answers = [Answer(status=404, reason="no such hook")]
    platform.create(asking(SqsQueueUrl=HOOK))
    arn = platform.start()
    assert platform.execution(arn)["FailureReason"] == (
        f"Step 'C' failed: the message with the token could not be sent to {HOOK}: HTTP 404 no such hook, after 1 try"
    )


def test_what_is_answered_otherwise_is_not_sent_any_more(platform: Asking, asking: Any) -> None:
    platform.answers = [Answer(reason="nobody listens")] * 99
    platform.create(asking(SqsQueueUrl=HOOK))
    arn = platform.start()
    platform.answer(platform.steps(arn)["C"]["Metadata"]["Callback"]["CallbackToken"], o1="by hand", o2="1")
    sent = len(platform.sent)
    platform.later(DAY_S)
    assert len(platform.sent) == sent
    assert platform.all_of("Delivery") == []


def test_a_webhook_hears_of_the_stop_and_that_fails_nothing(platform: Asking, asking: Any) -> None:
    platform.create(asking(SqsQueueUrl=HOOK))
    arn = platform.start()
    platform.answers = [Answer(status=404)]
    platform.stop(arn)
    assert [json.loads(message.body)["status"] for message in platform.sent] == ["Executing", "Stopping"]
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_at_any_write_asks_once_and_loses_no_answer(
    platform: Asking, asking: Any, at: int, after: bool
) -> None:
    platform.create(asking())
    arn = str(platform.call("StartPipelineExecution", PipelineName="reviews")["PipelineExecutionArn"])
    asked: list[Document] = []

    def live() -> None:
        platform.engine.run_until_idle()
        asked.extend(platform.messages())
        if platform.statuses(arn).get("C") == "Executing" and asked:
            platform.answer(asked[0]["token"], request="r" * 32, o1="yes", o2="1")

    crashing: Any = CrashingStore(platform.store, at, after=after)
    platform.engine = platform.new_engine(crashing)
    with pytest.raises(Crash):
        live()
        raise Crash  # the life has fewer writes than `at`
    platform.store.write(lambda transaction: transaction.work.release_all())
    platform.engine = platform.new_engine()
    live()
    assert len(asked) == 1
    assert platform.execution(arn)["FailureReason"] == "yes 1.0"
    assert {step["AttemptCount"] for step in platform.steps(arn).values()} == {1}


def test_values_take_the_types_that_were_declared() -> None:
    declared = [Output(output_name=kind[0], output_type=kind) for kind in ("String", "Integer", "Float", "Boolean")]
    given = [{"Name": name, "Value": value} for name, value in (("S", "1"), ("I", "1"), ("F", "1e3"), ("B", "TRUE"))]
    assert outputs_of(declared, given) == {"S": "1", "I": 1, "F": 1000.0, "B": True}
    for name, value in (("I", "1.5"), ("F", "nan"), ("B", "yes"), ("X", "")):
        with pytest.raises(Invalid):
            outputs_of(declared, [{"Name": name, "Value": value}])
    with pytest.raises(Invalid, match="output 'S' is given twice"):
        outputs_of(declared, [{"Name": "S", "Value": "1"}, {"Name": "S", "Value": "1"}])


def test_what_is_wrong_with_declared_outputs_is_named_with_its_number() -> None:
    good = {"OutputName": "a", "OutputType": "Float"}
    assert output_faults([good, {"OutputName": "b"}]) == []
    assert [number for number, _ in output_faults([good, good, {"OutputName": "b", "OutputType": "Date"}, "c"])] == [
        1,
        2,
        3,
    ]
    assert [number for number, _ in output_faults({"a": "Float"})] == [None]
    many = [{"OutputName": str(number), "OutputType": "String"} for number in range(51)]
    assert output_faults(many) == [(None, "there are 51; expected at most 50")]
