"""What a trial component is: what somebody wrote down, or a job's own record, and the trials that it belongs to."""

import msgspec

from towpath.kernel.resource import Document, Resource, Uid, view


class Membership(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A trial that a component belongs to, and the trial's experiment."""

    trial: Uid
    experiment: Uid


class Origin(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The job whose record a component is."""

    uid: Uid
    arn: str


class ComponentState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What the platform knows of a component. What a job did is not repeated here: it is read from the job."""

    trials: tuple[Membership, ...] = ()
    job: Origin | None = None
    last_modified_by: str | None = None


class TrialState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What the platform knows of a trial."""

    experiment: Uid
    executions: tuple[
        Uid, ...
    ] = ()  #: the pipeline executions and tuning jobs whose jobs belong to it, the latest last
    source: dict[str, str] | None = None  #: SourceArn and SourceType
    last_modified_by: str | None = None


def component_state(component: Resource) -> ComponentState:
    """Return the typed state of a trial component."""
    return view(ComponentState, component.state)


def trial_state(trial: Resource) -> TrialState:
    """Return the typed state of a trial."""
    return view(TrialState, trial.state)


def state_document(state: ComponentState | TrialState) -> Document:
    """Return a state as it stands in the store."""
    document: Document = msgspec.to_builtins(state)
    return document
