"""Dead letters: what could not be delivered goes into a queue, with what is known of why.

Source: Amazon EventBridge User Guide, "Using dead-letter queues to process undelivered events"; EventBridge Scheduler
User Guide, "Configuring a dead-letter queue".
"""

from enum import StrEnum

import msgspec

from towpath.kernel.errors import StaleRevision, TowpathError
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.queues import find_queue, send
from towpath.triggers.envelopes import SCHEDULER
from towpath.triggers.model import DeliverySpec
from towpath.triggers.targets import queue_name

_LONGEST_MESSAGE = 1000  #: characters of ERROR_MESSAGE


class ErrorCode(StrEnum):
    """Why an event was not delivered, as AWS groups it."""

    NO_RESOURCE = "NO_RESOURCE"  #: the target is not there
    CLIENT_ERROR = "SDK_CLIENT_ERROR"  #: anything else


class Exhausted(StrEnum):
    """Which part of a retry policy has ended the tries."""

    TRIES = "MaximumRetryAttempts"
    AGE = "MaximumEventAgeInSeconds"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event was given up."""

    told: str
    code: ErrorCode = ErrorCode.CLIENT_ERROR
    retries: int = 0
    exhausted: Exhausted | None = None  #: None: trying again would not have helped


def bury(transaction: Transaction, delivery: Resource, spec: DeliverySpec, body: str, failure: Failure) -> str | None:
    """Put what was given up into its target's dead-letter queue; return what to tell of that, None where it has none.

    Args:
        body: what the target of a schedule was to get; of a rule the event goes into the queue, whole.
    """
    arn = spec.target.dead_letter_config.arn
    if arn is None:
        return None
    name = queue_name(arn)
    text = body if _is_schedule(spec) else msgspec.json.encode(spec.event).decode()
    attributes = {key: {"DataType": "String", "StringValue": value} for key, value in _said(delivery, spec, failure)}
    try:
        with transaction.nested():
            queue = find_queue(transaction, name)
            message = send(transaction, queue, text, by=delivery.created_by, attributes=attributes)
    except StaleRevision:
        raise  # the whole decision is void and is taken again
    except TowpathError as error:
        return f"and could not be put into the dead-letter queue {name}: {error.message}"
    return f"put into the dead-letter queue {name} as message {message.name}"


def _is_schedule(spec: DeliverySpec) -> bool:
    return bool(spec.event["source"] == SCHEDULER)


def _said(delivery: Resource, spec: DeliverySpec, failure: Failure) -> list[tuple[str, str]]:
    """Return the attributes of a dead letter."""
    said = [
        ("ERROR_CODE", failure.code.value),
        ("ERROR_MESSAGE", failure.told[:_LONGEST_MESSAGE] or "unknown"),
        ("RETRY_ATTEMPTS", str(failure.retries)),
        ("TARGET_ARN", spec.target.arn),
    ]
    if failure.exhausted is not None:
        said.append(("EXHAUSTED_RETRY_CONDITION", failure.exhausted.value))
    if not _is_schedule(spec):
        return [*said, ("RULE_ARN", spec.source_arn)]
    told: Document = spec.event
    return [
        *said,
        ("SCHEDULE_ARN", spec.source_arn),
        ("SCHEDULED_TIME", str(told["time"])),
        ("EXECUTION_ID", delivery.uid),
    ]
