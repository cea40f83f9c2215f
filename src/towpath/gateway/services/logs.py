"""CloudWatch Logs: the real output of jobs and endpoints, and what rules write, as groups, streams and events.

A stream is one host of one attempt. Its name is what the SageMaker SDKs look for: `<job>/algo-1-<epoch seconds>`.
A token is the byte offset at which reading goes on, so a client that has seen everything gets back the one it sent.
"""

import re
from collections.abc import Callable

from towpath.functions import FUNCTION, LOG_GROUPS
from towpath.gateway.services.event_groups import Reader, StoredLines
from towpath.gateway.services.log_lines import Window, lines_before, lines_from, read_pattern, time_ms
from towpath.gateway.services.log_streams import ENDPOINTS, GROUPS, Stream, found_stream, found_streams, read_place
from towpath.jobs.model import LogLine
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.operations import Operation, Operations, Request
from towpath.kernel.ports import Query, Transaction
from towpath.kernel.resource import Document
from towpath.triggers import EVENT_GROUPS, LOG_GROUP, arn_of_log_group, group_operations

#: Beginnings of the names of groups of single endpoints and functions, and of those that events are written to.
_EACH = (ENDPOINTS, LOG_GROUPS, EVENT_GROUPS)
_MOST_EVENTS = 10_000
_MOST_STREAMS = 50
_TOKEN = re.compile(r"([fb])/(\d{1,18})")


def log_operations(backend: ComputeBackend) -> Operations:
    """Return the operations of CloudWatch Logs on the output that a back end keeps."""

    def read(function: Callable[[ComputeBackend, Transaction, Request], Document], name: str) -> Operation:
        return Operation(name=name, function=lambda tx, request: function(backend, tx, request), writes=False)

    return {
        **{operation.name: operation for operation in group_operations()},
        "DescribeLogGroups": read(describe_log_groups, "DescribeLogGroups"),
        "DescribeLogStreams": read(describe_log_streams, "DescribeLogStreams"),
        "FilterLogEvents": read(filter_log_events, "FilterLogEvents"),
        "GetLogEvents": read(get_log_events, "GetLogEvents"),
    }


def describe_log_groups(_: ComputeBackend, transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeLogGroups."""
    given = request.input.get("nextToken")
    names = sorted(GROUPS) if given is None else []
    kind_asked, slash, token = (given or "/").partition("/")
    beginnings = {"Endpoint": ENDPOINTS, FUNCTION.noun: LOG_GROUPS, LOG_GROUP.noun: ""}
    kinds = list(beginnings)
    if not slash or kind_asked not in {"", *kinds}:
        raise Invalid("The specified nextToken is invalid.", code="InvalidParameterException")
    following = None
    for noun in kinds[kinds.index(kind_asked) :] if kind_asked else kinds:
        page = transaction.resources.query(Query(kind=noun, limit=_MOST_STREAMS, token=token or None))
        names += [beginnings[noun] + each.name for each in page.items]
        if page.token is not None:
            following = f"{noun}/{page.token}"
            break
        token = ""
    prefix, part = request.input.get("logGroupNamePrefix", ""), request.input.get("logGroupNamePattern", "")
    groups = [
        {"logGroupName": name, "arn": _arn(transaction, name) + ":*", "logGroupArn": _arn(transaction, name)}
        for name in names
        if name.startswith(prefix) and part in name
    ]
    return {"logGroups": groups, "nextToken": following}


def describe_log_streams(backend: ComputeBackend, transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeLogStreams."""
    group = _group(request)
    reader = _reader(backend, transaction, group)
    limit = min(request.input.get("limit") or _MOST_STREAMS, _MOST_STREAMS)
    prefix = request.input.get("logStreamNamePrefix", "")
    streams, token = found_streams(transaction, group, prefix, limit, request.input.get("nextToken"))
    return {"logStreams": [_described(reader, transaction, group, stream) for stream in streams], "nextToken": token}


def get_log_events(backend: ComputeBackend, transaction: Transaction, request: Request) -> Document:
    """Carry out GetLogEvents: from the head or a forward token on, or back from the tail or a backward token."""
    group = _group(request)
    reader = _reader(backend, transaction, group)
    stream = found_stream(transaction, group, request.input["logStreamName"])
    window = _window(request)
    token = request.input.get("nextToken")
    if token is None:
        forward, offset = bool(request.input.get("startFromHead")), None
    else:
        direction, offset = _read_token(token)
        forward = direction == "f"
    if forward:
        begin = offset or 0
        lines, end = lines_from(reader, stream, begin, window)
    else:
        lines, begin, end = lines_before(reader, stream, offset, window)
    return {
        "events": [_event(line) for line in lines],
        "nextForwardToken": f"f/{end}",
        "nextBackwardToken": f"b/{begin}",
    }


def filter_log_events(backend: ComputeBackend, transaction: Transaction, request: Request) -> Document:
    """Carry out FilterLogEvents: events of all wanted streams, one stream after the other."""
    group = _group(request)
    reader = _reader(backend, transaction, group)
    window = _window(request)
    wanted = request.input.get("logStreamNames")
    if wanted:
        streams = [found_stream(transaction, group, name) for name in wanted]
    else:
        prefix = request.input.get("logStreamNamePrefix", "")
        streams, _ = found_streams(transaction, group, prefix, _MOST_STREAMS, None)
    first, offset = read_place(request.input.get("nextToken"))
    events: list[Document] = []
    for position, stream in enumerate(streams[first:], first):
        room = window.limit - len(events)
        if room <= 0:
            return {"events": events, "nextToken": f"{position}/{offset}"}
        narrowed = Window(limit=room, start_ms=window.start_ms, end_ms=window.end_ms, pattern=window.pattern)
        lines, end = lines_from(reader, stream, offset, narrowed)
        events += [
            {**_event(line), "logStreamName": stream.name, "eventId": f"{stream.key}/{stream.host}{end}/{number}"}
            for number, line in enumerate(lines)
        ]
        if len(lines) == room and reader.log(stream.key, host=stream.host, start=end, limit=1).lines:
            return {"events": events, "nextToken": f"{position}/{end}"}
        offset = 0
    return {"events": events}


def _group(request: Request) -> str:
    """Return the name of the log group that a request names.

    Raises:
        NotFound: there is none of that name (code ResourceNotFoundException, which the SDKs wait through).
    """
    name = str(request.input.get("logGroupName") or request.input.get("logGroupIdentifier") or "")
    if name.startswith("arn:"):
        name = name.split(":log-group:", 1)[-1].removesuffix(":*")
    if not name:
        raise Invalid("Name the log group: logGroupName or logGroupIdentifier.", code="InvalidParameterException")
    if name not in GROUPS and not any(name.startswith(each) and len(name) > len(each) for each in _EACH):
        raise NotFound(
            f"The specified log group does not exist: {name!r}; there are {', '.join(sorted(GROUPS))}, "
            f"{ENDPOINTS}<endpoint>, {LOG_GROUPS}<function> and what was made under {EVENT_GROUPS}.",
            code="ResourceNotFoundException",
        )
    return name


def _described(reader: Reader, transaction: Transaction, group: str, stream: Stream) -> Document:
    head = reader.log(stream.key, host=stream.host, limit=1)
    shown: Document = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": f"{_arn(transaction, group)}:log-stream:{stream.name}",
    }
    if head.lines:
        shown["firstEventTimestamp"] = time_ms(head.lines[0])
        last, _, _ = lines_before(reader, stream, None, Window(limit=1))
        shown["lastEventTimestamp"] = shown["lastIngestionTime"] = time_ms((last or head.lines)[-1])
    return shown


def _arn(transaction: Transaction, group: str) -> str:
    return arn_of_log_group(group, transaction.home)


def _reader(backend: ComputeBackend, transaction: Transaction, group: str) -> Reader:
    """Return what has the lines of a group: the store those of events, the back end all others."""
    return StoredLines(transaction) if group.startswith(EVENT_GROUPS) else backend


def _window(request: Request) -> Window:
    asked = request.input
    return Window(
        limit=min(asked.get("limit") or _MOST_EVENTS, _MOST_EVENTS),
        start_ms=asked.get("startTime"),
        end_ms=asked.get("endTime"),
        pattern=read_pattern(asked.get("filterPattern") or ""),
    )


def _read_token(token: str) -> tuple[str, int]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise Invalid("The specified nextToken is invalid.", code="InvalidParameterException")
    return found[1], int(found[2])


def _event(line: LogLine) -> Document:
    return {"timestamp": time_ms(line), "message": line.text, "ingestionTime": time_ms(line)}
