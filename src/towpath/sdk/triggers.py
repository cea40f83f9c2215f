"""Triggers: rules and schedules that start pipelines, call functions and webhooks or write logs, as EventBridge's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from towpath.sdk.alarms import Alarm, Alarms, Threshold, gone_off
from towpath.sdk.awaited import described_pipeline, not_there_yet, refuse_never
from towpath.sdk.errors import Conflict, DefinitionError, NotFound, RequestFailed
from towpath.sdk.event_members import read_in_vain
from towpath.sdk.expressions import Document
from towpath.sdk.known import nothing_called
from towpath.sdk.logs import LogLine, LogReader, lines_while, log_groups
from towpath.sdk.schedules import Schedules
from towpath.sdk.undoing import Undo

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_TARGET = "target"  #: id of the one target of a trigger that is made here
#: What PutRule takes of what ListRules tells.
_WRITTEN = ("Name", "EventPattern", "ScheduleExpression", "State", "Description", "RoleArn")
_LOGS = "/aws/events/"  #: what the names of the log groups begin with that events are written to


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A rule or a schedule."""

    name: str
    waits_for: str  #: an event pattern (JSON), or a schedule expression
    targets: tuple[str, ...]  #: ARNs of pipelines, functions, queues and log groups, and addresses of webhooks
    enabled: bool
    is_rule: bool  #: of EventBridge; else a schedule of EventBridge Scheduler
    schedule: str | None = None  #: schedule expression of a rule that waits for an event pattern, too
    next_at: float | None = None  #: seconds since 1970: the next of its times
    is_over: bool = False  #: it had times to wait for, and none of them is still to come
    alarm: Alarm | None = None  #: that it waits for
    missing: tuple[str, ...] = ()  #: told where it was made: what it waits for and was not there then, in sentences
    doubtful: tuple[str, ...] = ()  #: told where it was made: what each of its starts would fail for, in sentences

    @property
    def waits_for_events(self) -> bool:
        """Whether it waits for events, be it beside times."""
        return self.waits_for.startswith("{")

    @property
    def waits_for_times(self) -> bool:
        """Whether it waits for times, be it beside events."""
        return self.schedule is not None or not self.waits_for_events


@dataclass(frozen=True, kw_only=True)
class SkippedTimes:
    """A run of times of a schedule for which nothing was started."""

    count: int
    first: float  #: seconds since 1970
    last: float  #: seconds since 1970


@dataclass(frozen=True, kw_only=True)
class TriggerDelivery:
    """What came of one event for one target, or of times of a schedule that were skipped."""

    at: float  #: seconds since 1970
    event: str  #: its type
    about: tuple[str, ...]  #: ARNs or URIs of what it happened to
    target: str  #: empty where times were skipped
    status: str  #: Pending, Delivered, Failed or Skipped
    event_at: float | None  #: seconds since 1970: when the event happened; of a schedule, the time that had come
    result: str  #: ARN of the execution or call that it started, the answer of the webhook, or why the last try failed
    skipped: SkippedTimes | None = None


def new_objects(uri: str) -> Document:
    """Return the pattern of the event that an object was created under an S3 URI, for example `s3://lake/raw/`.

    Raises:
        DefinitionError: it is no S3 URI.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise DefinitionError(f"{uri!r} is not an S3 URI; expected s3://BUCKET/PREFIX")
    detail: Document = {"bucket": {"name": [bucket]}}
    if prefix:
        detail["object"] = {"key": [{"prefix": prefix}]}
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


def approved_versions(group: str) -> Document:
    """Return the pattern of the event that a version of a model package group was approved."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }


def _refuse_parameters(pipeline: str, definition: Document, given: Mapping[str, str]) -> None:
    """Say now what each start would fail for later: a parameter that is not there, or one that is missing."""
    declared = {str(each["Name"]): each for each in definition.get("Parameters") or []}
    for name in given:
        if name not in declared:
            raise DefinitionError(
                f"pipeline {pipeline} has no parameter {name!r}; it has {', '.join(declared) or 'none'}"
            )
    for name, each in declared.items():
        if name not in given and "DefaultValue" not in each:
            raise DefinitionError(f"pipeline {pipeline} has a parameter without a default: give -p {name}=VALUE")


def _skipped_times(told: Document | None) -> SkippedTimes | None:
    if told is None:
        return None
    return SkippedTimes(count=told["Count"], first=float(told["FirstTime"]), last=float(told["LastTime"]))


def _log_name(log: str) -> str:
    """Return the name of the log group of a log, which may be named by it."""
    return log if log.startswith(_LOGS) else f"{_LOGS}{log}"


def _alarm_name(waits_for: str) -> str | None:
    """Return the alarm whose going off a pattern waits for, None for another pattern."""
    if not waits_for.startswith("{"):
        return None
    pattern = json.loads(waits_for)
    named = (pattern.get("detail") or {}).get("alarmName")
    name = named[0] if isinstance(named, list) and len(named) == 1 else None
    return name if isinstance(name, str) and pattern == gone_off(name) else None


class Triggers:
    """The triggers of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._alarms = Alarms(client)
        self._schedules = Schedules(client)

    def create(
        self,
        name: str,
        *,
        pipeline: str | None = None,
        webhook: str | None = None,
        function: str | None = None,
        log: str | None = None,
        pattern: Mapping[str, object] | None = None,
        schedule: str | None = None,
        alarm: Threshold | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Trigger:
        """Make a rule with one target, or change the one of that name.

        Args:
            pipeline: name of the pipeline to start; else a webhook, a function or a log.
            webhook: address that gets each event as JSON.
            function: name of a function that is called with each event; see `Client.functions`.
            log: name of a log to which each event is written as a line; it is made where there is none. See `lines`.
            pattern: the events to wait for, in EventBridge's form; see `new_objects` and `approved_versions`.
            schedule: when to start instead, in UTC: `rate(1 day)` or `cron(0 3 * * ? *)`.
            alarm: wait instead until a metric comes to values that it must not; see `sdk.alarms.threshold`. The alarm
                has the trigger's name.
            parameters: of the pipeline; a value that begins with `$.` is read from the event.
        Raises:
            DefinitionError: there is not one target and one thing to wait for, or the pipeline as it is now could not
                be started with these parameters, or there is a schedule of that name.
            RequestFailed: the server refuses one of them; what was made or changed until then is undone.
        """
        if [pipeline, webhook, function, log].count(None) != 3:
            raise DefinitionError("a trigger has one target: give one of pipeline, webhook, function and log")
        if sum(each is not None for each in (pattern, schedule, alarm)) != 1:
            raise DefinitionError("a trigger waits for one thing: give either pattern, schedule or alarm")
        if parameters and pipeline is None:
            raise DefinitionError("parameters are those of a pipeline; all others get the whole event")
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise DefinitionError(f"{webhook!r} is no address of a webhook; expected https://HOST/PATH")
        target: Document = {"Id": _TARGET, "Arn": webhook}
        if function is not None:
            target["Arn"] = self._client.functions.find(function).arn
        if pipeline is not None:
            described = described_pipeline(self._client, pipeline)
            _refuse_parameters(pipeline, json.loads(described["PipelineDefinition"]), parameters or {})
            arn = described["PipelineArn"]
            given = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
            target = {"Id": _TARGET, "Arn": arn, "SageMakerPipelineParameters": {"PipelineParameterList": given}}
        self._refuse_to_hide(name)
        before = self._alarm_of(name)
        if alarm is not None:
            refuse_never(self._client, alarm)
            pattern = gone_off(name)
        waits: Document = (
            {"EventPattern": json.dumps(pattern)} if schedule is None else {"ScheduleExpression": schedule}
        )
        with Undo() as undo:
            if alarm is not None:
                undo.by(f"alarm {name}", self._alarms.put(name, alarm))
            undo.by(f"rule {name}", self._put_rule({"Name": name, "State": "ENABLED", **waits}))
            if log is not None:
                target["Arn"] = self._log_group(log, undo)
            undo.by(f"the target of rule {name}", self._put_target(name, target))
            if before is not None and alarm is None:
                self._alarms.rm(before)
        made = next(each for each in self.ls() if each.is_rule and each.name == name)
        return replace(
            made,
            missing=tuple(not_there_yet(self._client, pattern, alarm)),
            doubtful=tuple(read_in_vain(pattern, schedule, parameters or {})),
        )

    def ls(self) -> list[Trigger]:
        """Return all rules and schedules, by name."""
        found = {
            rule["Arn"]: Trigger(
                name=rule["Name"],
                waits_for=rule.get("EventPattern") or rule["ScheduleExpression"],
                schedule=rule.get("ScheduleExpression") if rule.get("EventPattern") else None,
                targets=tuple(each["Arn"] for each in self._targets(rule["Name"])),
                enabled=rule["State"] != "DISABLED",
                is_rule=True,
            )
            for rule in self._client.pages("AWSEvents.ListRules", "Rules")
        }
        for schedule in self._schedules.all():
            found[schedule["Arn"]] = Trigger(
                name=schedule["Name"],
                waits_for=f"{schedule['ScheduleExpression']} {schedule['ScheduleExpressionTimezone']}",
                targets=(schedule["Target"]["Arn"],),
                enabled=schedule["State"] == "ENABLED",
                is_rule=False,
            )
        watched = {arn: _alarm_name(trigger.waits_for) for arn, trigger in found.items()}
        alarms = self._alarms.named(name for name in watched.values() if name is not None)
        times = self._schedules.times([arn for arn, trigger in found.items() if trigger.waits_for_times])
        shown = [
            replace(
                trigger,
                alarm=alarms.get(watched[arn] or ""),
                next_at=times.get(arn),
                is_over=arn in times and times[arn] is None,
            )
            for arn, trigger in found.items()
        ]
        return sorted(shown, key=lambda trigger: trigger.name)

    def enable(self, name: str) -> None:
        """Let a rule or a schedule wait again; what happened meanwhile is past."""
        self._switch("AWSEvents.EnableRule", name, "ENABLED")

    def disable(self, name: str) -> None:
        """Let a rule or a schedule wait for nothing until it is enabled again."""
        self._switch("AWSEvents.DisableRule", name, "DISABLED")

    def rm(self, name: str) -> None:
        """Remove a rule with its targets, and the alarm that was made for it; or the schedule of that name.

        Raises:
            NotFound: there is none of that name.
        """
        alarm = self._alarm_of(name)
        try:
            targets = [each["Id"] for each in self._targets(name)]
        except NotFound:
            self._of_schedule(name, self._schedules.rm)
            return
        if targets:
            self._client.call("AWSEvents.RemoveTargets", {"Rule": name, "Ids": targets})
        self._client.call("AWSEvents.DeleteRule", {"Name": name})
        if alarm is not None:
            self._alarms.rm(alarm)

    def deliveries(self, name: str) -> Iterator[TriggerDelivery]:
        """Yield what came of the events of a trigger: first what is on its way, then the others, each newest first."""
        answers = self._client.whole_pages("Towpath.ListTriggerDeliveries", {"TriggerName": name})
        entries = (each for page in answers for each in (*(page.get("Pending") or ()), *page["Deliveries"]))
        try:
            first = next(entries, None)
        except NotFound as missing:
            raise self._none(name, missing) from missing
        for told in chain(() if first is None else (first,), entries):
            yield TriggerDelivery(
                at=float(told["Time"]),
                event=told["DetailType"],
                about=tuple(told.get("About") or ()),
                target=told.get("Target") or "",
                status=told["Status"],
                event_at=None if told.get("EventTime") is None else float(told["EventTime"]),
                result=told["Result"],
                skipped=_skipped_times(told.get("Skipped")),
            )

    def logs(self) -> list[str]:
        """Return the names of the logs that triggers can write to, as `lines` takes them."""
        return [str(group["logGroupName"]).removeprefix(_LOGS) for group in log_groups(self._client, _LOGS)]

    def lines(self, log: str, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Return what triggers have written to a log, the earliest first.

        Args:
            follow: go on with what they write from now on; there is no end to it.
            tail: only the last so many lines.
        Raises:
            NotFound: there is no log of that name; names those that there are.
        """
        name, known = _log_name(log), self.logs()
        if name.removeprefix(_LOGS) not in known:
            told = f"no trigger writes to a log {log!r}; known logs: {', '.join(known) or 'none'}"
            raise NotFound("ResourceNotFoundException", told, status=404)
        return lines_while(lambda: follow, LogReader(self._client, name), tail=tail)

    def _put_rule(self, rule: Document) -> Callable[[], object]:
        """Make a rule, or change the one of that name; return what undoes that."""
        before = self._rule(rule["Name"])
        self._client.call("AWSEvents.PutRule", rule)
        if before is None:
            return lambda: self._client.call("AWSEvents.DeleteRule", {"Name": rule["Name"]})
        kept = {member: before[member] for member in _WRITTEN if before.get(member) is not None}
        return lambda: self._client.call("AWSEvents.PutRule", kept)

    def _put_target(self, rule: str, target: Document) -> Callable[[], object]:
        """Give a rule its one target; return what undoes that."""
        before = [each for each in self._targets(rule) if each["Id"] == target["Id"]]
        for failed in self._client.call("AWSEvents.PutTargets", {"Rule": rule, "Targets": [target]})["FailedEntries"]:
            raise RequestFailed(failed["ErrorCode"], failed["ErrorMessage"], status=400)
        if before:
            return lambda: self._client.call("AWSEvents.PutTargets", {"Rule": rule, "Targets": before})
        return lambda: self._client.call("AWSEvents.RemoveTargets", {"Rule": rule, "Ids": [target["Id"]]})

    def _log_group(self, log: str, undo: Undo) -> str:
        """Return the ARN of the log group of a name, made now where there is none."""
        name = _log_name(log)
        with suppress(Conflict):  # others write to it, too
            self._client.call("Logs_20140328.CreateLogGroup", {"logGroupName": name})
            undo.by(f"log {log}", lambda: self._client.call("Logs_20140328.DeleteLogGroup", {"logGroupName": name}))
        groups = log_groups(self._client, name)
        return next(str(group["logGroupArn"]) for group in groups if group["logGroupName"] == name)

    def _switch(self, operation: str, name: str, state: str) -> None:
        try:
            self._client.call(operation, {"Name": name})
        except NotFound:
            self._of_schedule(name, lambda schedule: self._schedules.switch(schedule, state))

    def _of_schedule(self, name: str, do: Callable[[str], None]) -> None:
        """Do something with the schedule of a name that no rule has."""
        try:
            do(name)
        except NotFound as missing:
            raise self._none(name, missing) from missing

    def _none(self, name: str, missing: NotFound) -> NotFound:
        known = dict.fromkeys(each.name for each in self.ls())  # a rule and a schedule may have the same
        return nothing_called("trigger", name, known, missing, make="make one: towpath triggers create")

    def _alarm_of(self, name: str) -> str | None:
        """Return the alarm that was made for a rule, None where it waits for something else."""
        rule = self._rule(name)
        if rule is None or _alarm_name(rule.get("EventPattern") or "") != name:
            return None
        return name if self._alarms.named([name]) else None

    def _refuse_to_hide(self, name: str) -> None:
        """Refuse to make a rule beside a schedule of its name: commands would reach the rule alone."""
        with suppress(NotFound):
            if self._rule(name) is None:
                there = self._schedules.described(name)
                raise DefinitionError(
                    f"there is a schedule {name!r} of EventBridge Scheduler already ({there['ScheduleExpression']}), "
                    f"which only AWS clients change; give the trigger another name, or remove the schedule first: "
                    f"towpath triggers rm {name}"
                )

    def _rule(self, name: str) -> Document | None:
        try:
            return self._client.call("AWSEvents.DescribeRule", {"Name": name})
        except NotFound:
            return None

    def _targets(self, rule: str) -> list[Document]:
        found: list[Document] = self._client.call("AWSEvents.ListTargetsByRule", {"Rule": rule})["Targets"]
        return found
