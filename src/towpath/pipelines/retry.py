"""When a failed step is tried again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from towpath.kernel.clock import went_back
from towpath.kernel.errors import LimitExceeded, TowpathError, Unavailable
from towpath.pipelines.definition import RetryPolicy
from towpath.pipelines.model import StepRow

#: In the words of retry policies.
EXCEPTION_TYPES = (
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
)
DEFAULT_MAX_ATTEMPTS = 5

#: How the FailureReason of a job begins -> exception type.
_REASONS = {
    "InternalServerError": "SageMaker.JOB_INTERNAL_ERROR",
    "CapacityError": "SageMaker.CAPACITY_ERROR",
    "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT",
}


def of_reason(failure_reason: str | None) -> str | None:
    """Return the exception type of a job's failure, None when trying again is of no use (the user's script failed)."""
    for start, exception_type in _REASONS.items():
        if failure_reason is not None and failure_reason.startswith(start):
            return exception_type
    return None


def of_error(error: TowpathError) -> str | None:
    """Return the exception type of a refused Create operation."""
    if error.code == "ThrottlingException":
        return "Step.THROTTLING"
    if isinstance(error, Unavailable):
        return "Step.SERVICE_FAULT"
    if isinstance(error, LimitExceeded):
        return "SageMaker.RESOURCE_LIMIT"
    return None


def next_attempt_at(
    policies: Sequence[RetryPolicy],
    exception_type: str | None,
    *,
    retries: int,
    first_failed_at: datetime,
    now: datetime,
) -> datetime | None:
    """Return when a step that has just failed is tried again, None when it is not.

    Args:
        retries: how often it was tried again already because of this exception type.
        first_failed_at: when the step failed for the first time; ExpireAfterMin counts from there.
    """
    policy = next((policy for policy in policies if exception_type in policy.exception_types), None)
    if policy is None:
        return None
    most = policy.max_attempts
    if most is None and policy.expire_after_min is None:
        most = DEFAULT_MAX_ATTEMPTS
    if most is not None and retries >= most:
        return None
    try:
        due_at = now + timedelta(seconds=policy.interval_s * policy.backoff_rate**retries)
    except OverflowError:
        return None
    if policy.expire_after_min is not None and due_at > first_failed_at + timedelta(minutes=policy.expire_after_min):
        return None
    return due_at


def is_due(row: StepRow, now: datetime) -> bool:
    """Return whether a postponed step may begin its next attempt.

    It may as well when the clock was put back meanwhile: nobody knows how long it has waited, and the time that was set
    lies further ahead than it was to wait.
    """
    if row.due_at is None or row.due_at <= now:
        return True
    return row.failed_at is not None and went_back(row.failed_at, now)
