"""The platform dies before or after any commit of a whole execution, and the end is the same."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.crash_pipeline import definition
from tests.integration.engine.crashes import IS_LOST, RUNS_ON, DyingStore, SleepingStore, World, begin, read_home, ways

from towpath.engine.loop import LEASE_S
from towpath.objects.folder import FolderObjects
from towpath.testing.crashes import Crash
from towpath.testing.replay import Replayed

pytestmark = [pytest.mark.slow, pytest.mark.faults]

AGAIN = {
    "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"],
    "IntervalSeconds": 1,
    "BackoffRate": 1.0,
    "MaxAttempts": 2,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """How an execution goes when nothing crashes."""

    ends: str
    statuses: dict[str, str]  #: by step
    completed: dict[str, int]  #: attempts that ran to their end, by step
    least: float = 0.5
    outcomes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retries: Sequence[dict[str, Any]] = ()
    departs_in_round: int = 0  #: of the outside world; before it, this case goes as the first one does
    is_stopped: bool = False  #: in that round, by somebody


def all_(status: str, *steps: str, **others: str) -> dict[str, str]:
    return dict.fromkeys(steps, status) | others


ONCE = {"Prepare": 1, "Profile": 1, "Train": 1, "Evaluate": 1}
CASES = {
    "two runners are lost, the step is tried again, the condition holds, the model is registered": Case(
        ends="Succeeded",
        statuses=all_("Succeeded", *ONCE, "Gate", "Register"),
        completed=ONCE,
        outcomes={"Train": [IS_LOST, IS_LOST]},
        retries=[AGAIN],
    ),
    "the condition does not hold and the execution is failed": Case(
        ends="Failed",
        statuses=all_("Succeeded", *ONCE, "Gate", Refuse="Failed"),
        completed=ONCE,
        least=0.95,
        departs_in_round=5,
    ),
    "a script fails while another step runs": Case(
        ends="Failed",
        statuses=all_("Succeeded", "Prepare", "Profile", Train="Failed"),
        completed={"Prepare": 1, "Profile": 1},
        outcomes={"Train": ["ExitCode 3"]},
        departs_in_round=3,
    ),
    "somebody stops it while two jobs run": Case(
        ends="Stopped",
        statuses=all_("Stopped", "Profile", "Train", Prepare="Succeeded"),
        completed={"Prepare": 1},
        outcomes={"Profile": [RUNS_ON], "Train": [RUNS_ON]},
        departs_in_round=3,
        is_stopped=True,
    ),
}


@dataclass
class Life:
    """A home on its way through one execution, perhaps with a crash."""

    world: World
    case: Case
    stopped: bool = False
    departed_at: int = 0  #: commit

    def go_on(self, store: DyingStore) -> None:
        """Start a platform on this store and let it live until nothing happens any more."""

        def meddle() -> None:
            if self.world.rounds == self.case.departs_in_round:
                self.departed_at = self.departed_at or store.commits
            if self.case.is_stopped and self.departed_at and not self.stopped:
                self.stopped = True
                self.world.stop_execution()

        self.world.live(self.world.start(store), meddle=meddle)


@dataclass(frozen=True)
class End:
    """What is left when nothing happens any more."""

    commits: int
    departed_at: int  #: commit
    home: dict[str, list[dict[str, Any]]]
    completed: dict[str, int]


def end_of(folder: Path, case: Case, *, at: int | None = None, after: bool = False) -> End:
    """Live through a case, dying at one commit."""
    life = Life(World(folder, case.outcomes), case)
    dying = DyingStore(life.world.store, at=at, after=after)
    try:
        life.go_on(dying)
        assert at is None, f"a life of {dying.commits} commits has none with the number {at}"
    except Crash:
        life.go_on(DyingStore(life.world.store, at=None))
    assert life.world.decided_again() == Replayed(executions=1)
    life.world.close()
    # A request to stop that is lost in a crash is repeated a while later, so the jobs end at other times.
    home = read_home(folder, in_order=not case.is_stopped)
    return End(dying.commits, life.departed_at, home, life.world.completed())


@pytest.mark.parametrize("name", CASES)
def test_a_crash_at_any_commit_changes_nothing_about_the_end(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    begin(tmp_path / "begun", definition(1, least=case.least, retries=case.retries))
    shutil.copytree(tmp_path / "begun", tmp_path / "quiet")
    quiet = end_of(tmp_path / "quiet", case)
    assert quiet.completed == case.completed
    (execution,) = [row for row in quiet.home["resource"] if row["kind"] == "PipelineExecution"]
    assert execution["status"] == case.ends
    assert {row["name"]: row["status"] for row in quiet.home["step"]} == case.statuses
    crashes = 0
    for at, after in ways(quiet.departed_at + 1, quiet.commits):
        shutil.copytree(tmp_path / "begun", tmp_path / "crashed")
        crashed = end_of(tmp_path / "crashed", case, at=at, after=after)
        shutil.rmtree(tmp_path / "crashed")
        where = f"{'after' if after else 'before'} commit {at} of {quiet.commits}"
        assert crashed.completed == case.completed, where
        for table, rows in quiet.home.items():
            assert crashed.home[table] == rows, f"{table}, {where}"
        crashes += 1
    assert crashes > 10


def test_an_engine_that_slept_longer_than_its_lease_loses_what_it_had_decided(tmp_path: Path) -> None:
    """Stopped before any of its commits, while another engine on the same store takes everything to its end."""
    case = CASES["the condition does not hold and the execution is failed"]
    begin(tmp_path / "begun", definition(1, least=case.least))
    shutil.copytree(tmp_path / "begun", tmp_path / "quiet")
    quiet = end_of(tmp_path / "quiet", replace(case, is_stopped=True, departs_in_round=-1))
    refused = 0
    for at in range(1, quiet.commits):
        shutil.copytree(tmp_path / "begun", tmp_path / "slept")
        world = World(tmp_path / "slept", {})
        objects = FolderObjects(tmp_path / "slept" / "objects")

        def work_instead(world: World = world, objects: FolderObjects = objects) -> None:
            world.clock.advance(LEASE_S + 1)
            world.live(world.engine(world.store, objects))

        sleeper = SleepingStore(world.store, at=at, meanwhile=work_instead)
        world.live(world.engine(sleeper, objects))
        assert world.completed() == case.completed, f"slept before commit {at}"
        assert world.decided_again() == Replayed(executions=1)
        world.close()
        slept = read_home(tmp_path / "slept", in_order=False)
        for table, rows in quiet.home.items():
            assert slept[table] == rows, f"{table}, slept before commit {at}"
        assert sleeper.refused <= 1
        refused += sleeper.refused
        shutil.rmtree(tmp_path / "slept")
    # Each turn has a commit that decides; the other commits take leases or give them back, which does no harm.
    assert refused > 15
