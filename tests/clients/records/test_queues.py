"""Queues through unmodified boto3: what is sent comes, at least once, and to whom is named in a rule too."""

import json
import threading
import time
from typing import Any
from uuid import uuid4

import pytest
from tests.clients.records.conftest import Aws, refusal

from towpath.sdk import Client

pytestmark = pytest.mark.slow


def queue(aws: Aws, **attributes: str) -> tuple[Any, str]:
    """Return a client and the address of a new queue."""
    sqs = aws.client("sqs")
    return sqs, sqs.create_queue(QueueName=f"q-{uuid4().hex[:8]}", Attributes=attributes)["QueueUrl"]


@pytest.mark.shows("sqs", "CreateQueue", "GetQueueUrl", "ListQueues", "DeleteQueue", "SetQueueAttributes")
@pytest.mark.shows("sqs", "GetQueueAttributes")
def test_queues_are_made_found_changed_and_deleted(aws: Aws) -> None:
    sqs, url = queue(aws, VisibilityTimeout="5")
    name = url.rpartition("/")[2]
    assert url == f"{aws.url}/000000000000/{name}"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    others = [sqs.create_queue(QueueName=f"list-{number}")["QueueUrl"] for number in range(3)]
    first = sqs.list_queues(QueueNamePrefix="list-", MaxResults=2)
    rest = sqs.list_queues(QueueNamePrefix="list-", MaxResults=2, NextToken=first["NextToken"])
    assert [*first["QueueUrls"], *rest["QueueUrls"]] == others
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "3600"})
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (shown["VisibilityTimeout"], shown["MessageRetentionPeriod"]) == ("5", "3600")
    assert shown["QueueArn"] == f"arn:aws:sqs:us-east-1:000000000000:{name}"
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"] == {
        "DelaySeconds": "0"
    }
    assert refusal(sqs.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "6"})[0] == "QueueAlreadyExists"
    sqs.delete_queue(QueueUrl=url)
    for call in (sqs.delete_queue, sqs.purge_queue, sqs.get_queue_attributes, sqs.receive_message):
        assert refusal(call, QueueUrl=url)[0] == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)


@pytest.mark.shows("sqs", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "PurgeQueue")
def test_messages_are_sent_received_hidden_and_deleted(aws: Aws) -> None:
    sqs, url = queue(aws)
    attribute = {"kind": {"DataType": "String", "StringValue": "greeting"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes=attribute)
    assert sent["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"])["Messages"]
    assert (message["MessageId"], message["Body"], message["MessageAttributes"]) == (
        sent["MessageId"],
        "hello",
        attribute,
    )
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert again["MessageId"] == sent["MessageId"] and again["ReceiptHandle"] != message["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="no")
    for body in "abc":
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.purge_queue(QueueUrl=url)
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert counts == {"ApproximateNumberOfMessages": "0"}


def test_whoever_waits_gets_a_message_as_soon_as_it_is_sent(aws: Aws) -> None:
    sqs, url = queue(aws)
    got: list[tuple[float, str]] = []

    def listen() -> None:
        answer = aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.append((time.monotonic(), answer["Messages"][0]["Body"]))

    listeners = [threading.Thread(target=listen) for _ in range(3)]
    for listener in listeners:
        listener.start()
    bodies = ["one", "two", "three"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sent_at = time.monotonic()
    for listener in listeners:
        listener.join(30)
    assert sorted(body for _, body in got) == sorted(bodies), "each got another one"
    assert max(at for at, _ in got) - sent_at < 10, "and none waited until its patience was at an end"


def test_whoever_waits_gets_what_becomes_visible_again(aws: Aws) -> None:
    sqs, url = queue(aws)
    sqs.send_message(QueueUrl=url, MessageBody="shy")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=1)
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "shy"
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)


def test_a_rule_puts_what_happens_into_a_queue(aws: Aws) -> None:
    sqs, url = queue(aws)
    events = aws.client("events")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="to-queue", EventPattern=json.dumps({"source": ["shop"]}))
    target = {"Id": "q", "Arn": arn, "InputPath": "$.detail"}
    assert events.put_targets(Rule="to-queue", Targets=[target])["FailedEntries"] == []
    events.put_events(Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": '{"item": 7}'}])
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert json.loads(message["Body"]) == {"item": 7}
    sqs.delete_queue(QueueUrl=url)
    events.put_events(Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": '{"item": 8}'}])
    keys = aws.home.credentials()
    assert keys is not None
    with Client(aws.url, token=keys.token) as client:
        deliveries: list[dict[str, Any]] = []
        while len(deliveries) < 2:
            deliveries = client.call("Towpath.ListTriggerDeliveries", {"TriggerName": "to-queue"})["Deliveries"]
    assert [each["Status"] for each in deliveries] == ["Failed", "Delivered"]
    assert "The specified queue does not exist" in deliveries[0]["Result"]
