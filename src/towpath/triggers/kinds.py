"""The kinds of triggers: rules, schedules, deliveries, and the log groups that events are written to."""

from towpath.kernel.errors import Conflict, NotFound
from towpath.kernel.kinds import Kind
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.triggers.model import GROUP

SOURCE = "Source"  #: indexed member of a delivery that is on its way: uid of its rule or schedule
#: State of a rule or schedule that somebody deletes: where it is brought back, no time until then was missed.
COUNTED_ANEW: Document = {}
EVENT_PATTERN = "EventPattern"  #: indexed member of the rules that wait for events


def _missing_rule(_: str, name: str) -> NotFound:
    return NotFound(f"Rule {name} does not exist on EventBus default.", code="ResourceNotFoundException")


def _missing_schedule(_: str, name: str) -> NotFound:
    return NotFound(f"Schedule {name.partition('/')[2] or name} does not exist.", code="ResourceNotFoundException")


def _missing_group(_: str, name: str) -> NotFound:
    return NotFound(
        f"The specified log group does not exist: {name!r}; CreateLogGroup makes it.", code="ResourceNotFoundException"
    )


def _refuse_group(_: Transaction, group: Resource) -> None:
    raise Conflict(f"The lines of the log group {group.name} went with it; CreateLogGroup makes an empty one")


def _index_rule(rule: Resource) -> dict[str, str | float | None]:
    waits = rule.spec.get("EventPattern") is not None and rule.spec.get("State") != "DISABLED"
    return {EVENT_PATTERN: 1.0 if waits else None}


def _index_delivery(delivery: Resource) -> dict[str, str | float | None]:
    return {SOURCE: delivery.spec["Source"] if delivery.is_live else None}


def _refuse_undelete(_: Transaction, delivery: Resource) -> None:
    raise Conflict(f"The delivery {delivery.name} is done; an event is not delivered again")


RULE = Kind(
    noun="Rule",
    arn_type="rule",
    name_member="Name",
    arn_member="Arn",
    missing=_missing_rule,
    indexed=_index_rule,
    controlled=True,
)

#: A schedule's name is GROUP/NAME.
SCHEDULE = Kind(
    noun="Schedule",
    arn_type="schedule",
    name_member="Name",
    arn_member="Arn",
    missing=_missing_schedule,
    controlled=True,
)

#: An event on its way to a target; a tombstone once it has arrived or was given up.
DELIVERY = Kind(
    noun="Delivery",
    arn_type="delivery",
    name_member="DeliveryId",
    arn_member="DeliveryArn",
    indexed=_index_delivery,
    refuse_undelete=_refuse_undelete,
    comes_back=False,
    controlled=True,
)

#: A log group's name is the whole: /aws/events/NAME.
LOG_GROUP = Kind(
    noun="LogGroup",
    arn_type="log-group",  # its ARN is arn:aws:logs:REGION:ACCOUNT:log-group:NAME
    name_member="logGroupName",
    arn_member="logGroupArn",
    missing=_missing_group,
    refuse_undelete=_refuse_group,
    comes_back=False,
)

KINDS = (RULE, SCHEDULE, DELIVERY, LOG_GROUP)


def schedule_name(name: str, group: str = GROUP) -> str:
    """Return the name under which a schedule is kept."""
    return f"{group}/{name}"
