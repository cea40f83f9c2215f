"""Logs of jobs and endpoints, by the operations of CloudWatch Logs."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.expressions import Document

if TYPE_CHECKING:
    from towpath.sdk.client import Client

POLL_S = 0.5
LONGEST_TAIL = 10_000  #: lines that one GetLogEvents answers with at most
_GROUPS = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}
_STREAM = re.compile(r"/(algo-\d+)-\d+$")


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a log."""

    at: datetime
    text: str
    group: str
    stream: str
    host: str = ""  #: of a job on several that printed it
    step: str = ""  #: of an execution that printed it
    part: str = ""  #: of a tuning job, the number of the training job that printed it: `001`

    @property
    def place(self) -> str:
        """Group and stream in CloudWatch Logs, as `GROUP/STREAM`."""
        return f"{self.group}/{self.stream}"


class Log(Protocol):
    """Lines that are read on from where they were read to, of one source or of several."""

    def new(self) -> Iterator[LogLine]:
        """Yield what has been written since the last time."""

    def last(self, count: int) -> list[LogLine]:
        """Return the last lines in the order of their times, and go on behind them."""


class LogReader:
    """Reads the streams of a log group on from where they were read to, at first from their beginnings."""

    def __init__(self, client: Client, group: str, prefix: str | None = None) -> None:
        self._client = client
        self._group = group
        self._prefix = prefix  #: of the names of the streams that are read; None: all
        self._positions: dict[str, str | None] = {}

    @classmethod
    def of(cls, client: Client, kind: str, name: str) -> LogReader:
        """Return what reads the log of a job or an endpoint.

        Raises:
            DefinitionError: what is of this kind has no log of its own.
        """
        if kind == "Endpoint":
            return cls(client, f"/aws/sagemaker/Endpoints/{name}")
        return cls(client, _group(kind), f"{name}/")

    def new(self) -> Iterator[LogLine]:
        """Yield what has been written since the last time, stream after stream."""
        for stream, host in self._hosts().items():
            for line in _new_lines(self._client, self._group, stream, self._positions):
                yield replace(line, host=host)

    def last(self, count: int) -> list[LogLine]:
        """Return the last lines of all streams in the order of their times, and go on behind them."""
        found = []
        for stream, host in self._hosts().items():
            lines, self._positions[stream] = _last(self._client, self._group, stream, count)
            found.append([replace(line, host=host) for line in lines])
        return list(merged(*found))[-count:]

    def _hosts(self) -> dict[str, str]:
        """Return the streams, each with the host that writes it; empty where there is one only."""
        hosts = {stream: _host(stream) for stream in self._streams()}
        return hosts if len(set(hosts.values())) > 1 else dict.fromkeys(hosts, "")

    def _streams(self) -> list[str]:
        """Return the names of the streams that there are now, the oldest first."""
        return _streams(self._client, self._group, self._prefix)


class Labelled:
    """A log whose lines tell what they are of."""

    def __init__(self, log: Log, **members: str) -> None:
        self._log = log
        self._members = members  #: of each line: `step` or `part`

    def new(self) -> Iterator[LogLine]:
        """Yield what has been written since the last time."""
        return (self._labelled(line) for line in self._log.new())

    def last(self, count: int) -> list[LogLine]:
        """Return the last lines in the order of their times, and go on behind them."""
        return [self._labelled(line) for line in self._log.last(count)]

    def _labelled(self, line: LogLine) -> LogLine:
        return replace(line, **self._members)  # type: ignore[arg-type]  # the members that are texts


def merged(*logs: Iterable[LogLine]) -> Iterator[LogLine]:
    """Yield the lines of several logs in the order of their times; those of each stay in their own order."""
    return heapq.merge(*logs, key=lambda line: line.at)


def last_lines(logs: Iterable[tuple[datetime | None, Log]], count: int) -> list[LogLine]:
    """Return the last lines of several logs in the order of their times, and go on behind them.

    Args:
        logs: each with the time at which its last line was written at the latest, None while it grows. One that ended
            before the last lines is not read.
    """
    last: list[LogLine] = []
    never = datetime.max.replace(tzinfo=UTC)
    for ended_at, log in sorted(logs, key=lambda each: each[0] or never, reverse=True):
        if len(last) == count and ended_at is not None and ended_at < last[0].at:
            break
        last = list(merged(last, log.last(count)))[-count:]
    return last


def lines_while(going_on: Callable[[], bool], reader: Log, *, tail: int | None = None) -> Iterator[LogLine]:
    """Yield the lines of a log as they appear until nothing goes on any more, at first with `tail` the last ones."""
    read: Callable[[], Iterable[LogLine]] = reader.new if tail is None else partial(reader.last, tail)
    while True:
        # Asked before the last read: what the job wrote before it ended is then read as well.
        again = going_on()
        yield from read()
        if not again:
            return
        read = reader.new
        time.sleep(POLL_S)


def group_lines(client: Client, group: str, *, newest: int) -> Iterator[LogLine]:
    """Yield the lines of the newest streams of a group, the oldest of these first."""
    for stream in reversed(_streams(client, group, None, most=newest)):
        yield from _new_lines(client, group, stream, {})


def log_groups(client: Client, prefix: str) -> Iterator[Document]:
    """Yield the log groups whose names begin with `prefix`."""
    asked = {"logGroupNamePrefix": prefix}
    while True:
        page = client.call("Logs_20140328.DescribeLogGroups", asked)
        yield from page["logGroups"]
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


def _group(kind: str) -> str:
    if kind not in _GROUPS:
        raise DefinitionError(
            f"a {kind} has no log; expected one of {', '.join([*_GROUPS, 'HyperParameterTuningJob', 'Endpoint'])}"
        )
    return _GROUPS[kind]


def _host(stream: str) -> str:
    """Return the host in a job's stream name, `JOB/HOST-TIME`."""
    found = _STREAM.search(stream)
    return found[1] if found else ""


def _streams(client: Client, group: str, prefix: str | None, *, most: int | None = None) -> list[str]:
    request: Document = {"logGroupName": group, **({"logStreamNamePrefix": prefix} if prefix else {})}
    names: list[str] = []
    while True:
        try:
            page = client.call("Logs_20140328.DescribeLogStreams", request)
        except NotFound:
            return names  # nothing has been written yet
        names += [str(stream["logStreamName"]) for stream in page.get("logStreams") or []]
        if not page.get("nextToken") or (most is not None and len(names) >= most):
            return names[:most]
        request["nextToken"] = page["nextToken"]


def _new_lines(client: Client, group: str, stream: str, positions: dict[str, str | None]) -> Iterator[LogLine]:
    while True:
        position = positions.get(stream)
        request: Document = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        if position is not None:
            request["nextToken"] = position
        page = client.call("Logs_20140328.GetLogEvents", request)
        yield from (_line(event, group, stream) for event in page.get("events") or [])
        forward = page.get("nextForwardToken")
        positions[stream] = forward
        # The same token again means that there is nothing more for now.
        if forward is None or forward == position:
            return


def _last(client: Client, group: str, stream: str, tail: int) -> tuple[list[LogLine], str | None]:
    request = {"logGroupName": group, "logStreamName": stream, "startFromHead": False, "limit": tail}
    page = client.call("Logs_20140328.GetLogEvents", request)
    return [_line(event, group, stream) for event in page.get("events") or []], page.get("nextForwardToken")


def _line(event: Document, group: str, stream: str) -> LogLine:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return LogLine(at=at, text=str(event["message"]).rstrip("\n"), group=group, stream=stream)
