"""The values of triggers: what a rule or a schedule wants, and how a delivery stands."""

from enum import StrEnum

import msgspec

from towpath.kernel.resource import Document, Uid

BUS = "default"  #: the one event bus
EVENT_GROUPS = (
    "/aws/events/"  #: what the names of log groups begin with that are targets. Source: EventBridge, "Targets"
)
GROUP = "default"  #: the one group of schedules
LONGEST_AGE_S = 86_400  #: how old an event may become before it is given up. Source: EventBridge, RetryPolicy
MOST_RETRIES = 185


class ParameterValue(msgspec.Struct, frozen=True, rename="pascal"):
    """A parameter that a pipeline is started with; a value that begins with $. is read from the event."""

    name: str
    value: str


class PipelineParameters(msgspec.Struct, frozen=True, rename="pascal"):
    """What a pipeline is started with."""

    pipeline_parameter_list: tuple[ParameterValue, ...] = ()


class HttpParameters(msgspec.Struct, frozen=True, rename="pascal"):
    """What a webhook's request carries beside the event; a value that begins with $. is read from the event."""

    path_parameter_values: tuple[str, ...] = ()  #: for each * in the path of the address
    header_parameters: dict[str, str] = {}
    query_string_parameters: dict[str, str] = {}


class InputTransformer(msgspec.Struct, frozen=True, rename="pascal"):
    """How the text that a target gets is made of an event."""

    input_template: str
    input_paths_map: dict[str, str] = {}


class RetryPolicy(msgspec.Struct, frozen=True, rename="pascal"):
    """How long a delivery is tried."""

    maximum_event_age_in_seconds: int = LONGEST_AGE_S
    maximum_retry_attempts: int = MOST_RETRIES


class DeadLetterConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """Where an event goes that could not be delivered."""

    arn: str | None = None  #: of a queue


class Target(msgspec.Struct, frozen=True, rename="pascal"):
    """Where an event goes. Of a schedule's one target there is no Id."""

    arn: str
    id: str = ""
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    sage_maker_pipeline_parameters: PipelineParameters = PipelineParameters()
    http_parameters: HttpParameters = HttpParameters()
    retry_policy: RetryPolicy = RetryPolicy()
    dead_letter_config: DeadLetterConfig = DeadLetterConfig()


class RuleSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """A rule: the events that it waits for, or the times at which it is due, and where either goes."""

    state: str = "ENABLED"
    event_pattern: str | None = None
    schedule_expression: str | None = None
    targets: dict[str, Target] = {}

    @property
    def is_enabled(self) -> bool:
        """Whether it does anything now."""
        return self.state != "DISABLED"


class ScheduleSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """A schedule of EventBridge Scheduler: times, between two dates, and one target."""

    schedule_expression: str
    target: Target
    state: str = "ENABLED"
    schedule_expression_timezone: str = "UTC"
    start_date: float | None = None  #: seconds since 1970
    end_date: float | None = None  #: seconds since 1970; nothing is due after it
    action_after_completion: str = "NONE"  #: DELETE: the schedule goes when nothing more is due


class DeliveryStatus(StrEnum):
    """How a delivery stands."""

    PENDING = "Pending"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class DeliverySpec(msgspec.Struct, frozen=True, rename="pascal"):
    """One event for one target, as both were when it happened."""

    source: Uid  #: the rule or schedule
    source_arn: str
    target: Target
    event: Document  #: in EventBridge's form
    roles: tuple[str, ...] | None = None  #: of whoever wrote the rule or schedule; None: an administrator's


class DeliveryState(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What became of a delivery."""

    tries: int = 0  #: that have failed
    reason: str | None = None  #: of the last failure
    result: str | None = None  #: what was started, or what the target answered
