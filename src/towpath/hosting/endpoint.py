"""What to do next for an endpoint: its fleets follow its generation. Pure.

A new generation starts a fleet beside the one that serves. When all its instances answer, the traffic moves to it in
one step, the old fleet finishes its requests and is stopped. A fleet that does not come up is stopped, and the old one
goes on. Other weights and counts alone do not start another fleet, see `resizing`. No instance is stopped before the
routes, as they were *seen*, hold it no more; so the order survives crashes.

An instance that serves is pinged now and then; one that hangs, see `instances`, is killed and started again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from towpath.hosting import resizing
from towpath.hosting.decisions import Effect, Endpoint, Forget, Observation, Outcome, SetRoutes, Stop, Submit
from towpath.hosting.instances import (
    ENDED,
    LONGEST_BACKOFF_S,
    MISSED_MOST,
    by_this_clock,
    counts_again_at,
    hopeless,
    missed,
    next_attempt,
)
from towpath.hosting.model import (
    EndpointState,
    EndpointStatus,
    Fleet,
    FleetPlan,
    Instance,
    PlanFailed,
    Seen,
    Stage,
    attempt_key,
)
from towpath.hosting.routing import Entry, Target
from towpath.jobs.model import Phase

DRAIN_S = 30.0  #: a request that takes longer than this is cut off by an update
PING_AGAIN_S = 1.0
PING_EVERY_S = 30.0  #: an instance that serves
STOP_AGAIN_S = 30.0  #: a stop that was lost in a crash is asked for again after this
LOGS_KEPT = 2  #: ended attempts of an instance's fleet that keep their logs


def wants_plan(endpoint: Endpoint) -> bool:
    """Whether a fleet for the endpoint's generation is still to be planned."""
    return (
        endpoint.status is not EndpointStatus.DELETING
        and not endpoint.is_followed
        and resizing.to_follow(endpoint) is None
    )


def wants_ping(fleet: Fleet, instance: Instance, phase: Phase) -> bool:
    """Whether it has to be asked if an instance answers."""
    if phase is not Phase.READY:
        return False
    return fleet.stage is Stage.SERVING or (fleet.stage is Stage.STARTING and not instance.healthy)


def decide(endpoint: Endpoint, seen: Observation, now: datetime) -> Outcome:
    """Return what to do next for an endpoint that stands like this."""
    return _Turn(endpoint, seen, now).outcome()


class _Turn:
    """One decision while it is being made: the effects and wake-up times that its parts add up to."""

    def __init__(self, endpoint: Endpoint, seen: Observation, now: datetime) -> None:
        fleets = tuple(by_this_clock(fleet, now) for fleet in endpoint.state.fleets)
        self.endpoint = replace(endpoint, state=replace(endpoint.state, fleets=fleets))
        self.seen = seen
        self.now = now
        self.submits: list[Effect] = []
        self.stops: list[Effect] = []
        self.forgets: list[Effect] = []
        self.due: list[datetime] = []
        self.reason = endpoint.state.failure_reason
        self.status = endpoint.status
        self.deployed: Fleet | None = None
        self.routed = {target.key for target in seen.entry.targets} if seen.entry else set()

    def outcome(self) -> Outcome:
        deleting = self.status is EndpointStatus.DELETING
        fleets = list(self.endpoint.state.fleets)
        if deleting:
            fleets = [replace(fleet, stage=Stage.STOPPING) for fleet in fleets]
        elif (fleet := resizing.to_follow(self.endpoint)) is not None:
            fleets = self._resize(fleets, fleet)
        elif self.seen.plan is not None:
            fleets = self._begin(fleets, self.seen.plan)
        fleets = [self._start(fleet) if fleet.stage is Stage.STARTING else fleet for fleet in fleets]
        fleets = [part for fleet in fleets for part in self._grow(fleet)]
        fleets = self._settle(fleets)
        fleets = [kept for fleet in fleets if (kept := self._go_on(fleet)) is not None]
        wanted = None if deleting else self._entry(fleets)
        routes: list[Effect] = [] if wanted == self.seen.entry else [SetRoutes(wanted)]
        return Outcome(
            state=EndpointState(fleets=tuple(fleets), failure_reason=self.reason),
            status=self.status,
            effects=(*self.submits, *routes, *self.stops, *self.forgets),
            due_at=min(self.due, default=None),
            deployed=self.deployed,
            removed=deleting and not fleets and not routes,
        )

    # -- a new generation ------------------------------------------------------------------------------------------

    def _begin(self, fleets: list[Fleet], plan: FleetPlan | PlanFailed) -> list[Fleet]:
        """Add the fleet of the current generation; what failed before makes way."""
        fleets = _without_failed(fleets)
        new = Fleet(generation=self.endpoint.generation, config_name="", since=self.now)
        if isinstance(plan, PlanFailed):
            self.reason = plan.reason
            return [*fleets, replace(new, stage=Stage.FAILED)]
        instances = tuple(
            Instance(variant=position, number=number, submitted_at=self.now)
            for position, variant in enumerate(plan.variants)
            for number in range(variant.instance_count)
        )
        return [*fleets, replace(new, config_name=plan.config_name, variants=plan.variants, instances=instances)]

    def _resize(self, fleets: list[Fleet], fleet: Fleet) -> list[Fleet]:
        """Begin to give the serving fleet other weights and counts; what failed before makes way."""
        wanted, generation = self.endpoint.wanted, self.endpoint.generation
        begun = resizing.begin(fleet, wanted, generation, self.now)
        return [begun if known is fleet else known for known in _without_failed(fleets)]

    def _grow(self, fleet: Fleet) -> list[Fleet]:
        """Give a serving fleet that is being resized its new weights and counts when what it grows by answers."""
        if not fleet.wanted or fleet.stage is not Stage.SERVING:
            return [fleet]
        until = self.now + timedelta(seconds=DRAIN_S)
        grows_by = resizing.added(fleet)
        for instance in grows_by:
            _, seen = self._look(fleet, instance)
            reason = None if instance.healthy else hopeless(fleet, instance, seen, self.now)
            if reason is not None:
                self.reason = self._told(fleet, instance, reason)
                self.status = EndpointStatus.IN_SERVICE
                return resizing.give_up(fleet, until)
        if all(instance.healthy for instance in grows_by):
            return resizing.finish(fleet, until)
        return [fleet]

    def _settle(self, fleets: list[Fleet]) -> list[Fleet]:
        """Move the traffic to a fleet that has come up, and make the status say how things stand."""
        new = next((fleet for fleet in fleets if fleet.follows == self.endpoint.generation), None)
        if new is None or self.status is EndpointStatus.DELETING:
            return fleets
        if new.stage is Stage.STARTING and all(instance.healthy for instance in new.instances):
            until = self.now + timedelta(seconds=DRAIN_S)
            return [
                replace(new, stage=Stage.SERVING)
                if fleet is new
                else replace(fleet, stage=Stage.DRAINING, drain_until=until)
                if fleet.stage is Stage.SERVING
                else fleet
                for fleet in fleets
            ]
        # Not before the front door knows: whoever reads this status may ask in the next moment.
        if new.stage is Stage.SERVING and self.status is not EndpointStatus.IN_SERVICE:
            if new.resized and not new.wanted and self._is_known(fleets):
                self.status, self.reason = EndpointStatus.IN_SERVICE, None
            elif not new.resized and self._is_routed(new):
                self.status, self.reason, self.deployed = EndpointStatus.IN_SERVICE, None, new
        if new.stage is Stage.FAILED:
            serving = any(fleet.stage is Stage.SERVING for fleet in fleets)
            self.status = EndpointStatus.IN_SERVICE if serving else EndpointStatus.FAILED
        return fleets

    def _is_known(self, fleets: list[Fleet]) -> bool:
        """Return whether the front door knows the weights and the instances as they are."""
        return self.seen.entry is not None and self.seen.entry.targets == self._entry(fleets).targets

    def _is_routed(self, fleet: Fleet) -> bool:
        return any(attempt_key(self.endpoint.uid, fleet, instance) in self.routed for instance in fleet.instances)

    # -- one fleet -------------------------------------------------------------------------------------------------

    def _start(self, fleet: Fleet) -> Fleet:
        """Bring a fleet up; one instance that cannot start fails all of it."""
        started = []
        for instance in fleet.instances:
            key, seen = self._look(fleet, instance)
            deadline = instance.submitted_at + timedelta(seconds=fleet.variants[instance.variant].startup_timeout_s)
            if seen.stopped or (seen.phase is Phase.LOST and instance.attempt == 1):
                # The host went down, orderly or not; that says nothing about the model.
                fleet = replace(fleet, ended=(*fleet.ended, key))
                instance = replace(instance, attempt=instance.attempt + 1, submitted_at=self.now, healthy=False)
                self._submit(fleet, instance)
            elif seen.phase in ENDED:
                return self._failed(fleet, instance, hopeless(fleet, instance, seen, self.now))
            elif seen.phase is Phase.ABSENT and self.now < deadline:
                self._submit(fleet, instance)
            elif not instance.healthy:
                if seen.phase is Phase.READY and seen.answers:
                    instance = replace(instance, healthy=True)
                elif self.now >= deadline:
                    return self._failed(fleet, instance, hopeless(fleet, instance, seen, self.now))
                else:
                    self._wake_for_ping(seen, deadline)
            started.append(instance)
        return replace(fleet, instances=tuple(started))

    def _told(self, fleet: Fleet, instance: Instance, reason: str | None) -> str:
        variant = fleet.variants[instance.variant].name
        return f"Instance {instance.number} of variant {variant!r} could not be started: {reason}"

    def _failed(self, fleet: Fleet, instance: Instance, reason: str | None) -> Fleet:
        # What was about to be started for this fleet is not: its intent would be dropped with this very decision.
        self.submits.clear()
        self.reason = self._told(fleet, instance, reason)
        return replace(fleet, stage=Stage.FAILED)

    def _go_on(self, fleet: Fleet) -> Fleet | None:
        """Look after a fleet that is not starting any more; None when nothing is left of it."""
        match fleet.stage:
            case Stage.SERVING:
                return self._tend(fleet)
            case Stage.DRAINING:
                return self._drain(fleet)
            case Stage.STOPPING | Stage.FAILED:
                return self._wind_down(fleet)
        return fleet

    def _tend(self, fleet: Fleet) -> Fleet:
        """Keep a serving fleet alive: what ended is started again, after a wait that grows."""
        instances = []
        ended = list(fleet.ended)
        for instance in fleet.instances:
            key, seen = self._look(fleet, instance)
            deadline = instance.submitted_at + timedelta(seconds=fleet.variants[instance.variant].startup_timeout_s)
            if seen.phase in ENDED:
                ended.append(key)
                instance = next_attempt(instance, seen, self.now)
                key, seen = self._look(fleet, instance)
            if seen.phase is Phase.ABSENT:
                wait_s = (instance.submitted_at - self.now).total_seconds()
                if not 0 < wait_s <= LONGEST_BACKOFF_S:  # nobody waits longer, unless the clock was put back
                    self._submit(fleet, instance)
                else:
                    self.due.append(instance.submitted_at)
            elif seen.phase is Phase.READY and seen.answers:
                instance = replace(instance, healthy=True, missed=0, missed_at=None)
                self.due.append(self.now + timedelta(seconds=PING_EVERY_S))
            elif instance.healthy and seen.phase is Phase.READY:
                instance = self._missed(key, instance)
            elif not instance.healthy:
                if instance.missed >= MISSED_MOST or self.now >= deadline:
                    instance = self._stop(key, instance)
                else:
                    self._wake_for_ping(seen, deadline)
            instances.append(instance)
        fleet = replace(fleet, instances=tuple(instances), ended=tuple(ended))
        return replace(fleet, ended=self._forgotten(fleet.ended, keep=LOGS_KEPT))

    def _missed(self, key: str, instance: Instance) -> Instance:
        """Count a ping that was not answered, and give the instance up when that were too many."""
        instance = missed(instance, self.now)
        if instance.missed >= MISSED_MOST:
            return self._stop(key, replace(instance, healthy=False))
        self.due.append(counts_again_at(instance, self.now))
        return instance

    def _drain(self, fleet: Fleet) -> Fleet | None:
        """Wait for the requests that an unrouted fleet still has, then stop it."""
        keys = {attempt_key(self.endpoint.uid, fleet, instance) for instance in fleet.instances}
        if keys & self.routed:
            return fleet  # the effect that takes it out of the routes is part of this very decision
        until = fleet.drain_until or self.now
        left_s = (until - self.now).total_seconds()  # more than DRAIN_S when the clock was put back
        if 0 < left_s <= DRAIN_S and any(self.seen.in_flight.get(key) for key in keys):
            self.due.append(until)
            return fleet
        return self._wind_down(replace(fleet, stage=Stage.STOPPING))

    def _wind_down(self, fleet: Fleet) -> Fleet | None:
        """Stop what runs. A stopping fleet is forgotten when it has ended; a failed one keeps its logs."""
        keeps_logs = fleet.stage is Stage.FAILED
        left = []
        for instance in fleet.instances:
            key, seen = self._look(fleet, instance)
            if seen.phase is Phase.ABSENT:
                continue
            if seen.phase not in ENDED:
                instance = self._stop(key, instance)
            elif not keeps_logs:
                self.forgets.append(Forget(key))
            left.append(instance)
        ended = fleet.ended if keeps_logs else self._forgotten(fleet.ended, keep=0)
        if not left and not ended and not keeps_logs:
            return None
        return replace(fleet, instances=tuple(left), ended=ended)

    # -- one instance ----------------------------------------------------------------------------------------------

    def _look(self, fleet: Fleet, instance: Instance) -> tuple[str, Seen]:
        key = attempt_key(self.endpoint.uid, fleet, instance)
        return key, self.seen.attempts.get(key, Seen(phase=Phase.ABSENT))

    def _submit(self, fleet: Fleet, instance: Instance) -> None:
        self.submits.append(Submit(attempt_key(self.endpoint.uid, fleet, instance), fleet, instance))
        timeout_s = fleet.variants[instance.variant].startup_timeout_s
        self.due.append(instance.submitted_at + timedelta(seconds=timeout_s))

    def _stop(self, key: str, instance: Instance) -> Instance:
        """Ask an attempt to stop, unless it was asked a moment ago or is still in the routes."""
        if key in self.routed:
            return instance  # the effect that takes it out is part of this decision, and makes the engine look again
        again = timedelta(seconds=STOP_AGAIN_S)
        if instance.stop_asked_at is None or self.now >= instance.stop_asked_at + again:
            self.stops.append(Stop(key, at_once=instance.missed >= MISSED_MOST))
            instance = replace(instance, stop_asked_at=self.now)
        assert instance.stop_asked_at is not None
        self.due.append(instance.stop_asked_at + again)
        return instance

    def _wake_for_ping(self, seen: Seen, deadline: datetime) -> None:
        """Look again at the deadline, or soon where the instance said that it is ready and yet does not answer."""
        soon = self.now + timedelta(seconds=PING_AGAIN_S)
        self.due.append(min(soon, deadline) if seen.phase is Phase.READY else deadline)

    def _forgotten(self, ended: tuple[str, ...], *, keep: int) -> tuple[str, ...]:
        """Return the ended attempts that are still there, after asking for all but the last `keep` to be removed."""
        there = [key for key in ended if self.seen.attempts.get(key, Seen(phase=Phase.LOST)).phase is not Phase.ABSENT]
        surplus = there[: len(there) - keep] if keep else there
        self.forgets += [Forget(key) for key in surplus]
        return tuple(there)

    def _entry(self, fleets: list[Fleet]) -> Entry:
        state = EndpointState(fleets=tuple(fleets))
        return entry(replace(self.endpoint, state=state, status=self.status), self.seen.attempts)


def _without_failed(fleets: list[Fleet]) -> list[Fleet]:
    return [replace(fleet, stage=Stage.STOPPING) if fleet.stage is Stage.FAILED else fleet for fleet in fleets]


def entry(endpoint: Endpoint, attempts: Mapping[str, Seen]) -> Entry:
    """Return what the front door shall know of an endpoint: the healthy instances of its serving fleet."""
    targets = []
    for fleet in endpoint.state.fleets:
        if fleet.stage is not Stage.SERVING:
            continue
        for instance in fleet.instances:
            key = attempt_key(endpoint.uid, fleet, instance)
            seen = attempts.get(key)
            if instance.healthy and seen is not None and seen.phase is Phase.READY:
                variant = fleet.variants[instance.variant]
                targets.append(Target(key=key, variant=variant.name, weight=variant.weight, address=seen.address))
    return Entry(uid=endpoint.uid, status=endpoint.status.value, targets=tuple(targets))
