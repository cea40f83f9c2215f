"""Metrics and alarms: CloudWatch's, with those of the platform itself."""

from towpath.metrics.controller import AlarmController
from towpath.metrics.invocations import InvocationMetrics
from towpath.metrics.kinds import ALARM, KINDS
from towpath.metrics.own import OwnMetrics
from towpath.metrics.service import operations

__all__ = ["ALARM", "KINDS", "AlarmController", "InvocationMetrics", "OwnMetrics", "operations"]
