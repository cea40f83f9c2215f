"""The operations of SQS that are offered here.

Source: Amazon SQS API Reference. Queues are standard ones: each message comes at least once, and mostly in its order.
"""

import hashlib
import re
import struct
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from typing import Any

from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.operations import NotYet, Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.queues import messages
from towpath.queues.addresses import NAME, arn_of, asked_for, expected_name, url_of
from towpath.queues.kinds import QUEUE, QUEUE_MESSAGE
from towpath.queues.model import SETTABLE, MessageSpec, MessageState, QueueSpec

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PAGE = 1000  #: queues of a list, at most
_MOST_MESSAGES = 10  #: that one request receives, at most
_LONGEST_HIDDEN_S = SETTABLE["VisibilityTimeout"][0].stop - 1
_LONGEST_WAIT_S = SETTABLE["ReceiveMessageWaitTimeSeconds"][0].stop - 1
#: Members of requests that belong to FIFO queues and to tracing, of which there is neither.
_NOT_HERE = ("MessageDeduplicationId", "MessageGroupId", "MessageSystemAttributes", "tags")


class Queues:
    """The operations on queues and their messages."""

    def __init__(self, url: str) -> None:
        """`url` is where clients reach the server: what the addresses of queues begin with."""
        self._url = url

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        rows: tuple[tuple[str, Callable[[Any, Request], Document], bool], ...] = (
            ("CreateQueue", self.create_queue, True),
            ("GetQueueUrl", self.get_queue_url, False),
            ("ListQueues", self.list_queues, False),
            ("DeleteQueue", delete_queue, True),
            ("PurgeQueue", purge_queue, True),
            ("GetQueueAttributes", get_queue_attributes, False),
            ("SetQueueAttributes", set_queue_attributes, True),
            ("SendMessage", send_message, True),
            ("ReceiveMessage", receive_message, True),
            ("DeleteMessage", delete_message, True),
            ("ChangeMessageVisibility", change_message_visibility, True),
        )
        return {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}

    def create_queue(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreateQueue; where there is one of that name with these attributes, return its address."""
        name = request.input["QueueName"]
        _refuse_what_is_not_here(request)
        if NAME.fullmatch(name) is None:
            raise Invalid(f"The name {name!r} is not valid; {expected_name(name)}.", code="InvalidParameterValue")
        attributes = _attributes(request)
        there = transaction.resources.find(QUEUE.noun, name)
        if there is not None:
            for attribute, value in attributes.items():
                has = there.spec[attribute]
                if has != value:
                    raise Conflict(
                        "A queue already exists with the same name and a different value for attribute "
                        f"{attribute}: {has}",
                        code="QueueNameExists",
                    )
            return {"QueueUrl": self._url_of(transaction, there)}
        spec = {attribute: default for attribute, (_, default) in SETTABLE.items()} | attributes
        queue = generic.create(transaction, QUEUE, request, name=name, spec=spec, arn=arn_of(name, transaction.home))
        return {"QueueUrl": self._url_of(transaction, queue)}

    def get_queue_url(self, transaction: Transaction, request: Request) -> Document:
        """Carry out GetQueueUrl. The account is a label, as everywhere."""
        return {"QueueUrl": self._url_of(transaction, messages.find_queue(transaction, request.input["QueueName"]))}

    def list_queues(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ListQueues, by name."""
        asked = request.input
        prefix = asked.get("QueueNamePrefix")
        limit = _number(asked, "MaxResults", range(1, _PAGE + 1), _PAGE)
        query = Query(
            kind=QUEUE.noun,
            filters=(Filter("name", "begins", prefix),) if prefix else (),
            sort_by="name",
            descending=False,
            limit=limit,
            token=asked.get("NextToken"),
        )
        page = transaction.resources.query(query)
        return {"QueueUrls": [self._url_of(transaction, queue) for queue in page.items], "NextToken": page.token}

    def _url_of(self, transaction: Transaction, queue: Resource) -> str:
        return url_of(queue.name, transaction.home, self._url)


def delete_queue(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteQueue: it goes with its messages."""
    queue = _queue(transaction, request)
    _discard_all(transaction, queue)
    transaction.resources.replace(queue, deleted_at=transaction.now)
    generic.record(transaction, queue, request, request.operation)
    return {}


def purge_queue(transaction: Transaction, request: Request) -> Document:
    """Carry out PurgeQueue: all its messages go, those that somebody has received too."""
    queue = _queue(transaction, request)
    _discard_all(transaction, queue)
    generic.record(transaction, queue, request, request.operation)
    return {}


def _discard_all(transaction: Transaction, queue: Resource) -> None:
    for message in messages.all_of(transaction, queue):
        messages.discard(transaction, message)


def get_queue_attributes(transaction: Transaction, request: Request) -> Document:
    """Carry out GetQueueAttributes: those that are asked for, with the counts of messages as they are."""
    queue = _queue(transaction, request)
    wanted = set(request.input.get("AttributeNames") or ())
    counts = {name for name in wanted if name.startswith("ApproximateNumber")}
    shown: Document = {name: str(queue.spec[name]) for name in SETTABLE}
    shown |= {
        "QueueArn": queue.arn,
        "CreatedTimestamp": str(int(queue.created_at.timestamp())),
        "LastModifiedTimestamp": str(int(queue.modified_at.timestamp())),
    }
    if counts or "All" in wanted:
        shown |= _counts(transaction, queue)
    return {"Attributes": {name: value for name, value in shown.items() if name in wanted or "All" in wanted}}


def _counts(transaction: Transaction, queue: Resource) -> dict[str, str]:
    now = transaction.now.timestamp()
    oldest = messages.oldest_kept(view(QueueSpec, queue.spec), transaction.now)
    visible = hidden = delayed = 0
    for message in messages.all_of(transaction, queue):
        if message.created_at <= oldest:
            continue
        state = view(MessageState, message.state)
        if state.visible_at <= now:
            visible += 1
        elif state.receive_count:
            hidden += 1
        else:
            delayed += 1
    return {
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(hidden),
        "ApproximateNumberOfMessagesDelayed": str(delayed),
    }


def set_queue_attributes(transaction: Transaction, request: Request) -> Document:
    """Carry out SetQueueAttributes. A shorter retention period counts for the messages that are there, too."""
    queue = _queue(transaction, request)
    changes = _attributes(request)
    transaction.resources.replace(queue, spec={**queue.spec, **changes}, generation=queue.generation + 1)
    if "MessageRetentionPeriod" in changes:
        for message in messages.all_of(transaction, queue):
            transaction.work.schedule(message.uid, transaction.now)
    generic.record(transaction, queue, request, request.operation, changed=sorted(changes))
    return {}


def send_message(transaction: Transaction, request: Request) -> Document:
    """Carry out SendMessage."""
    asked = request.input
    queue = _queue(transaction, request)
    _refuse_what_is_not_here(request)
    attributes = asked.get("MessageAttributes") or {}
    digest = _digest_of_attributes(attributes)
    message = messages.send(
        transaction,
        queue,
        asked["MessageBody"],
        by=request.caller.principal,
        attributes=attributes,
        delay_s=_number(asked, "DelaySeconds", SETTABLE["DelaySeconds"][0], None),
    )
    answer: Document = {"MessageId": message.name, "MD5OfMessageBody": _md5(asked["MessageBody"].encode())}
    return answer if digest is None else {**answer, "MD5OfMessageAttributes": digest}


def receive_message(transaction: Transaction, request: Request) -> Document:
    """Carry out ReceiveMessage.

    Raises:
        NotYet: there is none now, and the caller is willing to wait.
    """
    asked = request.input
    queue = _queue(transaction, request)
    most = _number(asked, "MaxNumberOfMessages", range(1, _MOST_MESSAGES + 1), 1)
    hidden_s = _number(asked, "VisibilityTimeout", range(_LONGEST_HIDDEN_S + 1), None)
    spec = view(QueueSpec, queue.spec)
    wait_s = _number(asked, "WaitTimeSeconds", range(_LONGEST_WAIT_S + 1), spec.receive_message_wait_time_seconds)
    found = messages.receive(transaction, queue, most=most, hidden_s=hidden_s)
    if found or not wait_s:
        return {"Messages": [_shown(message, asked) for message in found]} if found else {}
    next_at = messages.next_visible_at(transaction, queue)
    raise NotYet(
        answer={},
        kind=QUEUE_MESSAGE.noun,
        patience_s=float(wait_s),
        again_s=None if next_at is None else max(0.0, next_at - transaction.now.timestamp()),
    )


def _shown(message: Resource, asked: Document) -> Document:
    spec, state = view(MessageSpec, message.spec), view(MessageState, message.state)
    shown: Document = {
        "MessageId": message.name,
        "ReceiptHandle": messages.receipt_handle(message),
        "Body": spec.body,
        "MD5OfBody": _md5(spec.body.encode()),
    }
    facts = {
        "SenderId": message.created_by,
        "SentTimestamp": _milliseconds(message.created_at.timestamp()),
        "ApproximateReceiveCount": str(state.receive_count),
        "ApproximateFirstReceiveTimestamp": _milliseconds(state.first_received_at or 0),
    }
    named = {*(asked.get("AttributeNames") or ()), *(asked.get("MessageSystemAttributeNames") or ())}
    chosen = {name: value for name, value in facts.items() if name in named or "All" in named}
    if chosen:
        shown["Attributes"] = chosen
    attributes = _chosen(spec.message_attributes, asked.get("MessageAttributeNames") or ())
    if attributes:
        shown |= {"MessageAttributes": attributes, "MD5OfMessageAttributes": _digest_of_attributes(attributes)}
    return shown


def _chosen(attributes: Document, patterns: Iterable[str]) -> Document:
    """Return the attributes of a message that are asked for: by name, by `prefix.*`, or all."""
    asked = tuple(patterns)
    if "All" in asked or ".*" in asked:
        return attributes
    beginnings = tuple(pattern.removesuffix("*") for pattern in asked if pattern.endswith(".*"))
    return {name: value for name, value in attributes.items() if name in asked or name.startswith(beginnings)}


def delete_message(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteMessage. One that is gone, or that somebody received since, is none to delete."""
    message = messages.find_received(transaction, _queue(transaction, request), request.input["ReceiptHandle"])
    if message is not None:
        messages.discard(transaction, message)
    return {}


def change_message_visibility(transaction: Transaction, request: Request) -> Document:
    """Carry out ChangeMessageVisibility."""
    asked = request.input
    timeout_s = _number(asked, "VisibilityTimeout", range(_LONGEST_HIDDEN_S + 1), 0)
    messages.change_visibility(transaction, _queue(transaction, request), asked["ReceiptHandle"], timeout_s)
    return {}


def _queue(transaction: Transaction, request: Request) -> Resource:
    return messages.find_queue(transaction, asked_for(request.input["QueueUrl"]))


def _refuse_what_is_not_here(request: Request) -> None:
    for member in _NOT_HERE:
        if request.input.get(member):
            raise Unsupported(f"{member}: that is not built; queues here are standard ones, without tags or tracing.")


def _attributes(request: Request) -> dict[str, int]:
    """Return the attributes that a request sets, as numbers.

    Raises:
        Invalid: one has a value that is not allowed.
        Unsupported: one belongs to what is not built.
    """
    given = request.input.get("Attributes") or {}
    for name in given:
        if name not in SETTABLE:
            raise Unsupported(
                f"Unknown Attribute {name}: it cannot be set here; those that can are {', '.join(SETTABLE)}.",
                code="InvalidAttributeName",
            )
    found = {}
    for name, value in given.items():
        allowed, _ = SETTABLE[name]
        if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value) in allowed):
            raise Invalid(
                f"Invalid value for the parameter {name}: {value!r}; expected {allowed.start} to {allowed.stop - 1}.",
                code="InvalidAttributeValue",
            )
        found[name] = int(value)
    return found


def _number(asked: Document, member: str, allowed: range, default: Any) -> Any:
    """Return a number of a request, the default where it is absent.

    Raises:
        Invalid: it is not among those allowed.
    """
    value = asked.get(member)
    if value is None:
        return default
    if value not in allowed:
        raise Invalid(
            f"Value {value} for parameter {member} is invalid. Reason: Must be >= {allowed.start} and <= "
            f"{allowed.stop - 1}, if provided.",
            code="InvalidParameterValue",
        )
    return int(value)


def _digest_of_attributes(attributes: Document) -> str | None:
    """Return the MD5 digest of a message's attributes, by which some clients check what they get; None without any.

    Source: Amazon SQS Developer Guide, "Calculating the MD5 message digest for message attributes".
    Raises:
        Invalid: an attribute has no value, or not one of its type.
    """
    if not attributes:
        return None
    encoded = bytearray()
    for name, attribute in sorted(attributes.items()):
        prefix = str(attribute["DataType"]).partition(".")[0]
        if prefix not in {"Binary", "Number", "String"}:
            raise Invalid(
                f"The message attribute {name!r} has an invalid message attribute type, {attribute['DataType']!r}; the "
                "set of supported type prefixes is Binary, Number, and String.",
                code="InvalidParameterValue",
            )
        is_binary = prefix == "Binary"
        member = "BinaryValue" if is_binary else "StringValue"
        if not attribute.get(member):
            raise Invalid(
                f"The message attribute {name!r} of type {attribute['DataType']} must have a {member}.",
                code="InvalidParameterValue",
            )
        if prefix == "Number" and _NUMBER.fullmatch(attribute[member]) is None:
            raise Invalid(
                f"Can't cast the value of message (user) attribute {name!r} to a number: {attribute[member]!r}",
                code="InvalidParameterValue",
            )
        value = a2b_base64(attribute[member]) if is_binary else attribute[member].encode()
        for part in (name.encode(), attribute["DataType"].encode()):
            encoded += struct.pack("!I", len(part)) + part
        encoded += bytes([2 if is_binary else 1]) + struct.pack("!I", len(value)) + value
    return _md5(bytes(encoded))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _milliseconds(epoch_s: float) -> str:
    return str(int(epoch_s * 1000))
