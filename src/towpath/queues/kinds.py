"""The kinds of queues: the queue and the message."""

from towpath.kernel.errors import Conflict, NotFound
from towpath.kernel.kinds import Kind
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Resource

OF_QUEUE = "Queue"  #: indexed member of a message: uid of its queue
VISIBLE_AT = "VisibleAt"  #: indexed member of a message: epoch seconds from which on it can be received


def _missing_queue(_: str, name: str) -> NotFound:
    return NotFound(f"The specified queue does not exist: {name}", code="QueueDoesNotExist")


def _index_message(message: Resource) -> dict[str, str | float | None]:
    if not message.is_live:
        return {}  # nobody looks for it any more
    return {OF_QUEUE: message.spec["Queue"], VISIBLE_AT: message.state["VisibleAt"]}


def _refuse_undelete(_: Transaction, message: Resource) -> None:
    raise Conflict(f"The message {message.name} was deleted by whoever received it, or is too old; its text is gone")


QUEUE = Kind(
    noun="Queue",
    arn_type="queue",  # its ARN is arn:aws:sqs:REGION:ACCOUNT:NAME
    name_member="QueueName",
    arn_member="QueueArn",
    missing=_missing_queue,
)

#: A message's name is its MessageId.
QUEUE_MESSAGE = Kind(
    noun="QueueMessage",
    arn_type="queue-message",
    name_member="MessageId",
    arn_member="MessageArn",
    indexed=_index_message,
    refuse_undelete=_refuse_undelete,
    controlled=True,
)

KINDS = (QUEUE, QUEUE_MESSAGE)
