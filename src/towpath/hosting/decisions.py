"""What a look at an endpoint finds, and what a decision about it asks for: a new state, and effects on the world."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from towpath.hosting.model import (
    EndpointState,
    EndpointStatus,
    Fleet,
    FleetPlan,
    Instance,
    PlanFailed,
    Seen,
    VariantProperties,
)
from towpath.hosting.routing import Entry
from towpath.kernel.resource import Uid


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it stands."""

    uid: Uid
    generation: int
    status: EndpointStatus
    state: EndpointState
    resizes: int | None = None  #: of `model.EndpointSpec`
    wanted: Mapping[str, VariantProperties] = msgspec.field(default_factory=dict)  #: of variants by name

    @property
    def is_followed(self) -> bool:
        """Whether one of its fleets answers to its generation, whatever became of that fleet."""
        return any(fleet.follows == self.generation for fleet in self.state.fleets)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The world around an endpoint."""

    plan: FleetPlan | PlanFailed | None = None  #: given where `wants_plan`
    attempts: Mapping[str, Seen]
    entry: Entry | None = None  #: what the front door knows now
    in_flight: Mapping[str, int]  #: requests by attempt, where there are any


class Submit(msgspec.Struct, frozen=True):
    """Start an instance's attempt."""

    key: str
    fleet: Fleet
    instance: Instance


class SetRoutes(msgspec.Struct, frozen=True):
    """Tell the front door, None to forget the endpoint."""

    entry: Entry | None


class Stop(msgspec.Struct, frozen=True):
    """Stop an attempt."""

    key: str
    at_once: bool = False  #: without time for the requests that it has


class Forget(msgspec.Struct, frozen=True):
    """Remove what an ended attempt left."""

    key: str


Effect = Submit | SetRoutes | Stop | Forget


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The next change of an endpoint."""

    state: EndpointState
    status: EndpointStatus
    effects: tuple[Effect, ...] = ()
    due_at: datetime | None = None
    deployed: Fleet | None = None  #: the fleet that begins to serve with this change
    removed: bool = False  #: nothing is left of the endpoint
