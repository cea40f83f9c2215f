"""Looks after calls of functions: starts an attempt as a job, and takes over what it answered."""

from collections.abc import Callable
from datetime import datetime, timedelta

from towpath.functions import decisions as rules
from towpath.functions.decisions import Answer, Forget, Observation, Recorded, Settle, Stop, Submit
from towpath.functions.kinds import FUNCTION_INVOCATION
from towpath.functions.model import InvocationSpec, InvocationState, InvocationStatus, attempt_key, attempt_keys
from towpath.functions.running import job, reserved
from towpath.handling.settings import OUTCOME, PAYLOAD
from towpath.jobs.admission import Demand
from towpath.jobs.contract import Surroundings
from towpath.jobs.images import Images
from towpath.jobs.model import JobObservation, Manifest, Phase, StagedFile
from towpath.jobs.ports import Admission, ComputeBackend
from towpath.jobs.results import environment_facts
from towpath.kernel.clock import Clock
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import TowpathError, Unavailable
from towpath.kernel.objects import ObjectStore, ObjectVersion
from towpath.kernel.ports import Query, Store, Transaction
from towpath.kernel.queries import every
from towpath.kernel.resource import Resource, view
from towpath.lineage import environment_graph, record

#: Reads a staged file; raises FileNotFoundError where it is gone.
Read = Callable[[StagedFile], bytes]


class InvocationController:
    """Implements `kernel.decisions.Controller` and `PromptController` for FunctionInvocation."""

    kind = FUNCTION_INVOCATION.noun

    def __init__(
        self,
        *,
        store: Store,
        objects: ObjectStore,
        backend: ComputeBackend,
        images: Images,
        surroundings: Surroundings,
        admission: Admission,
        clock: Clock,
        read: Read,
        keep_days: float,
    ) -> None:
        """
        Args:
            admission: of calls, which do not queue with jobs.
            keep_days: how long a call that is over is shown.
        """
        self._store = store
        self._objects = objects
        self._backend = backend
        self._images = images
        self._surroundings = surroundings
        self._admission = admission
        self._clock = clock
        self._read = read
        self._keep = timedelta(days=keep_days)

    def observe(self, resource: Resource) -> Observation:
        """Look at the attempt; where one may begin, at what it is made of, and whether there is room."""
        return self._observed(resource, lambda spec: self._store.read(lambda tx: tx.objects.get(spec.code.ref)))

    def observe_within(self, transaction: Transaction, resource: Resource) -> Observation | None:
        """Look at a call that has not begun; None for any other, and where its code has to be fetched first."""
        if resource.status != InvocationStatus.WAITING or view(InvocationState, resource.state).attempt:
            return None
        version = transaction.objects.get(view(InvocationSpec, resource.spec).code.ref)
        if version is not None and self._objects.must_fetch([version]):
            return None
        return self._observed(resource, lambda _: version)

    def unobserved(self, resource: Resource) -> None:
        """Leave the queue: what was decided with the call's place in it was undone."""
        if not view(InvocationState, resource.state).attempt:
            self._admission.release(resource.uid)

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return what to do next. Pure."""
        return rules.decide(resource, observation, now, keep=self._keep)

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Write down what a call of a step runs in; remove what a call was called with, when nobody asks any more."""
        for fact in decision.facts:
            if isinstance(fact, Recorded):
                record(transaction, environment_graph(fact.environment))
        of_step = resource.spec.get("OutputParameters") is not None  # it stands in the execution as well
        if not of_step and any(isinstance(fact, Forget) for fact in decision.facts):
            transaction.resources.replace(resource, spec={**resource.spec, "Payload": ""})

    def act(self, resource: Resource, decision: Decision) -> None:
        """Start, stop or tidy attempts; each may be repeated."""
        for effect in decision.effects:
            match effect:
                case Submit(job=job):
                    self._backend.submit(job)
                case Stop(key=key):
                    self._backend.stop(key, at_once=True)
                case Settle(keys=keys):
                    self._admission.release(resource.uid)
                    for key in keys:
                        self._backend.tidy(key)

    def standing(self) -> tuple[list[Demand], list[Demand]]:
        """Return what the calls hold that have begun, and what those want that wait for their turn."""
        held: list[Demand] = []
        waiting: list[Demand] = []
        for resource in every(self._store, Query(kind=self.kind)):
            if InvocationStatus(resource.status or "").is_over:
                continue
            state = view(InvocationState, resource.state)
            (held if state.attempt and state.retry_at is None else waiting).append(_demand(resource))
        return held, waiting

    def _observed(self, resource: Resource, find: Callable[[InvocationSpec], ObjectVersion | None]) -> Observation:
        spec, state = view(InvocationSpec, resource.spec), view(InvocationState, resource.state)
        if InvocationStatus(resource.status or "").is_over:
            untidy = tuple(key for key in attempt_keys(resource.uid, state) if not self._backend.is_tidy(key))
            return Observation(backend=JobObservation(phase=Phase.ABSENT), untidy=untidy)
        seen = JobObservation(phase=Phase.ABSENT)
        if state.attempt:
            seen = self._backend.observe(attempt_key(resource.uid, state.attempt))
        if rules.may_begin(resource, state, seen, self._clock.now()):
            return self._to_begin(resource, spec, state, seen, find(spec))
        answer = None if seen.manifest is None else self._answer(seen.manifest)
        return Observation(backend=seen, answer=answer)

    def _to_begin(
        self,
        resource: Resource,
        spec: InvocationSpec,
        state: InvocationState,
        seen: JobObservation,
        version: ObjectVersion | None,
    ) -> Observation:
        again = state.attempt > 0 and state.retry_at is None
        key = attempt_key(resource.uid, state.attempt if again else state.attempt + 1)
        if version is None:
            gone = f"the code of {spec.function_name}, {spec.code.ref.uri}, has been removed"
            return Observation(backend=seen, problem=gone)
        try:
            image = self._images.resolve(spec.configuration.runtime)
            path = self._objects.path(version)
        except Unavailable:
            raise  # the engine tries again
        except TowpathError as error:
            return Observation(backend=seen, problem=error.message)
        return Observation(
            backend=seen,
            job=job(resource, spec, key, image=image, path=path, surroundings=self._surroundings),
            environment=environment_facts(image),
            waits=self._admission.ask(_demand(resource)),
        )

    def _answer(self, manifest: Manifest) -> Answer | None:
        """Return what an attempt left, None where it left nothing that can be read."""
        staged = {file.key.rpartition("/")[2]: file for file in manifest.outputs}
        if OUTCOME not in staged or PAYLOAD not in staged:
            return None
        return rules.answer_in(self._read(staged[OUTCOME]), self._read(staged[PAYLOAD]))


def _demand(call: Resource) -> Demand:
    spec = view(InvocationSpec, call.spec)
    return Demand(
        key=call.uid,
        name=f"the call {call.name} of {spec.function_name}",
        wants=reserved(spec),
        since=call.created_at.timestamp(),
        group=spec.function_name,
    )
