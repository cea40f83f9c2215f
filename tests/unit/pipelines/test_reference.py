"""Random pipelines go the way that a simple interpreter says, whatever fails, is stopped, retried or crashes.

The interpreter reads the definition as it is written, knows no plan and keeps no counters: it looks at everything anew
each time. What it agrees with keeps its standings from turn to turn, as the controller does, and is made anew from the
rows where a process died.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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

from towpath.pipelines.attempts import tried_again
from towpath.pipelines.decisions import Decision, Situation, StartStep
from towpath.pipelines.execution import Course
from towpath.pipelines.model import StepStatus
from towpath.pipelines.standing import Standings

BROKEN = "AlgorithmError: exit code 1"
MOST_RETRIES = 2
Step = dict[str, Any]


class Reference:
    """Goes through a definition in the plainest way."""

    def __init__(self, steps: list[Step], max_parallel: int | None) -> None:
        self.max_parallel = max_parallel
        self.steps: dict[str, Step] = {}
        self.around: dict[str, tuple[str, bool] | None] = {}  #: step -> (condition, outcome) of its branch
        self.loop: dict[str, str] = {}  #: body step -> its ForEach
        self._collect(steps, None, None)
        self.order = self._in_order()
        self.status: dict[str, str] = {}  #: row -> running, waiting, Succeeded, Failed, Stopped
        self.begun: list[str] = []
        self.outcome: dict[str, bool] = {}
        self.due: dict[str, datetime] = {}
        self.retries: dict[str, int] = {}
        self.items: dict[str, list[Any]] = {}
        self.stopping = False
        self.result: str | None = None

    def _collect(self, steps: list[Step], branch: tuple[str, bool] | None, loop: str | None) -> None:
        for step in steps:
            name, arguments = step["Name"], step["Arguments"]
            self.steps[name], self.around[name] = step, branch
            if loop is not None:
                self.loop[name] = loop
            self._collect(arguments.get("IfSteps", []), (name, True), loop)
            self._collect(arguments.get("ElseSteps", []), (name, False), loop)
            self._collect(arguments.get("ForEachBody", []), None, name)

    def needs(self, name: str) -> list[tuple[str, str, bool]]:
        """Return (step, trigger, whether something of it is read); a loop needs what its body needs outside."""
        found = []
        for entry in self.steps[name].get("DependsOn", []):
            plain = isinstance(entry, str)
            found.append((entry, "Completed", False) if plain else (entry["Step"], entry["Trigger"], False))
        for read in self.steps[name]["Arguments"].get("Environment", {}):
            if read in self.steps:
                found.append((read, "Any" if read in {other for other, _, _ in found} else "Completed", True))
        branch = self.around[name]
        if branch is not None:
            found.append((branch[0], "Completed", False))
        mine = self.loop.get(name)
        found = [need for need in found if self.loop.get(need[0]) == mine]
        for inner in self.steps:
            if self.loop.get(inner) == name:
                found += [need for need in self._of_body(inner) if self.loop.get(need[0]) != name]
        return found

    def _of_body(self, inner: str) -> list[tuple[str, str, bool]]:
        loop = self.loop.pop(inner)
        try:
            return self.needs(inner)
        finally:
            self.loop[inner] = loop

    def _in_order(self) -> list[str]:
        placed: list[str] = []
        while len(placed) < len(self.steps):
            placed.append(
                next(
                    name
                    for name in self.steps
                    if name not in placed and all(other in placed for other, _, _ in self.needs(name))
                )
            )
        return placed

    def rows(self) -> Iterator[str]:
        """Yield every row that there may be by now, in the order of the plan."""
        for name in self.order:
            if name in self.loop:
                continue
            yield name
            if name in self.items:
                for number in range(self.admitted(name)):
                    yield from (f"{inner}[{number}]" for inner in self.order if self.loop.get(inner) == name)

    def admitted(self, loop: str) -> int:
        """Return how many rounds of a loop may have begun."""
        limit = self.steps[loop]["Arguments"].get("MaxConcurrency") or len(self.items[loop])
        number = 0
        over = 0
        while number < len(self.items[loop]) and number < over + limit:
            over += self.is_over(loop, number)
            number += 1
            over = sum(self.is_over(loop, earlier) for earlier in range(number))
        begun = [int(row.partition("[")[2][:-1]) for row in self.begun if self.loop.get(row.partition("[")[0]) == loop]
        return max(number, max(begun, default=-1) + 1)

    def is_over(self, loop: str, number: int) -> bool:
        """Return whether every step of a round has ended or never runs."""
        return all(self.fate(f"{inner}[{number}]") is not None for inner in self.steps if self.loop.get(inner) == loop)

    def seen_from(self, row: str, other: str) -> str:
        name, bracket, number = row.partition("[")
        return f"{other}[{number}" if bracket and self.loop.get(other) == self.loop.get(name) else other

    def fate(self, row: str) -> str | None:
        """Return how a step has ended, Never when it will not run, None when that is open."""
        status = self.status.get(row)
        if status is not None:
            return status if status in {"Succeeded", "Failed", "Stopped"} else None
        name = row.partition("[")[0]
        for other, trigger, _ in self.needs(name):
            ended = self.fate(self.seen_from(row, other))
            if ended is not None and not self.satisfies(ended, trigger):
                return "Never"
        branch = self.around[name]
        if branch is not None and self.outcome.get(self.seen_from(row, branch[0]), branch[1]) != branch[1]:
            return "Never"
        return None

    @staticmethod
    def satisfies(ended: str, trigger: str) -> bool:
        return ended != "Never" and trigger in {"Any", {"Succeeded": "Completed"}.get(ended, ended)}

    def is_ready(self, row: str) -> bool:
        if row in self.status or self.fate(row) is not None:
            return False
        ends = [self.fate(self.seen_from(row, other)) for other, _, _ in self.needs(row.partition("[")[0])]
        return all(end is not None for end in ends)

    def follow_ups(self, row: str) -> list[str]:
        """Return the rows of steps that were written to follow on how a step ended."""
        name, bracket, number = row.partition("[")
        found = []
        for other in self.steps:
            if self.loop.get(other) != self.loop.get(name):
                continue
            if any(
                need == name and not reads and self.satisfies(self.status[row], trigger)
                for need, trigger, reads in self.needs(other)
            ):
                found.append(f"{other}[{number}" if bracket else other)
        return found

    def fatal(self, loop: str | None) -> list[str]:
        """Return the rows that ended badly, and nothing follows up on it: outside of loops, or in one."""
        return [
            row
            for row, status in self.status.items()
            if status in {"Failed", "Stopped"}
            and self.loop.get(row.partition("[")[0]) == loop
            and all(self.fate(other) == "Never" for other in self.follow_ups(row))
        ]

    def go(self, now: datetime) -> None:
        """Begin and end whatever is to begin and to end."""
        if self.result is not None:
            return
        if self.stopping:
            for row, status in self.status.items():
                if status == "waiting":
                    self.status[row] = "Stopped"
            self.end_loops()
        else:
            while self.begin(now) or self.end_loops():
                pass
        if not {"running", "waiting"} & set(self.status.values()):
            bad = {"Failed", "Stopped"} & set(self.status.values())
            ends = [
                (self.stopping, "Stopped"),
                (bool(self.fatal(None)), "Failed"),
                (bool(bad), "CompletedWithFailures"),
            ]
            self.result = next((word for holds, word in ends if holds), "Succeeded")

    def begin(self, now: datetime) -> bool:
        changed = False
        if self.fatal(None):
            self.give_up(list(self.status))
            return False
        for loop in self.items:
            if self.status[loop] == "running" and self.fatal(loop):
                changed |= self.give_up([row for row in self.status if self.loop.get(row.partition("[")[0]) == loop])
        again = [row for row in self.begun if self.status[row] == "waiting" and self.due[row] <= now]
        open_loops = [loop for loop in self.items if self.status[loop] == "running" and not self.fatal(loop)]
        ready = [
            row
            for row in self.rows()
            if self.is_ready(row) and self.loop.get(row.partition("[")[0]) in {None, *open_loops}
        ]
        if self.max_parallel is not None:
            # A step that fails as it begins makes no room for those behind it before the next look from the start.
            jobs = [row for row in ready if self.is_job(row)]
            late = set(jobs[max(self.max_parallel - self.running_jobs(), 0) :])
            ready = [row for row in ready if row not in late]
        for row in again + ready:
            around = self.loop.get(row.partition("[")[0])
            step = self.steps[row.partition("[")[0]]
            if around is not None and self.fatal(around):
                continue
            if self.is_job(row) and self.max_parallel is not None and self.running_jobs() >= self.max_parallel:
                continue
            if row not in self.begun:
                self.begun.append(row)
            changed |= self.start(row, step)
            if self.status[row] == "Failed" and around is None:
                break
        return changed

    def is_job(self, row: str) -> bool:
        return bool(self.steps[row.partition("[")[0]]["Type"] == "Processing")

    def running_jobs(self) -> int:
        return sum(status == "running" and self.is_job(row) for row, status in self.status.items())

    def start(self, row: str, step: Step) -> bool:
        arguments = step["Arguments"]
        match step["Type"]:
            case "Condition":
                self.status[row] = "Succeeded"
                wanted = arguments["Conditions"][0]["LeftValue"]
                if isinstance(wanted, dict):
                    wanted = self.items[self.loop[row.partition("[")[0]]][int(row.partition("[")[2][:-1])]
                self.outcome[row] = wanted == "yes"
            case "Fail":
                self.status[row] = "Failed"
            case "ForEach":
                self.status[row] = "running"
                self.items[row] = arguments["IterableItems"]
            case _:
                self.status[row] = "Failed" if "Get" in arguments.get("Environment", {}) else "running"
        return step["Type"] == "ForEach" or self.status[row] != "running"

    def give_up(self, rows: list[str]) -> bool:
        waiting = [row for row in rows if self.status[row] == "waiting"]
        for row in waiting:
            self.status[row] = "Failed"
        return bool(waiting)

    def end_loops(self) -> bool:
        changed = False
        over = self.stopping or bool(self.fatal(None))
        for loop in self.items:
            mine = [row for row in self.status if self.loop.get(row.partition("[")[0]) == loop]
            if self.status[loop] != "running" or any(self.status[row] in {"running", "waiting"} for row in mine):
                continue
            failed = self.fatal(loop)
            done = all(self.is_over(loop, number) for number in range(len(self.items[loop])))
            if failed and not self.stopping:
                self.status[loop] = "Failed"
            elif done and not failed:
                self.status[loop] = "Succeeded"
            elif over:
                self.status[loop] = "Stopped"
            else:
                continue
            changed = True
        return changed

    def ended(self, row: str, status: str, reason: str | None, now: datetime) -> None:
        """Take over that the job of a step has ended."""
        retried = "RetryPolicies" in self.steps[row.partition("[")[0]] and reason == LOST and not self.stopping
        if status == "Failed" and retried and self.retries.get(row, 0) < MOST_RETRIES:
            self.due[row] = now + timedelta(seconds=2 * 2.0 ** self.retries.get(row, 0))
            self.retries[row] = self.retries.get(row, 0) + 1
            status = "waiting"
        self.status[row] = status
        self.go(now)

    def retry(self, now: datetime) -> None:
        """Begin anew what ended badly, but for what was followed up on."""
        bad = [row for row, status in self.status.items() if status in {"Failed", "Stopped"}]
        for row in [row for row in bad if not any(other in self.status for other in self.follow_ups(row))]:
            self.status[row], self.due[row] = "waiting", now
            self.retries.pop(row, None)
        self.stopping, self.result = False, None
        self.go(now)


class Remembering(World):
    """Keeps its standings from turn to turn, as the controller does."""

    standings: Standings | None = None

    def decided(self, situation: Situation) -> list[Decision]:
        standings = Standings(self.plan, dict(self.rows)) if self.standings is None else self.standings.copy()
        decisions = Course(standings, self.now, situation).run()
        self.standings = standings
        return decisions

    def retry(self) -> None:
        for row in tried_again(Standings(self.plan, dict(self.rows)), self.now):
            self.rows[row.name] = row
        self.situation["stopping"] = False
        self.finished = self.standings = None
        self.advance()


NAMES = "ABCDEF"
POLICY = [{**RETRIED[0], "IntervalSeconds": 2, "BackoffRate": 2.0, "MaxAttempts": MOST_RETRIES}]


@st.composite
def steps_of(draw: st.DrawFn, prefix: str = "", outer: tuple[str, ...] = ()) -> list[Step]:
    """Return the steps of some pipeline without circles, or of the body of a loop."""
    inside = bool(prefix)
    names = [f"{prefix}{name}" for name in NAMES[: draw(st.integers(1, 3 if inside else len(NAMES)))]]
    found: list[Step] = []
    for at, name in enumerate(names):
        before = names[:at]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        triggers = [draw(st.sampled_from(["Completed"] * 3 + ["Failed", "Stopped", "Any"])) for _ in chosen]
        needs: list[Any] = [
            {"Step": other, "Trigger": trigger} for other, trigger in zip(chosen, triggers, strict=True)
        ]
        if outer and draw(st.integers(0, 4)) == 0:
            needs.append(draw(st.sampled_from(outer)))
        kinds = ["job", "job", "job", "retried", "broken", "condition", "fail", *([] if inside else ["loop"] * 2)]
        match draw(st.sampled_from(kinds)):
            case "broken":
                found.append(job(name, *needs) | {"Arguments": {"Environment": {"Get": "Parameters.Unknown"}}})
            case "retried":
                found.append(job(name, *needs, RetryPolicies=POLICY))
            case "fail" if draw(st.booleans()):
                found.append({**fail(name), "DependsOn": needs})
            case "condition":
                outcome = {"Get": "ForEach.CurrentItem"} if inside else draw(st.sampled_from(["yes", "no"]))
                then, otherwise = [job(f"{name}-then")], [job(f"{name}-else", *needs)]
                found.append(condition(name, outcome=outcome, then=then, otherwise=otherwise, needs=needs))
            case "loop":
                body = draw(steps_of(prefix=f"{name}-", outer=tuple(before)))
                items = draw(st.lists(st.sampled_from(["yes", "no"]), max_size=4))
                limit = draw(st.none() | st.integers(1, 3))
                more = {} if limit is None else {"MaxConcurrency": limit}
                found.append(each(items, *body, name=name, needs=needs, **more))
            case _:
                found.append(job(name, *needs))
    return found if inside else list(draw(st.permutations(found)))


class Both(RuleBasedStateMachine):
    """The decisions of the platform beside the interpreter, while jobs end, time passes, and things go wrong."""

    world: Remembering
    reference: Reference

    @initialize(steps=steps_of(), max_parallel=st.none() | st.integers(1, 3))
    def begin(self, steps: list[Step], max_parallel: int | None) -> None:
        self.reference = Reference(steps, max_parallel)
        self.reference.go(START)
        self.world = Remembering(*steps, max_parallel=max_parallel)
        self.succeeded: set[str] = set()

    @precondition(lambda self: self.world.running)
    @rule(data=st.data(), result=st.sampled_from([SUCCEEDED] * 3 + [FAILED, STOPPED]), lost=st.booleans())
    def a_job_ends(self, data: st.DataObject, result: StepStatus, lost: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.running)))
        reason = None if result is SUCCEEDED else LOST if lost else BROKEN
        self.world.now += timedelta(seconds=1)
        self.world.end(name, result, reason)
        self.reference.ended(name, result.value, reason, self.world.now)

    @precondition(lambda self: self.world.next_due is not None)
    @rule()
    def time_passes(self) -> None:
        due = self.world.next_due
        assert due is not None
        self.world.now = max(self.world.now, due)
        self.world.advance()
        self.reference.go(self.world.now)

    @precondition(lambda self: self.world.finished is None)
    @rule(wanted=st.integers(0, 9))
    def somebody_stops_it(self, wanted: int) -> None:
        if wanted == 0:
            self.world.stop()
            self.reference.stopping = True
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

    @invariant()
    def they_agree(self) -> None:
        words = {"Executing": "running", "Stopping": "running", "Starting": "waiting"}
        found = {name: words.get(row.status.value, row.status.value) for name, row in self.world.rows.items()}
        assert found == self.reference.status
        assert (self.world.ending or (None,))[0] == self.reference.result
        made_anew = Standings(self.world.plan, dict(self.world.rows))
        assert self.world.standings is None or vars(made_anew)["_of"] == vars(self.world.standings)["_of"]

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


TestBoth = Both.TestCase
TestBoth.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_start_is_decided_once_for_each_attempt() -> None:
    world = Remembering(each([1, 2], job("Body"), MaxConcurrency=1))
    decisions = world.advance()
    assert not any(isinstance(decision, StartStep) for decision in decisions)
    assert world.starts == [("Body[0]", 1)]
