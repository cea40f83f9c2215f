"""What the platform sends to others: messages to webhooks."""

from towpath.outbound.sender import Sender

__all__ = ["Sender"]
