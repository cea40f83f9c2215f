"""Queues of messages, by the protocol of Amazon SQS."""

from towpath.queues.addresses import ARN_SERVICE, arn_of, queue_of
from towpath.queues.kinds import KINDS, QUEUE, QUEUE_MESSAGE
from towpath.queues.messages import find_queue, send
from towpath.queues.retention import RetentionController
from towpath.queues.service import Queues

__all__ = [
    "ARN_SERVICE",
    "KINDS",
    "QUEUE",
    "QUEUE_MESSAGE",
    "Queues",
    "RetentionController",
    "arn_of",
    "find_queue",
    "queue_of",
    "send",
]
