"""CreateHyperParameterTuningJob as frozen typed views: what the platform reads of such a request."""

from enum import StrEnum

import msgspec

from towpath.jobs.requests import RegexDefinition
from towpath.jobs.tuned import Objective


class Strategy(StrEnum):
    """How the next hyperparameters are chosen."""

    RANDOM = "Random"
    GRID = "Grid"
    BAYESIAN = "Bayesian"
    HYPERBAND = "Hyperband"


class NumberRange(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """From where to where a number may go; numbers are texts, as on the wire."""

    name: str
    min_value: str
    max_value: str
    scaling_type: str = "Auto"


class CategoricalRange(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The values among which one is chosen."""

    name: str
    values: tuple[str, ...]


class AutoParameter(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A hyperparameter whose range is to be found."""

    name: str


class ParameterRanges(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The hyperparameters that are searched."""

    integer_parameter_ranges: tuple[NumberRange, ...] = ()
    continuous_parameter_ranges: tuple[NumberRange, ...] = ()
    categorical_parameter_ranges: tuple[CategoricalRange, ...] = ()
    auto_parameters: tuple[AutoParameter, ...] = ()


class ResourceLimits(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How many training jobs there may be, and for how long."""

    max_parallel_training_jobs: int
    max_number_of_training_jobs: int | None = None
    max_runtime_in_seconds: int | None = None


class HyperbandStrategyConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How many values of the objective metric (epochs, mostly) a training job gets at least and at most."""

    min_resource: int = 1
    max_resource: int | None = None


class StrategyConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What one strategy wants to know."""

    hyperband_strategy_config: HyperbandStrategyConfig | None = None


class BestObjectiveNotImproving(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Ends the search when so many training jobs in a row have not made it better."""

    max_number_of_training_jobs_not_improving: int | None = None


class ConvergenceDetected(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Ends the search when nothing better is to be expected."""

    complete_on_convergence: str = "Disabled"


class CompletionCriteria(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """When the search is done before its limits are reached."""

    target_objective_metric_value: float | None = None
    best_objective_not_improving: BestObjectiveNotImproving | None = None
    convergence_detected: ConvergenceDetected | None = None


class TuningConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How to search."""

    strategy: Strategy
    resource_limits: ResourceLimits
    strategy_config: StrategyConfig = StrategyConfig()
    hyper_parameter_tuning_job_objective: Objective | None = None
    parameter_ranges: ParameterRanges | None = None
    training_job_early_stopping_type: str = "Off"
    tuning_job_completion_criteria: CompletionCriteria = CompletionCriteria()
    random_seed: int | None = None


class Algorithm(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What the training jobs run."""

    training_image: str | None = None
    metric_definitions: tuple[RegexDefinition, ...] = ()


class Definition(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One kind of training job that is started, as far as the search acts on it."""

    algorithm_specification: Algorithm
    definition_name: str | None = None
    tuning_objective: Objective | None = None
    hyper_parameter_ranges: ParameterRanges | None = None
    static_hyper_parameters: dict[str, str] = msgspec.field(default_factory=dict)


class ParentTuningJob(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A tuning job whose results are taken over."""

    hyper_parameter_tuning_job_name: str


class WarmStartConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Which results of earlier tuning jobs the search begins with."""

    parent_hyper_parameter_tuning_jobs: tuple[ParentTuningJob, ...]
    warm_start_type: str


class Autotune(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What is to be found out by itself."""

    mode: str


class TuningJobRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateHyperParameterTuningJob, as far as the platform acts on it."""

    hyper_parameter_tuning_job_config: TuningConfig
    training_job_definition: Definition | None = None
    training_job_definitions: tuple[Definition, ...] = ()
    warm_start_config: WarmStartConfig | None = None
    autotune: Autotune | None = None
