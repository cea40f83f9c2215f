"""The operations of EventBridge: rules, their targets, and events that somebody puts.

Source: Amazon EventBridge API Reference.
"""

import re
from datetime import UTC, datetime

import msgspec

from towpath.kernel import generic, paging
from towpath.kernel.errors import Conflict, Invalid, NotFound, TowpathError, Unsupported
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.kernel.texts import read_json
from towpath.pipelines.rights import ROLES, written_by
from towpath.triggers import patterns, schedules, targets
from towpath.triggers.envelopes import envelope
from towpath.triggers.kinds import COUNTED_ANEW, RULE
from towpath.triggers.matching import CUSTOM_EVENT
from towpath.triggers.model import BUS, RuleSpec, Target

_MOST_TARGETS = 5  #: of a rule. Source: Amazon EventBridge quotas
_LONGEST_EVENT = 256 * 1024  #: bytes of an entry of PutEvents. Source: EventBridge User Guide, "PutEvents entry size"
_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_SHOWN = ("EventPattern", "ScheduleExpression", "State", "Description", "RoleArn")
#: Members of a target that say how it is reached where there is no such thing here.
_ELSEWHERE = (
    "AppSyncParameters",
    "BatchParameters",
    "EcsParameters",
    "KinesisParameters",
    "RedshiftDataParameters",
    "RunCommandParameters",
    "SqsParameters",
)


def event_operations() -> dict[str, Operation]:
    """Return the operations of EventBridge by name."""
    rows = (
        ("PutRule", put_rule, True),
        ("DescribeRule", describe_rule, False),
        ("ListRules", list_rules, False),
        ("DeleteRule", delete_rule, True),
        ("EnableRule", enable_rule, True),
        ("DisableRule", disable_rule, True),
        ("PutTargets", put_targets, True),
        ("RemoveTargets", remove_targets, True),
        ("ListTargetsByRule", list_targets_by_rule, False),
        ("ListRuleNamesByTarget", list_rule_names_by_target, False),
        ("PutEvents", put_events, True),
        ("TestEventPattern", test_event_pattern, False),
        ("DescribeEventBus", describe_event_bus, False),
        ("ListEventBuses", list_event_buses, False),
        ("TagResource", tag_resource, True),
        ("UntagResource", untag_resource, True),
        ("ListTagsForResource", list_tags_for_resource, False),
    )
    return {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}


def put_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out PutRule: make a rule, or write what it waits for anew; its targets stay."""
    asked = request.input
    name = asked["Name"]
    _refuse_other_bus(transaction, asked)
    if not _NAME.fullmatch(name):
        raise Invalid(f"Name {name!r} is not valid; expected up to 64 of letters, digits, '.', '-' and '_'")
    pattern, expression = asked.get("EventPattern"), asked.get("ScheduleExpression")
    if pattern is None and expression is None:
        raise Invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if pattern is not None:
        patterns.compiled(pattern)
    rule = transaction.resources.find(RULE.noun, name)
    if expression is not None:
        schedule = schedules.parsed(expression, once=False)
        # Times that have come since it was written are no reason against another description or state.
        if rule is None or rule.spec.get("ScheduleExpression") != expression:
            schedules.refuse_never_due(expression, schedule, transaction.now)
    spec: Document = {member: asked[member] for member in _SHOWN if asked.get(member) is not None}
    spec.setdefault("State", "ENABLED")
    if rule is None:
        spec = written_by({**spec, "Targets": {}}, request.caller.roles)
        rule = generic.create(transaction, RULE, request, name=name, spec=spec, arn=_arn(transaction, name))
    else:
        kept = {member: rule.spec[member] for member in ("Targets", ROLES) if member in rule.spec}
        _change(transaction, request, rule, {**spec, **kept})
    return {"RuleArn": rule.arn}


def describe_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeRule."""
    rule = _rule(transaction, request, request.input["Name"])
    return {**_shown(rule), "CreatedBy": transaction.home.account}


def list_rules(transaction: Transaction, request: Request) -> Document:
    """Carry out ListRules, by name."""
    _refuse_other_bus(transaction, request.input)
    filters = [Filter("name", "begins", request.input["NamePrefix"])] if request.input.get("NamePrefix") else []
    page = transaction.resources.query(_query(request, *filters))
    return {"Rules": [_shown(rule) for rule in page.items], "NextToken": page.token}


def delete_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteRule; refused while it has targets, as on AWS. One that is not there is none to delete."""
    _refuse_other_bus(transaction, request.input)
    rule = transaction.resources.find(RULE.noun, request.input["Name"])
    if rule is None:
        return {}
    if rule.spec["Targets"]:
        raise Conflict("Rule can't be deleted since it has targets.", code="ValidationException")
    transaction.resources.replace(rule, deleted_at=transaction.now, state=COUNTED_ANEW)
    generic.record(transaction, rule, request, request.operation)
    return {}


def enable_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out EnableRule."""
    return _switch(transaction, request, "ENABLED")


def disable_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out DisableRule."""
    return _switch(transaction, request, "DISABLED")


def put_targets(transaction: Transaction, request: Request) -> Document:
    """Carry out PutTargets: each target that is in order is taken, and the others are told of."""
    rule = _rule(transaction, request, request.input["Rule"])
    kept, failed = dict(rule.spec["Targets"]), []
    for target in request.input["Targets"]:
        try:
            _check(transaction, target)
            if len({*kept, target["Id"]}) > _MOST_TARGETS:
                raise Invalid(f"A rule has at most {_MOST_TARGETS} targets.", code="LimitExceededException")
        except TowpathError as error:
            code = error.code or "ValidationException"
            failed.append({"TargetId": target["Id"], "ErrorCode": code, "ErrorMessage": error.message})
        else:
            kept[target["Id"]] = target
    if kept != rule.spec["Targets"]:
        _change(transaction, request, rule, {**rule.spec, "Targets": kept})
    return {"FailedEntryCount": len(failed), "FailedEntries": failed}


def remove_targets(transaction: Transaction, request: Request) -> Document:
    """Carry out RemoveTargets."""
    rule = _rule(transaction, request, request.input["Rule"])
    unknown = [each for each in request.input["Ids"] if each not in rule.spec["Targets"]]
    left = {name: target for name, target in rule.spec["Targets"].items() if name not in request.input["Ids"]}
    if left != rule.spec["Targets"]:
        _change(transaction, request, rule, {**rule.spec, "Targets": left})
    failed = [
        {
            "TargetId": each,
            "ErrorCode": "ResourceNotFoundException",
            "ErrorMessage": f"Rule {rule.name} has no target with the id {each}.",
        }
        for each in unknown
    ]
    return {"FailedEntryCount": len(failed), "FailedEntries": failed}


def list_targets_by_rule(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTargetsByRule, as they were put."""
    rule = _rule(transaction, request, request.input["Rule"])
    return _page(request, "Targets", list(rule.spec["Targets"].values()))


def list_rule_names_by_target(transaction: Transaction, request: Request) -> Document:
    """Carry out ListRuleNamesByTarget."""
    _refuse_other_bus(transaction, request.input)
    page = transaction.resources.query(_query(request))
    wanted = request.input["TargetArn"]
    names = [rule.name for rule in page.items if wanted in {each["Arn"] for each in rule.spec["Targets"].values()}]
    return {"RuleNames": names, "NextToken": page.token}


def put_events(transaction: Transaction, request: Request) -> Document:
    """Carry out PutEvents: each entry that is in order is an event that rules see, and the others are told of."""
    shown: list[Document] = []
    for entry in request.input["Entries"]:
        try:
            event = _put(transaction, entry)
        except TowpathError as error:
            shown.append({"ErrorCode": error.code or "InvalidArgument", "ErrorMessage": error.message})
            continue
        transaction.events.append(
            Event(
                type=CUSTOM_EVENT,
                subject=None,
                principal=request.caller.principal,
                at=transaction.now,
                detail=event,
            )
        )
        shown.append({"EventId": event["id"]})
    return {"FailedEntryCount": sum("ErrorCode" in each for each in shown), "Entries": shown}


def test_event_pattern(transaction: Transaction, request: Request) -> Document:
    """Carry out TestEventPattern."""
    try:
        event = read_json(request.input["Event"])
    except ValueError as error:
        raise Invalid(f"Event is not valid JSON: {error}") from error
    needed = ("id", "account", "source", "time", "region", "resources", "detail-type")
    missing = [name for name in needed if not isinstance(event, dict) or name not in event]
    if missing:
        raise Invalid(f"Parameter Event is not valid: it needs {', '.join(missing)}")
    return {"Result": patterns.matches(request.input["EventPattern"], event)}


def describe_event_bus(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeEventBus: there is the default one."""
    name = request.input.get("Name") or BUS
    _refuse_other_bus(transaction, {"EventBusName": name})
    return _bus(transaction)


def list_event_buses(transaction: Transaction, request: Request) -> Document:
    """Carry out ListEventBuses: the default one."""
    prefix = request.input.get("NamePrefix") or ""
    return _page(request, "EventBuses", [_bus(transaction)] if BUS.startswith(prefix) else [])


def tag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out TagResource."""
    rule = _tagged(transaction, request)
    transaction.resources.set_tags(rule.uid, {tag["Key"]: tag["Value"] for tag in request.input["Tags"]})
    return {}


def untag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out UntagResource."""
    transaction.resources.set_tags(_tagged(transaction, request).uid, dict.fromkeys(request.input["TagKeys"]))
    return {}


def list_tags_for_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTagsForResource."""
    return {"Tags": generic.all_tags(transaction, _tagged(transaction, request))}


def _check(transaction: Transaction, target: Document) -> None:
    """Refuse a target that could not be reached."""
    for member in _ELSEWHERE:
        if target.get(member) is not None:
            raise Unsupported(f"{member} belong to a service that is not here", code="ValidationException")
    try:
        targets.check(view(Target, target, strict=True), transaction.home)
    except msgspec.ValidationError as error:
        raise Invalid(f"Target {target['Id']}: {error}") from error


def _put(transaction: Transaction, entry: Document) -> Document:
    """Return an entry of PutEvents as an event.

    Raises:
        Invalid: it is none.
    """
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            raise Invalid(f"Parameter {member} is not valid. Reason: {member} is a required argument.")
    if entry["Source"].startswith("aws."):
        raise Invalid(
            "Not authorized for the source: events of aws.… are the platform's own.", code="NotAuthorizedForSource"
        )
    _refuse_other_bus(transaction, entry)
    if sum(len(str(entry.get(member, "")).encode()) for member in ("Source", "DetailType", "Detail")) > _LONGEST_EVENT:
        raise Invalid(f"The entry is larger than {_LONGEST_EVENT} bytes.", code="InvalidArgument")
    try:
        detail = read_json(entry["Detail"])
    except ValueError as error:
        raise Invalid(f"Detail is malformed: {error}", code="MalformedDetail") from error
    if not isinstance(detail, dict):
        raise Invalid("Detail is malformed: expected a JSON object.", code="MalformedDetail")
    at = transaction.now if entry.get("Time") is None else datetime.fromtimestamp(float(entry["Time"]), UTC)
    return envelope(
        transaction.home,
        source=entry["Source"],
        detail_type=entry["DetailType"],
        at=at,
        detail=detail,
        resources=tuple(entry.get("Resources") or ()),
    )


def _switch(transaction: Transaction, request: Request, state: str) -> Document:
    rule = _rule(transaction, request, request.input["Name"])
    if rule.spec["State"] != state:
        _change(transaction, request, rule, {**rule.spec, "State": state})
    return {}


def _change(transaction: Transaction, request: Request, rule: Resource, spec: Document) -> None:
    spec = written_by(spec, request.caller.roles)
    view(RuleSpec, spec)  # what is stored can be read
    changed = generic.with_sort(RULE, msgspec.structs.replace(rule, spec=spec))
    transaction.resources.replace(rule, spec=spec, sort=changed.sort, generation=rule.generation + 1)
    transaction.work.schedule(rule.uid, transaction.now)
    generic.record(transaction, rule, request, request.operation)


def _rule(transaction: Transaction, request: Request, name: str) -> Resource:
    _refuse_other_bus(transaction, request.input)
    return generic.find(transaction, RULE, name)


def _refuse_other_bus(transaction: Transaction, asked: Document) -> None:
    name = str(asked.get("EventBusName") or BUS)
    if name not in {BUS, _bus(transaction)["Arn"]}:
        raise NotFound(f"Event bus {name} does not exist; there is {BUS}.", code="ResourceNotFoundException")


def _bus(transaction: Transaction) -> Document:
    home = transaction.home
    return {"Name": BUS, "Arn": f"arn:aws:events:{home.region}:{home.account}:event-bus/{BUS}"}


def _arn(transaction: Transaction, name: str) -> str:
    return f"arn:aws:events:{transaction.home.region}:{transaction.home.account}:rule/{name}"


def _shown(rule: Resource) -> Document:
    shown = {member: rule.spec[member] for member in _SHOWN if member in rule.spec}
    return {"Name": rule.name, "Arn": rule.arn, "EventBusName": BUS, **shown}


def _query(request: Request, *filters: Filter) -> Query:
    return Query(
        kind=RULE.noun,
        filters=filters,
        sort_by="name",
        descending=False,
        limit=paging.size(request.input, "Limit"),
        token=request.input.get("NextToken"),
    )


def _page(request: Request, member: str, items: list[Document]) -> Document:
    """Return the answer of a List operation on what is at hand whole."""
    page, token = paging.oldest_first(items, request.input.get("NextToken"), paging.size(request.input, "Limit"))
    return {member: page, "NextToken": token}


def _tagged(transaction: Transaction, request: Request) -> Resource:
    arn = request.input["ResourceARN"]
    found = transaction.resources.by_arn(arn)
    if found is None or found.kind != RULE.noun:
        raise NotFound(f"There is no rule with the ARN {arn}.", code="ResourceNotFoundException")
    return found
