"""What is kept for how long, what goes, and what comes back."""

from towpath.housekeeping.model import Attempt, Facts, Item, Layer, Retention, What
from towpath.housekeeping.operations import described, operations
from towpath.housekeeping.plan import plan
from towpath.housekeeping.running import server_operations
from towpath.housekeeping.service import Collector, Outcome

__all__ = [
    "Attempt",
    "Collector",
    "Facts",
    "Item",
    "Layer",
    "Outcome",
    "Retention",
    "What",
    "described",
    "operations",
    "plan",
    "server_operations",
]
