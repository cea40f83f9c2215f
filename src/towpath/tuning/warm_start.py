"""What a tuning job takes over from earlier ones: which it may begin with, and what they found out."""

from collections.abc import Iterable, Sequence

from towpath.jobs import is_terminal
from towpath.jobs.tuned import objective_of, tuned_of
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document, Resource
from towpath.tuning.launching import definitions_of
from towpath.tuning.plan import Arm, Plan, plan_of
from towpath.tuning.search import Trial

IDENTICAL = "IdenticalDataAndAlgorithm"
MEMBER = "WarmStartConfig"


def names_of(spec: Document) -> list[str]:
    """Return the names of the earlier tuning jobs that a request names."""
    config = spec.get(MEMBER) or {}
    return [parent["HyperParameterTuningJobName"] for parent in config.get("ParentHyperParameterTuningJobs") or ()]


def is_identical(spec: Document) -> bool:
    """Return whether a request says that data and algorithm are those of the earlier tuning jobs."""
    return (spec.get(MEMBER) or {}).get("WarmStartType") == IDENTICAL


def check(spec: Document, parents: Iterable[Resource]) -> None:
    """Refuse earlier tuning jobs whose results say nothing about a new one.

    Raises:
        Invalid: one still runs, has another objective or, with IdenticalDataAndAlgorithm, other data, another image or
            other hyperparameters.
    Source: Amazon SageMaker API Reference, "HyperParameterTuningJobWarmStartConfig".
    """
    plan = plan_of(spec)
    for parent in parents:
        place = f"{MEMBER}: the tuning job {parent.name!r}"
        if not is_terminal(parent.status):
            raise Invalid(f"{place} is {parent.status}; its results are there when it has ended")
        earlier = plan_of(parent.spec)
        theirs, ours = (sorted({str(arm.objective) for arm in found.arms}) for found in (earlier, plan))
        if theirs != ours:
            raise Invalid(
                f"{place} has the objective {_objectives(earlier)}, and this one has {_objectives(plan)}; it must be "
                "the same"
            )
        if is_identical(spec):
            _refuse_others(spec, plan, parent, earlier, place)


def _objectives(plan: Plan) -> str:
    return ", ".join(sorted({f"{arm.objective.type} {arm.objective.metric_name!r}" for arm in plan.arms}))


def _refuse_others(spec: Document, plan: Plan, parent: Resource, earlier: Plan, place: str) -> None:
    here, there = definitions_of(spec), definitions_of(parent.spec)
    if len(here) != len(there):
        raise Invalid(f"{place} has {len(there)} definitions and this one {len(here)}; {IDENTICAL} wants the same")
    for ours, our_arm, theirs, their_arm in zip(here, plan.arms, there, earlier.arms, strict=True):
        member = _other_member(ours, theirs)
        if member is not None:
            raise Invalid(f"{place} has another {member}; with other data or algorithms say TransferLearning")
        if _hyper_parameters(ours, our_arm) != _hyper_parameters(theirs, their_arm):
            raise Invalid(
                f"{place} has the hyperparameters {', '.join(_hyper_parameters(theirs, their_arm))}, and this one has "
                f"{', '.join(_hyper_parameters(ours, our_arm))}; {IDENTICAL} wants the same, searched or static"
            )


def _other_member(ours: Document, theirs: Document) -> str | None:
    if ours["AlgorithmSpecification"].get("TrainingImage") != theirs["AlgorithmSpecification"].get("TrainingImage"):
        return "TrainingImage"
    return None if ours.get("InputDataConfig") == theirs.get("InputDataConfig") else "InputDataConfig"


def _hyper_parameters(definition: Document, arm: Arm) -> list[str]:
    return sorted({*(definition.get("StaticHyperParameters") or {}), *(parameter.name for parameter in arm.space)})


def trials_of(plan: Plan, jobs: Sequence[Resource]) -> tuple[tuple[Trial, ...], ...]:
    """Return for each arm of a plan what the training jobs of earlier tuning jobs have found out.

    What was static then may be searched now, so a trial holds all hyperparameters of its training job.
    """
    return tuple(
        tuple(
            Trial(point=job.spec.get("HyperParameters") or {}, value=value)
            for job in jobs
            if (noted := tuned_of(job)) is not None
            and (len(plan.arms) == 1 or noted.definition_name == arm.name)
            and (value := objective_of(job)) is not None
        )
        for arm in plan.arms
    )
