"""The values of queues: their attributes, and how a message stands."""

from collections.abc import Mapping

import msgspec

from towpath.kernel.resource import Document, Uid

#: Attributes that can be set, with the values allowed and the default. Source: Amazon SQS API Reference, CreateQueue.
SETTABLE: Mapping[str, tuple[range, int]] = {
    "VisibilityTimeout": (range(43_201), 30),
    "MessageRetentionPeriod": (range(60, 1_209_601), 345_600),
    "DelaySeconds": (range(901), 0),
    "ReceiveMessageWaitTimeSeconds": (range(21), 0),
    "MaximumMessageSize": (range(1024, 1_048_577), 1_048_576),
}


class QueueSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """What a queue does with its messages; times in seconds, sizes in bytes."""

    visibility_timeout: int = SETTABLE["VisibilityTimeout"][1]
    message_retention_period: int = SETTABLE["MessageRetentionPeriod"][1]
    delay_seconds: int = SETTABLE["DelaySeconds"][1]
    receive_message_wait_time_seconds: int = SETTABLE["ReceiveMessageWaitTimeSeconds"][1]
    maximum_message_size: int = SETTABLE["MaximumMessageSize"][1]


class MessageSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """A message as it was sent."""

    queue: Uid
    body: str = ""  #: gone once the message was deleted
    message_attributes: Document = {}


class MessageState(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """How a message stands."""

    visible_at: float  #: epoch seconds from which on it can be received
    receive_count: int = 0
    first_received_at: float | None = None  #: epoch seconds
    receipt: str = ""  #: of whoever received it last
