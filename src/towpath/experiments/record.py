"""What writes itself down: executions and tuning jobs become trials, jobs become trial components of them.

Source: Amazon SageMaker Developer Guide, "Amazon SageMaker Experiments" and "Experiments integration" of pipelines.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from towpath.experiments.kinds import EXPERIMENT, TRIAL, TRIAL_COMPONENT, of_execution
from towpath.experiments.model import (
    ComponentState,
    Membership,
    Origin,
    TrialState,
    component_state,
    state_document,
    trial_state,
)
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, Uid

#: Noun of a kind of job -> what the name of its component ends in.
SUFFIXES: Mapping[str, str] = {
    "ProcessingJob": "aws-processing-job",
    "TrainingJob": "aws-training-job",
    "TransformJob": "aws-transform-job",
}
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}")
_LONGEST_NAME = 120
_TUNING_SUFFIX = "aws-tuning-job"  #: ends the name of the experiment and the trial of a tuning job
_MOST_EXECUTIONS = 50  #: that share one trial at the same time


def component_name(kind: str, job: str) -> str:
    """Return the name of the trial component of a job."""
    return f"{job}-{SUFFIXES[kind]}"


def begin_execution(
    transaction: Transaction, request: Request, execution: Resource, config: Document, pipeline_arn: str
) -> None:
    """Make the trial of a pipeline execution, and its experiment where that is not there yet.

    Args:
        config: ExperimentName and TrialName, as the definition gives them.
    Raises:
        Invalid: a name is not one that an experiment or trial may have.
    """
    experiment = ensure_experiment(
        transaction,
        request,
        _checked(config, "ExperimentName"),
        {"SourceArn": pipeline_arn, "SourceType": "SageMakerPipeline"},
    )
    name = _checked(config, "TrialName")
    existing = transaction.resources.find(TRIAL.noun, name)
    if existing is None:
        state = TrialState(
            experiment=experiment.uid,
            executions=(execution.uid,),
            source={"SourceArn": execution.arn, "SourceType": "SageMakerPipelineExecution"},
        )
        make_trial(transaction, request, name, experiment, state)
    elif trial_state(existing).experiment != experiment.uid:
        raise Conflict(
            f"The trial {name!r} belongs to another experiment than {experiment.name!r}; name another one in "
            "PipelineExperimentConfig",
            code="ValidationException",
        )
    else:
        _join(transaction, existing, execution.uid)


def begin_tuning(transaction: Transaction, request: Request, tuning: Resource) -> None:
    """Say which trial the training jobs of a tuning job belong to.

    It is that of the pipeline execution which started the tuning job, else one of its own in an experiment of its own.
    """
    trials = _trials_of_execution(transaction, tuning.parent)
    for trial in trials:
        _join(transaction, trial, tuning.uid)
    if trials:
        return
    name = f"{tuning.name}-{_TUNING_SUFFIX}"
    source = {"SourceArn": tuning.arn, "SourceType": "SageMakerHyperParameterTuningJob"}
    experiment = ensure_experiment(transaction, request, name, source)
    existing = transaction.resources.find(TRIAL.noun, name)
    if existing is not None:  # of a tuning job that had the name before
        _join(transaction, existing, tuning.uid)
        return
    state = TrialState(experiment=experiment.uid, executions=(tuning.uid,), source=source)
    make_trial(transaction, request, name, experiment, state)


def _join(transaction: Transaction, trial: Resource, starter: Uid) -> None:
    """Let what `starter` starts belong to a trial."""
    known = trial_state(trial)
    joined = replace(known, executions=(*known.executions, starter)[-_MOST_EXECUTIONS:])
    after = replace(trial, state=state_document(joined))
    transaction.resources.replace(trial, state=after.state, sort=generic.with_sort(TRIAL, after).sort)


def _checked(config: Document, member: str) -> str:
    # A pipeline's name may be longer than an experiment's.
    name = str(config.get(member) or "")[:_LONGEST_NAME].rstrip("-")
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"PipelineExperimentConfig: {member} is {config.get(member)!r}; expected letters, digits and hyphens, "
            "beginning with a letter or digit"
        )
    return name


def ensure_experiment(
    transaction: Transaction, request: Request, name: str, source: dict[str, str] | None = None
) -> Resource:
    """Return the experiment of that name, made on behalf of `request` where it is absent."""
    existing = transaction.resources.find(EXPERIMENT.noun, name)
    if existing is not None:
        return existing
    asked = replace(request, operation="CreateExperiment", input={"ExperimentName": name}, parent=None)
    return generic.create(transaction, EXPERIMENT, asked, state={} if source is None else {"Source": source})


def make_trial(
    transaction: Transaction, request: Request, name: str, experiment: Resource, state: TrialState
) -> Resource:
    """Return a new trial of an experiment, made on behalf of `request`."""
    asked = replace(
        request,
        operation="CreateTrial",
        input={"TrialName": name, "ExperimentName": experiment.name},
        parent=None,
    )
    return generic.create(transaction, TRIAL, asked, state=state_document(state))


def begin_job(transaction: Transaction, request: Request, job: Resource) -> None:
    """Make the trial component of a job that was just created, in the trials that it belongs to.

    Those are the trial of the pipeline execution or tuning job that started it, and the one that its ExperimentConfig
    names.

    Raises:
        NotFound: ExperimentConfig names an experiment or a trial that there is not.
    """
    config = job.spec.get("ExperimentConfig") or {}
    trials = [*_trials_of_execution(transaction, job.parent), *_trials_named(transaction, request, job, config)]
    display = config.get("TrialComponentDisplayName")
    state = ComponentState(
        trials=tuple({trial.uid: membership(trial) for trial in trials}.values()),
        job=Origin(uid=job.uid, arn=job.arn),
    )
    name = component_name(job.kind, job.name)
    existing = transaction.resources.find(TRIAL_COMPONENT.noun, name)
    if existing is not None:
        known = component_state(existing)
        if known.job is None:  # somebody wrote it down ahead of the job
            both = {known.trial: known for known in (*known.trials, *state.trials)}
            put_state(transaction, existing, replace(state, trials=tuple(both.values())))
            return
        # The component of a job that had the name before, and was deleted.
        transaction.resources.replace(existing, deleted_at=transaction.now)
    spec = {} if display is None else {"DisplayName": display}
    asked = replace(request, operation="CreateTrialComponent", input={}, parent=None)
    generic.create(transaction, TRIAL_COMPONENT, asked, name=name, spec=spec, state=state_document(state))


def join_execution(transaction: Transaction, job: Uid, execution: Uid) -> None:
    """Put the component of a job into the trial of an execution that took its result over."""
    ran = transaction.resources.get(job)
    if ran is None or ran.kind not in SUFFIXES:
        return
    component = transaction.resources.find(TRIAL_COMPONENT.noun, component_name(ran.kind, ran.name))
    if component is None:
        return
    known = component_state(component)
    joined = {trial.uid: membership(trial) for trial in _trials_of_execution(transaction, execution)}
    both = {known.trial: known for known in (*known.trials, *joined.values())}
    if known.job is not None and known.job.uid == job and len(both) > len(known.trials):
        put_state(transaction, component, replace(known, trials=tuple(both.values())))


def membership(trial: Resource) -> Membership:
    """Return what a component notes of a trial that it belongs to."""
    return Membership(trial=trial.uid, experiment=trial_state(trial).experiment)


def put_state(transaction: Transaction, component: Resource, state: ComponentState, **changes: object) -> Resource:
    """Write the state of a component, with what it is found by, and other changes."""
    after = replace(component, state=state_document(state))
    indexed = generic.with_sort(TRIAL_COMPONENT, after).sort
    return transaction.resources.replace(component, state=after.state, sort=indexed, **changes)


def _trials_of_execution(transaction: Transaction, execution: Uid | None) -> list[Resource]:
    if execution is None:
        return []
    return transaction.resources.by_member(TRIAL.noun, of_execution(execution))


def _trials_named(transaction: Transaction, request: Request, job: Resource, config: Document) -> list[Resource]:
    experiment_name, trial_name = config.get("ExperimentName"), config.get("TrialName")
    experiment = None if experiment_name is None else generic.find(transaction, EXPERIMENT, experiment_name)
    if trial_name is not None:
        trial = transaction.resources.find(TRIAL.noun, trial_name)
        if trial is None and experiment is None:
            raise TRIAL.missing(TRIAL.noun, trial_name)
        if trial is not None:
            if experiment is not None and trial_state(trial).experiment != experiment.uid:
                raise Invalid(f"The trial {trial_name!r} does not belong to the experiment {experiment.name!r}")
            return [trial]
    if experiment is None:
        return []
    # As SageMaker does where an experiment is named without a trial.
    name = trial_name or f"{job.name}-trial"
    return [make_trial(transaction, request, name, experiment, TrialState(experiment=experiment.uid))]
