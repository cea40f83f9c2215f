"""What is decided about steps that ask for the cache: nothing begins before it was asked, and what follows from it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from towpath.kernel.objects import ObjectRef
from towpath.pipelines.caching import Asked, Found, Lookup
from towpath.pipelines.decisions import EndStep, FinishExecution, Situation, StartStep
from towpath.pipelines.definition import parse
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.execution import Course
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.model import ExecutionStatus, StepStatus
from towpath.pipelines.standing import Standings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FOUND = Found(
    execution_arn="arn:source",
    ended_at=NOW - timedelta(days=1),
    job=None,
    job_arn="arn:job",
    metadata={"ProcessingJob": {"Arn": "arn:job"}},
    yielded=StepYield(document={"Path": "s3://b/made"}),
)


def plan(*steps: dict[str, Any], enabled: bool = True) -> Plan:
    """Return a plan of processing steps that ask for the cache."""
    cached = {"Type": "Processing", "CacheConfig": {"Enabled": enabled, "ExpireAfter": "P1D"}}
    return compile(parse({"Version": "2020-12-01", "Steps": [{**cached, **step} for step in steps]}))


A = {"Name": "A", "Arguments": {"Environment": {"x": "1"}}}
B = {"Name": "B", "Arguments": {"Environment": {"read": {"Get": "Steps.A.Path"}}}}
C = {"Name": "C", "Arguments": {}, "Type": "Model", "DependsOn": ["A"]}


def course(of: Plan, lookups: dict[str, Lookup] | None = None, *, now: datetime = NOW) -> Course:
    """Return a run of decisions, made."""
    situation = Situation(execution_id="abcdefghijkl", lookups=lookups or {})
    run = Course(Standings(of, {}), now, situation)
    run.run()
    return run


def found(asked: Asked, **changes: Any) -> Lookup:
    return Lookup(asked=asked, key="k", found=replace(FOUND, **changes))


def asked_of(of: Plan, step: str, lookups: dict[str, Lookup] | None = None) -> Asked:
    return course(of, lookups).unlooked[step]


def test_nothing_begins_and_nothing_ends_before_the_cache_was_asked() -> None:
    first = course(plan(A, B))
    assert first.decisions == []
    assert first.is_short_of_facts
    assert list(first.unlooked) == ["A"]
    assert first.unlooked["A"].request["Environment"] == {"x": "1"}


def test_a_step_whose_cache_is_off_just_begins() -> None:
    (start,) = course(plan(A, enabled=False)).decisions
    assert isinstance(start, StartStep)
    assert (start.lookup, start.row.cache) == (None, None)


def test_a_result_stands_for_the_step_and_the_next_one_reads_what_it_yielded() -> None:
    of = plan(A, B)
    lookups = {"A": found(asked_of(of, "A"))}
    second = course(of, lookups)
    (end,) = second.decisions
    assert isinstance(end, EndStep)
    assert (end.row.status, end.row.resource_arn) == (StepStatus.SUCCEEDED, "arn:job")
    assert end.row.cache is not None
    assert (end.row.cache.source, end.row.cache.key) == ("arn:source", "k")
    assert second.unlooked["B"].request["Environment"] == {"read": "s3://b/made"}
    lookups["B"] = found(second.unlooked["B"])
    ended = course(of, lookups)
    assert ended.decisions[-1] == FinishExecution(status=ExecutionStatus.SUCCEEDED)
    assert not ended.is_short_of_facts


def test_what_is_not_found_or_too_old_runs_on_what_was_looked_up() -> None:
    of = plan(A)
    asked = asked_of(of, "A")
    missed = Lookup(asked=asked, key="k")
    old = found(asked, ended_at=NOW - timedelta(days=1, seconds=1))
    for lookup, why in ((missed, "no execution of this pipeline"), (old, "is older than P1D")):
        (start,) = course(of, {"A": lookup}).decisions
        assert isinstance(start, StartStep)
        assert start.lookup is lookup
        assert start.row.cache is not None
        assert start.row.cache.source is None
        assert why in start.row.cache.why


def test_outputs_are_back_in_their_places_before_the_next_step_is_looked_up() -> None:
    of = plan(A, B, C)
    displaced = (ObjectRef("b", "made", "v1"),)
    run = course(of, {"A": found(asked_of(of, "A"), displaced=displaced)})
    end, start = run.decisions
    assert isinstance(end, EndStep)
    assert end.lookup is not None
    assert end.lookup.found is not None
    assert end.lookup.found.displaced == displaced
    assert isinstance(start, StartStep)
    assert start.row.name == "C", "what does not ask for the cache begins after it in the same transaction"
    assert run.unlooked == {}
    assert run.is_short_of_facts, "look again when they are back"


def test_arguments_that_change_with_the_time_make_no_key() -> None:
    of = plan({"Name": "A", "Arguments": {"Environment": {"at": {"Get": "Execution.CurrentDateTime"}}}})
    looked_up = found(asked_of(of, "A"))
    (start,) = course(of, {"A": looked_up}, now=NOW + timedelta(microseconds=1)).decisions
    assert isinstance(start, StartStep)
    assert start.row.cache is not None
    assert (start.row.cache.key, start.row.cache.why) == (None, "its arguments change with the time")
    assert start.lookup is not None
    assert start.lookup.pinned == ()


def test_arguments_without_a_value_fail_the_step_as_ever() -> None:
    of = plan({"Name": "A", "Arguments": {"Environment": {"x": {"Get": "Parameters.Missing"}}}})
    run = course(of)
    end = run.decisions[0]
    assert isinstance(end, EndStep)
    assert end.row.status is StepStatus.FAILED
    assert run.unlooked == {}
