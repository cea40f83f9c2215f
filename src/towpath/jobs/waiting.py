"""What a job waits for on the host at the moment in which somebody asks.

A job writes down what it waits for when it begins to; what others end meanwhile changes that, and is worth no commit of
each job behind them.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from towpath.jobs.kinds import PENDING, WAITING, is_terminal
from towpath.jobs.state import with_waiting
from towpath.kernel.resource import Document, Resource

#: Tells by the uid of a job what that waits for now, None where it does not wait.
WhatFor: TypeAlias = Callable[[str], str | None]


def no_queue(_: str) -> None:
    """Implements `WhatFor` where nobody waits: without a queue."""


def with_todays_wait(job: Resource, what_for: WhatFor) -> Resource:
    """Return a job as it is shown now: one whose turn has come waits no more, though nothing has written that down."""
    if WAITING not in job.state or is_terminal(job.status):
        return job
    said = what_for(job.uid)
    return replace(job, state=with_waiting(job.state, None) if said is None else _saying(job.state, said))


def _saying(state: Document, said: str) -> Document:
    *before, last = state.get("SecondaryStatusTransitions") or [{}]
    if last.get("Status") != PENDING:
        return {**state, WAITING: said}
    return {**state, WAITING: said, "SecondaryStatusTransitions": [*before, {**last, "StatusMessage": said}]}
