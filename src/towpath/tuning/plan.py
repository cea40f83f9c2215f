"""What a tuning job will do: its request, checked and made ready to decide by. Pure."""

from collections.abc import Iterator

import msgspec

from towpath.jobs.tuned import Objective
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.resource import Document, view
from towpath.tuning.model import (
    CompletionCriteria,
    Definition,
    ParameterRanges,
    Strategy,
    TuningConfig,
    TuningJobRequest,
)
from towpath.tuning.ranges import Choice, Space, grid_size, space_of

CONFIG = "HyperParameterTuningJobConfig"
MOST_RESOURCE = 20_000  #: values that MaxResource may be at most
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")  #: where MaxResource is looked for


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One definition of training jobs, and what is searched for it."""

    name: str | None  #: DefinitionName
    objective: Objective
    space: Space
    max_resource: int | None = None  #: by Hyperband


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a tuning job goes on."""

    strategy: Strategy
    arms: tuple[Arm, ...]
    parallel: int  #: training jobs that may run at one time
    most: int | None  #: training jobs that there may be at all; None: as many as the time allows
    max_runtime_s: int | None = None
    stops_early: bool = False  #: by the median rule
    min_resource: int = 1  #: by Hyperband
    target: float | None = None
    patience: int | None = None  #: training jobs in a row that may fail to make it better

    @property
    def watches(self) -> bool:
        """Whether each value of the objective matters, not the last one alone."""
        return self.stops_early or self.strategy is Strategy.HYPERBAND

    def arm_of(self, number: int) -> tuple[int, int]:
        """Return (arm, place in that arm's search) of a training job by its number: definitions take turns.

        A grid is gone through definition by definition, as their grids have different sizes.
        """
        place = number - 1
        if self.strategy is not Strategy.GRID:
            return place % len(self.arms), place // len(self.arms)
        for index, arm in enumerate(self.arms):
            size = grid_size(arm.space)
            if place < size:
                return index, place
            place -= size
        raise ValueError(f"the grid has no point {number}")


def plan_of(spec: Document) -> Plan:
    """Return what a CreateHyperParameterTuningJob request means.

    Raises:
        Invalid: members contradict each other, or a range is wrong; says where.
        Unsupported: something that is not built.
    """
    request = view(TuningJobRequest, spec)
    config = request.hyper_parameter_tuning_job_config
    _refuse_what_is_not_built(request)
    arms = tuple(_arms(request))
    if len({arm.objective.type for arm in arms}) > 1:
        raise Invalid(
            "TrainingJobDefinitions: some objectives are to be maximized and some minimized; the results cannot be "
            "compared then. Make them all Maximize or all Minimize"
        )
    criteria = config.tuning_job_completion_criteria
    improving = criteria.best_objective_not_improving
    bands = config.strategy_config.hyperband_strategy_config
    return Plan(
        strategy=config.strategy,
        arms=arms,
        parallel=config.resource_limits.max_parallel_training_jobs,
        most=_most(config, arms),
        max_runtime_s=config.resource_limits.max_runtime_in_seconds,
        stops_early=config.training_job_early_stopping_type == "Auto",
        min_resource=1 if bands is None else bands.min_resource,
        target=criteria.target_objective_metric_value,
        patience=None if improving is None else improving.max_number_of_training_jobs_not_improving,
    )


def _refuse_what_is_not_built(request: TuningJobRequest) -> None:
    if request.autotune is not None:
        raise Unsupported("Autotune is not supported; give ParameterRanges and ResourceLimits, and leave it out")
    criteria = request.hyper_parameter_tuning_job_config.tuning_job_completion_criteria
    converged = criteria.convergence_detected
    if converged is not None and converged.complete_on_convergence == "Enabled":
        raise Unsupported(
            "TuningJobCompletionCriteria.ConvergenceDetected is not supported; BestObjectiveNotImproving ends a "
            "tuning job when so many training jobs have not made it better"
        )


def _arms(request: TuningJobRequest) -> Iterator[Arm]:
    config, one, several = (
        request.hyper_parameter_tuning_job_config,
        request.training_job_definition,
        request.training_job_definitions,
    )
    if (one is None) == (not several):
        raise Invalid("Give either TrainingJobDefinition or TrainingJobDefinitions")
    if one is not None:
        yield _arm(
            config,
            one,
            "TrainingJobDefinition",
            objective=config.hyper_parameter_tuning_job_objective or one.tuning_objective,
            ranges=(f"{CONFIG}.ParameterRanges", config.parameter_ranges)
            if config.parameter_ranges is not None
            else ("TrainingJobDefinition.HyperParameterRanges", one.hyper_parameter_ranges),
        )
        return
    if config.parameter_ranges is not None or config.hyper_parameter_tuning_job_objective is not None:
        raise Invalid(
            f"With TrainingJobDefinitions, ParameterRanges and HyperParameterTuningJobObjective do not stand in "
            f"{CONFIG}: each definition has its own HyperParameterRanges and TuningObjective"
        )
    names = [definition.definition_name for definition in several]
    if None in names or len(set(names)) < len(names):
        raise Invalid("TrainingJobDefinitions: each needs a DefinitionName that no other one has")
    for definition in several:
        place = f"TrainingJobDefinitions[{definition.definition_name}]"
        ranges = (f"{place}.HyperParameterRanges", definition.hyper_parameter_ranges)
        yield _arm(config, definition, place, objective=definition.tuning_objective, ranges=ranges)


def _arm(
    config: TuningConfig,
    definition: Definition,
    place: str,
    *,
    objective: Objective | None,
    ranges: tuple[str, ParameterRanges | None],
) -> Arm:
    if objective is None:
        raise Invalid(f"{place}: nothing says which metric is the objective; give its Type and MetricName")
    metrics = [metric.name for metric in definition.algorithm_specification.metric_definitions]
    if objective.metric_name not in metrics:
        listed = ", ".join(map(repr, metrics)) or "none"
        raise Invalid(
            f"{place}: the objective {objective.metric_name!r} is not among AlgorithmSpecification.MetricDefinitions, "
            f"which are {listed}; without a regular expression its values cannot be read"
        )
    named, asked = ranges
    space = space_of(ParameterRanges() if asked is None else asked, named)
    both = sorted({parameter.name for parameter in space} & definition.static_hyper_parameters.keys())
    if both:
        raise Invalid(f"{place}.StaticHyperParameters: {', '.join(both)} cannot be static and have a range in {named}")
    if config.strategy is Strategy.GRID and not all(isinstance(parameter, Choice) for parameter in space):
        raise Invalid(f"{named}: the strategy Grid is for CategoricalParameterRanges alone")
    return Arm(
        name=definition.definition_name,
        objective=objective,
        space=space,
        max_resource=_max_resource(config, definition, place) if config.strategy is Strategy.HYPERBAND else None,
    )


def _max_resource(config: TuningConfig, definition: Definition, place: str) -> int:
    """Return how many values of the objective a training job tells at most by Hyperband.

    Source: Amazon SageMaker API Reference, "HyperbandStrategyConfig".
    """
    if config.training_job_early_stopping_type != "Off":
        raise Invalid(f"{CONFIG}.TrainingJobEarlyStoppingType must be Off with Hyperband, which stops early by itself")
    bands = config.strategy_config.hyperband_strategy_config
    most = None if bands is None else bands.max_resource
    if most is None:
        static = definition.static_hyper_parameters
        told = next((static[name] for name in _EPOCHS if name in static), "")
        try:
            most = int(told.strip('"'))
        except ValueError:
            raise Invalid(
                f"{CONFIG}.StrategyConfig.HyperbandStrategyConfig.MaxResource is missing, and {place}."
                f"StaticHyperParameters has no number of epochs to take for it ({', '.join(_EPOCHS)})"
            ) from None
    least = 1 if bands is None else bands.min_resource
    if not least <= most <= MOST_RESOURCE:
        raise Invalid(
            f"{CONFIG}.StrategyConfig.HyperbandStrategyConfig: MaxResource is {most}; expected a number from "
            f"MinResource ({least}) to {MOST_RESOURCE}"
        )
    return most


def _most(config: TuningConfig, arms: tuple[Arm, ...]) -> int | None:
    """Return how many training jobs there may be.

    Source: Amazon SageMaker Developer Guide, "Grid search", for the number that a grid must have.
    """
    limits, criteria = config.resource_limits, config.tuning_job_completion_criteria
    asked = limits.max_number_of_training_jobs
    if config.strategy is Strategy.GRID:
        size = sum(grid_size(arm.space) for arm in arms)
        if asked not in {None, size}:
            raise Invalid(
                f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs is {asked}, and the grid has {size} points; leave "
                "it out, or give that number"
            )
        return size
    if asked is None and limits.max_runtime_in_seconds is None and criteria == CompletionCriteria():
        raise Invalid(
            f"{CONFIG}.ResourceLimits: nothing ends this tuning job; give MaxNumberOfTrainingJobs, "
            "MaxRuntimeInSeconds or TuningJobCompletionCriteria"
        )
    return asked
