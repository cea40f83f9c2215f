"""Looks after jobs: looks at the world for what is decided on them, writes what was decided, and has it done."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NoReturn, TypeVar

from msgspec.structs import replace

from towpath.jobs.admission import Demand
from towpath.jobs.channels import PinnedInput, Role, pin, sources
from towpath.jobs.contract import Surroundings
from towpath.jobs.deciding import Decider
from towpath.jobs.decisions import Adopt, Drop, Measure, Observation, Publish, Read, Record, Release, Stop, Submit, Tidy
from towpath.jobs.images import Images
from towpath.jobs.instances import allocation, reserved
from towpath.jobs.kinds import WAITING, JobStatus, is_terminal
from towpath.jobs.model import JobObservation, Phase
from towpath.jobs.ports import Admission, AlwaysAdmitted, CheckOut, ComputeBackend, no_datasets
from towpath.jobs.publication import Publication, ends_with
from towpath.jobs.results import artifacts_of
from towpath.jobs.state import Run, attempt_keys, is_lost, may_begin, pinned_of, run_of
from towpath.jobs.strategies import Strategy
from towpath.jobs.tuned import TUNING_JOB, tuned_of
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import TowpathError, Unavailable
from towpath.kernel.objects import ObjectRef, ObjectStore, ObjectVersion
from towpath.kernel.ports import Filter, Query, Store, Transaction
from towpath.kernel.priorities import PRIORITY
from towpath.kernel.queries import every
from towpath.kernel.resource import Resource, Uid
from towpath.lineage import datasets_graph, record

T = TypeVar("T")

_REMEMBERED = 1000  #: parents of jobs of which is kept in memory what does not change
_UNDER_WAY = frozenset({Phase.STARTING, Phase.RUNNING, Phase.READY})


class _Elsewhere(Exception):
    """What is asked for is not in the store but in an object."""


def _not_now(version: ObjectVersion) -> NoReturn:
    raise _Elsewhere(version.uri)


class JobController:
    """Implements `kernel.decisions.Controller` for one kind of job."""

    def __init__(
        self,
        strategy: Strategy,
        *,
        store: Store,
        objects: ObjectStore,
        backend: ComputeBackend,
        images: Images,
        surroundings: Surroundings,
        check_out: CheckOut = no_datasets,
        admission: Admission | None = None,
    ) -> None:
        self.kind = strategy.kind.noun
        self._strategy = strategy
        self._decider = Decider(strategy, surroundings)
        self._store = store
        self._objects = objects
        self._publication = Publication(objects)
        self._backend = backend
        self._images = images
        self._surroundings = surroundings
        self._check_out = check_out
        self._admission = admission or AlwaysAdmitted()
        # By the parents of jobs. Neither changes.
        self._priorities: OrderedDict[Uid, int] = OrderedDict()
        self._executions: OrderedDict[Uid, tuple[Uid, str] | None] = OrderedDict()

    # observing

    def observe(self, resource: Resource) -> Observation:
        """Look at the attempt; where one may have to be started, look up its inputs and its environment.

        The queue for the host is told of the job here, which is no change of the world: see `jobs.ports.Admission`.
        """
        if is_terminal(resource.status):
            untidy = tuple(key for key in attempt_keys(resource) if not self._backend.is_tidy(key))
            return Observation(backend=JobObservation(phase=Phase.ABSENT), untidy=untidy)
        run = run_of(resource)
        seen = JobObservation(phase=Phase.ABSENT) if run is None else self._backend.observe(run.key)
        if resource.status == JobStatus.STOPPING and run is None:
            return Observation(backend=seen)
        if seen.phase is Phase.FINISHED:
            self._admission.release(resource.uid)  # its processes have ended: the next may start while we publish
        observation = Observation(backend=seen)
        versions: dict[ObjectRef, ObjectVersion] = {}
        if may_begin(run, seen):
            observation, versions = self._store.read(
                lambda transaction: self._look(transaction, resource, run, seen, self._text)
            )
        elif run is not None and (seen.phase not in _UNDER_WAY or seen.increments):
            observation = replace(observation, inputs=run.inputs, execution=self._execution(resource))
        if run is not None and (seen.increments or seen.manifest is not None):
            observation = replace(observation, awaited=self._publication.awaited(resource, run, seen))
        ahead = run is not None and seen.manifest is not None and not ends_with(run, seen.manifest)
        if seen.metrics and run is not None and not ahead:
            observation = replace(observation, series=tuple(self._backend.metrics(run.key)))
        if not may_begin(run, seen) or observation.problem is not None:
            return observation
        return self._to_begin(resource, run, observation, versions)

    def observe_within(self, transaction: Transaction, resource: Resource) -> Observation | None:
        """Look at a job that has not begun, of which no back end knows: what it reads, and whether there is room.

        None for any other, and where bytes have to be read or fetched for it.
        """
        if resource.status != JobStatus.IN_PROGRESS or run_of(resource) is not None:
            return None
        seen = JobObservation(phase=Phase.ABSENT)
        try:
            observation, versions = self._look(transaction, resource, None, seen, _not_now)
        except _Elsewhere:
            return None
        if observation.problem is not None:
            return observation
        if self._objects.must_fetch(versions.values()):
            return None
        return self._to_begin(resource, None, observation, versions)

    def unobserved(self, resource: Resource) -> None:
        """Leave the queue for the host: what was decided with the job's place in it was undone."""
        if run_of(resource) is None:
            self._admission.release(resource.uid)

    def _to_begin(
        self,
        resource: Resource,
        run: Run | None,
        observation: Observation,
        versions: dict[ObjectRef, ObjectVersion],
    ) -> Observation:
        """Return the observation with all that an attempt needs that may begin, and what it waits for if it has to."""
        try:
            paths = {ref: self._objects.path(version) for ref, version in versions.items()}
            observation = replace(observation, paths=paths)
        except Unavailable:
            raise  # the engine tries again
        except TowpathError as error:
            return replace(observation, problem=error.message)
        try:
            environment = self._images.resolve(self._strategy.image(resource.spec, resource.state))
            if run is None:
                asked = self._strategy.cluster(resource.spec)
                allocation(asked.instance_type, self._surroundings.host, asked.count)
        except TowpathError as error:
            return replace(observation, problem=error.message)
        waits = None if run is not None else self._admission.ask(self._demand(resource))
        return replace(observation, environment=environment, waits=waits)

    def standing(self) -> tuple[list[Demand], list[Demand]]:
        """Return what the running jobs of this kind hold of the host, and what the waiting ones want."""
        held: list[Demand] = []
        waiting: list[Demand] = []
        for status in (JobStatus.IN_PROGRESS, JobStatus.STOPPING):
            asked = Query(kind=self.kind, filters=(Filter("status", "=", status.value),))
            for resource in every(self._store, asked):
                demand = self._demand(resource)
                if run_of(resource) is not None:
                    held.append(demand)
                elif WAITING in resource.state and status == JobStatus.IN_PROGRESS:
                    waiting.append(demand)
        return held, waiting

    def _demand(self, resource: Resource) -> Demand:
        asked = self._strategy.cluster(resource.spec)
        return Demand(
            key=resource.uid,
            name=resource.name,
            wants=reserved(asked.instance_type, self._surroundings.host, asked.count),
            since=resource.created_at.timestamp(),
            group=resource.parent or resource.created_by,
            priority=self._priority(resource),
        )

    def _priority(self, resource: Resource) -> int:
        """Return the priority of a job: the one that its execution began with."""
        if resource.parent is None:
            return 0
        known = self._priorities.get(resource.parent)
        if known is None:
            parent = resource.parent
            execution = self._store.read(lambda transaction: transaction.resources.get(parent))
            known = 0 if execution is None else int(execution.spec.get(PRIORITY, 0))
            _remember(self._priorities, parent, known)
        return known

    def _execution(self, resource: Resource, transaction: Transaction | None = None) -> tuple[Uid, str] | None:
        """Return uid and ARN of the pipeline execution that started a job, or the tuning job that started it."""
        if resource.parent is None:
            return None
        try:
            return self._executions[resource.parent]
        except KeyError:
            pass  # it is looked up now
        if transaction is None:
            found = self._store.read(lambda own: _execution_of(own, resource))
        else:
            found = _execution_of(transaction, resource)
        _remember(self._executions, resource.parent, found)
        return found

    def _look(
        self,
        transaction: Transaction,
        resource: Resource,
        run: Run | None,
        seen: JobObservation,
        read_text: Callable[[ObjectVersion], str],
    ) -> tuple[Observation, dict[ObjectRef, ObjectVersion]]:
        """Return how the job stands in the store, and the versions that an attempt which may begin would read."""
        observation = Observation(
            backend=seen,
            inputs=() if run is None else run.inputs,
            execution=self._execution(resource, transaction),
            tags=transaction.resources.tags(resource.uid),
        )
        try:
            inputs = self._pinned(transaction, resource, run, seen, read_text)
            versions = sources(inputs, transaction.objects)
        except TowpathError as error:
            return replace(observation, problem=error.message), {}
        return replace(observation, inputs=inputs), versions

    def _pinned(
        self,
        transaction: Transaction,
        resource: Resource,
        run: Run | None,
        seen: JobObservation,
        read_text: Callable[[ObjectVersion], str],
    ) -> tuple[PinnedInput, ...]:
        """Return what the next attempt reads: what the last one did or the job was created with, and checkpoints."""
        if run is not None and not is_lost(run, seen):
            return run.inputs
        known = pinned_of(resource) if run is None else run.inputs
        kept = (item for item in known if item.role is not Role.CHECKPOINT)
        last = {(item.name, item.role): item for item in kept}
        wanted = self._strategy.wanted_inputs(resource.spec)
        pinned = (last.get((item.name, item.role)) or pin(item, transaction.objects, read_text) for item in wanted)
        return (*self._strategy.given(resource), *pinned)

    def _text(self, version: ObjectVersion) -> str:
        return b"".join(self._objects.read(version)).decode()

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return what to do next with a job."""
        return self._decider.decide(resource, observation, now)

    # writing and acting

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Publish staged files and record lineage and check-outs, in the transaction that tells of them."""
        for fact in decision.facts:
            match fact:
                case Publish():
                    self._publication.publish(transaction, fact)
                case Record(graph=graph):
                    record(transaction, graph)
                case Measure(values=values):
                    transaction.metrics.put(resource.uid, values)
                    tuned = tuned_of(resource)
                    if tuned is not None and tuned.watched and resource.parent is not None:
                        # What it has told may decide whether it goes on.
                        transaction.work.schedule(resource.parent, transaction.now)
                case Read(inputs=inputs):
                    self._read(transaction, resource, inputs)

    def _read(self, transaction: Transaction, resource: Resource, inputs: tuple[PinnedInput, ...]) -> None:
        """Record which dataset versions a job was given."""
        given = {item.ref: artifact for pinned in inputs for item, artifact in artifacts_of(pinned)}
        uses = self._check_out(transaction, given, principal=resource.created_by, reader=resource.arn)
        files = [replace(given[ref], dataset=use.name) for use in uses for ref in use.refs]
        if files:
            record(transaction, datasets_graph(resource.uid, files))

    def act(self, resource: Resource, decision: Decision) -> None:
        """Start, stop or tidy the attempt on the back end, which answers a repeat with what it did before."""
        for effect in decision.effects:
            match effect:
                case Submit(job=job):
                    self._backend.submit(job)
                case Adopt():
                    self._publication.take_in(effect)
                case Stop(key=key):
                    self._backend.stop(key)
                case Drop(key=key, until=until):
                    self._publication.forget(key)
                    self._backend.drop(key, until=until)
                case Release(key=key):
                    self._admission.release(key)
                case Tidy(key=key):
                    self._publication.forget(key)
                    self._backend.tidy(key)


def _remember(kept: OrderedDict[Uid, T], key: Uid, value: T) -> None:
    kept[key] = value
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)


def _execution_of(transaction: Transaction, job: Resource) -> tuple[Uid, str] | None:
    """Return uid and ARN of the pipeline execution that started a job, or the tuning job that started it."""
    parent = None if job.parent is None else transaction.resources.heading(job.parent)
    if parent is not None and parent.kind == TUNING_JOB:
        tuning = transaction.resources.get(parent.uid)
        parent = None if tuning is None or tuning.parent is None else transaction.resources.heading(tuning.parent)
    return None if parent is None or parent.kind != "PipelineExecution" else (parent.uid, parent.arn)
