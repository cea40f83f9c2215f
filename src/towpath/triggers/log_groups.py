"""Log groups as targets: each event becomes a line, in the transaction in which its delivery ends.

Source: Amazon EventBridge User Guide, "Amazon CloudWatch Logs groups as targets"; CloudWatch Logs API Reference.
"""

import json
import re
from datetime import UTC, datetime, timedelta

from towpath.kernel import generic
from towpath.kernel.arns import Home
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.kernel.texts import read_json
from towpath.triggers.kinds import LOG_GROUP
from towpath.triggers.model import EVENT_GROUPS

_NAME = re.compile(rf"{EVENT_GROUPS}[.\-_/#A-Za-z0-9]{{1,500}}")
_IN_ARN = ":log-group:"
#: Old lines that go with one that comes: more than come, so that a heap of them becomes smaller.
_GO_AT_ONCE = 100
_OLDEST, _AHEAD = timedelta(days=14), timedelta(hours=2)  #: times that a line may have, before and after now
_OF_TEMPLATE = {"timestamp", "message"}  #: members of what an input template for a log group makes


def group_operations() -> list[Operation]:
    """Return the operations of CloudWatch Logs that make and remove groups."""
    return [
        Operation(name="CreateLogGroup", function=create_log_group, writes=True),
        Operation(name="DeleteLogGroup", function=delete_log_group, writes=True),
    ]


def create_log_group(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateLogGroup: a group for events; those of jobs, endpoints and functions are there by themselves."""
    name = request.input["logGroupName"]
    if _NAME.fullmatch(name) is None:
        raise Unsupported(
            f"{name!r} is no group that can be made; expected {EVENT_GROUPS}NAME, which rules write events to. The "
            "groups of jobs, endpoints and functions are there by themselves."
        )
    for member in ("kmsKeyId", "tags"):
        if request.input.get(member):
            raise Unsupported(f"{member} belongs to a service that is not here; leave it out")
    if transaction.resources.find(LOG_GROUP.noun, name) is not None:
        raise Conflict("The specified log group already exists", code="ResourceAlreadyExistsException")
    generic.create(transaction, LOG_GROUP, request, name=name, spec={}, arn=arn_of(name, transaction.home))
    return {}


def delete_log_group(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteLogGroup: the group goes with its lines."""
    group = generic.find(transaction, LOG_GROUP, request.input["logGroupName"])
    transaction.lines.forget(group.uid)
    transaction.resources.replace(group, deleted_at=transaction.now)
    generic.record(transaction, group, request, request.operation)
    return {}


def arn_of(name: str, home: Home) -> str:
    """Return the ARN of a group."""
    return f"arn:aws:logs:{home.region}:{home.account}{_IN_ARN}{name}"


def group_named(arn: str, home: Home) -> str:
    """Return the name in the ARN of a group that events can be written to.

    Raises:
        Invalid: it is none, or one of elsewhere.
    """
    name = arn.partition(_IN_ARN)[2].removesuffix(":*")
    if _NAME.fullmatch(name) is None:
        raise Invalid(f"{arn!r} is no log group that events are written to; expected its name to be {EVENT_GROUPS}NAME")
    if arn.removesuffix(":*") != arn_of(name, home):
        raise Invalid(f"{arn!r} is a log group elsewhere; here are those of {home.region} and account {home.account}")
    return name


def write(transaction: Transaction, group: Resource, body: str, *, templated: bool, keep_days: float) -> None:
    """Write a line to a group.

    Args:
        body: what the target gets of the event.
        templated: whether an input template has made it: it then says time and text, as AWS wants it, or is the text.
        keep_days: older lines of all groups go, some at a time.
    """
    at, text = transaction.now, body
    if templated:
        at, text = _as_template_says(body, at)
    transaction.lines.append(group.uid, at, text, transaction.now)
    transaction.lines.drop(transaction.now - timedelta(days=keep_days), _GO_AT_ONCE)


def _as_template_says(body: str, now: datetime) -> tuple[datetime, str]:
    """Return (time, text) of `{"timestamp": …, "message": …}`; of anything else now, and the whole.

    A time is milliseconds since 1970, or written as events have theirs: 2027-01-31T12:00:00Z. One that PutLogEvents
    would not take is none. Source: Amazon CloudWatch Logs API Reference, "PutLogEvents".
    """
    try:
        told = read_json(body)
    except ValueError:
        return now, body
    if not isinstance(told, dict) or set(told) != _OF_TEMPLATE:
        return now, body
    message = told["message"]
    at = _moment(told["timestamp"])
    if at is None or not now - _OLDEST <= at <= now + _AHEAD:
        at = now
    return at, message if isinstance(message, str) else json.dumps(message)


def _moment(told: object) -> datetime | None:
    try:
        if isinstance(told, int | float) and not isinstance(told, bool):
            return datetime.fromtimestamp(told / 1000, UTC)
        if isinstance(told, str):
            read = datetime.fromisoformat(told)
            return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
