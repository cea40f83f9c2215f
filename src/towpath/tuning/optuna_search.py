"""The search by Optuna. Studies are made anew from the trials for each question and live in memory only.

Optuna is imported when the first question is asked, so that a server which tunes nothing does not pay for it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from towpath.tuning.model import Strategy
from towpath.tuning.ranges import (
    Choice,
    Integers,
    Numbers,
    Parameter,
    Point,
    Scale,
    Space,
    as_texts,
    grid_point,
    values_of,
)
from towpath.tuning.search import Question, Race, Trial, seed_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study

#: Points that are drawn at random before results are made use of. Tuning jobs are often no larger than ten jobs.
BAYESIAN_STARTUP = 5
REDUCTION = 3  #: of the training jobs that reach a rung of Hyperband, one in so many goes on


class OptunaSearch:
    """Implements `tuning.search.Search`."""

    def next_points(self, question: Question) -> list[Point]:
        """Return the points to try next.

        Grid takes them in order. Random and Hyperband draw each by its place and the seed alone. Bayesian asks a
        tree-structured Parzen estimator, which learns from the results there are; what still runs, and what failed,
        stands there with the worst of them, so that points asked for together do not lie together.
        Source: Bergstra et al., *Algorithms for Hyper-Parameter Optimization*, 2011; Ginsbourger et al., *Kriging is
        well-suited to parallelize optimization*, 2010, for the constant lie.
        """
        if question.strategy is Strategy.GRID:
            return [grid_point(question.space, place) for place in question.places]
        points: list[Point] = []
        for place in question.places:
            begun = (*question.trials, *(Trial(point=dict(point)) for point in points))
            points.append(_suggestion(question, begun, place))
        return points

    def beaten(self, race: Race) -> frozenset[int]:
        """Return the numbers of the training jobs that Hyperband would not let go on.

        What was told is told to Optuna's pruner again in the order of its times. It only looks at values where the
        resource is `least` times a power of `REDUCTION`, so the others are left out.
        Source: Li et al., *Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization*, 2018, and
        *A System for Massively Parallel Hyperparameter Tuning*, 2020, for halving without waiting.
        """
        optuna = _optuna()
        study = optuna.create_study(
            study_name=f"tuning-{race.seed}",  # it decides which bracket a training job is in
            direction=_direction(race.is_maximized),
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=race.least, max_resource=race.most, reduction_factor=REDUCTION
            ),
        )
        curves = {curve.number: curve for curve in race.curves}
        # Numbers of trials are given in order; a training job that is gone leaves a trial without values.
        trials = {number: study.ask() for number in range(1, max(curves, default=0) + 1)}
        rungs = set(_rungs(race.least, race.most))
        told = sorted(
            (at, curve.number, place, value)
            for curve in race.curves
            for at, place, value in curve.values
            if place in rungs
        )
        beaten: set[int] = set()
        for _, number, place, value in told:
            if number in beaten:
                continue
            trials[number].report(value, place)
            if trials[number].should_prune():
                beaten.add(number)
        return frozenset(beaten)


def _suggestion(question: Question, trials: Iterable[Trial], place: int) -> Point:
    optuna = _optuna()
    seed = seed_of(question.seed, place)
    distributions = {parameter.name: _distribution(parameter) for parameter in question.space}
    sampler: BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if question.strategy is Strategy.BAYESIAN:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=BAYESIAN_STARTUP)
    study = optuna.create_study(direction=_direction(question.is_maximized), sampler=sampler)
    if question.strategy is Strategy.BAYESIAN:
        _tell(study, question, trials, distributions)
    return as_texts(_from_optuna(question.space, study.ask(distributions).params))


def _tell(
    study: "Study", question: Question, trials: Iterable[Trial], distributions: "dict[str, BaseDistribution]"
) -> None:
    optuna = _optuna()
    known = [(values_of(question.space, trial.point), trial.value) for trial in trials]
    results = [value for values, value in known if values is not None and value is not None]
    if not results:
        return
    worst = min(results) if question.is_maximized else max(results)
    for values, value in known:
        if values is not None:  # else it was tried by an earlier tuning job, outside of today's ranges
            params = _to_optuna(question.space, values)
            told = worst if value is None else value
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=told))


def _distribution(parameter: Parameter) -> "BaseDistribution":
    distributions = _optuna().distributions
    found: BaseDistribution
    match parameter:
        case Choice(values=values):
            found = distributions.CategoricalDistribution(values)
        case Integers(low=low, high=high, scale=scale):
            found = distributions.IntDistribution(low, high, log=scale is Scale.LOGARITHMIC)
        case Numbers(low=low, high=high, scale=Scale.REVERSE_LOGARITHMIC):
            found = distributions.FloatDistribution(1 - high, 1 - low, log=True)
        case Numbers(low=low, high=high, scale=scale):
            found = distributions.FloatDistribution(low, high, log=scale is Scale.LOGARITHMIC)
    return found


def _to_optuna(space: Space, values: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for parameter in space:
        if isinstance(parameter, Numbers) and parameter.scale is Scale.REVERSE_LOGARITHMIC:
            found[parameter.name] = _within(1 - values[parameter.name], 1 - parameter.high, 1 - parameter.low)
    return found


def _from_optuna(space: Space, values: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for parameter in space:
        if isinstance(parameter, Numbers) and parameter.scale is Scale.REVERSE_LOGARITHMIC:
            found[parameter.name] = _within(1 - values[parameter.name], parameter.low, parameter.high)
    return found


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)  # the last digit of a difference may lie outside


def _rungs(least: int, most: int) -> Iterator[int]:
    rung = least
    while rung <= most:
        yield rung
        rung *= REDUCTION


def _direction(is_maximized: bool) -> str:
    return "maximize" if is_maximized else "minimize"


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of every study and trial else
    return optuna
