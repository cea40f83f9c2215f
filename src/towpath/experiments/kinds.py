"""The kinds Experiment, Trial and TrialComponent."""

from towpath.experiments.model import component_state, trial_state
from towpath.kernel.errors import Conflict, InUse
from towpath.kernel.kinds import COMMON_SORT, CREATED_FILTERS, Kind, View, resource_not_found
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.principals import user_context
from towpath.kernel.resource import Document, Resource, Uid

_SORT = {name: COMMON_SORT[name] for name in ("Name", "CreationTime")}
IN_EXPERIMENT = "experiment"  #: indexed member of a trial: uid of its experiment
OF_SOURCE = "source"  #: indexed member of a trial component: ARN of its job, in lower case, as the SDKs ask for it


def of_execution(execution: Uid) -> str:
    """Return the indexed member that a trial has for each pipeline execution whose jobs belong to it."""
    return f"execution:{execution}"


def in_trial(trial: Uid) -> str:
    """Return the indexed member that a component has for each trial that it belongs to."""
    return f"trial:{trial}"


def in_experiment(experiment: Uid) -> str:
    """Return the indexed member that a component has for each experiment that it belongs to."""
    return f"experiment:{experiment}"


def _who(resource: Resource) -> Document:
    last = resource.state.get("LastModifiedBy") or resource.created_by
    return {
        "DisplayName": resource.spec.get("DisplayName") or resource.name,
        "CreatedBy": user_context(resource.account, resource.created_by),
        "LastModifiedBy": user_context(resource.account, last),
    }


def _experiment_shown(experiment: Resource) -> Document:
    source = experiment.state.get("Source")
    return {**_who(experiment), **({} if source is None else {"Source": source, "ExperimentSource": source})}


def _trial_shown(trial: Resource) -> Document:
    source = trial_state(trial).source
    return {**_who(trial), **({} if source is None else {"Source": source, "TrialSource": source})}


def _trial_indexed(trial: Resource) -> dict[str, str | float | None]:
    state = trial_state(trial)
    return {IN_EXPERIMENT: state.experiment, **dict.fromkeys(map(of_execution, state.executions), 1.0)}


def _component_indexed(component: Resource) -> dict[str, str | float | None]:
    state = component_state(component)
    indexed: dict[str, str | float | None] = {OF_SOURCE: None if state.job is None else state.job.arn.lower()}
    for membership in state.trials:
        indexed[in_trial(membership.trial)] = 1.0
        indexed[in_experiment(membership.experiment)] = 1.0
    return indexed


def _refuse_with_trials(transaction: Transaction, experiment: Resource) -> None:
    within = Query(kind="Trial", filters=(Filter(IN_EXPERIMENT, "=", experiment.uid),), limit=1)
    trials = transaction.resources.query(within).items
    if trials:
        raise InUse(
            f"Experiment {experiment.name!r} cannot be deleted while it has trials, for example {trials[0].name!r}; "
            "delete them first with DeleteTrial",
            code="ValidationException",
        )


def _refuse_with_components(transaction: Transaction, trial: Resource) -> None:
    within = Query(kind="TrialComponent", filters=(Filter(in_trial(trial.uid), "=", 1.0),), limit=1)
    components = transaction.resources.query(within).items
    if components:
        raise InUse(
            f"Trial {trial.name!r} cannot be deleted while it has trial components, for example "
            f"{components[0].name!r}; take them out first with DisassociateTrialComponent",
            code="ValidationException",
        )


def _refuse_in_a_trial(transaction: Transaction, component: Resource) -> None:
    for membership in component_state(component).trials:
        trial = transaction.resources.get(membership.trial)
        raise InUse(
            f"TrialComponent {component.name!r} cannot be deleted while it belongs to a trial, for example "
            f"{membership.trial if trial is None else trial.name!r}; take it out first with DisassociateTrialComponent",
            code="ValidationException",
        )


def _refuse_without_experiment(transaction: Transaction, trial: Resource) -> None:
    experiment = transaction.resources.get(trial_state(trial).experiment)
    if experiment is None or not experiment.is_live:
        raise Conflict(f"The experiment of the trial {trial.name!r} is deleted too; undelete that first")


EXPERIMENT = Kind(
    noun="Experiment",
    arn_type="experiment",
    name_member="ExperimentName",
    arn_member="ExperimentArn",
    describe="DescribeExperiment",
    listing="ListExperiments",
    list_member="ExperimentSummaries",
    delete="DeleteExperiment",
    missing=resource_not_found,
    view=View(computed=_experiment_shown),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    refuse_delete=_refuse_with_trials,
)

TRIAL = Kind(
    noun="Trial",
    arn_type="experiment-trial",
    name_member="TrialName",
    arn_member="TrialArn",
    describe="DescribeTrial",
    listing="ListTrials",
    list_member="TrialSummaries",
    delete="DeleteTrial",
    missing=resource_not_found,
    view=View(computed=_trial_shown),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    indexed=_trial_indexed,
    refuse_delete=_refuse_with_components,
    refuse_undelete=_refuse_without_experiment,
)

TRIAL_COMPONENT = Kind(
    noun="TrialComponent",
    arn_type="experiment-trial-component",
    name_member="TrialComponentName",
    arn_member="TrialComponentArn",
    describe="DescribeTrialComponent",
    listing="ListTrialComponents",
    list_member="TrialComponentSummaries",
    delete="DeleteTrialComponent",
    missing=resource_not_found,
    view=View(computed=_who),
    sort_by=_SORT,
    filters=CREATED_FILTERS,
    page=10,
    indexed=_component_indexed,
    refuse_delete=_refuse_in_a_trial,
)

KINDS = (EXPERIMENT, TRIAL, TRIAL_COMPONENT)
