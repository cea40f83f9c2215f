"""How long messages are kept: one that nobody deletes goes when its queue's retention period is over."""

from datetime import datetime, timedelta

import msgspec

from towpath.kernel.decisions import Decision
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.resource import Resource, Uid, view
from towpath.queues.kinds import QUEUE_MESSAGE
from towpath.queues.messages import discard
from towpath.queues.model import QueueSpec


class Expire(msgspec.Struct, frozen=True):
    """Delete a message that is too old."""


class RetentionController:
    """Implements `kernel.decisions.Controller` for QueueMessage."""

    kind = QUEUE_MESSAGE.noun

    def __init__(self, store: Store) -> None:
        self._store = store

    def observe(self, resource: Resource) -> timedelta | None:
        """Return how long the message's queue keeps messages, None where there is no such queue any more."""
        return self._store.read(lambda transaction: _kept_for(transaction, resource))

    def decide(self, resource: Resource, observation: timedelta | None, now: datetime) -> Decision:
        """Return that the message goes, or when it will."""
        if not resource.is_live:
            return Decision()
        if observation is not None and now < resource.created_at + observation:
            return Decision(due_at=resource.created_at + observation)
        return Decision(facts=(Expire(),))

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Delete the message."""
        discard(transaction, resource)

    def act(self, resource: Resource, decision: Decision) -> None:
        """Do nothing: messages are inside the platform."""


def _kept_for(transaction: Transaction, message: Resource) -> timedelta | None:
    queue = transaction.resources.get(Uid(message.spec["Queue"]))
    if queue is None or not queue.is_live:
        return None
    return timedelta(seconds=view(QueueSpec, queue.spec).message_retention_period)
