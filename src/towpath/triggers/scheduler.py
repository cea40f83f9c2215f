"""The operations of EventBridge Scheduler.

Source: Amazon EventBridge Scheduler API Reference.
"""

import re
from datetime import UTC, datetime

import msgspec

from towpath.kernel import generic, paging
from towpath.kernel.errors import Conflict, Invalid, NotFound, Unsupported
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.repeats import TOKENS, digest_of, is_repeated, token_of
from towpath.kernel.resource import Document, Resource, view
from towpath.pipelines.rights import written_by
from towpath.triggers import schedules, targets
from towpath.triggers.kinds import COUNTED_ANEW, SCHEDULE, schedule_name
from towpath.triggers.model import GROUP, ScheduleSpec

_NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
_LEFT_OUT = frozenset({"Name", "GroupName", *TOKENS})
_TOKEN, _DIGEST = "ClientToken", "RequestDigest"  #: members of a spec: of the request that made it; never shown
_TIMES = ("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate")  #: when a schedule is due
_ELSEWHERE = (
    "EcsParameters",
    "EventBridgeParameters",
    "KinesisParameters",
    "SqsParameters",
)


def scheduler_operations() -> dict[str, Operation]:
    """Return the operations of EventBridge Scheduler by name."""
    rows = (
        ("CreateSchedule", create_schedule, True),
        ("GetSchedule", get_schedule, False),
        ("UpdateSchedule", update_schedule, True),
        ("DeleteSchedule", delete_schedule, True),
        ("ListSchedules", list_schedules, False),
        ("GetScheduleGroup", get_schedule_group, False),
        ("ListScheduleGroups", list_schedule_groups, False),
    )
    return {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}


def create_schedule(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateSchedule. The same request with the same token gives the schedule that it made."""
    asked = request.input
    name = _checked_name(asked)
    existing = transaction.resources.find(SCHEDULE.noun, name)
    if existing is not None and is_repeated(
        request, token=existing.spec.get(_TOKEN), digest=existing.spec.get(_DIGEST), arn=existing.arn
    ):
        # Before it is checked: meanwhile its only time may have passed.
        return {"ScheduleArn": existing.arn}
    spec = _checked(transaction, asked)
    if existing is not None:
        raise Conflict(f"Schedule {asked['Name']} already exists.", code="ConflictException")
    token = token_of(request)
    if token is not None:
        spec |= {_TOKEN: token, _DIGEST: digest_of(request)}
    home = transaction.home
    arn = f"arn:aws:scheduler:{home.region}:{home.account}:schedule/{name}"
    spec = written_by(spec, request.caller.roles)
    schedule = generic.create(transaction, SCHEDULE, request, name=name, spec=spec, arn=arn)
    return {"ScheduleArn": schedule.arn}


def get_schedule(transaction: Transaction, request: Request) -> Document:
    """Carry out GetSchedule."""
    schedule = _schedule(transaction, request)
    return {
        **schedule.spec,
        "Arn": schedule.arn,
        "GroupName": GROUP,
        "Name": _short(schedule),
        "CreationDate": schedule.created_at.timestamp(),
        "LastModificationDate": schedule.modified_at.timestamp(),
    }


def update_schedule(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateSchedule: everything is as this request says, and what it leaves out is as by default."""
    schedule = _schedule(transaction, request)
    spec = written_by(_checked(transaction, request.input, schedule.spec), request.caller.roles)
    transaction.resources.replace(schedule, spec=spec, generation=schedule.generation + 1)
    transaction.work.schedule(schedule.uid, transaction.now)
    generic.record(transaction, schedule, request, request.operation)
    return {"ScheduleArn": schedule.arn}


def delete_schedule(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteSchedule."""
    schedule = _schedule(transaction, request)
    transaction.resources.replace(schedule, deleted_at=transaction.now, state=COUNTED_ANEW)
    generic.record(transaction, schedule, request, request.operation)
    return {}


def list_schedules(transaction: Transaction, request: Request) -> Document:
    """Carry out ListSchedules, by name."""
    asked = request.input
    if asked.get("GroupName") not in {None, GROUP}:
        return {"Schedules": []}
    page = transaction.resources.query(
        Query(
            kind=SCHEDULE.noun,
            filters=(Filter("name", "begins", schedule_name(asked.get("NamePrefix") or "")),),
            sort_by="name",
            descending=False,
            limit=paging.size(asked),
            token=asked.get("NextToken"),
        )
    )
    shown = [
        {
            "Arn": schedule.arn,
            "GroupName": GROUP,
            "Name": _short(schedule),
            "State": schedule.spec.get("State", "ENABLED"),
            "CreationDate": schedule.created_at.timestamp(),
            "LastModificationDate": schedule.modified_at.timestamp(),
            "Target": {"Arn": schedule.spec["Target"]["Arn"]},
        }
        for schedule in page.items
    ]
    wanted = asked.get("State")
    found = [each for each in shown if wanted in {None, each["State"]}]
    return {"Schedules": found, **({} if page.token is None else {"NextToken": page.token})}


def get_schedule_group(transaction: Transaction, request: Request) -> Document:
    """Carry out GetScheduleGroup: there is the default one."""
    _refuse_other_group(request.input.get("Name"))
    return _group(transaction)


def list_schedule_groups(transaction: Transaction, request: Request) -> Document:
    """Carry out ListScheduleGroups: the default one."""
    wanted = GROUP.startswith(request.input.get("NamePrefix") or "")
    groups = [_group(transaction)] if wanted else []
    page, token = paging.oldest_first(groups, request.input.get("NextToken"), paging.size(request.input))
    return {"ScheduleGroups": page, "NextToken": token}


def _checked_name(asked: Document) -> str:
    _refuse_other_group(asked.get("GroupName"))
    if not _NAME.fullmatch(asked["Name"]):
        raise Invalid(f"Name {asked['Name']!r} is not valid; expected up to 64 of letters, digits, '.', '-' and '_'")
    return schedule_name(asked["Name"])


def _checked(transaction: Transaction, asked: Document, before: Document | None = None) -> Document:
    """Return what a schedule is to be, with its defaults.

    Args:
        before: what it was; times that have come since then are no reason to refuse another target or state.
    Raises:
        Invalid: it could never be due, or its target never be reached.
    """
    spec = {name: value for name, value in asked.items() if name not in _LEFT_OUT and value is not None}
    spec = {"State": "ENABLED", "ScheduleExpressionTimezone": "UTC", "ActionAfterCompletion": "NONE", **spec}
    try:
        wanted = view(ScheduleSpec, spec, strict=True)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
    schedule = schedules.parsed(wanted.schedule_expression, wanted.schedule_expression_timezone)
    window = asked["FlexibleTimeWindow"]
    has_most = window.get("MaximumWindowInMinutes") is not None
    if window["Mode"] == "FLEXIBLE" and not has_most:
        raise Invalid("FlexibleTimeWindow: the mode FLEXIBLE needs MaximumWindowInMinutes")
    if window["Mode"] != "FLEXIBLE" and has_most:
        raise Invalid(
            "FlexibleTimeWindow: MaximumWindowInMinutes goes with the mode FLEXIBLE alone, "
            f"and this is {window['Mode']}"
        )
    if wanted.start_date is not None and wanted.end_date is not None and wanted.start_date >= wanted.end_date:
        raise Invalid("The StartDate must be before the EndDate.")
    if before is None or any(spec.get(member) != before.get(member) for member in _TIMES):
        _refuse_past(wanted, schedule, transaction.now)
    for member in _ELSEWHERE:
        if asked["Target"].get(member) is not None:
            raise Unsupported(f"Target.{member} belong to a service that is not here", code="ValidationException")
    targets.check(wanted.target, transaction.home)
    return spec


def _refuse_past(wanted: ScheduleSpec, schedule: schedules.Schedule, now: datetime) -> None:
    if wanted.end_date is not None and wanted.end_date <= now.timestamp():
        raise Invalid("The EndDate you specify cannot be earlier than the time at which the schedule is created.")
    schedules.refuse_never_due(
        wanted.schedule_expression,
        schedule,
        now,
        begins_at=_moment(wanted.start_date),
        ends_at=_moment(wanted.end_date),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _schedule(transaction: Transaction, request: Request) -> Resource:
    return generic.find(transaction, SCHEDULE, _checked_name(request.input))


def _short(schedule: Resource) -> str:
    return schedule.name.partition("/")[2]


def _refuse_other_group(name: str | None) -> None:
    if name not in {None, GROUP}:
        raise NotFound(f"Schedule group {name} does not exist; there is {GROUP}.", code="ResourceNotFoundException")


def _group(transaction: Transaction) -> Document:
    home = transaction.home
    arn = f"arn:aws:scheduler:{home.region}:{home.account}:schedule-group/{GROUP}"
    return {"Arn": arn, "Name": GROUP, "State": "ACTIVE"}
