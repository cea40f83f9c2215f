"""Metrics and alarms: CloudWatch's, with those of the platform itself."""

from towpath.metrics.controller import AlarmController
from towpath.metrics.kinds import KINDS
from towpath.metrics.own import OwnMetrics
from towpath.metrics.service import operations

__all__ = ["KINDS", "AlarmController", "OwnMetrics", "operations"]
