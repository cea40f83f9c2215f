"""`towpath triggers`: what starts pipelines and calls functions and webhooks by itself."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer

from towpath.cli.console import note, say, show_json, show_table, when
from towpath.cli.options import HomeOption, JsonOption, connect, folder
from towpath.cli.run import client_with_server, parse_parameters
from towpath.sdk.alarms import Threshold, threshold
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document
from towpath.sdk.logs import LONGEST_TAIL, LogLine
from towpath.sdk.triggers import Trigger, TriggerDelivery, approved_versions, new_objects

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Start pipelines and more when something happens, or at times.",
)

_SCHEDULED = "Scheduled Event"  #: type of the events of schedules

Name = Annotated[str, typer.Argument(metavar="NAME", help="The trigger's name, as `towpath triggers ls` shows it.")]


# What `create` is told: what the trigger waits for,
NewDataOption = Annotated[
    str | None, typer.Option(metavar="S3URI", help="When an object is created under s3://BUCKET/PREFIX.")
]
ApprovedOption = Annotated[
    str | None, typer.Option(metavar="GROUP", help="When a version of this model package group is approved.")
]
PatternOption = Annotated[
    str | None, typer.Option(metavar="JSON", help="When an event is as this EventBridge pattern describes.")
]
ScheduleOption = Annotated[
    str | None, typer.Option(metavar="EXPRESSION", help="At times, in UTC: rate(1 day), cron(0 3 * * ? *).")
]
AlarmOption = Annotated[
    str | None, typer.Option(metavar="CONDITION", help="When a metric comes to values: 'validation:accuracy < 0.8'.")
]
# which metric an alarm is about,
OfOption = Annotated[
    str | None,
    typer.Option(metavar="PIPELINE[/STEP]", help="Whose metric: of a step or its training jobs, or of executions."),
]
NamespaceOption = Annotated[str | None, typer.Option(help="Or where the metric is, as PutMetricData put it.")]
DimensionOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Dimension of the metric in that namespace.")
]
StatisticOption = Annotated[
    str, typer.Option(help="Of the values in a period: Average, Minimum, Maximum, Sum, SampleCount, p90.")
]
PeriodOption = Annotated[int, typer.Option(metavar="SECONDS", help="10, 20, 30 or a multiple of 60.")]
PeriodsOption = Annotated[int, typer.Option(min=1, help="How many periods in a row.")]
# and what it does.
PipelineOption = Annotated[str | None, typer.Option(help="Start this pipeline.")]
WebhookOption = Annotated[str | None, typer.Option(help="Send the event to this address, as JSON.")]
FunctionOption = Annotated[str | None, typer.Option(help="Call this function with the event.")]
LogOption = Annotated[
    str | None, typer.Option("--log", metavar="LOG", help="Write the event to this log; `triggers lines` shows it.")
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="NAME=VALUE",
        help="Parameter of the pipeline. A value that begins with $. is read from the event.",
    ),
]


@app.command()
def create(
    name: Name,
    pipeline: PipelineOption = None,
    webhook: WebhookOption = None,
    function: FunctionOption = None,
    to_log: LogOption = None,
    new_data: NewDataOption = None,
    approved: ApprovedOption = None,
    pattern: PatternOption = None,
    schedule: ScheduleOption = None,
    alarm: AlarmOption = None,
    of: OfOption = None,
    namespace: NamespaceOption = None,
    dimension: DimensionOption = None,
    statistic: StatisticOption = "Average",
    period: PeriodOption = 60,
    periods: PeriodsOption = 1,
    parameter: ParameterOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a trigger, or change the one of that name.

    It waits for one thing and has one target. What is not there yet, a group or a bucket, may come later, and a warning
    says so. A server is started when none runs; events that happen and times
    that pass without one are lost, or caught up with as the setting missed_schedules says.

    \b
    Examples:
      towpath triggers create nightly --schedule 'cron(0 3 * * ? *)' --pipeline reviews
      towpath triggers create arrivals --new-data s3://lake/raw/ --pipeline reviews
      towpath triggers create retrain --alarm 'validation:accuracy < 0.8' --of reviews/Train --pipeline reviews
      towpath triggers create approvals --approved reviews --function notify
      towpath triggers create watch --pattern '{"source": ["aws.sagemaker"]}' --log everything
      towpath triggers create roll-out --approved reviews --pipeline deploy -p 'Version=$.detail.ModelPackageArn'
    """
    given = {"--new-data": new_data, "--approved": approved, "--pattern": pattern, "--schedule": schedule}
    given["--alarm"] = alarm
    if sum(value is not None for value in given.values()) != 1:
        raise DefinitionError(f"a trigger waits for one thing: give one of {', '.join(given)}")
    asked = _pattern(new_data, approved, pattern)
    watched = _threshold(alarm, of, namespace, dimension or [], statistic, period, periods)
    values = parse_parameters(parameter or [])
    trigger = client_with_server(folder(home)).triggers.create(  # where it may have to be started, so last
        name,
        pipeline=pipeline,
        webhook=webhook,
        function=function,
        log=to_log,
        pattern=asked,
        schedule=schedule,
        alarm=watched,
        parameters=values,
    )
    for sentence in trigger.doubtful:
        note(f"Warning: {sentence}; each start would fail.")
    for sentence in trigger.missing:
        note(f"Warning: {sentence}; {trigger.name} does nothing until then.")
    if as_json:
        show_json(asdict(trigger))
    else:
        say(f"{trigger.name} waits for {_waits_for(trigger)} and then {_does(trigger)}{_due(trigger)}")


@app.command()
def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the triggers, and of those that wait for times the next one.

    A trigger has ended when none of its times is still to come and it waits for nothing else.

    Example: towpath triggers ls
    """
    found = connect(home).triggers.ls()
    if as_json:
        show_json([asdict(trigger) for trigger in found])
    elif not found:
        say("There are no triggers yet. Make one: towpath triggers create NAME --schedule 'rate(1 day)' --pipeline P")
    else:
        rows = [(each.name, _stands(each), _waits_for(each), _next_time(each), _does(each)) for each in found]
        show_table(("trigger", "state", "waits for", "next time", "then"), rows)


@app.command()
def log(
    name: Name,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Only the newest so many.")] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what came of a trigger's events, the newest first.

    What is on its way comes first. Of a schedule each line says for which of its times it is; what was caught up with
    came later than that, and of missed times that were skipped one line says how many.

    \b
    Examples:
      towpath triggers log nightly
      towpath triggers log nightly --tail 20
    """
    found = list(islice(connect(home).triggers.deliveries(name), tail))
    if as_json:
        show_json([asdict(delivery) for delivery in found])
    elif not found:
        say(f"Nothing has happened yet that {name} waits for.")
    else:
        rows = [
            (
                when(each.at),
                each.event,
                _about(each),
                _short(each.target),
                _short(each.result) if each.status == "Delivered" else _state(each),
            )
            for each in found
        ]
        show_table(("time", "event", "of", "target", "result"), rows)


@app.command()
def lines(
    name: Annotated[
        str | None, typer.Argument(metavar="[LOG]", help="The log's name; without it the logs are listed.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=1, max=LONGEST_TAIL, help="Only the last so many lines.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what was written to a log, earliest first, or list logs.

    AWS clients read it as the log group /aws/events/LOG. With --follow, --json prints a document in each line.

    \b
    Examples:
      towpath triggers lines
      towpath triggers lines everything --tail 20 --follow
    """
    triggers = connect(home).triggers
    if name is None:
        if follow or tail is not None:
            raise DefinitionError(
                "--follow and --tail are about the lines of a log: name it; without them logs are listed"
            )
        _show_logs(triggers.logs(), as_json=as_json)
        return
    found = triggers.lines(name, follow=follow, tail=tail)
    if as_json and not follow:
        show_json([_line_shown(line) for line in found])
        return
    shown = False
    try:
        for line in found:
            shown = True
            if as_json:
                print(json.dumps(_line_shown(line), ensure_ascii=False), flush=True)
            else:
                say(f"{when(line.at.timestamp())}  {line.text}")
    except KeyboardInterrupt:
        return
    if not shown:
        say(f"Nothing has been written to the log {name}.")


def _show_logs(names: list[str], *, as_json: bool) -> None:
    if as_json:
        show_json(names)
    elif not names:
        say("There are no logs yet. A trigger makes one: towpath triggers create NAME --pattern JSON --log LOG")
    for name in () if as_json else names:
        say(name)


def _line_shown(line: LogLine) -> dict[str, str]:
    return {"at": line.at.isoformat(), "text": line.text}


@app.command()
def enable(name: Name, home: HomeOption = None) -> None:
    """Let a trigger wait again. What happened meanwhile starts nothing.

    Example: towpath triggers enable nightly
    """
    found = connect(home).triggers
    found.enable(name)
    trigger = next(each for each in found.ls() if each.name == name)
    say(f"{name} is enabled{_due(trigger)}")


@app.command()
def disable(name: Name, home: HomeOption = None) -> None:
    """Let a trigger wait for nothing until it is enabled again.

    Example: towpath triggers disable nightly
    """
    connect(home).triggers.disable(name)
    say(f"{name} is disabled")


@app.command()
def rm(name: Name, home: HomeOption = None) -> None:
    """Remove a trigger. What it has started goes on.

    Example: towpath triggers rm nightly
    """
    connect(home).triggers.rm(name)
    say(f"{name} is removed")


def _threshold(
    alarm: str | None,
    of: str | None,
    namespace: str | None,
    dimensions: list[str],
    statistic: str,
    period_s: int,
    periods: int,
) -> Threshold | None:
    if alarm is None:
        if of is not None or namespace is not None or dimensions:
            raise DefinitionError("--of, --namespace and --dimension say where the metric of --alarm is; give --alarm")
        return None
    if of is not None and dimensions:
        raise DefinitionError("--dimension goes with --namespace; --of says it by itself")
    return threshold(
        alarm,
        of=of,
        namespace=namespace,
        dimensions=parse_parameters(dimensions, "--dimension"),
        statistic=statistic,
        period_s=period_s,
        periods=periods,
    )


def _pattern(new_data: str | None, approved: str | None, pattern: str | None) -> Document | None:
    if new_data is not None:
        return new_objects(new_data)
    if approved is not None:
        return approved_versions(approved)
    if pattern is None:
        return None
    try:
        read = json.loads(pattern)
    except ValueError as fault:
        raise DefinitionError(f"--pattern is not valid JSON: {fault}") from fault
    if not isinstance(read, dict):
        raise DefinitionError('--pattern is no object; expected, for example, {"source": ["aws.sagemaker"]}')
    return read


def _waits_for(trigger: Trigger) -> str:
    """Return what a trigger waits for: events or times, or both."""
    return _event(trigger) if trigger.schedule is None else f"{_event(trigger)} or {trigger.schedule}"


def _stands(trigger: Trigger) -> str:
    if not trigger.enabled:
        return "disabled"
    return "ended" if trigger.is_over and not trigger.waits_for_events else "enabled"


def _due(trigger: Trigger) -> str:
    """Return how a sentence on an enabled trigger goes on: when it is due next, if it waits for times."""
    if trigger.is_over:
        return ", but none of its times is still to come"
    return "" if trigger.next_at is None else f"; its next time is {when(trigger.next_at)}"


def _next_time(trigger: Trigger) -> str:
    """Return when a trigger is due next; nothing where it waits for no time."""
    return "never again" if trigger.is_over else when(trigger.next_at)


def _event(trigger: Trigger) -> str:
    """Return the first of what a trigger waits for, in words where it is one of the common things."""
    if trigger.alarm is not None:
        return f"{trigger.alarm.threshold} ({trigger.alarm.state})"
    if not trigger.waits_for.startswith("{"):
        return trigger.waits_for
    pattern = json.loads(trigger.waits_for)
    detail = pattern.get("detail") or {}
    group = (detail.get("ModelPackageGroupName") or [""])[0]
    if isinstance(group, str) and group and pattern == approved_versions(group):
        return f"approved versions of {group}"
    bucket = ((detail.get("bucket") or {}).get("name") or [""])[0]
    key = ((detail.get("object") or {}).get("key") or [{}])[0]
    uri = f"s3://{bucket}/{key.get('prefix', '') if isinstance(key, dict) else ''}"
    if isinstance(bucket, str) and bucket and pattern == new_objects(uri):
        return f"new data in {uri}"
    return json.dumps(pattern)


def _does(trigger: Trigger) -> str:
    return ", ".join(f"{_verb(target)} {_short(target)}" for target in trigger.targets) or "nothing: it has no target"


def _verb(target: str) -> str:
    if ":pipeline/" in target:
        return "starts"
    return "writes to" if ":log-group:" in target or target.startswith("arn:aws:sqs:") else "calls"


def _about(delivery: TriggerDelivery) -> str:
    """Return what an event is about; of a schedule, which is that of all of its events, the time that had come."""
    if delivery.skipped is not None and delivery.skipped.count > 1:
        return f"{when(delivery.skipped.first)} to {when(delivery.skipped.last)}"
    if delivery.event == _SCHEDULED and delivery.event_at is not None:
        return when(delivery.event_at)
    return ", ".join(delivery.about)


def _state(delivery: TriggerDelivery) -> str:
    """Return what to tell of an event that did not arrive, or not yet."""
    state = {"Pending": "on its way", "Skipped": "skipped"}.get(delivery.status, "failed")
    return f"{state}: {delivery.result}" if delivery.result else state


def _short(arn: str) -> str:
    """Return the name in the ARN of a pipeline, an execution, a function, a call or a log; anything else as it is."""
    for before in (":function:", ":function-invocation/"):
        _, is_one, name = arn.partition(before)
        if is_one:
            return f"{'the function' if before == ':function:' else 'call'} {name}"
    _, is_log, name = arn.partition(":log-group:/aws/events/")
    if is_log:
        return f"the log {name}"
    _, is_pipeline, name = arn.partition(":pipeline/")
    return name.replace("/execution/", "/") if is_pipeline else arn
