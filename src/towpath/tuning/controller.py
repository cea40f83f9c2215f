"""Looks after tuning jobs: shows `advance` how their training jobs stand, and creates and stops those as it decides."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from towpath.jobs import TRAINING_JOB, JobStatus, is_terminal
from towpath.jobs.kinds import PINNED
from towpath.jobs.tuned import TUNING_JOB, Tuned, tuned_of, with_tuned
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import StaleRevision, TowpathError
from towpath.kernel.events import Event
from towpath.kernel.operations import Operations, Request
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.principals import PLATFORM, Caller
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.tuning.children import Child, best_of, child_of, counters
from towpath.tuning.decisions import Ending, Launch, Next, Situation, StopChild, advance, not_improving
from towpath.tuning.ingredients import handed_to
from towpath.tuning.kinds import EARLIER, ENDING, LAUNCHED
from towpath.tuning.launching import child_request
from towpath.tuning.plan import Plan, plan_of
from towpath.tuning.search import Search, Trial
from towpath.tuning.warm_start import is_identical, trials_of

EVENT = "SageMaker HyperParameter Tuning Job State Change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The training jobs of a tuning job."""

    children: tuple[Child, ...] = ()  #: in the order of their numbers
    earlier: tuple[tuple[Trial, ...], ...] = ()  #: for each arm, what earlier tuning jobs have found out
    earlier_best: Child | None = None  #: of the training jobs of earlier tuning jobs


class TuningController:
    """Implements `kernel.decisions.Controller` for HyperParameterTuningJob."""

    kind = TUNING_JOB

    def __init__(self, *, store: Store, operations: Operations, search: Search) -> None:
        self._store = store
        self._operations = operations
        self._search = search

    def observe(self, resource: Resource) -> Observation:
        """Read how the training jobs stand, and what they have measured where that matters before they end."""
        if is_terminal(resource.status):
            return Observation()
        plan = plan_of(resource.spec)
        return self._store.read(lambda transaction: _look(transaction, resource, plan))

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return what to do next with a tuning job."""
        if is_terminal(resource.status):
            return Decision()
        plan = plan_of(resource.spec)
        decided = advance(plan, situation_of(resource, observation, now), self._search)
        launches = [step for step in decided.steps if isinstance(step, Launch)]
        state = _state(resource, plan, observation, decided, launches)
        ends_at = None
        if plan.max_runtime_s is not None and decided.ending is None:
            ends_at = resource.created_at + timedelta(seconds=plan.max_runtime_s)
        if not decided.ended or decided.ending is None:
            first = resource.state.get(LAUNCHED, 0) == 0 and bool(launches)
            events = (_event(resource, JobStatus.IN_PROGRESS, now),) if first else ()
            return Decision(state=state, facts=decided.steps, due_at=ends_at, events=events)
        ending = decided.ending
        state["HyperParameterTuningEndTime"] = now.timestamp()
        state.pop(ENDING, None)
        state.pop(PINNED, None)  # no training job begins any more
        if ending.failure_reason is not None:
            state["FailureReason"] = ending.failure_reason
        return Decision(
            state=state,
            status=ending.status,
            events=(_event(resource, ending.status, now, reason=ending.failure_reason),),
        )

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Create and stop training jobs, in the transaction that notes it."""
        for fact in decision.facts:
            match fact:
                case Launch():
                    if not self._launch(transaction, resource, fact):
                        return
                case StopChild(uid=uid):
                    child = transaction.resources.get(uid)
                    if child is not None and child.status == JobStatus.IN_PROGRESS:
                        self._call(transaction, resource, "StopTrainingJob", {"TrainingJobName": child.name})

    def act(self, resource: Resource, decision: Decision) -> None:
        """Do nothing: a tuning job reaches the outside only through its training jobs."""

    def _launch(self, transaction: Transaction, resource: Resource, launch: Launch) -> bool:
        """Create a training job; where that is refused, the tuning job is to end, and False is returned."""
        plan = plan_of(resource.spec)
        tags = transaction.resources.tags(resource.uid)
        arm = plan.arms[launch.arm]
        asked = child_request(resource, arm, launch.arm, launch.number, launch.hyper_parameters, tags)
        try:
            with transaction.nested():
                self._call(transaction, resource, "CreateTrainingJob", asked)
        except StaleRevision:
            raise  # the whole decision is void and is taken again
        except TowpathError as error:
            ending = Ending(
                status=JobStatus.FAILED,
                failure_reason=f"ClientError: training job {asked['TrainingJobName']} was refused: {error.message}",
            )
            state = {**resource.state, ENDING: msgspec.to_builtins(ending), LAUNCHED: launch.number - 1}
            transaction.resources.replace(resource, state=state)
            transaction.work.schedule(resource.uid, transaction.now)
            return False
        child = transaction.resources.find(TRAINING_JOB.noun, asked["TrainingJobName"])
        assert child is not None, "it was created just now"
        noted = Tuned(
            number=launch.number,
            objective=arm.objective,
            hyper_parameters=launch.hyper_parameters,
            definition_name=arm.name,
            watched=plan.watches,
        )
        state = with_tuned(child.state, noted, resource.arn)
        handed = handed_to(resource, arm.name)
        if handed is not None:
            state = {**state, PINNED: msgspec.to_builtins(handed)}
        transaction.resources.replace(child, state=state)
        return True

    def _call(self, transaction: Transaction, resource: Resource, operation: str, asked: Document) -> Document:
        request = Request(
            operation=operation,
            input=asked,
            # Whoever created it was asked for the right to; what it starts and stops asks for no more.
            caller=Caller(resource.created_by, request_id=f"{resource.name}/{asked['TrainingJobName']}"),
            parent=resource.uid,
        )
        return self._operations[operation].function(transaction, request)


def _look(transaction: Transaction, resource: Resource, plan: Plan) -> Observation:
    children = children_of(transaction, resource.uid, watches=plan.watches)
    parents = [transaction.resources.get(Uid(uid)) for uid in resource.state.get(EARLIER, ())]
    jobs: list[Resource] = []
    known: list[Child] = []
    for parent in parents:
        if parent is None:
            continue  # it was deleted, and its time to be undeleted is over
        found = transaction.resources.children(parent.uid)
        jobs += found
        known += (_of_tuning_job(child, parent.name) for child in map(child_of, found) if child is not None)
    return Observation(
        children=children,
        earlier=trials_of(plan, jobs) if parents else (),
        earlier_best=best_of(known),
    )


def _of_tuning_job(child: Child, name: str) -> Child:
    return replace(child, summary={**child.summary, "TuningJobName": name})


def children_of(transaction: Transaction, tuning: Uid, *, watches: bool = False) -> tuple[Child, ...]:
    """Return the training jobs of a tuning job by their numbers.

    Args:
        watches: with all values of the objective that they have told so far.
    """
    found: list[Child] = []
    for job in transaction.resources.children(tuning):
        curve = _curve(transaction, job) if watches else ()
        child = child_of(job, curve)
        if child is not None:
            found.append(child)
    return tuple(sorted(found, key=lambda child: child.number))


def _curve(transaction: Transaction, job: Resource) -> tuple[tuple[float, int, float], ...]:
    noted = tuned_of(job)
    if noted is None:
        return ()
    told = transaction.metrics.values(job.uid, noted.objective.metric_name)
    # A later attempt of a job counts from 0 again, and what it tells of an epoch is what counts.
    places = {item.step: (item.at.timestamp(), item.step + 1, item.value) for item in told if item.step is not None}
    return tuple(places[step] for step in sorted(places))


def situation_of(resource: Resource, observation: Observation, now: datetime) -> Situation:
    """Return how a tuning job stands."""
    ending = resource.state.get(ENDING)
    return Situation(
        seed=seed_of(resource),
        children=observation.children,
        launched=resource.state.get(LAUNCHED, 0),
        elapsed_s=(now - resource.created_at).total_seconds(),
        ending=None if ending is None else view(Ending, ending),
        stopping=resource.status == JobStatus.STOPPING,
        earlier=observation.earlier,
    )


def seed_of(resource: Resource) -> int:
    """Return RandomSeed, or a number that this incarnation of the tuning job always has."""
    asked = resource.spec["HyperParameterTuningJobConfig"].get("RandomSeed")
    if asked is not None:
        return int(asked)
    return int.from_bytes(hashlib.sha256(resource.uid.encode()).digest()[:4], "big")


def _state(
    resource: Resource, plan: Plan, observation: Observation, decided: Next, launches: Iterable[Launch]
) -> Document:
    begun = len(list(launches))
    state: Document = {
        **resource.state,
        **counters(observation.children, begun),
        "ConsumedResources": {"RuntimeInSeconds": sum(child.runtime_s for child in observation.children)},
        LAUNCHED: resource.state.get(LAUNCHED, 0) + begun,
    }
    best = best_of(observation.children)
    if best is not None:
        state["BestTrainingJob"] = best.summary
    if is_identical(resource.spec):
        own = () if best is None else (_of_tuning_job(best, resource.name),)
        overall = best_of((*own, *(() if observation.earlier_best is None else (observation.earlier_best,))))
        if overall is not None:
            state["OverallBestTrainingJob"] = overall.summary
    if plan.patience is not None:
        state["TuningJobCompletionDetails"] = {
            "NumberOfTrainingJobsObjectiveNotImproving": not_improving(observation.children)
        }
    if decided.ending is not None:
        state[ENDING] = msgspec.to_builtins(decided.ending)
    return state


def _event(resource: Resource, status: str, now: datetime, *, reason: str | None = None) -> Event:
    detail: dict[str, Any] = {
        "HyperParameterTuningJobName": resource.name,
        "HyperParameterTuningJobArn": resource.arn,
        "HyperParameterTuningJobStatus": status,
    }
    if reason is not None:
        detail["FailureReason"] = reason
    return Event(
        type=EVENT,
        subject=resource.uid,
        subject_arn=resource.arn,
        principal=PLATFORM.principal,
        at=now,
        detail=detail,
    )
