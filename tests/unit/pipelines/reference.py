"""A simple interpreter of definitions: it looks at everything anew each time, knows no plan and keeps no counters."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.unit.pipelines.test_execution import LOST

MOST_RETRIES = 2
#: `ExpireAfter` of the cached steps that have one.
EXPIRES, EXPIRES_AFTER = "P1D", timedelta(days=1)
Step = dict[str, Any]
Key = tuple[str, tuple[tuple[str, str], ...]]  #: a row, and what it reads


@dataclass
class Result:
    """What a cached step left."""

    value: str
    ended_at: datetime
    is_gone: bool = False  #: its outputs can neither be found nor be put back


@dataclass
class Shelf:
    """What executions of one pipeline left for those that come behind them."""

    results: dict[Key, Result] = field(default_factory=dict)

    def find(self, key: Key, expires: bool, now: datetime) -> str | None:
        """Return the value that stands for a step."""
        found = self.results.get(key)
        if found is None or found.is_gone or (expires and now - found.ended_at > EXPIRES_AFTER):
            return None
        return found.value


class Reference:
    """Goes through a definition in the plainest way."""

    def __init__(self, steps: list[Step], max_parallel: int | None, shelf: Shelf | None = None) -> None:
        self.written = steps
        self.max_parallel = max_parallel
        self.shelf = shelf or Shelf()
        self.steps: dict[str, Step] = {}
        self.around: dict[str, tuple[str, bool] | None] = {}  #: step -> (condition, outcome) of its branch
        self.loop: dict[str, str] = {}  #: body step -> its ForEach
        self._collect(steps, None, None)
        self.order = self._in_order()
        self.now: datetime | None = None
        self.values: dict[str, str] = {}  #: row of a job that succeeded -> what it yields
        self.looked_up: dict[str, Key] = {}  #: row of a job that runs for want of a result -> what it is kept under
        self.ran: Counter[str] = Counter()  #: row -> jobs that were started for it
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
        found = [need for need in found if need[0] in self.steps]  # others are not of a selective execution
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
        if (
            branch is not None
            and branch[0] in self.steps
            and self.outcome.get(self.seen_from(row, branch[0]), branch[1]) != branch[1]
        ):
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
        self.now = now
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
            changed |= self.start(row, step, now)
            if self.status[row] == "Failed" and around is None:
                break
        return changed

    def is_job(self, row: str) -> bool:
        return bool(self.steps[row.partition("[")[0]]["Type"] == "Processing")

    def running_jobs(self) -> int:
        return sum(status == "running" and self.is_job(row) for row, status in self.status.items())

    def start(self, row: str, step: Step, now: datetime) -> bool:
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
                self.status[row] = self.run(row, step, now)
        return step["Type"] == "ForEach" or self.status[row] != "running"

    def run(self, row: str, step: Step, now: datetime) -> str:
        """Start the job of a step, unless what it asks for cannot be said, or an earlier result stands for it."""
        environment = step["Arguments"].get("Environment", {})
        reads = {name: self.seen_from(row, name) for name in environment if name in self.steps}
        if "Get" in environment or any(read not in self.values for read in reads.values()):
            return "Failed"
        if "CacheConfig" in step:
            key = row, tuple(sorted((name, self.values[read]) for name, read in reads.items()))
            found = self.shelf.find(key, "ExpireAfter" in step["CacheConfig"], now)
            if found is not None:
                self.values[row] = found
                return "Succeeded"
            self.looked_up[row] = key
        self.ran[row] += 1
        return "running"

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

    def ended(self, row: str, status: str, reason: str | None, value: str, now: datetime) -> None:
        """Take over that the job of a step has ended; it yields `value` if it has succeeded."""
        retried = "RetryPolicies" in self.steps[row.partition("[")[0]] and reason == LOST and not self.stopping
        if status == "Failed" and retried and self.retries.get(row, 0) < MOST_RETRIES:
            self.due[row] = now + timedelta(seconds=2 * 2.0 ** self.retries.get(row, 0))
            self.retries[row] = self.retries.get(row, 0) + 1
            status = "waiting"
        self.status[row] = status
        key = self.looked_up.pop(row, None)
        if status == "Succeeded":
            self.values[row] = value
            if key is not None:
                self.shelf.results[key] = Result(value, now)
        self.go(now)

    def retry(self, now: datetime) -> None:
        """Begin anew what ended badly, but for what was followed up on."""
        bad = [row for row, status in self.status.items() if status in {"Failed", "Stopped"}]
        for row in [row for row in bad if not any(other in self.status for other in self.follow_ups(row))]:
            self.status[row], self.due[row] = "waiting", now
            self.retries.pop(row, None)
        self.stopping, self.result = False, None
        self.go(now)

    def selected(self, chosen: list[str], source: "Reference | None") -> "Reference | None":
        """Return the interpreter of an execution of some steps, which takes what they read from an execution that has
        ended; None where that makes no sense."""
        new = Reference(self.written, self.max_parallel, self.shelf)
        before = {name: self._on_the_way(name, new) for name in new.steps if name not in new.loop}
        for name in before:
            behind = any(name in before[other] for other in chosen)
            if name not in chosen and behind and before[name] & set(chosen):
                return None  # a gap
        read = {need for name in chosen for need, _, reads in new.needs(name) if reads and need not in chosen}
        if any(source is None or source.status.get(name) != "Succeeded" for name in read):
            return None
        for name in chosen:
            branch = new.around[name]
            if branch is None or branch[0] in chosen or source is None:
                continue
            if source.outcome.get(branch[0], branch[1]) != branch[1]:
                return None  # the other branch was taken
        left = {*chosen, *read}
        new.steps = {name: step for name, step in new.steps.items() if (new.loop.get(name) or name) in left}
        new.order = [name for name in new.order if name in new.steps]
        for name in read:
            assert source is not None
            new.status[name], new.values[name] = "Succeeded", source.values[name]
            new.begun.append(name)
        return new

    @staticmethod
    def _on_the_way(name: str, whole: "Reference") -> set[str]:
        """Return all steps before one."""
        found: set[str] = set()
        left = [name]
        while left:
            needed = {other for other, _, _ in whole.needs(left.pop())} - found
            found |= needed
            left += needed
        return found
