"""The training jobs of a tuning job as they stand, and what they come to: counters, the best one, summaries. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from towpath.jobs import TRAINING_JOB, is_terminal
from towpath.jobs.tuned import Objective, Tuned, objective_of, tuned_of
from towpath.kernel.generic import document
from towpath.kernel.resource import Document, Resource, Uid

_RETRYABLE = "InternalServerError"  #: begins the reason of a failure that is the platform's


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One training job of a tuning job."""

    uid: Uid
    number: int
    status: str
    objective: Objective
    point: dict[str, str]  #: the hyperparameters that were chosen for it
    value: float | None = None  #: final value of its objective; None while it runs, and when there is none
    reason: str | None = None  #: why it failed
    ended_at: float | None = None  #: epoch seconds
    runtime_s: int = 0  #: that its script ran, once it has ended
    #: Values of the objective so far (epoch seconds, place counted from 1, value), earliest first. Read only where the
    #: plan watches them.
    curve: tuple[tuple[float, int, float], ...] = ()
    summary: Document = msgspec.field(default_factory=dict)  #: as ListTrainingJobsForHyperParameterTuningJob shows it

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return is_terminal(self.status)

    @property
    def has_failed(self) -> bool:
        """Whether it has ended without a result."""
        return self.has_ended and self.value is None


def child_of(job: Resource, curve: tuple[tuple[float, int, float], ...] = ()) -> Child | None:
    """Return a training job as its tuning job sees it, None for one that no tuning job started."""
    tuned = tuned_of(job)
    if tuned is None:
        return None
    return Child(
        uid=job.uid,
        number=tuned.number,
        status=job.status or "",
        objective=tuned.objective,
        point=tuned.hyper_parameters,
        value=objective_of(job),
        reason=job.state.get("FailureReason"),
        ended_at=job.state.get("TrainingEndTime"),
        runtime_s=job.state.get("TrainingTimeInSeconds", 0),
        curve=curve,
        summary=summary_of(job, tuned),
    )


def summary_of(job: Resource, tuned: Tuned) -> Document:
    """Return a training job as the API lists it among those of its tuning job.

    Where it has told no value of the objective, FailureReason says so: AWS leaves the reader to guess.
    """
    shown = document(TRAINING_JOB, job)
    value = objective_of(job)
    found: Document = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "TrainingJobStatus": job.status,
        "CreationTime": shown["CreationTime"],
        "TunedHyperParameters": tuned.hyper_parameters,
        "ObjectiveStatus": _objective_status(job, value),
    }
    if tuned.definition_name is not None:
        found["TrainingJobDefinitionName"] = tuned.definition_name
    for member in ("TrainingStartTime", "TrainingEndTime", "FailureReason"):
        if shown.get(member) is not None:
            found[member] = shown[member]
    if value is not None:
        found["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": tuned.objective.type,
            "MetricName": tuned.objective.metric_name,
            "Value": value,
        }
    elif is_terminal(job.status) and "FailureReason" not in found:
        found["FailureReason"] = _silent(job, tuned.objective)
    return found


def _objective_status(job: Resource, value: float | None) -> str:
    if not is_terminal(job.status):
        return "Pending"
    return "Failed" if value is None else "Succeeded"


def _silent(job: Resource, objective: Objective) -> str:
    regexes = {
        metric["Name"]: metric["Regex"] for metric in job.spec["AlgorithmSpecification"].get("MetricDefinitions") or ()
    }
    return (
        f"No line of the log matches {regexes.get(objective.metric_name)!r}, the Regex of the objective metric "
        f"{objective.metric_name!r}, so that there is no value to compare"
    )


def counters(children: Iterable[Child], begun: int = 0) -> Document:
    """Return TrainingJobStatusCounters and ObjectiveStatusCounters.

    Args:
        begun: training jobs that are about to be started, beside the children.
    """
    jobs = {"Completed": 0, "InProgress": begun, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    objectives = {"Succeeded": 0, "Pending": begun, "Failed": 0}
    for child in children:
        jobs[_counted_as(child)] += 1
        objectives[child.summary["ObjectiveStatus"]] += 1
    return {"TrainingJobStatusCounters": jobs, "ObjectiveStatusCounters": objectives}


def _counted_as(child: Child) -> str:
    if child.status in {"Completed", "Stopped"}:
        return child.status
    if child.status == "Failed":
        return "RetryableError" if (child.reason or "").startswith(_RETRYABLE) else "NonRetryableError"
    return "InProgress"


def best_of(children: Iterable[Child]) -> Child | None:
    """Return the child with the best result, the earlier one of equals; None when there is no result yet."""
    best: Child | None = None
    for child in sorted(children, key=lambda child: child.number):
        if child.value is None:
            continue
        if best is None or best.value is None or child.objective.is_better(child.value, best.value):
            best = child
    return best


def best_first(children: Sequence[Child]) -> list[Child]:
    """Return the children by their results, the best first; those without one behind them, by number."""

    def order(child: Child) -> tuple[bool, float, int]:
        value = child.value
        if value is None:
            return True, 0.0, child.number
        return False, -value if child.objective.is_maximized else value, child.number

    return sorted(children, key=order)


def in_order_of_end(children: Iterable[Child]) -> list[Child]:
    """Return the children that have a result, in the order in which they ended."""
    return sorted(
        (child for child in children if child.value is not None),
        key=lambda child: (child.ended_at or 0.0, child.number),
    )
