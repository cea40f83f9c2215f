"""CloudWatch Logs on the output of attempts: tokens, windows, patterns, streams."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from towpath.gateway.services.log_streams import streams_of
from towpath.gateway.services.logs import log_operations
from towpath.hosting.model import EndpointState, Fleet, Instance, state_document
from towpath.jobs.model import LogLine, LogPage
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import Invalid, NotFound, TowpathError, Unsupported
from towpath.kernel.operations import Request
from towpath.kernel.ports import Store
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid

START = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = "/aws/sagemaker/ProcessingJobs"


class Output:
    """The part of a back end that keeps output, line ends and all, one second a line."""

    def __init__(self, logs: dict[str, list[str]]) -> None:
        self._logs = logs

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        lines = self._logs.get(f"{key}/{host}" if host else key, [])
        ends = [0]
        for line in lines:
            ends.append(ends[-1] + len(line.encode()) + 1)
        wanted = max(0, ends[-1] + start) if start < 0 else min(start, ends[-1])
        first = next(number for number, end in enumerate(ends) if end >= wanted)
        last = min(first + limit, len(lines))
        found = [LogLine(START + timedelta(seconds=number), lines[number]) for number in range(first, last)]
        return LogPage(lines=found, start=ends[first], end=ends[last])


def resource(kind: str, name: str, state: Document) -> Resource:
    return Resource(
        uid=Uid(uuid4().hex),
        account="123456789012",
        region="us-east-1",
        kind=kind,
        name=name,
        arn=f"arn:aws:sagemaker:us-east-1:123456789012:{kind}/{name}",
        spec={},
        state=state,
        created_at=START,
        created_by="ada",
        modified_at=START,
    )


def job(name: str, attempts: int = 1) -> Resource:
    run = {"attempt": attempts, "key": "", "image": "i", "python": "p", "environment": "e"}
    return resource("ProcessingJob", name, {"Run": run} if attempts else {})


@pytest.fixture
def ask(store: Store) -> Callable[..., Any]:
    """Return a function that adds resources, and asks one operation about the output of their attempts."""

    def asked(operation: str, logs: dict[str, list[str]], **members: Any) -> Document:
        operations = log_operations(cast(ComputeBackend, Output(logs)))
        request = Request(operation=operation, input=members, caller=Caller("ada"))
        return store.read(lambda transaction: operations[operation].function(transaction, request))

    return asked


def add(store: Store, made: Resource) -> list[str]:
    """Insert a resource and return the keys of its attempts."""
    store.write(lambda transaction: transaction.resources.insert(made))
    return [stream.key for stream in streams_of(made)]


def messages(answer: Document) -> list[str]:
    return [event["message"] for event in answer["events"]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), max_size=30),
    n=st.integers(1, 9),
)
def test_pages_forward_and_backward_show_every_line_once(
    store: Store, ask: Callable[..., Any], lines: list[str], n: int
) -> None:
    made = job(f"j-{uuid4().hex}")
    (key,) = add(store, made)
    where = {"logGroupName": JOBS, "logStreamName": streams_of(made)[0].name, "limit": n}
    seen: list[str] = []
    answer = ask("GetLogEvents", {key: lines}, **where, startFromHead=True)
    while messages(answer):
        seen += messages(answer)
        answer = ask("GetLogEvents", {key: lines}, **where, nextToken=answer["nextForwardToken"])
    assert seen == lines
    back: list[str] = []
    answer = ask("GetLogEvents", {key: lines}, **where)
    tail = answer["nextForwardToken"]
    while messages(answer):
        back = messages(answer) + back
        answer = ask("GetLogEvents", {key: lines}, **where, nextToken=answer["nextBackwardToken"])
    assert back == lines
    assert messages(ask("GetLogEvents", {key: [*lines, "new"]}, **where, nextToken=tail)) == ["new"]


def test_a_long_log_is_read_from_its_tail(store: Store, ask: Callable[..., Any]) -> None:
    made = job("long")
    (key,) = add(store, made)
    lines = [f"{number:06d} {'x' * 93}" for number in range(5_000)]
    where = {"logGroupName": JOBS, "logStreamName": streams_of(made)[0].name}
    answer = ask("GetLogEvents", {key: lines}, **where, limit=3)
    assert messages(answer) == lines[-3:]
    answer = ask("GetLogEvents", {key: lines}, **where, limit=2_500, nextToken=answer["nextBackwardToken"])
    assert messages(answer) == lines[-2_503:-3]


def test_a_window_of_time_leaves_out_its_end(store: Store, ask: Callable[..., Any]) -> None:
    made = job("window")
    (key,) = add(store, made)
    lines = [str(number) for number in range(10)]
    begin = int(START.timestamp() * 1000)
    where = {"logGroupName": JOBS, "logStreamName": streams_of(made)[0].name}
    window = {"startTime": begin + 3_000, "endTime": begin + 6_000}
    assert messages(ask("GetLogEvents", {key: lines}, **where, **window, startFromHead=True)) == ["3", "4", "5"]
    assert messages(ask("GetLogEvents", {key: lines}, **where, **window, limit=2)) == ["4", "5"]


def test_each_attempt_is_a_stream_and_a_job_that_has_not_begun_has_none(store: Store, ask: Callable[..., Any]) -> None:
    keys = add(store, job("twice", attempts=2))
    add(store, job("waiting", attempts=0))
    streams = ask("DescribeLogStreams", {keys[0]: ["a", "b"]}, logGroupName=JOBS, logStreamNamePrefix="twice/")
    created = int(START.timestamp())
    assert [s["logStreamName"] for s in streams["logStreams"]] == [
        f"twice/algo-1-{created}", f"twice/algo-1-{created + 1}"
    ]  # fmt: skip
    assert streams["logStreams"][0]["lastEventTimestamp"] == (created + 1) * 1000
    assert "lastEventTimestamp" not in streams["logStreams"][1]
    waiting = ask("DescribeLogStreams", {}, logGroupName=JOBS, logStreamNamePrefix="waiting/")
    assert waiting["logStreams"] == []
    everything = ask("DescribeLogStreams", {}, logGroupName=JOBS)
    assert {s["logStreamName"].partition("/")[0] for s in everything["logStreams"]} >= {"twice"}


def test_each_host_of_a_job_is_a_stream(store: Store, ask: Callable[..., Any]) -> None:
    several = replace(job("wide"), spec={"ProcessingResources": {"ClusterConfig": {"InstanceCount": 60}}})
    key = add(store, several)[0]
    logs = {key: ["first"], f"{key}/algo-2": ["second"], f"{key}/algo-60": ["last"]}
    page = ask("DescribeLogStreams", logs, logGroupName=JOBS, logStreamNamePrefix=f"{several.name}/")
    names = [stream["logStreamName"] for stream in page["logStreams"]]
    while page.get("nextToken"):
        token = page["nextToken"]
        page = ask(
            "DescribeLogStreams", logs, logGroupName=JOBS, logStreamNamePrefix=f"{several.name}/", nextToken=token
        )
        names += [stream["logStreamName"] for stream in page["logStreams"]]
    created = int(START.timestamp())
    assert names == [f"{several.name}/algo-{number}-{created}" for number in range(1, 61)]
    assert messages(ask("GetLogEvents", logs, logGroupName=JOBS, logStreamName=names[1])) == ["second"]
    events = ask("FilterLogEvents", logs, logGroupName=JOBS, logStreamNames=[names[0], names[59]])["events"]
    assert [(event["message"], event["logStreamName"]) for event in events] == [
        ("first", names[0]),
        ("last", names[59]),
    ]


def test_the_output_of_an_endpoint_has_its_own_group(store: Store, ask: Callable[..., Any]) -> None:
    fleet = Fleet(
        generation=1, config_name="c", since=START, instances=(Instance(variant=0, number=0, submitted_at=START),)
    )
    (key,) = add(store, resource("Endpoint", "reviews", state_document(EndpointState(fleets=(fleet,)))))
    group = "/aws/sagemaker/Endpoints/reviews"
    answer = ask("FilterLogEvents", {key: ["started", "answered"]}, logGroupName=group)
    assert messages(answer) == ["started", "answered"]
    assert answer["events"][0]["logStreamName"] == "instance/1-0-0-1"
    groups = ask("DescribeLogGroups", {}, logGroupNamePrefix="/aws/sagemaker/Endpoints/")["logGroups"]
    assert [found["logGroupName"] for found in groups] == [group]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["one two", "two three", "three one"]),
        ("one two", ["one two"]),
        ('"two three"', ["two three"]),
        ("-one", ["two three"]),
        ("?two ?none", ["one two", "two three"]),
    ],
)
def test_a_pattern_picks_messages_by_terms(
    store: Store, ask: Callable[..., Any], pattern: str, expected: list[str]
) -> None:
    made = job(f"p-{uuid4().hex}")
    (key,) = add(store, made)
    where = {"logGroupName": JOBS, "logStreamNamePrefix": made.name}
    logs = {key: ["one two", "two three", "three one"]}
    assert messages(ask("FilterLogEvents", logs, **where, filterPattern=pattern)) == expected
    seen: list[str] = []
    token = None
    while True:
        more: Document = {"nextToken": token} if token else {}
        answer = ask("FilterLogEvents", logs, **where, filterPattern=pattern, limit=1, **more)
        seen += messages(answer)
        if not (token := answer.get("nextToken")):
            break
    assert seen == expected


@pytest.mark.parametrize(
    ("operation", "members", "error"),
    [
        ("DescribeLogStreams", {"logGroupName": "/aws/lambda/f"}, NotFound),
        ("DescribeLogStreams", {}, Invalid),
        ("GetLogEvents", {"logGroupName": JOBS, "logStreamName": "absent/algo-1-1"}, NotFound),
        ("FilterLogEvents", {"logGroupName": JOBS, "filterPattern": "{ $.a = 1 }"}, Unsupported),
        ("FilterLogEvents", {"logGroupName": JOBS, "nextToken": "9/9/9"}, Invalid),
    ],
)
def test_what_cannot_be_answered_is_refused(
    ask: Callable[..., Any], operation: str, members: Document, error: type[TowpathError]
) -> None:
    with pytest.raises(error):
        ask(operation, {}, **members)


@pytest.mark.parametrize("token", ["", "x", "f/", "f/-1", "g/1", "f/" + "9" * 30])
def test_a_token_that_was_never_given_is_refused(store: Store, ask: Callable[..., Any], token: str) -> None:
    made = job(f"t-{uuid4().hex}")
    add(store, made)
    with pytest.raises(Invalid):
        ask("GetLogEvents", {}, logGroupName=JOBS, logStreamName=streams_of(made)[0].name, nextToken=token)
