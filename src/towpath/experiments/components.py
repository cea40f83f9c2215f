"""What a trial component shows: what was written down, joined with what its job tells."""

from collections.abc import Callable, Mapping

from towpath.experiments.kinds import EXPERIMENT, TRIAL, TRIAL_COMPONENT
from towpath.experiments.metrics import summaries
from towpath.experiments.model import component_state
from towpath.kernel import generic
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource

#: Noun of a kind of job -> what a job tells of itself, under the API's names for trial components
JobsTell = Mapping[str, Callable[[Resource], Document]]

_JOINED = ("Parameters", "InputArtifacts", "OutputArtifacts")  #: maps that a user may add to


class Components:
    """Shows trial components."""

    def __init__(self, jobs_tell: JobsTell) -> None:
        self._jobs_tell = jobs_tell

    def shown(self, transaction: Transaction, component: Resource) -> Document:
        """Return what Describe, List and a search show of a component."""
        document = generic.document(TRIAL_COMPONENT, component)
        state = component_state(component)
        # A deleted job tells its part until its tombstone goes.
        job = None if state.job is None else transaction.resources.get(state.job.uid)
        if job is not None:
            told = self._jobs_tell[job.kind](job)
            joined = {name: {**told.get(name, {}), **document.get(name, {})} for name in _JOINED}
            document = {**document, **told, **joined}
            document["TrialComponentSource"] = told["Source"]
            document["SourceDetail"] = {"SourceArn": job.arn}
            document["LastModifiedTime"] = max(component.modified_at, job.modified_at).timestamp()
        document["Metrics"] = summaries(transaction, component, job)
        document["Parents"] = list(self._parents(transaction, component))
        return document

    def _parents(self, transaction: Transaction, component: Resource) -> list[Document]:
        found = []
        for membership in component_state(component).trials:
            trial = transaction.resources.get(membership.trial)
            experiment = transaction.resources.get(membership.experiment)
            if trial is not None and experiment is not None:
                found.append({TRIAL.name_member: trial.name, EXPERIMENT.name_member: experiment.name})
        return found
