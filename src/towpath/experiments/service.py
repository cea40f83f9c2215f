"""The operations on experiments, trials and trial components."""

from typing import Any

from msgspec.structs import replace

from towpath.experiments.components import Components
from towpath.experiments.kinds import (
    EXPERIMENT,
    IN_EXPERIMENT,
    OF_SOURCE,
    TRIAL,
    TRIAL_COMPONENT,
    in_experiment,
    in_trial,
)
from towpath.experiments.metrics import batch_get_metrics, batch_put_metrics
from towpath.experiments.model import TrialState, component_state, state_document, trial_state
from towpath.experiments.record import membership, put_state
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operation, Request
from towpath.kernel.paging import token_of, values_of
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource, Uid

#: What only a job itself can tell of a component that is its record.
_TOLD_BY_THE_JOB = ("Status", "StartTime", "EndTime")
_MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")
_MOST_TRIALS = 500  #: of one component


class Experiments:
    """The operations on experiments, trials and trial components."""

    def __init__(self, components: Components) -> None:
        self._components = components

    def operations(self) -> list[Operation]:
        """Return all of them."""
        return [
            Operation(name="CreateExperiment", function=create_experiment),
            *generic.operations_of(EXPERIMENT),
            Operation(name="UpdateExperiment", function=_updating(EXPERIMENT, "DisplayName", "Description")),
            Operation(name="CreateTrial", function=create_trial),
            generic.describe_operation(TRIAL),
            Operation(name="ListTrials", function=list_trials, writes=False),
            Operation(name="UpdateTrial", function=_updating(TRIAL, "DisplayName")),
            generic.delete_operation(TRIAL),
            Operation(name="CreateTrialComponent", function=create_trial_component),
            Operation(name="DescribeTrialComponent", function=self.describe_trial_component, writes=False),
            Operation(name="ListTrialComponents", function=self.list_trial_components, writes=False),
            Operation(name="UpdateTrialComponent", function=update_trial_component),
            generic.delete_operation(TRIAL_COMPONENT),
            Operation(name="AssociateTrialComponent", function=associate),
            Operation(name="DisassociateTrialComponent", function=disassociate),
            Operation(name="BatchPutMetrics", function=batch_put_metrics),
            Operation(name="BatchGetMetrics", function=batch_get_metrics, writes=False),
        ]

    def describe_trial_component(self, transaction: Transaction, request: Request) -> Document:
        """Carry out DescribeTrialComponent."""
        component = generic.find(transaction, TRIAL_COMPONENT, request.input["TrialComponentName"])
        return self._components.shown(transaction, component)

    def list_trial_components(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ListTrialComponents: all, or those of an experiment, of a trial, or of a job."""
        asked = request.input
        given = [name for name in ("ExperimentName", "TrialName", "SourceArn") if asked.get(name) is not None]
        narrowed: list[Filter] = []
        match given:
            case []:
                pass
            case ["ExperimentName"]:
                experiment = generic.find(transaction, EXPERIMENT, asked["ExperimentName"])
                narrowed.append(Filter(in_experiment(experiment.uid), "=", 1.0))
            case ["TrialName"]:
                trial = generic.find(transaction, TRIAL, asked["TrialName"])
                narrowed.append(Filter(in_trial(trial.uid), "=", 1.0))
            case ["SourceArn"]:
                narrowed.append(Filter(OF_SOURCE, "=", asked["SourceArn"].lower()))
            case _:
                raise Invalid(
                    f"Give one of {', '.join(given)}: a list is narrowed by experiment, by trial or by source"
                )
        page = transaction.resources.query(generic.query_of(TRIAL_COMPONENT, request, *narrowed))
        shown = [self._components.shown(transaction, component) for component in page.items]
        answer: Document = {"TrialComponentSummaries": shown}
        return answer if page.token is None else {**answer, "NextToken": page.token}


def create_experiment(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateExperiment."""
    return {"ExperimentArn": generic.create(transaction, EXPERIMENT, request).arn}


def create_trial(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateTrial: in an experiment that is there."""
    experiment = generic.find(transaction, EXPERIMENT, request.input["ExperimentName"])
    spec = {name: value for name, value in request.input.items() if name not in {"Tags", "TrialName", "ExperimentName"}}
    trial = generic.create(
        transaction,
        TRIAL,
        request,
        spec={**spec, "ExperimentName": experiment.name},
        state=state_document(TrialState(experiment=experiment.uid)),
    )
    return {"TrialArn": trial.arn}


def create_trial_component(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateTrialComponent."""
    return {"TrialComponentArn": generic.create(transaction, TRIAL_COMPONENT, request).arn}


def _updating(kind: Kind, *members: str) -> Any:
    def update(transaction: Transaction, request: Request) -> Document:
        resource = generic.find(transaction, kind, request.input[kind.name_member])
        changed = {name: request.input[name] for name in members if name in request.input}
        return {kind.arn_member: _updated(transaction, request, resource, {**resource.spec, **changed}).arn}

    return update


def update_trial_component(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateTrialComponent: what is given is added, what is named to be removed goes.

    Raises:
        Conflict: the component is the record of a job, and what would change is for the job to tell.
    """
    asked = request.input
    component = generic.find(transaction, TRIAL_COMPONENT, asked["TrialComponentName"])
    told = [member for member in _TOLD_BY_THE_JOB if member in asked]
    if told and component_state(component).job is not None:
        raise Conflict(
            f"{component.name} is the record of a job, whose status and times cannot be written ({', '.join(told)}); "
            "parameters and artifacts can be added",
            code="ValidationException",
        )
    spec = dict(component.spec)
    spec.update({name: asked[name] for name in ("DisplayName", *_TOLD_BY_THE_JOB) if name in asked})
    for name in _MAPS:
        merged = {**spec.get(name, {}), **asked.get(name, {})}
        for key in asked.get(f"{name}ToRemove", ()):
            merged.pop(key, None)
        if merged or name in spec:
            spec[name] = merged
    return {"TrialComponentArn": _updated(transaction, request, component, spec).arn}


def _updated(transaction: Transaction, request: Request, resource: Resource, spec: Document) -> Resource:
    updated = transaction.resources.replace(
        resource,
        spec=spec,
        state={**resource.state, "LastModifiedBy": request.caller.principal},
        generation=resource.generation + 1,
    )
    generic.record(transaction, updated, request, request.operation)
    return updated


def associate(transaction: Transaction, request: Request) -> Document:
    """Carry out AssociateTrialComponent; doing it again changes nothing."""
    component, trial = _pair(transaction, request)
    state = component_state(component)
    if all(known.trial != trial.uid for known in state.trials):
        if len(state.trials) == _MOST_TRIALS:
            raise Invalid(f"{component.name} belongs to {_MOST_TRIALS} trials already, which is the limit")
        component = put_state(transaction, component, replace(state, trials=(*state.trials, membership(trial))))
        generic.record(transaction, component, request, request.operation, trial=trial.arn)
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def disassociate(transaction: Transaction, request: Request) -> Document:
    """Carry out DisassociateTrialComponent."""
    component, trial = _pair(transaction, request)
    state = component_state(component)
    left = tuple(known for known in state.trials if known.trial != trial.uid)
    if left == state.trials:
        raise TRIAL_COMPONENT.missing(f"Association of the trial {trial.name!r} and TrialComponent", component.name)
    component = put_state(transaction, component, replace(state, trials=left))
    generic.record(transaction, component, request, request.operation, trial=trial.arn)
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def _pair(transaction: Transaction, request: Request) -> tuple[Resource, Resource]:
    component = generic.find(transaction, TRIAL_COMPONENT, request.input["TrialComponentName"])
    return component, generic.find(transaction, TRIAL, request.input["TrialName"])


def list_trials(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTrials: all, those of an experiment, or those that a component belongs to."""
    asked = request.input
    narrowed: list[Filter] = []
    if asked.get("ExperimentName") is not None:
        experiment = generic.find(transaction, EXPERIMENT, asked["ExperimentName"])
        narrowed.append(Filter(IN_EXPERIMENT, "=", experiment.uid))
    query = generic.query_of(TRIAL, request, *narrowed)
    if asked.get("TrialComponentName") is not None:
        component = generic.find(transaction, TRIAL_COMPONENT, asked["TrialComponentName"])
        items, token = _trials_of(transaction, component, query)
    else:
        page = transaction.resources.query(query)
        items, token = page.items, page.token
    answer: Document = {"TrialSummaries": [generic.document(TRIAL, trial) for trial in items]}
    return answer if token is None else {**answer, "NextToken": token}


def _trials_of(transaction: Transaction, component: Resource, query: Query) -> tuple[list[Resource], str | None]:
    """Return a page of the trials of one component, which are few: the component names them."""
    found = [transaction.resources.get(known.trial) for known in component_state(component).trials]
    trials = [trial for trial in found if trial is not None and trial.is_live and _passes(trial, query)]
    keyed = sorted(((getattr(trial, query.sort_by), trial.uid, trial) for trial in trials), reverse=query.descending)
    if query.token is not None:
        position = [uid for _, uid, _ in keyed].index(_uid(query.token, keyed)) + 1
        keyed = keyed[position:]
    token = None
    if len(keyed) > query.limit:
        token = token_of((keyed[query.limit - 1][1],))
    return [trial for _, _, trial in keyed[: query.limit]], token


def _uid(token: str, keyed: list[tuple[Any, Uid, Resource]]) -> Uid:
    uid = Uid(str(values_of(token, 1)[0]))
    if uid not in {known for _, known, _ in keyed}:
        raise Invalid(f"NextToken {token!r} is not one of this list any more; begin anew without it")
    return uid


def _passes(trial: Resource, query: Query) -> bool:
    for condition in query.filters:
        if condition.member == IN_EXPERIMENT and trial_state(trial).experiment != condition.value:
            return False
        if condition.member == "created_at":
            early = trial.created_at < condition.value
            if early if condition.operator == ">=" else trial.created_at > condition.value:
                return False
    return True


def trial_shown(transaction: Transaction, trial: Resource) -> Document:
    """Return what a search shows of a trial: with its components, of many the latest."""
    within = Query(kind=TRIAL_COMPONENT.noun, filters=(Filter(in_trial(trial.uid), "=", 1.0),), limit=100)
    components = transaction.resources.query(within).items
    summaries = [generic.document(TRIAL_COMPONENT, component) for component in components]
    return {**generic.document(TRIAL, trial), "TrialComponentSummaries": summaries}
