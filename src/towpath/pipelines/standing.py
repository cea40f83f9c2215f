"""How the steps of an execution stand: which may begin, which never will, and which failure nothing follows up."""

from enum import Enum, auto

from towpath.pipelines.definition import Trigger
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.model import StepRow, StepStatus


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


class Standings:
    """The standings of all steps, kept up with each row that changes: what a change costs grows with the steps that it
    touches, not with all of them."""

    def __init__(self, plan: Plan, rows: dict[str, StepRow]) -> None:
        self.rows = rows
        self._plan = plan
        self._rank = {name: rank for rank, name in enumerate(plan.nodes)}
        self._of: dict[str, Standing] = {}
        self._ready: set[str] = set()
        self._postponed: set[str] = set()
        self._running: set[str] = set()
        self._bad: list[str] = []  #: steps that failed or were stopped
        for name in plan.nodes:
            self._take(name)

    def put(self, row: StepRow) -> None:
        """Take over a row that has changed, and what follows from it for other steps."""
        self._forget(row.name)
        self.rows[row.name] = row
        touched = [row.name]
        while touched:
            name = touched.pop()
            if self._take(name):
                # What has begun does not depend on others any more.
                touched.extend(follower for follower in self._plan.followers[name] if follower not in self.rows)

    def copy(self) -> "Standings":
        """Return standings that change apart from these."""
        copied = Standings.__new__(Standings)
        copied.rows = self.rows.copy()
        copied._plan = self._plan
        copied._rank = self._rank
        copied._of = self._of.copy()
        copied._ready = self._ready.copy()
        copied._postponed = self._postponed.copy()
        copied._running = self._running.copy()
        copied._bad = self._bad.copy()
        return copied

    @property
    def plan(self) -> Plan:
        """The plan whose steps these are."""
        return self._plan

    @property
    def running_count(self) -> int:
        """How many steps run now."""
        return len(self._running)

    def running(self) -> list[StepRow]:
        """Return the steps that run now, in the order in which they began."""
        return sorted((self.rows[name] for name in self._running), key=lambda row: row.position)

    @property
    def is_quiet(self) -> bool:
        """Whether no step runs or waits for its next attempt."""
        return not self._running and not self._postponed

    def startable(self) -> list[Node]:
        """Return the steps that may begin for the first time, in the plan's order."""
        return [self._plan.nodes[name] for name in sorted(self._ready, key=self._rank.__getitem__)]

    def postponed(self) -> list[StepRow]:
        """Return the steps that wait for their next attempt, in the order in which they began."""
        return sorted((self.rows[name] for name in self._postponed), key=lambda row: row.position)

    def failures(self) -> list[StepRow]:
        """Return the steps that failed or were stopped."""
        return [self.rows[name] for name in self._bad]

    def fatal(self) -> list[StepRow]:
        """Return the steps that ended badly without another one that was written to follow on that."""
        return [self.rows[name] for name in self._bad if not self._is_followed_up(name)]

    def was_followed_up(self, name: str) -> bool:
        """Whether a step that ended badly was followed by another one that was written for that and has begun."""
        return any(self._follows_up(follower, name) for follower in self._plan.followers[name] if follower in self.rows)

    def _is_followed_up(self, name: str) -> bool:
        return any(
            self._follows_up(follower, name) and self._of[follower] != Standing.NEVER
            for follower in self._plan.followers[name]
        )

    def _follows_up(self, follower: str, name: str) -> bool:
        triggers = _SATISFIES[self._of[name]]
        return any(
            need.step == name and not need.reads and need.trigger in triggers
            for need in self._plan.nodes[follower].needs
        )

    def _forget(self, name: str) -> None:
        self._running.discard(name)
        self._ready.discard(name)
        self._postponed.discard(name)
        if name in self._bad:
            self._bad.remove(name)

    def _take(self, name: str) -> bool:
        """Work out the standing of a step anew; True when it is another one than before."""
        row = self.rows.get(name)
        if row is None:
            standing = self._before_its_start(self._plan.nodes[name])
            if standing is Standing.READY:
                self._ready.add(name)
        else:
            standing = _OF_STATUS.get(row.status, Standing.ACTIVE)
            if row.status is StepStatus.STARTING:
                self._postponed.add(name)
            elif standing is Standing.ACTIVE:
                self._running.add(name)
            elif standing is not Standing.SUCCEEDED:
                self._bad.append(name)
        changed = self._of.get(name) is not standing
        self._of[name] = standing
        return changed

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
