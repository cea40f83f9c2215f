"""Queues as time passes: what is received, hidden, deleted and forgotten."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from towpath.engine import Engine
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Conflict, Invalid, NotFound, TowpathError
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import NotYet, Request
from towpath.kernel.ports import Query
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.queues import KINDS, QUEUE_MESSAGE, Queues, RetentionController
from towpath.store import SqliteStore

OPERATIONS = Queues("http://127.0.0.1:7400").operations()
ALL_KINDS: dict[str, Kind] = {kind.noun: kind for kind in KINDS}


class World:
    """A store with one queue, on virtual time."""

    def __init__(self, path: Path) -> None:
        self.clock = VirtualClock()
        self.store = SqliteStore(path, clock=self.clock)
        controller = RetentionController(self.store)
        self.engine = Engine(self.store, {controller.kind: controller}, clock=self.clock, kinds=ALL_KINDS)
        self.url = str(self.call("CreateQueue", QueueName="q", Attributes={"VisibilityTimeout": "10"})["QueueUrl"])

    def call(self, operation: str, **asked: Any) -> Document:
        request = Request(operation=operation, input=asked, caller=Caller("ann"))
        return self.store.write(lambda transaction: OPERATIONS[operation].function(transaction, request))

    def ask(self, operation: str, **asked: Any) -> Document:
        return self.call(operation, QueueUrl=self.url, **asked)

    def send(self, body: str, **asked: Any) -> str:
        return str(self.ask("SendMessage", MessageBody=body, **asked)["MessageId"])

    def receive(self, **asked: Any) -> list[Document]:
        return list(self.ask("ReceiveMessage", **{"MaxNumberOfMessages": 10, **asked}).get("Messages", ()))

    def bodies(self, **asked: Any) -> list[str]:
        return [message["Body"] for message in self.receive(**asked)]

    def counts(self) -> tuple[int, int, int]:
        """Return how many messages can be received, are hidden, and are still to come."""
        found = self.ask("GetQueueAttributes", AttributeNames=["All"])["Attributes"]
        names = ("", "NotVisible", "Delayed")
        visible, hidden, delayed = (int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)
        return visible, hidden, delayed

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def kept(self) -> list[Any]:
        """Return the messages that are there, whatever the queue says of them."""
        return self.store.read(lambda transaction: transaction.resources.query(Query(kind=QUEUE_MESSAGE.noun))).items


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "store.db")
    yield made
    made.store.close()


def refused(call: Any, **asked: Any) -> str:
    """Return the code of the error that a call is refused with."""
    with pytest.raises(TowpathError) as caught:
        call(**asked)
    return str(caught.value.code)


def test_messages_come_in_the_order_in_which_they_were_sent_and_are_hidden_then(world: World) -> None:
    for body in "abc":
        world.send(body)
        world.later(0.001)
    assert world.bodies(MaxNumberOfMessages=2) == ["a", "b"]
    assert world.bodies() == ["c"]
    assert world.bodies() == []
    assert world.counts() == (0, 3, 0)
    world.later(10)
    assert world.bodies() == ["a", "b", "c"], "what nobody deleted comes again"


def test_a_message_that_was_deleted_does_not_come_again_and_its_text_is_gone(world: World) -> None:
    world.send("a")
    (message,) = world.receive()
    world.ask("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
    world.ask("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
    world.later(60)
    assert world.bodies() == []
    assert world.kept() == []


def test_whoever_received_a_message_before_another_one_cannot_delete_it(world: World) -> None:
    world.send("a")
    (first,) = world.receive()
    world.later(10)
    (second,) = world.receive()
    assert first["MessageId"] == second["MessageId"] and first["ReceiptHandle"] != second["ReceiptHandle"]
    world.ask("DeleteMessage", ReceiptHandle=first["ReceiptHandle"])
    assert world.counts() == (0, 1, 0)
    world.ask("DeleteMessage", ReceiptHandle=second["ReceiptHandle"])
    assert world.counts() == (0, 0, 0)


def test_a_message_can_be_deleted_after_its_time_while_nobody_else_received_it(world: World) -> None:
    world.send("a")
    (message,) = world.receive()
    world.later(11)
    world.ask("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
    assert world.bodies() == []


def test_how_long_a_message_is_hidden_can_be_changed_while_it_is(world: World) -> None:
    world.send("a")
    (message,) = world.receive(VisibilityTimeout=5)
    handle = message["ReceiptHandle"]
    world.later(4)
    world.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=100)
    world.later(99)
    assert world.bodies() == []
    world.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=0)
    with pytest.raises(Conflict):
        world.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=1)
    assert world.bodies() == ["a"]
    with pytest.raises(NotFound, match="Message does not exist or is not available"):
        world.ask("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=1)


def test_a_receipt_handle_is_one_of_this_queue(world: World) -> None:
    other = world.call("CreateQueue", QueueName="other")["QueueUrl"]
    world.call("SendMessage", QueueUrl=other, MessageBody="x")
    (message,) = world.call("ReceiveMessage", QueueUrl=other)["Messages"]
    for handle in (message["ReceiptHandle"], "no", "é", "YTpi", ""):
        assert refused(world.ask, operation="DeleteMessage", ReceiptHandle=handle) == "ReceiptHandleIsInvalid"


def test_a_delayed_message_comes_later(world: World) -> None:
    world.send("slow", DelaySeconds=5)
    assert world.counts() == (0, 0, 1)
    world.ask("SetQueueAttributes", Attributes={"DelaySeconds": "7"})
    world.send("slower")
    world.send("now", DelaySeconds=0)
    assert world.bodies() == ["now"]
    world.later(6)
    assert world.bodies() == ["slow"]
    world.later(2)
    assert world.bodies() == ["slower"]


def test_a_message_that_nobody_deletes_goes_when_it_is_too_old(world: World) -> None:
    world.ask("SetQueueAttributes", Attributes={"MessageRetentionPeriod": "60"})
    world.send("a")
    world.engine.run_until_idle()
    world.later(59)
    world.engine.run_until_idle()
    assert world.bodies() == ["a"]
    world.later(30)
    assert world.bodies() == [], "its time is over, although it lay hidden when it ended"
    assert world.counts() == (0, 0, 0)
    world.engine.run_until_idle()
    assert world.kept() == []


def test_a_shorter_retention_counts_for_what_is_there_and_a_longer_one_too(world: World) -> None:
    world.send("a")
    world.engine.run_until_idle()
    world.ask("SetQueueAttributes", Attributes={"MessageRetentionPeriod": "60"})
    world.engine.run_until_idle()
    due_at = world.engine.next_due()
    assert due_at is not None and due_at - world.clock.now() == timedelta(seconds=60)
    world.ask("SetQueueAttributes", Attributes={"MessageRetentionPeriod": "3600"})
    world.later(61)
    world.engine.run_until_idle()
    assert world.bodies() == ["a"]


def test_a_queue_that_is_purged_or_deleted_loses_its_messages_and_no_others(world: World) -> None:
    other = world.call("CreateQueue", QueueName="other")["QueueUrl"]
    world.call("SendMessage", QueueUrl=other, MessageBody="stays")
    for body in "ab":
        world.send(body)
    world.receive(MaxNumberOfMessages=1)
    world.ask("PurgeQueue")
    assert world.counts() == (0, 0, 0)
    world.send("c")
    world.ask("DeleteQueue")
    assert refused(world.ask, operation="SendMessage", MessageBody="d") == "QueueDoesNotExist"
    assert [message.spec["Body"] for message in world.kept()] == ["stays"]
    world.call("CreateQueue", QueueName="q")
    assert world.counts() == (0, 0, 0), "a queue of the same name is another one"


def test_whoever_is_willing_to_wait_is_told_when_to_look_again(world: World) -> None:
    with pytest.raises(NotYet) as caught:
        world.receive(WaitTimeSeconds=20)
    assert (caught.value.patience_s, caught.value.again_s, caught.value.kind) == (20, None, "QueueMessage")
    world.send("a")
    assert world.bodies(WaitTimeSeconds=20) == ["a"]
    world.ask("SetQueueAttributes", Attributes={"ReceiveMessageWaitTimeSeconds": "3"})
    world.later(4)
    with pytest.raises(NotYet) as caught:
        world.receive()
    assert (caught.value.patience_s, caught.value.again_s) == (3, 6)
    assert world.bodies(WaitTimeSeconds=0) == []


def test_a_queue_is_made_once_and_not_with_other_attributes(world: World) -> None:
    assert world.call("CreateQueue", QueueName="q")["QueueUrl"] == world.url
    assert world.call("CreateQueue", QueueName="q", Attributes={"VisibilityTimeout": "10"})["QueueUrl"] == world.url
    with pytest.raises(Conflict, match="different value for attribute VisibilityTimeout: 10"):
        world.call("CreateQueue", QueueName="q", Attributes={"VisibilityTimeout": "11"})


@pytest.mark.parametrize(
    ("operation", "asked", "code"),
    [
        ("CreateQueue", {"QueueName": "a.fifo"}, "InvalidParameterValue"),
        ("CreateQueue", {"QueueName": "a", "Attributes": {"VisibilityTimeout": "43201"}}, "InvalidAttributeValue"),
        ("CreateQueue", {"QueueName": "a", "Attributes": {"DelaySeconds": "-1"}}, "InvalidAttributeValue"),
        ("CreateQueue", {"QueueName": "a", "Attributes": {"DelaySeconds": "²"}}, "InvalidAttributeValue"),
        ("CreateQueue", {"QueueName": "a", "Attributes": {"FifoQueue": "true"}}, "InvalidAttributeName"),
        ("CreateQueue", {"QueueName": "a", "tags": {"a": "b"}}, "None"),
        ("SendMessage", {"MessageBody": ""}, "MissingParameter"),
        ("SendMessage", {"MessageBody": "a\0"}, "InvalidMessageContents"),
        ("SendMessage", {"MessageBody": "é" * 600_000}, "InvalidParameterValue"),
        ("SendMessage", {"MessageBody": "a", "DelaySeconds": 901}, "InvalidParameterValue"),
        ("SendMessage", {"MessageBody": "a", "MessageGroupId": "g"}, "None"),
        (
            "SendMessage",
            {"MessageBody": "a", "MessageAttributes": {"n": {"DataType": "String"}}},
            "InvalidParameterValue",
        ),
        *(
            ("SendMessage", {"MessageBody": "a", "MessageAttributes": {"n": attribute}}, "InvalidParameterValue")
            for attribute in (
                {"DataType": "Text", "StringValue": "a"},
                {"DataType": "Number.int", "StringValue": "one"},
                {"DataType": "Number", "StringValue": "1_0"},
            )
        ),
        ("ReceiveMessage", {"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
        ("ReceiveMessage", {"WaitTimeSeconds": 21}, "InvalidParameterValue"),
        ("ReceiveMessage", {"VisibilityTimeout": -1}, "InvalidParameterValue"),
    ],
)
def test_what_a_queue_cannot_do_is_refused(world: World, operation: str, asked: Document, code: str) -> None:
    where = {} if operation == "CreateQueue" else {"QueueUrl": world.url}
    assert refused(world.call, operation=operation, **where, **asked) == code
    assert world.kept() == []


def test_a_message_brings_what_is_asked_for(world: World) -> None:
    attributes = {
        "note.a": {"DataType": "String", "StringValue": "hello"},
        "note.b": {"DataType": "Number", "StringValue": "1"},
        "bytes": {"DataType": "Binary", "BinaryValue": "AAE="},
    }
    world.send("a", MessageAttributes=attributes)
    (plain,) = world.receive(VisibilityTimeout=0)
    assert "Attributes" not in plain and "MessageAttributes" not in plain
    assert plain["MD5OfBody"] == "0cc175b9c0f1b6a831c399e269772661"
    (some,) = world.receive(MessageAttributeNames=["note.*"], AttributeNames=["SenderId"], VisibilityTimeout=0)
    assert set(some["MessageAttributes"]) == {"note.a", "note.b"}
    assert some["Attributes"] == {"SenderId": "ann"}
    (every,) = world.receive(MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])
    assert every["MessageAttributes"] == attributes
    assert every["Attributes"]["ApproximateReceiveCount"] == "3"
    assert every["MD5OfMessageAttributes"] != some["MD5OfMessageAttributes"]


def test_a_name_that_is_no_number_is_no_attribute_value(world: World) -> None:
    with pytest.raises(Invalid, match="expected 0 to 900"):
        world.ask("SetQueueAttributes", Attributes={"DelaySeconds": "soon"})
