"""The step that trains a model many times, and finds out which hyperparameters are best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, Join
from towpath.sdk.ranges import Choice, Range
from towpath.sdk.steps.training import Training, hyperparameter

STRATEGIES = ("Bayesian", "Random", "Grid", "Hyperband")


@dataclass(eq=False)
class Tuning(Training):
    """Trains a model with a script again and again, with other hyperparameters each time, and tells the best one.

    All that a Training step has is here, too: `hyperparameters` are those that stay, `ranges` those that are searched.
    The script prints the metric to `maximize` or to `minimize`; its last value counts.

    Example:
        tune = Tuning("Tune", script="train.py", channels={"train": prepare.output("train")},
                      metrics={"accuracy": r"validation accuracy: ([0-9.]+)"}, maximize="accuracy",
                      ranges={"lr": numbers(1e-5, 1e-2), "optimizer": choice("adam", "sgd")}, jobs=20, parallel=2)
        Register("Register", group="reviews", model=tune.model)
    """

    _: KW_ONLY
    ranges: Mapping[str, Range] = field(default_factory=dict)
    maximize: str | None = None  #: name of the metric that shall be great
    minimize: str | None = None  #: or small
    strategy: str = "Bayesian"  #: or Random, Grid, Hyperband
    jobs: int | Expression | None = None  #: training jobs at most; Grid tries every combination
    parallel: int | Expression = 1  #: training jobs at one time
    early_stopping: bool = False  #: stop training jobs that are worse than the median of those before them
    epochs: tuple[int, int] | None = (
        None  #: Hyperband: values of the metric that a training job prints at least, at most
    )
    target: float | None = None  #: a value of the metric that is good enough
    patience: int | None = None  #: end after so many training jobs (3 or more) that have not made it better
    max_time_s: int | Expression | None = None  #: for the whole search
    seed: int | None = None  #: the same seed tries the same

    type: ClassVar[str] = "Tuning"

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"step {self.name}"
        if (self.maximize is None) == (self.minimize is None):
            raise DefinitionError(f"{where}: give the metric to maximize or the one to minimize")
        if self.objective not in self.metrics:
            raise DefinitionError(
                f"{where} has no metric {self.objective!r}; its metrics: {', '.join(self.metrics) or 'none'}"
            )
        if not self.ranges:
            raise DefinitionError(f"{where} searches nothing; give ranges, such as {{'lr': numbers(1e-5, 1e-2)}}")
        both = sorted(self.ranges.keys() & self.hyperparameters.keys())
        if both:
            raise DefinitionError(f"{where}: {', '.join(both)} cannot stand in hyperparameters and in ranges")
        if self.strategy not in STRATEGIES:
            raise DefinitionError(f"{where}: {self.strategy!r} is no strategy; expected one of {', '.join(STRATEGIES)}")
        if self.strategy == "Grid" and not all(isinstance(each, Choice) for each in self.ranges.values()):
            raise DefinitionError(f"{where}: Grid tries all combinations of choice(…); it takes no other ranges")
        if self.strategy != "Grid" and self.jobs is None and self.max_time_s is None:
            raise DefinitionError(f"{where}: nothing ends the search; give jobs or max_time_s")

    @property
    def objective(self) -> str:
        """The metric by which training jobs are compared."""
        return self.maximize or self.minimize or ""

    @property
    def model(self) -> Join:
        """The S3 URI of the model that the best training job made (`model.tar.gz`)."""
        folder = self.property("TrainingJobDefinition.OutputDataConfig.S3OutputPath")
        return Join((folder, self.best_job, "output/model.tar.gz"), on="/")

    @property
    def best_job(self) -> Get:
        """The name of the best training job."""
        return self.property("BestTrainingJob.TrainingJobName")

    @property
    def best_value(self) -> Get:
        """What the best training job came to."""
        return self.property("BestTrainingJob.FinalHyperParameterTuningJobObjectiveMetric.Value")

    def best(self, name: str) -> Get:
        """Return the best value of a hyperparameter, as text."""
        if name not in self.ranges:
            raise DefinitionError(f"step {self.name} does not search {name!r}; it searches {', '.join(self.ranges)}")
        return self.property(f"BestTrainingJob.TunedHyperParameters['{name}']")

    def metric(self, name: str) -> Get:
        """Return the last value of the objective in the best training job; of other metrics none is kept."""
        if name != self.objective:
            raise DefinitionError(f"step {self.name} yields its objective {self.objective!r} alone, not {name!r}")
        return self.best_value

    def request(self, build: Build) -> Document:
        training = super().request(build)
        static = training.pop("HyperParameters")
        tags = training.pop("Tags")
        return {
            "HyperParameterTuningJobConfig": self._config(),
            "TrainingJobDefinition": {"StaticHyperParameters": static, **training},
            "Tags": tags,
        }

    def _config(self) -> Document:
        limits: Document = {"MaxParallelTrainingJobs": self.parallel}
        if self.jobs is not None:
            limits["MaxNumberOfTrainingJobs"] = self.jobs
        if self.max_time_s is not None:
            limits["MaxRuntimeInSeconds"] = self.max_time_s
        config: Document = {
            "Strategy": self.strategy,
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize" if self.maximize is None else "Maximize",
                "MetricName": self.objective,
            },
            "ResourceLimits": limits,
            "ParameterRanges": _ranges(self.ranges),
            "TrainingJobEarlyStoppingType": "Auto" if self.early_stopping else "Off",
        }
        if self.epochs is not None:
            least, most = self.epochs
            config["StrategyConfig"] = {"HyperbandStrategyConfig": {"MinResource": least, "MaxResource": most}}
        criteria: Document = {}
        if self.target is not None:
            criteria["TargetObjectiveMetricValue"] = self.target
        if self.patience is not None:
            criteria["BestObjectiveNotImproving"] = {"MaxNumberOfTrainingJobsNotImproving": self.patience}
        if criteria:
            config["TuningJobCompletionCriteria"] = criteria
        if self.seed is not None:
            config["RandomSeed"] = self.seed
        return config


def _ranges(ranges: Mapping[str, Range]) -> Document:
    found: dict[str, list[Document]] = {}
    for name, each in ranges.items():
        if isinstance(each, Choice):
            values = [hyperparameter(value) for value in each.values]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": values})
            continue
        kind = "IntegerParameterRanges" if each.whole else "ContinuousParameterRanges"
        ends = {"MinValue": repr(each.low), "MaxValue": repr(each.high), "ScalingType": each.scale}
        found.setdefault(kind, []).append({"Name": name, **ends})
    return found
