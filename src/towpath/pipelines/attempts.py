"""How a step stands between two attempts: after a failure, while it waits for others, when an execution is retried."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from towpath.pipelines import retry
from towpath.pipelines.graph import Node
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.standing import Standings

_LONGEST_PAUSE_S = 15  #: between two looks at something that somebody else is changing
_SHORTEST_WAIT, _LONGEST_WAIT = timedelta(seconds=2), timedelta(seconds=60)  #: for what does not answer


def next_due(standings: Standings) -> datetime | None:
    """Return when the next postponed step begins its next attempt, or the end of another one is judged again."""
    waiting = [*standings.postponed(), *standings.unsettled()]
    return min((row.due_at for row in waiting if row.due_at is not None), default=None)


def unsettled_now(standings: Standings, now: datetime) -> list[StepRow]:
    """Return the steps whose end is to be judged again: those due, and such as are due later than ever was said, since
    the clock was put back."""
    rows = standings.unsettled()
    return [row for row in rows if row.due_at is None or not now < row.due_at <= now + _LONGEST_WAIT]


def tried_again(standings: Standings, now: datetime) -> list[StepRow]:
    """Return how the steps stand that an ended execution begins anew when it is retried: those that failed or were
    stopped, but for failures that another step has followed up on."""
    return [
        replace(
            row,
            status=StepStatus.STARTING,
            due_at=now,
            ended_at=None,
            failure_reason=None,
            exception_type=None,
            first_failed_at=None,
            retries={},
        )
        for row in standings.failures()
        if not standings.was_followed_up(row.name)
    ]


def after_failure(node: Node, row: StepRow, reason: str, exception_type: str | None, now: datetime) -> StepRow:
    """Return how a step stands after its attempt failed: ended, or waiting for the next attempt."""
    first_failed_at = row.first_failed_at or now
    retries = row.retries.get(exception_type or "", 0)
    due_at = retry.next_attempt_at(
        node.step.retry_policies, exception_type, retries=retries, first_failed_at=first_failed_at, now=now
    )
    row = replace(
        row,
        failure_reason=reason,
        exception_type=exception_type,
        first_failed_at=first_failed_at,
        due_at=due_at,
        failed_at=now,
    )
    if due_at is None or exception_type is None:
        return replace(row, status=StepStatus.FAILED, ended_at=now, due_at=None)
    return replace(row, status=StepStatus.STARTING, retries={**row.retries, exception_type: retries + 1})


def waiting(row: StepRow, reason: str, now: datetime) -> StepRow:
    """Return how a step stands that cannot change yet what somebody else is changing: it looks again, first after two
    seconds, then at growing intervals. That is no failure, so no policy is asked and nothing is counted."""
    pause = timedelta(seconds=min(2 ** min(row.attempt, 8), _LONGEST_PAUSE_S))
    return replace(row, status=StepStatus.STARTING, failure_reason=reason, due_at=now + pause, failed_at=now)


def unanswered(row: StepRow, reason: str, now: datetime) -> StepRow:
    """Return how a step stands whose attempt could not begin, since what has to be known first cannot be had just now.

    It looks again after as long as it has waited so far, within bounds. No attempt has begun, so none is counted.
    """
    return replace(
        row,
        status=StepStatus.STARTING,
        attempt=row.attempt - 1,
        failure_reason=reason,
        exception_type=None,
        due_at=now + _pause(row.started_at, now),
        failed_at=now,
    )


def put_off(row: StepRow, reason: str, now: datetime) -> StepRow:
    """Return how a step stands that goes on running, though what it started has ended: whether that is a success cannot
    be found out just now. It is judged again as an attempt that could not begin is begun again."""
    since = row.unsettled_at or now
    return replace(row, failure_reason=reason, unsettled_at=since, due_at=now + _pause(since, now))


def _pause(since: datetime | None, now: datetime) -> timedelta:
    return min(max(now - (since or now), _SHORTEST_WAIT), _LONGEST_WAIT)
