"""The endpoint controller: looks at fleets and routes, and carries out what `endpoint.decide` says."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from towpath.hosting import endpoint as rules
from towpath.hosting import fleet as fleets
from towpath.hosting.decisions import Endpoint, Forget, Observation, Outcome, SetRoutes, Stop, Submit
from towpath.hosting.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, state_of
from towpath.hosting.model import (
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    Fleet,
    FleetPlan,
    PlanFailed,
    Seen,
    attempt_key,
    attempts_of,
    state_document,
)
from towpath.hosting.ports import Ping, Resolve
from towpath.hosting.resizing import resized
from towpath.hosting.routing import Routes
from towpath.jobs.admission import Demand
from towpath.jobs.channels import sources
from towpath.jobs.contract import Surroundings, shortened
from towpath.jobs.instances import Capacity, allocation, reserved
from towpath.jobs.model import JobObservation, Phase
from towpath.jobs.ports import Admission, AlwaysAdmitted, ComputeBackend
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import Unsupported
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Query, Store, Transaction
from towpath.kernel.principals import PLATFORM
from towpath.kernel.queries import every
from towpath.kernel.resource import Resource, Uid, view
from towpath.lineage.model import endpoint_graph
from towpath.lineage.record import record as record_graph

STATE_CHANGE = "SageMaker Endpoint State Change"


class Deployed(msgspec.Struct, frozen=True):
    """The fact that a fleet has begun to serve."""

    fleet: Fleet


class EndpointController:
    """Implements `kernel.decisions.Controller` for endpoints."""

    kind = ENDPOINT.noun

    def __init__(
        self,
        *,
        store: Store,
        path_of: Callable[[ObjectVersion], str],
        backend: ComputeBackend,
        routes: Routes,
        resolve: Resolve,
        ping: Ping,
        surroundings: Surroundings,
        admission: Admission | None = None,
    ) -> None:
        """`path_of` tells where the bytes of an object version lie on the runner's host."""
        self._store = store
        self._path_of = path_of
        self._backend = backend
        self._routes = routes
        self._resolve = resolve
        self._ping = ping
        self._surroundings = surroundings
        self._admission = admission or AlwaysAdmitted()

    def observe(self, resource: Resource) -> Observation:
        """Look at the endpoint's attempts, its routes, and, for a new generation, at what it is to serve."""
        standing = _standing(resource)
        pinged = {
            attempt_key(resource.uid, fleet, instance)
            for fleet in standing.state.fleets
            for instance in fleet.instances
            if rules.wants_ping(fleet, instance, Phase.READY)
        }
        keys = attempts_of(resource.uid, standing.state)
        return Observation(
            plan=self._plan(resource) if rules.wants_plan(standing) else None,
            attempts={key: self._seen(key, pings=key in pinged) for key in keys},
            entry=self._routes.entry(resource.name),
            in_flight={key: count for key in keys if (count := self._routes.in_flight(key))},
        )

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return what to do next. Pure."""
        standing = _standing(resource)
        outcome = rules.decide(standing, observation, now)
        changed = outcome.status is not standing.status
        return Decision(
            state=state_document(_within_limits(outcome.state)),
            status=outcome.status.value,
            events=(_state_change(resource, outcome, now),) if changed or outcome.deployed else (),
            facts=() if outcome.deployed is None else (Deployed(outcome.deployed),),
            effects=outcome.effects,
            due_at=outcome.due_at,
            delete=outcome.removed,
        )

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Write into the lineage what the endpoint serves now."""
        for fact in decision.facts:
            assert isinstance(fact, Deployed)
            record_graph(
                transaction,
                endpoint_graph(
                    resource.uid,
                    resource.arn,
                    name=resource.name,
                    models=[variant.model_uid for variant in fact.fleet.variants],
                    config=fact.fleet.config_name,
                ),
            )

    def act(self, resource: Resource, decision: Decision) -> None:
        """Start, route, stop and forget, in the order given; each may be repeated."""
        for effect in decision.effects:
            match effect:
                case Submit():
                    self._submit(resource, effect)
                case SetRoutes(entry):
                    self._routes.replace(resource.name, entry)
                case Stop(key, at_once):
                    self._backend.stop(key, at_once=at_once)
                case Forget(key):
                    self._backend.forget(key)
                    self._admission.release(key)

    def restore_routes(self) -> list[Uid]:
        """Fill the routes from the store before the front door opens, so that endpoints that kept running answer at
        once; return the uids of all endpoints."""
        found: list[Uid] = []
        for resource in every(self._store, Query(kind=ENDPOINT.noun)):
            found.append(resource.uid)
            standing = _standing(resource)
            if standing.status is EndpointStatus.DELETING:
                continue
            keys = attempts_of(resource.uid, standing.state)
            attempts = {key: self._seen(key, pings=False) for key in keys}
            self._count(resource, standing.state, attempts)
            self._routes.replace(resource.name, rules.entry(standing, attempts))
        return found

    def _plan(self, resource: Resource) -> FleetPlan | PlanFailed:
        spec = view(EndpointSpec, resource.spec)
        name = spec.endpoint_config_name

        def read(transaction: Transaction) -> FleetPlan | PlanFailed:
            config = transaction.resources.find(ENDPOINT_CONFIG.noun, name)
            if config is None:
                return PlanFailed(f"The endpoint configuration {name!r} has been deleted")
            planned = fleets.plan(config, lambda model: transaction.resources.find(MODEL.noun, model), self._resolve)
            if isinstance(planned, PlanFailed):
                return planned
            return replace(planned, variants=resized(planned.variants, spec.variant_properties))

        try:
            found = self._store.read(read)
            for variant in found.variants if isinstance(found, FleetPlan) else ():
                allocation(variant.instance_type, self._surroundings.host)
        except Unsupported as error:  # a type larger than this host, which a setting refuses
            return PlanFailed(error.message)
        return found

    def _seen(self, key: str, *, pings: bool) -> Seen:
        found = self._backend.observe(key)
        if found.phase is Phase.READY:
            address = self._backend.address(key)
            return Seen(phase=found.phase, address=address, answers=pings and self._answers(key, address))
        if found.phase in {Phase.FINISHED, Phase.LOST}:
            self._admission.release(key)
        stopped = found.manifest is not None and found.manifest.stopped
        return Seen(phase=found.phase, reason=_reason(found), stopped=stopped)

    def _answers(self, key: str, address: str) -> bool:
        """Return whether a model server answers; one that answered somebody lately is not asked."""
        if self._routes.answered_lately(key):
            return True
        answers = self._ping(address)
        if answers:
            self._routes.answered(key)
        return answers

    def _count(self, resource: Resource, state: EndpointState, attempts: Mapping[str, Seen]) -> None:
        """Count the model servers that outlived the last process of the platform."""
        for fleet in state.fleets:
            for instance in fleet.instances:
                key = attempt_key(resource.uid, fleet, instance)
                if key in attempts and attempts[key].phase in {Phase.STARTING, Phase.RUNNING, Phase.READY}:
                    self._hold(resource, key, fleet.variants[instance.variant].instance_type)

    def _hold(self, resource: Resource, key: str, instance_type: str) -> None:
        """Count a model server: its memory and GPUs. Its cores are shared, since most of the time it uses none."""
        share = reserved(instance_type, self._surroundings.host)
        wants = Capacity(memory_bytes=share.memory_bytes, gpus=share.gpus)
        self._admission.hold(Demand(key=key, name=f"endpoint {resource.name}", wants=wants, serves=True))

    def _submit(self, resource: Resource, effect: Submit) -> None:
        self._hold(resource, effect.key, effect.fleet.variants[effect.instance.variant].instance_type)
        inputs = effect.fleet.variants[effect.instance.variant].inputs
        versions = self._store.read(lambda transaction: sources(inputs, transaction.objects))
        found = {ref: self._path_of(version) for ref, version in versions.items()}
        self._backend.submit(
            fleets.serving_job(resource, effect.fleet, effect.instance, surroundings=self._surroundings, paths=found)
        )


def _standing(resource: Resource) -> Endpoint:
    spec = view(EndpointSpec, resource.spec)
    return Endpoint(
        uid=resource.uid,
        generation=resource.generation,
        status=EndpointStatus(resource.status or EndpointStatus.CREATING),
        state=state_of(resource),
        resizes=spec.resizes,
        wanted=spec.variant_properties,
    )


def _reason(found: JobObservation) -> str | None:
    """Return why an attempt ended, in the words of its log where there are any."""
    if found.phase is Phase.LOST:
        return "its process vanished together with the runner that looked after it"
    if found.manifest is None:
        return None
    if found.manifest.reason is not None:
        return found.manifest.reason
    return f"its process ended with exit code {found.manifest.exit_code} before it could answer"


def _within_limits(state: EndpointState) -> EndpointState:
    if state.failure_reason is None:
        return state
    return msgspec.structs.replace(state, failure_reason=shortened(state.failure_reason))


def _state_change(resource: Resource, outcome: Outcome, now: datetime) -> Event:
    """Return EventBridge's event of an endpoint, with the transition and what is deployed."""
    return Event(
        type=STATE_CHANGE,
        subject=resource.uid,
        subject_arn=resource.arn,
        principal=PLATFORM.principal,
        at=now,
        detail={
            "EndpointName": resource.name,
            "EndpointArn": resource.arn,
            "EndpointStatus": outcome.status.value,
            "PreviousEndpointStatus": resource.status,
            "EndpointConfigName": outcome.deployed.config_name
            if outcome.deployed
            else resource.spec["EndpointConfigName"],
            "FailureReason": outcome.state.failure_reason,
            "ModelPackages": [v.package_arn for v in outcome.deployed.variants if v.package_arn]
            if outcome.deployed
            else [],
            "CreationTime": resource.created_at.timestamp(),
            "LastModifiedTime": now.timestamp(),
        },
    )
