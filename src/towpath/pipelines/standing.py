"""How the steps of an execution stand: which may begin, which never will, and which failure nothing follows up."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from heapq import merge
from itertools import islice

from towpath.kernel.resource import Uid
from towpath.pipelines.definition import Trigger
from towpath.pipelines.graph import Node, Plan, round_key
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.rounds import round_node


class Standing(Enum):
    """How a step stands, also before it has a row."""

    WAITING = auto()
    READY = auto()
    NEVER = auto()  #: its branch is not taken, or a step that it waits for did not end as it must
    ACTIVE = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    STOPPED = auto()


_OF_STATUS = {
    StepStatus.SUCCEEDED: Standing.SUCCEEDED,
    StepStatus.FAILED: Standing.FAILED,
    StepStatus.STOPPED: Standing.STOPPED,
}
#: How the step that is waited for ended -> the triggers which that satisfies.
_SATISFIES: dict[Standing, set[Trigger]] = {
    Standing.SUCCEEDED: {Trigger.COMPLETED, Trigger.ANY},
    Standing.FAILED: {Trigger.FAILED, Trigger.ANY},
    Standing.STOPPED: {Trigger.STOPPED, Trigger.ANY},
    Standing.NEVER: set(),
}

_Rank = tuple[int, ...]  #: of a step in the plan's order; in a round: of the ForEach, the round, in the body


class _Rounds:
    """How the rounds of one ForEach stand."""

    def __init__(self, count: int, at_once: int) -> None:
        self.count = count
        self.at_once = at_once
        self.admitted = 0  #: rounds 0 to this one less have their steps among those that may begin
        self.left: dict[int, int] = {}  #: round -> its steps that have neither ended nor never will
        self.finished = 0
        self.active: set[str] = set()  #: steps of rounds that run or wait for their next attempt
        self.bad: dict[str, None] = {}  #: steps of rounds that failed or were stopped

    def copy(self) -> "_Rounds":
        """Return the same, to be changed apart."""
        copied = _Rounds(self.count, self.at_once)
        copied.admitted, copied.finished = self.admitted, self.finished
        copied.left, copied.active, copied.bad = self.left.copy(), self.active.copy(), self.bad.copy()
        return copied


class Standings:
    """The standings of all steps, kept up with each row that changes: what a change costs grows with the steps that it
    touches, not with all of them."""

    def __init__(self, plan: Plan, rows: dict[str, StepRow]) -> None:
        self.rows = rows
        self._plan = plan
        # What follows from the plan alone is shared among copies: each adds the same.
        self._nodes: dict[str, Node] = dict(plan.nodes)
        self._followers: dict[str, tuple[str, ...]] = dict(plan.followers)
        self._rank: dict[str, _Rank] = {name: (rank,) for rank, name in enumerate(plan.nodes)}
        self._of: dict[str, Standing] = {}
        self._jobs: list[tuple[_Rank, str]] = []  #: steps that may begin and need a free slot and nothing else
        self._others: list[tuple[_Rank, str]] = []  #: steps that may begin and need none, or documents
        self._postponed: set[str] = set()
        self._running: set[str] = set()
        self._executing: set[str] = set()  #: of those that run, what has not been asked to stop
        self._unsettled: set[str] = set()  #: of those that run, what has ended and could not be judged
        self._awaits: dict[Uid, str] = {}  #: what a running step started -> the step
        self._looping: dict[str, None] = {}  #: ForEach steps whose rounds go on
        self._bad: dict[str, None] = {}  #: steps that failed or were stopped, outside of rounds
        self._rounds: dict[str, _Rounds] = {}
        self._begun_rounds: dict[str, int] = {}  #: ForEach -> rounds that had begun when these standings were made
        for row in rows.values():
            if row.each is not None and row.round is not None:
                self._begun_rounds[row.each] = max(self._begun_rounds.get(row.each, 0), row.round + 1)
        for name in plan.nodes:
            self._take(name)

    def put(self, row: StepRow) -> None:
        """Take over a row that has changed, and what follows from it for other steps."""
        self._forget(self.rows.get(row.name), row.name)
        self.rows[row.name] = row
        touched = [row.name]
        while touched:
            name = touched.pop()
            if self._take(name):
                # What has begun does not depend on others any more.
                touched.extend(follower for follower in self._followers[name] if follower not in self.rows)

    def copy(self) -> "Standings":
        """Return standings that change apart from these."""
        copied = Standings.__new__(Standings)
        copied.rows = self.rows.copy()
        copied._plan = self._plan
        copied._nodes, copied._followers, copied._rank = self._nodes, self._followers, self._rank
        copied._of = self._of.copy()
        copied._jobs, copied._others = self._jobs.copy(), self._others.copy()
        copied._postponed, copied._running = self._postponed.copy(), self._running.copy()
        copied._executing, copied._awaits = self._executing.copy(), self._awaits.copy()
        copied._unsettled = self._unsettled.copy()
        copied._looping, copied._bad = self._looping.copy(), self._bad.copy()
        copied._rounds = {each: rounds.copy() for each, rounds in self._rounds.items()}
        copied._begun_rounds = self._begun_rounds
        return copied

    @property
    def plan(self) -> Plan:
        """The plan whose steps these are."""
        return self._plan

    def node(self, name: str) -> Node:
        """Return what the step with this row is in the plan."""
        return self._nodes[name]

    @property
    def running_count(self) -> int:
        """How many steps run now. A ForEach does nothing but wait for its rounds, and does not count."""
        return len(self._running)

    def running(self) -> list[StepRow]:
        """Return the steps that run now, in the order in which they began."""
        return sorted((self.rows[name] for name in self._running), key=lambda row: row.position)

    def executing(self) -> list[StepRow]:
        """Return those of them that have not been asked to stop."""
        return sorted((self.rows[name] for name in self._executing), key=lambda row: row.position)

    def unsettled(self) -> list[StepRow]:
        """Return those of them whose end could not be judged yet."""
        return sorted((self.rows[name] for name in self._unsettled), key=lambda row: row.position)

    def awaiting(self, children: Iterable[Uid]) -> list[StepRow]:
        """Return the steps that run and have started one of these, in the order in which they began."""
        names = {self._awaits[child] for child in children if child in self._awaits}
        return sorted((self.rows[name] for name in names), key=lambda row: row.position)

    def looping(self) -> list[StepRow]:
        """Return the ForEach steps whose rounds go on."""
        return [self.rows[name] for name in self._looping]

    @property
    def is_untouched(self) -> bool:
        """Whether no step has begun, but for those whose results were taken over from an earlier execution."""
        return all(row.taken_from is not None for row in self.rows.values())

    @property
    def is_quiet(self) -> bool:
        """Whether no step runs or waits for its next attempt."""
        return not self._running and not self._postponed and not self._looping

    def startable(self, free: int | None = None) -> list[Node]:
        """Return the steps that may begin for the first time, in the plan's order.

        Args:
            free: of those that start a job no more than so many, unless they read documents before.
        """
        going_on = {None, *(each for each in self._looping if not self.fatal(each))}
        jobs, others = (
            (entry for entry in ready if self._nodes[entry[1]].each in going_on) for ready in (self._jobs, self._others)
        )
        few = jobs if free is None else islice(jobs, max(free, 0))
        return [self._nodes[name] for _, name in merge(few, others)]

    def postponed(self) -> list[StepRow]:
        """Return the steps that wait for their next attempt, in the order in which they began."""
        return sorted((self.rows[name] for name in self._postponed), key=lambda row: row.position)

    def failures(self) -> list[StepRow]:
        """Return the steps that failed or were stopped, those of rounds included."""
        inside = (name for rounds in self._rounds.values() for name in rounds.bad)
        return [self.rows[name] for names in (self._bad, inside) for name in names]

    def fatal(self, each: str | None = None) -> list[StepRow]:
        """Return the steps that ended badly without another one that was written to follow on that.

        Args:
            each: of the rounds of this ForEach; None: of those outside of rounds.
        """
        bad = self._bad if each is None else self._rounds[each].bad
        return [self.rows[name] for name in bad if not self._is_followed_up(name)]

    def rounds_done(self, each: str) -> bool:
        """Whether nothing is left to do in any round of a ForEach."""
        return self._rounds[each].finished == self._rounds[each].count

    def rounds_quiet(self, each: str) -> bool:
        """Whether no step of the rounds of a ForEach runs or waits for its next attempt."""
        return not self._rounds[each].active

    def waiting_rounds(self, each: str) -> range:
        """Return the rounds of a ForEach that may not begin before others have ended."""
        rounds = self._rounds[each]
        return range(rounds.admitted, rounds.count)

    def open_rounds(self, each: str) -> list[int]:
        """Return the rounds of a ForEach in which something is left to do, of those that may begin."""
        return [number for number, left in self._rounds[each].left.items() if left]

    def in_rounds(self, each: str) -> Iterator[StepRow]:
        """Yield the steps that have begun in the rounds of a ForEach, round by round."""
        for number in range(self._rounds[each].admitted):
            for name in self._plan.bodies[each].nodes:
                row = self.rows.get(round_key(name, number))
                if row is not None:
                    yield row

    def was_followed_up(self, name: str) -> bool:
        """Whether a step that ended badly was followed by another one that was written for that and has begun."""
        return any(self._follows_up(follower, name) for follower in self._followers[name] if follower in self.rows)

    def _is_followed_up(self, name: str) -> bool:
        return any(
            self._follows_up(follower, name) and self._of[follower] != Standing.NEVER
            for follower in self._followers[name]
        )

    def _follows_up(self, follower: str, name: str) -> bool:
        triggers = _SATISFIES[self._of[name]]
        return any(
            need.step == name and not need.reads and need.trigger in triggers for need in self._nodes[follower].needs
        )

    def _forget(self, row: StepRow | None, name: str) -> None:
        self._running.discard(name)
        self._executing.discard(name)
        self._unsettled.discard(name)
        if row is not None and row.resource is not None:
            self._awaits.pop(row.resource, None)
        self._looping.pop(name, None)
        self._postponed.discard(name)
        self._bad.pop(name, None)
        if self._of.get(name) is Standing.READY:
            self._unready(name)
        rounds = self._rounds_around(name)
        if rounds is not None:
            rounds.active.discard(name)
            rounds.bad.pop(name, None)

    def _unready(self, name: str) -> None:
        entry = self._rank[name], name
        for ready in (self._jobs, self._others):
            at = bisect_left(ready, entry)
            if at < len(ready) and ready[at] == entry:
                del ready[at]

    def _rounds_around(self, name: str) -> _Rounds | None:
        node = self._nodes[name]
        return None if node.each is None else self._rounds.get(node.each)

    def _take(self, name: str) -> bool:
        """Work out the standing of a step anew; True when it is another one than before."""
        row, node = self.rows.get(name), self._nodes[name]
        before = self._of.get(name)
        rounds = self._rounds_around(name)
        if row is None:
            standing = self._before_its_start(node)
            if standing is Standing.READY and before is not Standing.READY:
                starts = node.type is not None and node.type.create is not None and not node.documents
                insort(self._jobs if starts else self._others, (self._rank[name], name))
        else:
            standing = _OF_STATUS.get(row.status, Standing.ACTIVE)
            if row.status is StepStatus.STARTING:
                self._postponed.add(name)
            elif standing is Standing.ACTIVE and node.step.type == "ForEach":
                self._looping[name] = None
            elif standing is Standing.ACTIVE:
                self._running.add(name)
                if row.status is StepStatus.EXECUTING:
                    self._executing.add(name)
                if row.unsettled_at is not None:
                    self._unsettled.add(name)
                if row.resource is not None:
                    self._awaits[row.resource] = name
            elif standing is not Standing.SUCCEEDED:
                (self._bad if rounds is None else rounds.bad)[name] = None
            if rounds is not None and standing is Standing.ACTIVE:
                rounds.active.add(name)
        self._of[name] = standing
        if row is not None and row.items is not None:
            if name not in self._rounds:
                self._open(row)
            if standing is not Standing.ACTIVE:
                self._close(name)
        elif rounds is not None and node.each is not None and node.round is not None:
            self._count(node.each, node.round, (standing in _SATISFIES) - (before in _SATISFIES))
        return before is not standing

    def _open(self, each: StepRow) -> None:
        """Begin to look at the rounds of a ForEach."""
        assert each.items is not None
        count = len(each.items)
        self._rounds[each.name] = _Rounds(count, each.max_concurrency or max(count, 1))
        self._admit(each.name)

    def _close(self, each: str) -> None:
        """Let no more steps begin in the rounds of a ForEach that has ended."""
        self._jobs = [entry for entry in self._jobs if self._nodes[entry[1]].each != each]
        self._others = [entry for entry in self._others if self._nodes[entry[1]].each != each]

    def _count(self, each: str, number: int, settled: int) -> None:
        """Note that steps of a round have ended or never will; when it was the last of them, admit the next round."""
        rounds = self._rounds[each]
        if not settled or number not in rounds.left:
            return
        rounds.left[number] -= settled
        if rounds.left[number] == 0:
            rounds.finished += 1
            self._admit(each)

    def _admit(self, each: str) -> None:
        rounds = self._rounds[each]
        begun = self._begun_rounds.get(each, 0)
        while rounds.admitted < min(rounds.count, max(rounds.finished + rounds.at_once, begun)):
            number = rounds.admitted
            rounds.admitted += 1
            body = self._plan.bodies[each]
            for at, (name, template) in enumerate(body.nodes.items()):
                key = round_key(name, number)
                if key not in self._nodes:
                    self._followers[key] = tuple(round_key(other, number) for other in body.followers[name])
                    self._rank[key] = (*self._rank[each], number, at)
                    self._nodes[key] = round_node(template, number)
            for name in body.nodes:
                self._take(round_key(name, number))
            rounds.left[number] = sum(self._of[round_key(name, number)] not in _SATISFIES for name in body.nodes)
            if rounds.left[number] == 0:
                rounds.finished += 1

    def _before_its_start(self, node: Node) -> Standing:
        waits = False
        for need in node.needs:
            satisfied = _SATISFIES.get(self._of[need.step])
            if satisfied is None:
                waits = True
            elif need.trigger not in satisfied:
                return Standing.NEVER
        if node.guard is not None:
            condition = self.rows.get(node.guard.step)
            if condition is not None and condition.outcome is not None and condition.outcome != node.guard.outcome:
                return Standing.NEVER
        return Standing.WAITING if waits else Standing.READY
