"""How an instance stands between two attempts: while it does not answer, when it has ended, when the clock went back.

Pure. A model server answers pings beside its predictions, so a busy one does answer, unless its code keeps all other
threads from running. Even then it is given longer than a request may take before it counts as hung.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from towpath.hosting.model import Fleet, Instance, Seen
from towpath.jobs.model import Phase
from towpath.kernel.clock import went_back

MISSED_AGAIN_S = 10.0  #: between the pings that are counted when one was not answered
#: So many in a row mean that it hangs: from the first to the last it is longer than the 60 s that a request may take.
MISSED_MOST = 7
LONGEST_BACKOFF_S = 60.0
STEADY_S = 600.0  #: an instance that ran this long has no failures held against it
ENDED = frozenset({Phase.FINISHED, Phase.LOST})


def hopeless(fleet: Fleet, instance: Instance, seen: Seen, now: datetime) -> str | None:
    """Return why an instance that has not answered yet never will, None while it still may."""
    if seen.stopped or (seen.phase is Phase.LOST and instance.attempt == 1):
        return None  # the host went down, orderly or not; that says nothing about the model
    if seen.phase in ENDED:
        return seen.reason or "its process ended before it could answer"
    timeout_s = fleet.variants[instance.variant].startup_timeout_s
    answers = seen.phase is Phase.READY and seen.answers
    if answers or now < instance.submitted_at + timedelta(seconds=timeout_s):
        return None
    return f"it did not pass the ping health check within {timeout_s:g} s (ContainerStartupHealthCheckTimeoutInSeconds)"


def missed(instance: Instance, now: datetime) -> Instance:
    """Return an instance that did not answer now; many looks within a moment count once.

    So does a time for which the platform itself was stopped.
    """
    last = instance.missed_at
    if last is None or not 0 <= (now - last).total_seconds() < MISSED_AGAIN_S:
        return replace(instance, missed=instance.missed + 1, missed_at=now)
    return instance


def counts_again_at(instance: Instance, now: datetime) -> datetime:
    """Return when another ping that is not answered counts."""
    return (instance.missed_at or now) + timedelta(seconds=MISSED_AGAIN_S)


def next_attempt(instance: Instance, seen: Seen, now: datetime) -> Instance:
    """Return an instance that ended and is started again, after a wait that grows with its failures."""
    ran_s = (now - instance.submitted_at).total_seconds()
    # Somebody stopped it, for instance with the whole platform: that is no failure, and no reason to wait. One that
    # hung was stopped by us.
    is_no_failure = seen.stopped and instance.missed < MISSED_MOST
    failures = 0 if is_no_failure or ran_s >= STEADY_S else instance.failures + 1
    wait_s = min(LONGEST_BACKOFF_S, 2.0**failures - 1)
    return replace(
        instance,
        attempt=instance.attempt + 1,
        submitted_at=now + timedelta(seconds=wait_s),
        healthy=False,
        failures=failures,
        missed=0,
        missed_at=None,
        stop_asked_at=None,
    )


def by_this_clock(fleet: Fleet, now: datetime) -> Fleet:
    """Return a fleet whose waits count from now where they began later than that: the clock was put back."""
    instances = []
    for instance in fleet.instances:
        if went_back(instance.submitted_at, now + timedelta(seconds=LONGEST_BACKOFF_S)):
            instance = replace(instance, submitted_at=now)
        if instance.stop_asked_at is not None and went_back(instance.stop_asked_at, now):
            instance = replace(instance, stop_asked_at=None)
        instances.append(instance)
    return replace(fleet, instances=tuple(instances))
