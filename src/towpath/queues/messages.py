"""What happens to messages: sent, received, hidden and deleted.

A message is a resource. Whoever receives it has it hidden for a while, under a receipt of this very time; it is gone
when it was deleted by that. So each message comes at least once, whoever dies meanwhile.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from towpath.kernel import formats, generic
from towpath.kernel.errors import Conflict, Invalid, NotFound
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.queries import every_in
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.queues.kinds import OF_QUEUE, QUEUE, QUEUE_MESSAGE, VISIBLE_AT
from towpath.queues.model import MessageSpec, MessageState, QueueSpec

_PAGE = 500
_RECEIPT_BYTES = 12
#: Source: Amazon SQS API Reference, SendMessage: the characters of XML 1.0.
_NOT_ALLOWED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def find_queue(transaction: Transaction, name: str) -> Resource:
    """Return a queue.

    Raises:
        NotFound: there is none of that name.
    """
    queue = transaction.resources.find(QUEUE.noun, name)
    if queue is None:
        raise QUEUE.missing(QUEUE.noun, name)
    return queue


def send(
    transaction: Transaction,
    queue: Resource,
    body: str,
    *,
    by: str,
    attributes: Document | None = None,
    delay_s: int | None = None,
) -> Resource:
    """Put a message into a queue and return it; it is there when the transaction is.

    Args:
        by: name of the principal.
        delay_s: before it can be received; None: what the queue says.
    Raises:
        Invalid: it is too long, empty, or holds characters that are not allowed.
    """
    spec = view(QueueSpec, queue.spec)
    size = len(body.encode("utf-8", "surrogatepass")) + sum(
        len(name) + len(str(value)) for name, value in (attributes or {}).items()
    )
    if not body:
        raise Invalid("The request must contain the parameter MessageBody.", code="MissingParameter")
    if size > spec.maximum_message_size:
        raise Invalid(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{spec.maximum_message_size} bytes; it has {size}.",
            code="InvalidParameterValue",
        )
    if _NOT_ALLOWED.search(body):
        raise Invalid("The message holds characters outside of the allowed set.", code="InvalidMessageContents")
    uid = Uid(uuid4().hex)
    name = str(uuid4())
    hidden_s = spec.delay_seconds if delay_s is None else delay_s
    home = transaction.home
    sent = MessageSpec(queue=queue.uid, body=body, message_attributes=attributes or {})
    message = generic.with_sort(
        QUEUE_MESSAGE,
        Resource(
            uid=uid,
            account=home.account,
            region=home.region,
            kind=QUEUE_MESSAGE.noun,
            name=name,
            arn=f"{queue.arn}/{name}",
            spec=cast(Document, msgspec.to_builtins(sent)),
            state=_stored(MessageState(visible_at=transaction.now.timestamp() + hidden_s)),
            format=formats.current(QUEUE_MESSAGE.noun),
            created_at=transaction.now,
            created_by=by,
            modified_at=transaction.now,
        ),
    )
    transaction.resources.insert(message)
    transaction.work.schedule(uid, message.created_at + timedelta(seconds=spec.message_retention_period))
    return message


def receive(transaction: Transaction, queue: Resource, *, most: int, hidden_s: int | None = None) -> list[Resource]:
    """Return up to `most` messages that can be received now, and hide them; those that were sent first come first."""
    spec = view(QueueSpec, queue.spec)
    now = transaction.now.timestamp()
    wanted = Query(
        kind=QUEUE_MESSAGE.noun,
        filters=(
            Filter(OF_QUEUE, "=", queue.uid),
            Filter(VISIBLE_AT, "<=", now),
            Filter("created_at", ">", oldest_kept(spec, transaction.now)),
        ),
        descending=False,
        limit=most,
    )
    timeout_s = spec.visibility_timeout if hidden_s is None else hidden_s
    return [_received(transaction, message, timeout_s) for message in transaction.resources.query(wanted).items]


def oldest_kept(spec: QueueSpec, now: datetime) -> datetime:
    """Return when the oldest messages that a queue still keeps were sent."""
    return now - timedelta(seconds=spec.message_retention_period)


def _received(transaction: Transaction, message: Resource, timeout_s: int) -> Resource:
    before = view(MessageState, message.state)
    now = transaction.now.timestamp()
    after = replace(
        before,
        visible_at=now + timeout_s,
        receive_count=before.receive_count + 1,
        first_received_at=before.first_received_at or now,
        receipt=secrets.token_hex(_RECEIPT_BYTES),
    )
    return _changed(transaction, message, after)


def next_visible_at(transaction: Transaction, queue: Resource) -> float | None:
    """Return when the first of the hidden messages of a queue can be received, in epoch seconds; None: none is."""
    hidden = Query(
        kind=QUEUE_MESSAGE.noun,
        filters=(Filter(OF_QUEUE, "=", queue.uid), Filter(VISIBLE_AT, ">", transaction.now.timestamp())),
        sort_by=VISIBLE_AT,
        descending=False,
        limit=1,
    )
    found = transaction.resources.query(hidden).items
    return view(MessageState, found[0].state).visible_at if found else None


def all_of(transaction: Transaction, queue: Resource) -> Iterator[Resource]:
    """Return the messages of a queue one by one, the earliest sent first; they may be discarded meanwhile."""
    wanted = Query(kind=QUEUE_MESSAGE.noun, filters=(Filter(OF_QUEUE, "=", queue.uid),), descending=False, limit=_PAGE)
    return every_in(transaction, wanted)


def discard(transaction: Transaction, message: Resource) -> None:
    """Delete a message for good: nothing of its text is kept."""
    spec = {"Queue": message.spec["Queue"]}
    transaction.resources.replace(message, spec=spec, deleted_at=transaction.now, sort={})


def receipt_handle(message: Resource) -> str:
    """Return what whoever received a message deletes it by."""
    return base64.urlsafe_b64encode(f"{message.uid}:{view(MessageState, message.state).receipt}".encode()).decode()


def find_received(transaction: Transaction, queue: Resource, handle: str) -> Resource | None:
    """Return the message that a receipt handle is for; None where it is gone, or somebody received it since.

    Raises:
        Invalid: it is no receipt handle of this queue.
    """
    try:
        uid, _, receipt = base64.urlsafe_b64decode(handle.encode()).decode("ascii").partition(":")
    except (binascii.Error, ValueError) as error:
        raise _not_valid(handle) from error
    message = transaction.resources.get(Uid(uid))
    if message is None or message.kind != QUEUE_MESSAGE.noun or message.spec["Queue"] != queue.uid or not receipt:
        raise _not_valid(handle)
    is_the_last = view(MessageState, message.state).receipt == receipt
    return message if message.is_live and is_the_last else None


def change_visibility(transaction: Transaction, queue: Resource, handle: str, timeout_s: int) -> None:
    """Hide a received message from now on for so long; 0: let it be received again.

    Raises:
        Invalid: it is no receipt handle of this queue.
        NotFound: the message is gone, or somebody received it since.
        Conflict: it can be received already.
    """
    message = find_received(transaction, queue, handle)
    if message is None:
        raise NotFound(
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
            "available for visibility timeout change.",
            code="InvalidParameterValue",
        )
    state = view(MessageState, message.state)
    now = transaction.now.timestamp()
    if state.visible_at <= now:
        raise Conflict("The message is not in flight: its visibility timeout is over.", code="MessageNotInflight")
    _changed(transaction, message, replace(state, visible_at=now + timeout_s))


def _changed(transaction: Transaction, message: Resource, state: MessageState) -> Resource:
    changed = generic.with_sort(QUEUE_MESSAGE, replace(message, state=_stored(state)))
    return transaction.resources.replace(message, state=changed.state, sort=changed.sort)


def _stored(state: MessageState) -> Document:
    return cast(Document, msgspec.to_builtins(state))


def _not_valid(handle: str) -> Invalid:
    return Invalid(
        f'The input receipt handle "{handle[:128]}" is not a valid receipt handle.', code="ReceiptHandleIsInvalid"
    )
