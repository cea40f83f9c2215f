"""CloudWatch Logs: the real output of jobs and endpoints, and what rules write, as groups, streams and events.

A stream is one host of one attempt. Its name is what the SageMaker SDKs look for: `<job>/algo-1-<epoch seconds>`.
A token is the byte offset at which reading goes on, so a client that has seen everything gets back the one it sent.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from towpath.functions import FUNCTION, FUNCTION_INVOCATION, LOG_GROUPS
from towpath.functions import attempt_keys as keys_of_call
from towpath.functions.kinds import OF_FUNCTION
from towpath.functions.model import InvocationState
from towpath.functions.running import stream_name
from towpath.gateway.services.event_groups import STREAM, Reader, StoredLines
from towpath.hosting.model import EndpointState, attempts_of
from towpath.jobs import attempt_keys
from towpath.jobs.cluster import FIRST, hosts_of
from towpath.jobs.model import LogLine, LogPage
from towpath.jobs.ports import ComputeBackend
from towpath.jobs.state import uid_of
from towpath.kernel import generic
from towpath.kernel.errors import Invalid, NotFound, Unsupported
from towpath.kernel.operations import Operation, Operations, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.triggers import EVENT_GROUPS, LOG_GROUP, arn_of_log_group, group_operations

#: Log groups that hold all jobs of a kind.
GROUPS: Mapping[str, str] = {
    "/aws/sagemaker/ProcessingJobs": "ProcessingJob",
    "/aws/sagemaker/TrainingJobs": "TrainingJob",
    "/aws/sagemaker/TransformJobs": "TransformJob",
}
ENDPOINTS = "/aws/sagemaker/Endpoints/"
#: Beginnings of the names of groups of single endpoints and functions, and of those that events are written to.
_EACH = (ENDPOINTS, LOG_GROUPS, EVENT_GROUPS)
_MOST_EVENTS = 10_000
_MOST_STREAMS = 50
#: How far ahead of an offset to look for lines before it, in bytes; None is the beginning.
_REACHES = (1 << 16, 1 << 20, 1 << 24, None)
_PAGE = 2_000  #: lines looked through at a time where only some are wanted
_TERM = re.compile(r'([?-]?)(?:"([^"]*)"|([^\s"]+))')
_TOKEN = re.compile(r"([fb])/(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One attempt's output, or that of one of its hosts."""

    name: str
    key: str  #: the attempt, as back ends know it
    host: str = ""  #: as back ends know it: empty for the first one
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A filter pattern of terms. Source: CloudWatch Logs User Guide, "Filter pattern syntax", unstructured events."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()  #: written ?term
    none_of: tuple[str, ...] = ()  #: written -term

    def matches(self, text: str) -> bool:
        """Whether a message is wanted."""
        return (
            all(term in text for term in self.all_of)
            and (not self.any_of or any(term in text for term in self.any_of))
            and not any(term in text for term in self.none_of)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which events are wanted."""

    limit: int
    start_ms: int | None = None
    end_ms: int | None = None  #: exclusive
    pattern: Pattern = Pattern()

    def shows(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        at = _ms(line)
        if self.start_ms is not None and at < self.start_ms:
            return False
        if self.end_ms is not None and at >= self.end_ms:
            return False
        return self.pattern.matches(line.text)


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
    streams, token = _streams(transaction, group, prefix, limit, request.input.get("nextToken"))
    return {"logStreams": [_described(reader, transaction, group, stream) for stream in streams], "nextToken": token}


def get_log_events(backend: ComputeBackend, transaction: Transaction, request: Request) -> Document:
    """Carry out GetLogEvents: from the head or a forward token on, or back from the tail or a backward token."""
    group = _group(request)
    reader = _reader(backend, transaction, group)
    stream = _stream(transaction, group, request.input["logStreamName"])
    window = _window(request)
    token = request.input.get("nextToken")
    if token is None:
        forward, offset = bool(request.input.get("startFromHead")), None
    else:
        direction, offset = _read_token(token)
        forward = direction == "f"
    if forward:
        begin = offset or 0
        lines, end = _forward(reader, stream, begin, window)
    else:
        lines, begin, end = _backward(reader, stream, offset, window)
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
        streams = [_stream(transaction, group, name) for name in wanted]
    else:
        prefix = request.input.get("logStreamNamePrefix", "")
        streams, _ = _streams(transaction, group, prefix, _MOST_STREAMS, None)
    first, offset = _read_place(request.input.get("nextToken"))
    events: list[Document] = []
    for position, stream in enumerate(streams[first:], first):
        room = window.limit - len(events)
        if room <= 0:
            return {"events": events, "nextToken": f"{position}/{offset}"}
        narrowed = Window(limit=room, start_ms=window.start_ms, end_ms=window.end_ms, pattern=window.pattern)
        lines, end = _forward(reader, stream, offset, narrowed)
        events += [
            {**_event(line), "logStreamName": stream.name, "eventId": f"{stream.key}/{stream.host}{end}/{number}"}
            for number, line in enumerate(lines)
        ]
        if len(lines) == room and reader.log(stream.key, host=stream.host, start=end, limit=1).lines:
            return {"events": events, "nextToken": f"{position}/{end}"}
        offset = 0
    return {"events": events}


def streams_of(resource: Resource) -> list[Stream]:
    """Return the streams of a job, an endpoint, a call of a function or a group of events, oldest first."""
    if resource.kind == LOG_GROUP.noun:
        return [Stream(name=STREAM, key=resource.uid, created_ms=int(resource.created_at.timestamp() * 1000))]
    if resource.kind == FUNCTION_INVOCATION.noun:
        keys = keys_of_call(resource.uid, view(InvocationState, resource.state))
        created_ms = int(resource.created_at.timestamp() * 1000)
        return [Stream(name=stream_name(key, resource.created_at), key=key, created_ms=created_ms) for key in keys]
    created = int(resource.created_at.timestamp())
    if resource.kind == "Endpoint":
        keys = attempts_of(resource.uid, view(EndpointState, resource.state))
        prefix = f"{resource.uid}-"
        return [Stream(name=f"instance/{key.removeprefix(prefix)}", key=key, created_ms=created * 1000) for key in keys]
    return [
        Stream(
            name=f"{resource.name}/{host}-{created + number}",
            key=key,
            host="" if host == FIRST else host,
            created_ms=(created + number) * 1000,
        )
        for number, key in enumerate(attempt_keys(resource))
        for host in hosts_of(resource.spec)
    ]


def _streams(
    transaction: Transaction, group: str, prefix: str, limit: int, token: str | None
) -> tuple[list[Stream], str | None]:
    """Return streams whose names begin with `prefix`, and the token of the next page."""
    if group.startswith(LOG_GROUPS):
        of_function = Filter(OF_FUNCTION, "=", group.removeprefix(LOG_GROUPS))
        page = transaction.resources.query(
            Query(kind=FUNCTION_INVOCATION.noun, filters=(of_function,), limit=limit, token=token)
        )
        if not page.items and token is None and transaction.resources.find(FUNCTION.noun, of_function.value) is None:
            raise NotFound(f"The specified log group does not exist: {group!r}.", code="ResourceNotFoundException")
        return [s for call in page.items for s in streams_of(call) if s.name.startswith(prefix)], page.token
    if group.startswith(EVENT_GROUPS):
        of_events = streams_of(generic.find(transaction, LOG_GROUP, group))
        return [stream for stream in of_events if stream.name.startswith(prefix)], None
    name, slash, _ = prefix.partition("/")
    if group.startswith(ENDPOINTS) or slash:
        owner = _owner(transaction, group, name)
        found = [] if owner is None else [s for s in streams_of(owner) if s.name.startswith(prefix)]
        first, _ = _read_place(f"{token}/0" if token else None)
        behind = first + limit
        return found[first:behind], str(behind) if behind < len(found) else None
    page = transaction.resources.query(Query(kind=GROUPS[group], limit=limit, token=token))
    return [s for job in page.items for s in streams_of(job) if s.name.startswith(prefix)], page.token


def _stream(transaction: Transaction, group: str, name: str) -> Stream:
    owner = _owner(transaction, group, name if group.startswith(LOG_GROUPS) else name.partition("/")[0])
    for stream in streams_of(owner) if owner is not None else ():
        if stream.name == name:
            return stream
    raise NotFound(f"The specified log stream does not exist: {name!r} in {group}.", code="ResourceNotFoundException")


def _owner(transaction: Transaction, group: str, name: str) -> Resource | None:
    if group.startswith(EVENT_GROUPS):
        return generic.find(transaction, LOG_GROUP, group)
    if group.startswith(ENDPOINTS):
        return transaction.resources.find("Endpoint", group.removeprefix(ENDPOINTS))
    if group.startswith(LOG_GROUPS):
        call = transaction.resources.get(uid_of(name.rpartition("]")[2]))
        if call is None or not call.is_live or call.kind != FUNCTION_INVOCATION.noun:
            return None
        return call if call.spec["FunctionName"] == group.removeprefix(LOG_GROUPS) else None
    return transaction.resources.find(GROUPS[group], name)


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
        shown["firstEventTimestamp"] = _ms(head.lines[0])
        last, _, _ = _backward(reader, stream, None, Window(limit=1))
        shown["lastEventTimestamp"] = shown["lastIngestionTime"] = _ms((last or head.lines)[-1])
    return shown


def _forward(reader: Reader, stream: Stream, begin: int, window: Window) -> tuple[list[LogLine], int]:
    """Return wanted lines from an offset on, and where to go on."""
    plain = window.start_ms is None and window.end_ms is None and window.pattern == Pattern()
    if plain:
        page = reader.log(stream.key, host=stream.host, start=begin, limit=window.limit)
        return page.lines, max(page.end, begin)
    wanted: list[LogLine] = []
    end = begin
    while len(wanted) < window.limit:
        # Never more lines at a time than are still missing, so that none behind the returned offset was left out.
        page = reader.log(stream.key, host=stream.host, start=end, limit=min(_PAGE, window.limit - len(wanted)))
        if page.end <= end:
            break
        wanted += [line for line in page.lines if window.shows(line)]
        end = page.end
    return wanted, end


def _backward(reader: Reader, stream: Stream, until: int | None, window: Window) -> tuple[list[LogLine], int, int]:
    """Return the last wanted lines before an offset (None: the end), where they begin, and where they end.

    A log is read forwards, so this begins further and further ahead of the offset until enough is found.
    """
    for reach in _REACHES:
        first = 0
        if reach is not None:
            near = -reach if until is None else max(0, until - reach)
            first = reader.log(stream.key, host=stream.host, start=near, limit=1).start if near else 0
        pages = list(_pages(reader, stream, first, until))
        wanted = [
            (page, number, line) for page in pages for number, line in enumerate(page.lines) if window.shows(line)
        ]
        if len(wanted) >= window.limit or first == 0:
            break
    wanted = wanted[-window.limit :]
    end = pages[-1].end if pages else until or 0
    if not wanted:
        return [], first, end
    page, number, _ = wanted[0]
    begin = page.start if number == 0 else reader.log(stream.key, host=stream.host, start=page.start, limit=number).end
    return [line for _, _, line in wanted], begin, end


def _pages(reader: Reader, stream: Stream, first: int, until: int | None) -> Iterator[LogPage]:
    """Yield what lies between two offsets at which lines begin."""
    offset, size = first, _PAGE
    while until is None or offset < until:
        page = reader.log(stream.key, host=stream.host, start=offset, limit=size)
        if page.end <= offset:
            return
        if until is not None and page.end > until:
            if size == 1:
                return
            size = max(1, size // 2)
            continue
        yield page
        offset = page.end


def _window(request: Request) -> Window:
    asked = request.input
    return Window(
        limit=min(asked.get("limit") or _MOST_EVENTS, _MOST_EVENTS),
        start_ms=asked.get("startTime"),
        end_ms=asked.get("endTime"),
        pattern=_read_pattern(asked.get("filterPattern") or ""),
    )


def _read_pattern(text: str) -> Pattern:
    """Return the terms of a filter pattern; a term in quotes may hold spaces.

    Raises:
        Unsupported: it is a pattern for JSON or columns, or a regular expression.
    """
    if text.lstrip()[:1] in {"{", "[", "%"}:
        raise Unsupported(f"Filter patterns of terms are understood; {text[:64]!r} is of another form.")
    terms = [(sign, quoted or plain) for sign, quoted, plain in _TERM.findall(text)]
    return Pattern(
        all_of=tuple(term for sign, term in terms if not sign),
        any_of=tuple(term for sign, term in terms if sign == "?"),
        none_of=tuple(term for sign, term in terms if sign == "-"),
    )


def _read_token(token: str) -> tuple[str, int]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise Invalid("The specified nextToken is invalid.", code="InvalidParameterException")
    return found[1], int(found[2])


def _read_place(token: str | None) -> tuple[int, int]:
    """Return which stream to go on with, and at which offset."""
    if token is None:
        return 0, 0
    position, slash, offset = token.partition("/")
    if not slash or not position.isdecimal() or not offset.isdecimal() or len(token) > 30:
        raise Invalid("The specified nextToken is invalid.", code="InvalidParameterException")
    return int(position), int(offset)


def _event(line: LogLine) -> Document:
    return {"timestamp": _ms(line), "message": line.text, "ingestionTime": _ms(line)}


def _ms(line: LogLine) -> int:
    return int(line.at.timestamp() * 1000)


def _arn(transaction: Transaction, group: str) -> str:
    return arn_of_log_group(group, transaction.home)


def _reader(backend: ComputeBackend, transaction: Transaction, group: str) -> Reader:
    """Return what has the lines of a group: the store those of events, the back end all others."""
    return StoredLines(transaction) if group.startswith(EVENT_GROUPS) else backend
