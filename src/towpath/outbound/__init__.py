"""What the platform sends to others: messages to webhooks."""

from towpath.outbound.webhooks import post

__all__ = ["post"]
