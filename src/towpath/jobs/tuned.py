"""What a training job knows of the tuning job that started it: the hyperparameters chosen for it, and its objective."""

import msgspec

from towpath.kernel.resource import Document, Resource, view

TUNING_JOB = "HyperParameterTuningJob"  #: kind of the parent of such a training job
TUNED = "Tuned"  #: member of the state of such a training job; never shown
OBJECTIVE = "objective"  #: indexed member: the last value of the objective metric of one that has ended
_EVALUATED = frozenset({"Completed", "Stopped"})


class Objective(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The metric that a tuning job compares its training jobs by."""

    type: str  #: Maximize or Minimize
    metric_name: str

    @property
    def is_maximized(self) -> bool:
        """Whether greater is better."""
        return self.type == "Maximize"

    def is_better(self, value: float, other: float) -> bool:
        """Return whether a value is better than another one."""
        return value > other if self.is_maximized else value < other


class Tuned(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What a tuning job notes of a training job that it starts."""

    number: int  #: 1, 2, 3, … in the order in which they were started
    objective: Objective
    hyper_parameters: dict[str, str]  #: those that were chosen for this one
    definition_name: str | None = None
    watched: bool = False  #: its tuning job looks at each value of the metric, and may stop it early


def tuned_of(job: Resource) -> Tuned | None:
    """Return what the tuning job noted of a training job, None for one that no tuning job started."""
    stored = job.state.get(TUNED)
    return None if stored is None else view(Tuned, stored)


def with_tuned(state: Document, tuned: Tuned, tuning_job_arn: str) -> Document:
    """Return the state of a training job that a tuning job has started."""
    return {**state, "TuningJobArn": tuning_job_arn, TUNED: msgspec.to_builtins(tuned)}


def objective_of(job: Resource) -> float | None:
    """Return the final value of the objective metric: the last one of a training job that has completed or was stopped.

    None while it runs, when it failed, when it never told the metric, and for one that no tuning job started.
    Source: Amazon SageMaker API Reference, "HyperParameterTrainingJobSummary", ObjectiveStatus.
    """
    tuned = tuned_of(job)
    if tuned is None or job.status not in _EVALUATED:
        return None
    last = {metric["MetricName"]: float(metric["Value"]) for metric in job.state.get("FinalMetricDataList") or ()}
    return last.get(tuned.objective.metric_name)


def indexed(job: Resource) -> dict[str, str | float | None]:
    """Return what a training job is sorted by among those of its tuning job."""
    return {OBJECTIVE: objective_of(job)} if TUNED in job.state else {}
