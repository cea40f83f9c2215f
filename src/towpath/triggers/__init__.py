"""Triggers: what happens when something has happened, or when a time has come."""

from towpath.triggers.deliveries import DeliveryController, is_pending
from towpath.triggers.kinds import DELIVERY, KINDS, RULE, SCHEDULE
from towpath.triggers.matching import Rules
from towpath.triggers.rules import event_operations
from towpath.triggers.scheduler import scheduler_operations
from towpath.triggers.service import operations
from towpath.triggers.timing import timing_controllers

__all__ = [
    "DELIVERY",
    "KINDS",
    "RULE",
    "SCHEDULE",
    "DeliveryController",
    "Rules",
    "event_operations",
    "is_pending",
    "operations",
    "scheduler_operations",
    "timing_controllers",
]
