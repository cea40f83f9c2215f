"""What has to be done next in a tuning job: pure decisions on its training jobs as they stand."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from towpath.jobs import JobStatus
from towpath.kernel.resource import Uid
from towpath.tuning.children import Child, best_of, in_order_of_end
from towpath.tuning.model import Strategy
from towpath.tuning.plan import Arm, Plan
from towpath.tuning.search import Curve, Question, Race, Search, Trial, seed_after

#: After so many training jobs without a success a tuning job gives up. Source: the reason that SageMaker gives, as
#: reported in https://github.com/aws/amazon-sagemaker-examples/issues/2437.
ATTEMPTS = 5
#: What a new best has to be better by to count as an improvement. Source: Amazon SageMaker API Reference,
#: "BestObjectiveNotImproving".
IMPROVEMENT = 0.01


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """Create a training job."""

    number: int
    arm: int
    hyper_parameters: dict[str, str]


class StopChild(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a training job to stop."""

    uid: Uid


class Ending(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Nothing more is started; when all have ended, the tuning job ends so."""

    status: str
    failure_reason: str | None = None


Step: TypeAlias = Launch | StopChild


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How a tuning job stands."""

    seed: int
    children: Sequence[Child]  #: in the order of their numbers
    launched: int  #: training jobs that were ever started
    elapsed_s: float  #: since it was created
    ending: Ending | None = None  #: it was decided that it ends
    stopping: bool = False  #: somebody asked it to
    earlier: Sequence[Sequence[Trial]] = ()  #: for each arm, results of earlier tuning jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What is to be done."""

    steps: tuple[Step, ...] = ()
    ending: Ending | None = None
    ended: bool = False  #: as `ending` says


def advance(plan: Plan, situation: Situation, search: Search) -> Next:
    """Return what has to be done next in a tuning job. The same arguments give the same decisions."""
    running = [child for child in situation.children if not child.has_ended]
    ending = situation.ending or ending_of(plan, situation)
    if situation.stopping and (ending is None or running):  # one that had come to its end is not stopped any more
        ending = Ending(status=JobStatus.STOPPED)
    if ending is None:
        hopeless = _hopeless(plan, situation, search)
        stops = _stops(child for child in running if child.uid in hopeless)
        return Next(steps=(*stops, *_launches(plan, situation, search, len(running))))
    if not running and ending.status == JobStatus.COMPLETED and best_of(situation.children) is None:
        # Its time was over, or its target could not be known: whatever it was stopped for, it has found nothing.
        ending = Ending(status=JobStatus.FAILED, failure_reason=_no_success(situation.children))
    return Next(steps=tuple(_stops(running)), ending=ending, ended=not running)


def ending_of(plan: Plan, situation: Situation) -> Ending | None:
    """Return how a tuning job ends that has come to its end, None for one that goes on.

    It fails when none of its training jobs succeeded, with the reasons that SageMaker gives (see `ATTEMPTS`).
    """
    children = situation.children
    best = best_of(children)
    ended = [child for child in children if child.has_ended]
    nothing_left = plan.most is not None and situation.launched >= plan.most and len(ended) == len(children)
    if best is None and (len(ended) >= ATTEMPTS or nothing_left):
        return Ending(status=JobStatus.FAILED, failure_reason=_no_success(ended))
    if nothing_left or (plan.max_runtime_s is not None and situation.elapsed_s >= plan.max_runtime_s):
        return Ending(status=JobStatus.COMPLETED)
    if best is not None and best.value is not None:
        if plan.target is not None and not best.objective.is_better(plan.target, best.value):
            return Ending(status=JobStatus.COMPLETED)
        if plan.patience is not None and not_improving(children) >= plan.patience:
            return Ending(status=JobStatus.COMPLETED)
    return None


def not_improving(children: Sequence[Child]) -> int:
    """Return how many training jobs in a row, up to the last one that ended, have not made the best result better."""
    best: float | None = None
    count = 0
    for child in in_order_of_end(children):
        value = child.value
        assert value is not None, "those without a result are left out"
        if best is None or child.objective.is_better(value, best + _least_gain(child, best)):
            best, count = value, 0
        else:
            count += 1
    return count


def _least_gain(child: Child, best: float) -> float:
    gain = abs(best) * IMPROVEMENT
    return gain if child.objective.is_maximized else -gain


def _no_success(ended: Sequence[Child]) -> str:
    completed = [child for child in ended if child.status == JobStatus.COMPLETED]
    if completed:
        return (
            f"ClientError: No objective metrics found after running {len(ended)} training jobs. "
            f"{completed[0].summary.get('FailureReason', '')}"
        )
    names = ", ".join(child.summary["TrainingJobName"] for child in ended[:ATTEMPTS])
    reason = next((child.reason for child in ended if child.reason), "they were stopped")
    return f"No training job succeeded after {len(ended)} attempts ({names}). The first one: {reason}"


def _stops(running: Iterable[Child]) -> Iterator[StopChild]:
    return (StopChild(uid=child.uid) for child in running if child.status == JobStatus.IN_PROGRESS)


def _launches(plan: Plan, situation: Situation, search: Search, running: int) -> list[Launch]:
    """Return the training jobs to start now: as many as are allowed at one time, and never more than there may be."""
    free = plan.parallel - running
    if plan.most is not None:
        free = min(free, plan.most - situation.launched)
    wanted: dict[int, list[tuple[int, int]]] = {}  # arm -> (number, place)
    for number in range(situation.launched + 1, situation.launched + free + 1):
        arm, place = plan.arm_of(number)
        wanted.setdefault(arm, []).append((number, place))
    found = []
    for arm, numbers in wanted.items():
        question = Question(
            strategy=plan.strategy,
            space=plan.arms[arm].space,
            is_maximized=plan.arms[arm].objective.is_maximized,
            seed=seed_after(_seed(situation.seed, arm), [trial.point for trial in _earlier(situation, arm)]),
            trials=(*_earlier(situation, arm), *_trials(plan, situation.children, arm)),
            places=tuple(place for _, place in numbers),
        )
        points = search.next_points(question)
        for (number, _), point in zip(numbers, points, strict=True):
            found.append(Launch(number=number, arm=arm, hyper_parameters=dict(point)))
    return sorted(found, key=lambda launch: launch.number)


def _seed(seed: int, arm: int) -> int:
    return seed + arm  # definitions that share a hyperparameter are not to try the same values of it


def _earlier(situation: Situation, arm: int) -> Sequence[Trial]:
    return situation.earlier[arm] if situation.earlier else ()


def _trials(plan: Plan, children: Sequence[Child], arm: int) -> Iterator[Trial]:
    for child in children:
        if plan.arm_of(child.number)[0] == arm:
            yield Trial(point=child.point, value=child.value, failed=child.has_failed)


def _hopeless(plan: Plan, situation: Situation, search: Search) -> set[Uid]:
    """Return the training jobs that are not worth going on with."""
    if plan.strategy is Strategy.HYPERBAND:
        return {
            uid
            for index, arm in enumerate(plan.arms)
            for uid in _beaten(plan, arm, _seed(situation.seed, index), _of_arm(plan, situation, index), search)
        }
    if not plan.stops_early:
        return set()
    return {
        child.uid
        for index, _ in enumerate(plan.arms)
        for child in _of_arm(plan, situation, index)
        if not child.has_ended and is_behind(child, _of_arm(plan, situation, index))
    }


def _of_arm(plan: Plan, situation: Situation, arm: int) -> list[Child]:
    return [child for child in situation.children if plan.arm_of(child.number)[0] == arm]


def _beaten(plan: Plan, arm: Arm, seed: int, children: Sequence[Child], search: Search) -> Iterator[Uid]:
    """Yield what Hyperband stops: who was beaten at a rung, and who has got to MaxResource.

    Source: Amazon SageMaker API Reference, "HyperbandStrategyConfig".
    """
    assert arm.max_resource is not None, "the plan of Hyperband has one"
    if not any(child.curve for child in children):
        return
    race = Race(
        least=plan.min_resource,
        most=arm.max_resource,
        is_maximized=arm.objective.is_maximized,
        seed=seed,
        curves=tuple(Curve(number=child.number, values=child.curve) for child in children),
    )
    beaten = search.beaten(race)
    for child in children:
        if child.number in beaten or (child.curve and child.curve[-1][1] >= arm.max_resource):
            yield child.uid


def is_behind(child: Child, others: Sequence[Child]) -> bool:
    """Return whether a training job is to be stopped by the median rule.

    Its last value is compared with the median of what the training jobs before it, which have ended, had come to on
    average up to the same epoch. Without such a training job nothing is stopped.
    Source: Amazon SageMaker Developer Guide, "Stop Training Jobs Early"; Golovin et al., *Google Vizier*, 2017.
    """
    if not child.curve:
        return False
    _, epoch, value = child.curve[-1]
    averages = [
        statistics.fmean(told for _, place, told in other.curve if place <= epoch)
        for other in others
        if other.has_ended and other.value is not None and other.curve and other.curve[-1][1] >= epoch
    ]
    return bool(averages) and child.objective.is_better(statistics.median(averages), value)
