"""Retry policies: which failures are tried again, when, and when it is enough."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid, LimitExceeded, TowpathError, Unavailable
from towpath.pipelines.definition import RetryPolicy
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.retry import is_due, next_attempt_at, of_error, of_reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAULT = "Step.SERVICE_FAULT"


def policy(**more: Any) -> RetryPolicy:
    return RetryPolicy(exception_types=(FAULT,), **more)


def due(*policies: RetryPolicy, exception_type: str | None = FAULT, retries: int = 0, failed_s_ago: float = 0) -> Any:
    first_failed_at = NOW - timedelta(seconds=failed_s_ago)
    return next_attempt_at(policies, exception_type, retries=retries, first_failed_at=first_failed_at, now=NOW)


@given(st.integers(0, 4), st.integers(0, 100), st.floats(0, 5))
def test_the_delay_grows_by_the_backoff_rate(retries: int, interval_s: int, backoff_rate: float) -> None:
    at = due(policy(interval_s=interval_s, backoff_rate=backoff_rate, max_attempts=20), retries=retries)
    assert at == NOW + timedelta(seconds=interval_s * backoff_rate**retries)


def test_there_are_as_many_retries_as_the_policy_allows() -> None:
    assert due(policy(max_attempts=3), retries=2) is not None
    assert due(policy(max_attempts=3), retries=3) is None
    assert due(policy(), retries=4) is not None
    assert due(policy(), retries=5) is None


def test_a_policy_may_end_by_time_instead() -> None:
    assert due(policy(expire_after_min=10), retries=50, failed_s_ago=60) is None  # 2**50 s is too long a wait
    assert due(policy(expire_after_min=10, backoff_rate=1), retries=50, failed_s_ago=60) is not None
    assert due(policy(expire_after_min=10, backoff_rate=1), retries=50, failed_s_ago=600) is None


def test_a_delay_beyond_all_time_is_no_retry() -> None:
    assert due(policy(backoff_rate=1e300, max_attempts=20), retries=19) is None


def test_only_named_failures_are_tried_again() -> None:
    assert due(policy(), exception_type="Step.THROTTLING") is None
    assert due(policy(), exception_type=None) is None
    assert due() is None


@pytest.mark.parametrize(
    ("reason", "exception_type"),
    [
        ("InternalServerError: we failed", "SageMaker.JOB_INTERNAL_ERROR"),
        ("CapacityError: no such machine", "SageMaker.CAPACITY_ERROR"),
        ("AlgorithmError: exit code 1", None),
        (None, None),
    ],
)
def test_the_reason_of_a_failed_job_tells_what_kind_of_failure_it_was(
    reason: str | None, exception_type: str | None
) -> None:
    assert of_reason(reason) == exception_type


@pytest.mark.parametrize(
    ("error", "exception_type"),
    [
        (Unavailable(), "Step.SERVICE_FAULT"),
        (LimitExceeded(), "SageMaker.RESOURCE_LIMIT"),
        (LimitExceeded(code="ThrottlingException"), "Step.THROTTLING"),
        (Invalid(), None),
    ],
)
def test_a_refused_request_tells_what_kind_of_failure_it_was(error: TowpathError, exception_type: str | None) -> None:
    assert of_error(error) == exception_type


@pytest.mark.parametrize(
    ("passed_s", "due"),
    [(0, False), (9, False), (10, True), (3600, True), (-0.5, False), (-3600, True)],
    ids=["at once", "before its time", "at its time", "late", "a clock that was corrected", "a clock put back"],
)
def test_nobody_waits_for_a_time_that_the_clock_has_moved_away(passed_s: float, due: bool) -> None:
    waiting = StepRow(
        name="Train", position=0, status=StepStatus.STARTING, failed_at=NOW, due_at=NOW + timedelta(seconds=10)
    )
    assert is_due(waiting, NOW + timedelta(seconds=passed_s)) is due
