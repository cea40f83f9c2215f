"""The state of a job: what the platform found out, under the API's names, and its own record of the attempt."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from towpath.jobs.channels import PinnedInput
from towpath.jobs.contract import CodeOrigin
from towpath.jobs.kinds import PINNED, RUN, WAITING
from towpath.jobs.model import JobObservation, Phase
from towpath.kernel.resource import Document, Resource, Uid, view

_MESSAGES = {
    "Starting": "Starting the job",
    "Downloading": "Laying out the input data",
    "Training": "The script is running",
    "Uploading": "Collecting what the job produced",
    "Stopping": "Stopping the job",
    "Completed": "The job completed",
    "Failed": "The job failed",
    "Stopped": "The job was stopped",
    "MaxRuntimeExceeded": "The job was stopped because it ran longer than MaxRuntimeInSeconds",
    "Restarting": "The runner vanished; starting a new attempt",
}


class Place(NamedTuple):
    """How far into what an attempt makes: its increments, and behind them its outputs. Places compare in that order."""

    published: int = 0  #: number of an increment
    outputs: int = 0  #: of the manifest, from its beginning


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attempt under way: written before anything starts, so that a repeat starts the very same."""

    attempt: int
    key: str
    image: str
    python: str
    environment: str  #: fingerprint
    inputs: tuple[PinnedInput, ...] = ()
    code: CodeOrigin | None = None
    seen: bool = False  #: the back end has told of it; if it is gone then, it was lost
    stop_asked_at: float | None = None  #: epoch seconds
    measured: int = 0  #: values of metrics that the store has taken over
    published: int = 0  #: number of the last increment that has become an object version
    outputs: int = 0  #: of the manifest, from its beginning, that have become object versions

    @property
    def place(self) -> Place:
        """How far what the attempt makes is published."""
        return Place(self.published, self.outputs)


def key_of(uid: Uid, attempt: int) -> str:
    """Return the key under which an attempt is known to back ends."""
    return f"{uid}-{attempt}"


def uid_of(key: str) -> Uid:
    """Return the resource that an attempt belongs to."""
    return Uid(key.rpartition("-")[0])


def run_of(resource: Resource) -> Run | None:
    """Return the attempt under way or the last one, None before the first."""
    stored = resource.state.get(RUN)
    return None if stored is None else view(Run, stored, strict=True)


def attempt_keys(resource: Resource) -> list[str]:
    """Return the keys of all attempts so far, oldest first."""
    run = run_of(resource)
    return [] if run is None else [key_of(resource.uid, number) for number in range(1, run.attempt + 1)]


def is_lost(run: Run, seen: JobObservation) -> bool:
    """Return whether nothing more can come of the attempt under way."""
    return seen.phase is Phase.LOST or (seen.phase is Phase.ABSENT and run.seen)


def may_begin(run: Run | None, seen: JobObservation) -> bool:
    """Return whether the next decision may begin an attempt: the first, the same once more, or one in its place."""
    return run is None or seen.phase in {Phase.ABSENT, Phase.LOST}


def with_run(state: Document, run: Run) -> Document:
    """Return the state with another record of the attempt, which holds its inputs."""
    kept = {name: value for name, value in state.items() if name != PINNED}
    return {**kept, RUN: msgspec.to_builtins(run)}


def pinned_of(resource: Resource) -> tuple[PinnedInput, ...]:
    """Return the inputs that were looked up before the job was created, until its first attempt begins."""
    return view(tuple[PinnedInput, ...], resource.state.get(PINNED, ()), strict=True)


def with_waiting(state: Document, sentence: str | None) -> Document:
    """Return the state of a job that waits for room on the host, or of one that does not any more."""
    kept = {name: value for name, value in state.items() if name != WAITING}
    return kept if sentence is None else {**kept, WAITING: sentence}


def with_secondary(state: Document, status: str, now: datetime, message: str | None = None) -> Document:
    """Return the state with another SecondaryStatus: the transition before ends, a new one begins."""
    if state.get("SecondaryStatus") == status:
        return state
    at = now.timestamp()
    transitions = [dict(transition) for transition in state.get("SecondaryStatusTransitions", ())]
    if transitions:
        transitions[-1].setdefault("EndTime", at)
    started: Document = {
        "Status": status,
        "StartTime": at,
        "StatusMessage": message or _MESSAGES.get(status, status),
    }
    if status in {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded"}:
        started["EndTime"] = at
    return {**state, "SecondaryStatus": status, "SecondaryStatusTransitions": [*transitions, started]}


def with_members(state: Document, members: Mapping[str, object]) -> Document:
    """Return the state with `members`; those that are None are left as they are."""
    return {**state, **{name: value for name, value in members.items() if value is not None}}


def epoch(at: datetime | None) -> float | None:
    """Return a time as documents carry it: epoch seconds."""
    return None if at is None else at.timestamp()
