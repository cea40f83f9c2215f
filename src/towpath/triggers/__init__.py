"""Triggers: what happens when something has happened, or when a time has come."""

from towpath.triggers.deliveries import OUTCOME, DeliveryController, deliver, is_pending
from towpath.triggers.envelopes import of_event
from towpath.triggers.kinds import DELIVERY, KINDS, LOG_GROUP, RULE, SCHEDULE
from towpath.triggers.log_groups import arn_of as arn_of_log_group
from towpath.triggers.log_groups import group_operations
from towpath.triggers.matching import Rules
from towpath.triggers.model import EVENT_GROUPS, Target
from towpath.triggers.rules import event_operations
from towpath.triggers.scheduler import scheduler_operations
from towpath.triggers.service import operations
from towpath.triggers.targets import check as check_target
from towpath.triggers.timing import timing_controllers

__all__ = [
    "DELIVERY",
    "EVENT_GROUPS",
    "KINDS",
    "LOG_GROUP",
    "OUTCOME",
    "RULE",
    "SCHEDULE",
    "DeliveryController",
    "Rules",
    "Target",
    "arn_of_log_group",
    "check_target",
    "deliver",
    "event_operations",
    "group_operations",
    "is_pending",
    "of_event",
    "operations",
    "scheduler_operations",
    "timing_controllers",
]
