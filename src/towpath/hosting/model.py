"""The values of hosting: requests as typed views, and what a model, a fleet and its instances are."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from towpath.jobs.channels import PinnedInput
from towpath.jobs.model import Phase
from towpath.kernel.resource import Document, Uid
from towpath.registry.packages import Container

STARTUP_TIMEOUT_S = 600.0


class EndpointStatus(StrEnum):
    """SageMaker's EndpointStatus, as far as this platform uses it."""

    CREATING = "Creating"
    UPDATING = "Updating"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateModel, as far as decisions read it."""

    primary_container: Container | None = None
    containers: tuple[Container, ...] = ()
    enable_network_isolation: bool = False


class ModelState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a model is made of, looked up once when it was created."""

    image: str
    environment: dict[str, str] = msgspec.field(default_factory=dict)  #: of the package, then of the request
    inputs: tuple[PinnedInput, ...] = ()  #: model archive and code by exact version
    package_uid: Uid | None = None
    package_arn: str | None = None


class VariantSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One production variant of an endpoint config."""

    variant_name: str
    model_name: str | None = None
    initial_instance_count: int = 1
    instance_type: str = "ml.m5.large"
    initial_variant_weight: float = 1.0
    container_startup_health_check_timeout_in_seconds: float = STARTUP_TIMEOUT_S
    serverless_config: dict[str, Any] | None = None


class CaptureSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """DataCaptureConfig, as far as decisions read it."""

    enable_capture: bool = False


class EndpointConfigSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateEndpointConfig, as far as decisions read it."""

    production_variants: tuple[VariantSpec, ...] = ()
    shadow_production_variants: tuple[VariantSpec, ...] = ()
    data_capture_config: CaptureSpec = CaptureSpec()
    async_inference_config: dict[str, Any] | None = None
    explainer_config: dict[str, Any] | None = None


class VariantProperties(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What is wanted of a variant, whatever the endpoint config says."""

    desired_weight: float | None = None
    desired_instance_count: int | None = None


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateEndpoint with later updates merged in."""

    endpoint_config_name: str
    variant_properties: dict[str, VariantProperties] = msgspec.field(default_factory=dict)  #: over the config's
    #: The generation that the serving fleet followed when only other weights and counts were asked of it; None where
    #: another fleet is to take its place.
    resizes: int | None = None


class VariantPlan(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A variant as one fleet serves it. Everything is copied here, so that neither a deleted config nor a new object
    changes what a running fleet is, and an instance that is started again gets the same bytes."""

    name: str
    weight: float
    instance_count: int
    instance_type: str
    startup_timeout_s: float
    model_name: str
    model_uid: Uid
    package_arn: str | None
    image: str
    python: str  #: interpreter of the image's environment
    environment: dict[str, str]
    inputs: tuple[PinnedInput, ...]
    network: bool = True


class FleetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be started for one generation of an endpoint."""

    config_name: str
    variants: tuple[VariantPlan, ...]


class PlanFailed(msgspec.Struct, frozen=True):
    """Why there is no plan for a generation."""

    reason: str


class Stage(StrEnum):
    """How far a fleet is."""

    STARTING = "Starting"
    SERVING = "Serving"  #: gets the traffic; at most one fleet of an endpoint
    DRAINING = "Draining"  #: gets no new requests, finishes those it has
    STOPPING = "Stopping"
    FAILED = "Failed"  #: never served; kept until the next update, so that its logs can be read


class Instance(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One model server of a fleet."""

    variant: int  #: position in the fleet's variants
    number: int  #: from 0, within the variant
    attempt: int = 1
    submitted_at: datetime  #: when the platform decided to start this attempt
    healthy: bool = False  #: has answered a ping in this attempt, and has not been silent for long since
    missed: int = 0  #: pings in a row without an answer since it was healthy, some time apart
    missed_at: datetime | None = None  #: the last of them
    failures: int = 0  #: ends in quick succession; each doubles the wait before the next attempt
    stop_asked_at: datetime | None = None


class Fleet(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The model servers of one generation of an endpoint."""

    generation: int
    config_name: str
    stage: Stage = Stage.STARTING
    since: datetime  #: when it was planned
    variants: tuple[VariantPlan, ...] = ()
    instances: tuple[Instance, ...] = ()
    drain_until: datetime | None = None
    ended: tuple[str, ...] = ()  #: keys of attempts that were replaced, oldest first; their logs are kept a while
    wanted: tuple[VariantPlan, ...] = ()  #: while it is resized: its variants as they will be
    resized: int = 0  #: generation whose weights and counts it has or gets; 0: those of the generation it was made for
    next_number: int = 0  #: the lowest number that no instance has had, where some were added

    @property
    def follows(self) -> int:
        """The generation of the endpoint that the fleet answers to."""
        return self.resized or self.generation


class EndpointState(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """What the platform made of an endpoint's spec."""

    fleets: tuple[Fleet, ...] = ()  #: oldest first
    failure_reason: str | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one attempt."""

    phase: Phase
    address: str = ""  #: socket path, where the phase is READY
    answers: bool = False  #: to a ping, or to a request lately; asked only where `wants_ping`
    reason: str | None = None  #: why it ended, where it ended
    stopped: bool = False  #: it ended because somebody asked; where that was not us, it says nothing about the model


def attempt_key(uid: Uid, fleet: Fleet, instance: Instance) -> str:
    """Return the back end's key of an instance's attempt; it begins with the endpoint's uid."""
    return f"{uid}-{fleet.generation}-{instance.variant}-{instance.number}-{instance.attempt}"


def attempts_of(uid: Uid, state: EndpointState) -> list[str]:
    """Return the keys of all attempts that the state knows."""
    keys: list[str] = []
    for fleet in state.fleets:
        keys += [attempt_key(uid, fleet, instance) for instance in fleet.instances]
        keys += fleet.ended
    return keys


def state_document(state: msgspec.Struct) -> Document:
    """Return a typed state exactly as it is read back from the store, so that equal states compare equal."""
    document: Document = msgspec.json.decode(msgspec.json.encode(state))
    return document
