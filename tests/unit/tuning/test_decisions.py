"""Properties of what is decided about a tuning job, whatever its training jobs do."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.tuning.conftest import request

from towpath.jobs.tuned import Objective
from towpath.kernel.resource import Uid
from towpath.tuning.children import Child, best_first, best_of, counters
from towpath.tuning.decisions import Ending, Launch, Situation, StopChild, advance, ending_of, is_behind, not_improving
from towpath.tuning.plan import Plan, plan_of
from towpath.tuning.ranges import Point
from towpath.tuning.search import Question, Race

ENDED = {"Completed", "Failed", "Stopped"}


class Counting:
    """Implements `Search` without searching: each point is its place."""

    def next_points(self, question: Question) -> list[Point]:
        return [{"x": str(place)} for place in question.places]

    def beaten(self, race: Race) -> frozenset[int]:
        return frozenset(curve.number for curve in race.curves if curve.number % 3 == 0 and curve.values)


def child(number: int, status: str, value: float | None = None, *, maximized: bool = False, **more: Any) -> Child:
    ended = status in ENDED
    objective = Objective(type="Maximize" if maximized else "Minimize", metric_name="loss")
    shown = "Pending" if not ended else "Failed" if value is None else "Succeeded"
    return Child(
        uid=Uid(f"u{number}"),
        number=number,
        status=status,
        objective=objective,
        point={"x": str(number - 1)},
        value=value if ended else None,
        summary={"TrainingJobName": f"job-{number}", "ObjectiveStatus": shown},
        **more,
    )


@dataclass
class Life:
    """A tuning job and its training jobs, moved on by what is decided."""

    plan: Plan
    children: dict[int, Child] = field(default_factory=dict)
    ending: Ending | None = None
    stopping: bool = False
    ended: bool = False
    gave_up: bool = False  #: after five training jobs without a success
    saw_stop: bool = False
    over_before: bool = False  #: had come to its end when the stop was seen
    most_at_once: int = 0

    def situation(self) -> Situation:
        return Situation(
            seed=1,
            children=[self.children[number] for number in sorted(self.children)],
            launched=len(self.children),
            elapsed_s=0.0,
            ending=self.ending,
            stopping=self.stopping,
        )

    def decide(self) -> None:
        decided = advance(self.plan, self.situation(), Counting())
        assert advance(self.plan, self.situation(), Counting()) == decided, "the same decides alike"
        for step in decided.steps:
            match step:
                case Launch(number=number):
                    assert number not in self.children, "nothing is started twice"
                    assert self.ending is None
                    assert not self.stopping
                    self.children[number] = child(number, "InProgress")
                case StopChild(uid=uid):
                    number = int(uid[1:])
                    assert self.children[number].status == "InProgress"
                    self.children[number] = child(number, "Stopping", curve=self.children[number].curve)
        if self.stopping and not self.saw_stop:
            self.saw_stop = True
            known = self.ending or ending_of(self.plan, self.situation())
            self.over_before = known is not None and not self.running()
        if decided.ending is not None and self.ending is None:
            self.gave_up = decided.ending.status == "Failed"
        self.ending = decided.ending or self.ending
        self.ended = decided.ended
        self.most_at_once = max(self.most_at_once, len(self.running()))

    def running(self) -> list[int]:
        return [number for number, child in self.children.items() if child.status not in ENDED]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_limits_are_never_passed_and_the_end_is_what_the_training_jobs_came_to(data: st.DataObject) -> None:
    strategy = data.draw(st.sampled_from(["Random", "Hyperband"]))
    most, parallel = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    plan = plan_of(
        request(
            strategy=strategy,
            ResourceLimits={"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel},
            StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 9}},
            TrainingJobEarlyStoppingType=data.draw(st.sampled_from(["Off", "Auto"])) if strategy == "Random" else "Off",
            TuningJobCompletionCriteria=data.draw(st.sampled_from([{}, {"TargetObjectiveMetricValue": 0.05}])),
        )
    )
    life = Life(plan)
    clock = itertools.count()
    while not life.ended:
        life.decide()
        running = life.running()
        if not running:
            continue
        number = data.draw(st.sampled_from(running))
        before = life.children[number]
        told = data.draw(st.floats(0, 1))
        if before.status == "InProgress" and len(before.curve) < 8 and data.draw(st.booleans()):
            curve = (*before.curve, (float(next(clock)), len(before.curve) + 1, told))
            life.children[number] = child(number, before.status, curve=curve)
            continue
        if not life.stopping and data.draw(st.integers(0, 20)) == 0:
            life.stopping = True
        ends = ["Stopped"] if before.status == "Stopping" else ["Completed", "Failed"]
        status = data.draw(st.sampled_from(ends))
        value = None if status == "Failed" or data.draw(st.integers(0, 5)) == 0 else told
        life.children[number] = child(number, status, value, curve=before.curve, ended_at=float(next(clock)))
    children = list(life.children.values())
    assert sorted(life.children) == list(range(1, len(children) + 1))
    assert len(children) <= most
    assert life.most_at_once <= parallel
    assert life.ending is not None
    values = [child.value for child in children if child.value is not None]
    if life.stopping and not life.over_before:
        assert life.ending.status == "Stopped"
    else:
        # What is stopped because the tuning job has given up may have told a value: that does not save it.
        assert life.ending.status == ("Completed" if values and not life.gave_up else "Failed")
        assert not life.gave_up or sum(child.has_failed for child in children) >= min(5, most)
    best = best_of(children)
    assert (best.value if best is not None else None) == min(values, default=None)
    assert best_first(children)[0] == (best or children[0])
    counted = counters(children)
    assert sum(counted["TrainingJobStatusCounters"].values()) == len(children)
    assert counted["ObjectiveStatusCounters"]["Succeeded"] == len(values)


def test_the_median_rule_compares_with_averages_up_to_the_same_epoch() -> None:
    def curve(*values: float) -> tuple[tuple[float, int, float], ...]:
        return tuple((float(place), place, value) for place, value in enumerate(values, start=1))

    before = [
        child(1, "Completed", 0.1, curve=curve(0.9, 0.7, 0.1)),  # 0.8 on average up to the second
        child(2, "Stopped", 0.5, curve=curve(0.7, 0.5)),  # 0.6
        child(3, "Completed", 0.2, curve=curve(0.2)),  # did not get there
        child(4, "Failed", curve=curve(0.0, 0.0)),
        child(5, "InProgress", curve=curve(0.0, 0.0)),
    ]
    assert is_behind(child(6, "InProgress", curve=curve(0.8, 0.71)), before)
    assert not is_behind(child(6, "InProgress", curve=curve(0.8, 0.7)), before)
    assert not is_behind(child(6, "InProgress"), before)
    assert not is_behind(child(6, "InProgress", curve=curve(9, 9, 9, 9)), before)


def test_greater_is_better_where_the_objective_is_to_be_maximized() -> None:
    children = [
        child(number, "Completed", value, maximized=True) for number, value in enumerate((1.0, 3.0, 3.0, 2.0), 1)
    ]
    best = best_of(children)
    assert best is not None
    assert best.number == 2
    assert [item.number for item in best_first(children)] == [2, 3, 4, 1]


def test_an_improvement_is_at_least_a_hundredth() -> None:
    def ended(*values: float) -> list[Child]:
        return [
            child(number, "Completed", value, ended_at=float(number)) for number, value in enumerate(values, start=1)
        ]

    assert not_improving([]) == 0
    assert not_improving(ended(1.0)) == 0
    assert not_improving(ended(1.0, 0.995, 0.991)) == 2
    assert not_improving(ended(1.0, 0.995, 0.98)) == 0
    assert not_improving(ended(-1.0, -1.005)) == 1
    assert not_improving(ended(-1.0, -1.02)) == 0
