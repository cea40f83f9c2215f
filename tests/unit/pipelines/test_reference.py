"""Random pipelines go the way that a simple interpreter says, whatever fails, is stopped, retried or crashes.

The interpreter reads the definition as it is written, knows no plan and keeps no counters: it looks at everything anew
each time. What it agrees with keeps its standings from turn to turn, as the controller does, and is made anew from the
rows where a process died.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as with_lookups
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import msgspec
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from tests.unit.pipelines.reference import EXPIRES, MOST_RETRIES, Reference, Step
from tests.unit.pipelines.test_execution import (
    FAILED,
    LOST,
    RETRIED,
    START,
    STOPPED,
    SUCCEEDED,
    World,
    condition,
    fail,
    job,
)
from tests.unit.pipelines.test_rounds import each

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Document
from towpath.pipelines.attempts import tried_again
from towpath.pipelines.caching import Asked, Found, Lookup
from towpath.pipelines.decisions import Decision, Ended, EndStep, Situation, StartStep
from towpath.pipelines.definition import parse
from towpath.pipelines.execution import Course
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.selection import Selection, restricted, select
from towpath.pipelines.standing import Standings

BROKEN = "AlgorithmError: exit code 1"


class Cache:
    """What executions of one pipeline have left, and who left it."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], Found] = {}

    def look_up(self, name: str, asked: Asked) -> Lookup:
        key = self._key(name, asked.request)
        return Lookup(asked=asked, key=key[1].decode(), found=self.kept.get(key))

    def keep(self, row: StepRow, request: Document) -> None:
        assert row.ended_at is not None
        assert row.yielded is not None
        self.kept[self._key(row.name, request)] = Found(
            execution_arn="arn:source",
            ended_at=row.ended_at,
            job=None,
            job_arn="arn:job",
            metadata={},
            yielded=row.yielded,
        )

    @staticmethod
    def _key(name: str, request: Document) -> tuple[str, bytes]:
        return name, msgspec.json.encode(request.get("Environment") or {}, order="sorted")


class Remembering(World):
    """Keeps its standings from turn to turn, as the controller does, and looks up what steps ask the cache for."""

    def __init__(
        self,
        plan: Plan,
        *,
        cache: Cache | None = None,
        now: datetime = START,
        taken: Sequence[StepRow] = (),
        max_parallel: int | None = None,
    ) -> None:
        self.plan = plan
        self.cache = cache or Cache()
        self.situation = {"execution_id": "abcdefghijkl", "max_parallel": max_parallel}
        self.now = now
        self.rows = {row.name: row for row in taken}
        self.inputs, self.starts, self.facts = {}, [], []
        self.finished = None
        self.standings: Standings | None = None
        self.is_short_of_facts = False
        self.advance()

    def advance(self, **ended: Ended) -> list[Decision]:
        decisions = super().advance(**ended)
        while self.is_short_of_facts:
            decisions += super().advance()
        return decisions

    def decided(self, situation: Situation) -> list[Decision]:
        standings = Standings(self.plan, dict(self.rows)) if self.standings is None else self.standings
        look = Course(standings.copy(), self.now, situation)
        look.run()
        lookups: dict[str, Lookup] = {}
        while look.unlooked:
            lookups |= {name: self.cache.look_up(name, asked) for name, asked in look.unlooked.items()}
            look.go_on(with_lookups(situation, lookups=dict(lookups)))
        course = Course(standings.copy(), self.now, with_lookups(situation, lookups=lookups))
        decisions = course.run()
        self.standings, self.is_short_of_facts = course.standings, course.is_short_of_facts
        for decision in decisions:
            if isinstance(decision, EndStep):
                self.note(decision)
        return decisions

    def note(self, end: EndStep) -> None:
        """Put outputs back that a step has taken over, and keep what one that ran has left."""
        row = end.row
        if row.cache is None or row.status is not SUCCEEDED:
            return
        if row.cache.source is None:
            self.cache.keep(row, self.inputs[row.name])
            return
        for key, found in self.cache.kept.items():
            if key[0] == row.name and found.displaced and end.lookup is not None and end.lookup.found == found:
                self.cache.kept[key] = replace(found, displaced=())

    def retry(self) -> None:
        for row in tried_again(Standings(self.plan, dict(self.rows)), self.now):
            self.rows[row.name] = row
        self.situation["stopping"] = False
        self.finished = self.standings = None
        self.advance()


NAMES = "ABCDEF"
SELECTIONS = 8  #: tried at a time
POLICY = [{**RETRIED[0], "IntervalSeconds": 2, "BackoffRate": 2.0, "MaxAttempts": MOST_RETRIES}]


class Shape(Enum):
    """Which pipelines are drawn together. The order in which steps of one moment begin is not promised where the cache
    has to be asked in between; it decides only where some of them fail as they begin, or not all of them may run."""

    UNCACHED = auto()  #: anything else
    CACHED = auto()  #: all results lie in their places, or are gone; none fails as it begins
    CACHED_IN_PARALLEL = auto()  #: likewise; not all may run
    PUT_BACK = auto()  #: outputs are missing in their places; none fails as it begins

    @property
    def fails_at_once(self) -> bool:
        return self is Shape.UNCACHED


@st.composite
def steps_of(draw: st.DrawFn, shape: Shape, prefix: str = "", outer: tuple[str, ...] = ()) -> list[Step]:
    """Return the steps of some pipeline without circles, or of the body of a loop."""
    inside = bool(prefix)
    names = [f"{prefix}{name}" for name in NAMES[: draw(st.integers(1, 3 if inside else len(NAMES)))]]
    found: list[Step] = []
    jobs = list(outer)
    for at, name in enumerate(names):
        before = names[:at]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        triggers = [draw(st.sampled_from(["Completed"] * 3 + ["Failed", "Stopped", "Any"])) for _ in chosen]
        needs: list[Any] = [
            {"Step": other, "Trigger": trigger} for other, trigger in zip(chosen, triggers, strict=True)
        ]
        if outer and draw(st.integers(0, 4)) == 0:
            needs.append(draw(st.sampled_from(outer)))
        readable = (
            jobs if shape.fails_at_once else [other for other in jobs if other not in {*chosen, *needs_of(needs)}]
        )
        reads = tuple(draw(st.lists(st.sampled_from(readable), unique=True, max_size=2))) if readable else ()
        kinds = ["job", "job", "retried", "retried", "condition", *([] if inside else ["loop"] * 2)]
        kinds += ["broken", "fail"] if shape.fails_at_once else []
        kinds += [] if shape is Shape.UNCACHED else ["cached"] * 4
        match draw(st.sampled_from(kinds)):
            case "broken":
                found.append(job(name, *needs) | {"Arguments": {"Environment": {"Get": "Parameters.Unknown"}}})
                continue
            case "fail" if draw(st.booleans()):
                found.append({**fail(name), "DependsOn": needs})
                continue
            case "condition":
                outcome = {"Get": "ForEach.CurrentItem"} if inside else draw(st.sampled_from(["yes", "no"]))
                then, otherwise = [job(f"{name}-then")], [job(f"{name}-else", *needs)]
                found.append(condition(name, outcome=outcome, then=then, otherwise=otherwise, needs=needs))
                continue
            case "loop":
                body = draw(steps_of(shape, prefix=f"{name}-", outer=tuple(jobs)))
                items = draw(st.lists(st.sampled_from(["yes", "no"]), max_size=4))
                limit = draw(st.none() | st.integers(1, 3))
                more = {} if limit is None else {"MaxConcurrency": limit}
                found.append(each(items, *body, name=name, needs=needs, **more))
                continue
            case "retried":
                found.append(job(name, *needs, reads=reads, RetryPolicies=POLICY))
            case "cached":
                expires = draw(st.sampled_from([{}, {"ExpireAfter": EXPIRES}]))
                found.append(job(name, *needs, reads=reads, CacheConfig={"Enabled": True, **expires}))
            case _:
                found.append(job(name, *needs, reads=reads))
        jobs.append(name)
    return found if inside else list(draw(st.permutations(found)))


def needs_of(needs: Sequence[Any]) -> set[str]:
    """Return the steps that entries of DependsOn name."""
    return {entry if isinstance(entry, str) else entry["Step"] for entry in needs}


class Both(RuleBasedStateMachine):
    """The decisions of the platform beside the interpreter, while jobs end, time passes, and things go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.ended: list[tuple[Remembering, Reference]] = []  #: executions that are over

    @initialize(data=st.data(), shape=st.sampled_from([Shape.UNCACHED, *Shape]), max_parallel=st.integers(1, 3))
    def begin(self, data: st.DataObject, shape: Shape, max_parallel: int) -> None:
        self.shape = shape
        limited = {Shape.UNCACHED: data.draw(st.booleans()), Shape.CACHED_IN_PARALLEL: True}.get(shape, False)
        most = max_parallel if limited else None
        steps = data.draw(steps_of(shape))
        self.whole = compile(parse({"Version": "2020-12-01", "Steps": steps}))
        self._follow(Remembering(self.whole, cache=self.cache, max_parallel=most), Reference(steps, most))

    def _follow(self, world: Remembering, reference: Reference) -> None:
        self.world, self.reference = world, reference
        reference.go(world.now)
        self.succeeded: set[str] = set()

    @precondition(lambda self: self.world.running)
    @rule(data=st.data(), result=st.sampled_from([SUCCEEDED] * 3 + [FAILED, FAILED, STOPPED]), lost=st.booleans())
    def a_job_ends(self, data: st.DataObject, result: StepStatus, lost: bool) -> None:
        self._end(data.draw(st.sampled_from(sorted(self.world.running))), result, lost)

    def _end(self, name: str, result: StepStatus, lost: bool) -> None:
        reason = None if result is SUCCEEDED else LOST if lost else BROKEN
        self.world.now += timedelta(seconds=1)
        value = f"{name} at {self.world.now}"
        self.world.end(name, result, reason, **({"Answer": value} if result is SUCCEEDED else {}))
        self.reference.ended(name, result.value, reason, value, self.world.now)

    @precondition(lambda self: self.world.running and not self.reference.stopping)
    @rule(data=st.data())
    def a_job_ends_and_nobody_knows_how(self, data: st.DataObject) -> None:
        """It is asked again later, and until then the step runs."""
        name = data.draw(st.sampled_from(sorted(self.world.running)))
        self.world.now += timedelta(seconds=1)
        self.world.situation["unsettled"] = {name: "there is no answer"}
        self.world.advance()
        del self.world.situation["unsettled"]
        assert self.world.rows[name].due_at is not None
        self.reference.go(self.world.now)

    @precondition(lambda self: self.world.next_due is not None)
    @rule()
    def time_passes(self) -> None:
        due = self.world.next_due
        assert due is not None
        self.world.now = max(self.world.now, due)
        self.world.advance()
        self.reference.go(self.world.now)

    @precondition(lambda self: self.world.finished is None)
    @rule(chance=st.randoms(use_true_random=False))
    def it_goes_on_to_its_end(self, chance: random.Random) -> None:
        while self.world.finished is None:
            if self.world.running:
                result = chance.choice([SUCCEEDED] * 9 + [FAILED])
                self._end(chance.choice(sorted(self.world.running)), result, chance.random() < 0.5)
            else:
                self.time_passes()

    @precondition(lambda self: self.world.finished is None)
    @rule(wanted=st.integers(0, 3))
    def somebody_stops_it(self, wanted: int) -> None:
        if wanted == 0:
            self.world.stop()
            self.reference.stopping = True
            self.reference.go(self.world.now)

    @precondition(lambda self: self.world.finished is None and self.reference.max_parallel is not None)
    @rule(most=st.integers(1, 3))
    def somebody_changes_its_parallelism(self, most: int) -> None:
        self.world.situation["max_parallel"] = self.reference.max_parallel = most
        self.world.advance()
        self.reference.go(self.world.now)

    @precondition(lambda self: self.world.ending is not None and self.world.ending[0] in {"Failed", "Stopped"})
    @rule()
    def somebody_retries_it(self) -> None:
        self.world.now += timedelta(seconds=1)
        self.reference.retry(self.world.now)
        self.world.retry()

    @precondition(lambda self: self.world.finished is None)
    @rule()
    def the_process_dies(self) -> None:
        self.world.standings = None
        self.world.advance()

    @precondition(lambda self: self.world.finished is not None)
    @rule()
    def it_is_over(self) -> None:
        assert not self.world.running
        assert self.world.next_due is None

    @precondition(lambda self: self.world.finished is not None)
    @rule(days=st.sampled_from([0, 0, 2]))
    def somebody_starts_another_one(self, days: int) -> None:
        self.ended.append((self.world, self.reference))
        now = self.world.now + timedelta(seconds=1, days=days)
        most = self.reference.max_parallel
        self._follow(
            Remembering(self.whole, cache=self.cache, now=now, max_parallel=most),
            Reference(self.reference.written, most, self.reference.shelf),
        )

    @precondition(lambda self: self.world.finished is not None)
    @rule(chance=st.randoms(use_true_random=False))
    def somebody_selects_steps(self, chance: random.Random) -> None:
        self.ended.append((self.world, self.reference))
        accepted = [found for found in (self._selected(chance) for _ in range(SELECTIONS)) if found is not None]
        if accepted:
            # The one that takes most over from an earlier execution says most.
            selection, reference = max(accepted, key=lambda found: len(found[0].kept))
            event(f"selected, with {len(selection.kept)} taken over")
            taken = [replace(row, position=at, taken_from="arn:source") for at, row in enumerate(selection.kept)]
            now = self.world.now + timedelta(seconds=1)
            plan, most = restricted(self.whole, selection.steps), reference.max_parallel
            self._follow(Remembering(plan, cache=self.cache, now=now, taken=taken, max_parallel=most), reference)

    def _selected(self, chance: random.Random) -> tuple[Selection, Reference] | None:
        """Select some steps; both accept that, or both refuse it."""
        nodes = list(self.whole.nodes)
        chosen = chance.sample(nodes, chance.randint(1, min(4, len(nodes))))
        source, told = chance.choice([*self.ended * 3, (None, None)])
        reference = self.reference.selected(chosen, told)
        try:
            selection = select(self.whole, chosen, None if source is None else source.rows)
        except Invalid as error:
            assert reference is None, error.message
            return None
        assert reference is not None, f"{chosen} should be refused"
        return selection, reference

    @precondition(lambda self: self.world.finished is not None and self.cache.kept)
    @rule(data=st.data())
    def outputs_of_a_result_are_deleted(self, data: st.DataObject) -> None:
        """For good, or so that they can be put back into their places."""
        key, found = data.draw(st.sampled_from(sorted(self.cache.kept.items(), key=lambda kept: kept[0])))
        if self.shape is Shape.PUT_BACK and data.draw(st.booleans()):
            self.cache.kept[key] = replace(found, displaced=(ObjectRef("b", "k", found.ended_at.isoformat()),))
            return
        self.cache.kept[key] = replace(found, gone="s3://b/k")
        value = found.yielded.document["Answer"]
        for result in self.reference.shelf.results.values():
            result.is_gone = result.is_gone or result.value == value

    @invariant()
    def they_agree(self) -> None:
        words = {"Executing": "running", "Stopping": "running", "Starting": "waiting"}
        rows = self.world.rows
        found = {name: words.get(row.status.value, row.status.value) for name, row in rows.items()}
        assert found == self.reference.status
        assert (self.world.ending or (None,))[0] == self.reference.result
        assert Counter(name for name, _ in self.world.starts) == self.reference.ran
        answers = {name: row.yielded.document.get("Answer") for name, row in rows.items() if row.yielded is not None}
        assert {name: answer for name, answer in answers.items() if answer is not None} == self.reference.values
        put_off = [row for row in rows.values() if row.unsettled_at is not None]
        assert all(words.get(row.status.value) == "running" and row.due_at is not None for row in put_off)
        made_anew = Standings(self.world.plan, dict(rows))
        for what in ("_of", "_running", "_executing", "_unsettled", "_postponed"):
            assert self.world.standings is None or vars(made_anew)[what] == vars(self.world.standings)[what]

    @invariant()
    def what_succeeded_is_settled_and_nothing_begins_before_its_inputs(self) -> None:
        rows = self.world.rows
        assert all(rows[name].status is SUCCEEDED for name in self.succeeded)
        self.succeeded = {name for name, row in rows.items() if row.status is SUCCEEDED}
        starts = self.world.starts
        assert len(starts) == len(set(starts)), "an attempt began twice"
        for name in rows:
            for other, trigger, _ in self.reference.needs(name.partition("[")[0]):
                ended = self.reference.fate(self.reference.seen_from(name, other))
                assert self.reference.satisfies(str(ended), trigger)

    def teardown(self) -> None:
        """Note what has happened, for `--hypothesis-show-statistics`."""
        for world in [*(world for world, _ in self.ended), *([self.world] if hasattr(self, "world") else [])]:
            if any(row.cache is not None and row.cache.source is not None for row in world.rows.values()):
                event("a result was taken over")


TestBoth = Both.TestCase
TestBoth.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_start_is_decided_once_for_each_attempt() -> None:
    steps = [each([1, 2], job("Body"), MaxConcurrency=1)]
    world = Remembering(compile(parse({"Version": "2020-12-01", "Steps": steps})))
    decisions = world.advance()
    assert not any(isinstance(decision, StartStep) for decision in decisions)
    assert world.starts == [("Body[0]", 1)]
