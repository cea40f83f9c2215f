"""What keeping standings costs grows with the steps that a change touches."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.pipelines.test_execution import START, SUCCEEDED, job
from tests.unit.pipelines.test_rounds import each

from towpath.pipelines.decisions import Ended, Situation
from towpath.pipelines.definition import parse
from towpath.pipelines.execution import Course
from towpath.pipelines.graph import compile
from towpath.pipelines.standing import Standings

MAKERS: dict[str, Callable[[int], list[Any]]] = {
    "chain": lambda count: [job(f"S{n}", *([f"S{n - 1}"] if n else [])) for n in range(count)],
    "side by side": lambda count: [job(f"S{n}") for n in range(count)],
    "fan": lambda count: [job("First"), *(job(f"S{n}", "First") for n in range(count)), job("Last", f"S{count - 1}")],
    "rounds": lambda count: [each(list(range(count)), job("Body"), MaxConcurrency=3)],
}


def looks_of(steps: list[Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a pipeline to its end; return how often a step was looked at."""
    counted: Counter[str] = Counter()
    take, needs_of = Standings._take, Standings.node

    def counting_take(self: Standings, name: str) -> bool:
        counted["looks"] += 1
        return take(self, name)

    def counting_node(self: Standings, name: str) -> Any:
        counted["looks"] += 1
        return needs_of(self, name)

    plan = compile(parse({"Version": "2020-12-01", "Steps": steps}))
    with monkeypatch.context() as patched:
        patched.setattr(Standings, "_take", counting_take)
        patched.setattr(Standings, "node", counting_node)
        standings = Standings(plan, {})
        Course(standings, START, Situation(execution_id="x", max_parallel=4)).run()
        while running := standings.running():
            ended = {running[0].name: Ended(status=SUCCEEDED)}
            Course(standings, START, Situation(execution_id="x", max_parallel=4, ended=ended)).run()
    assert standings.is_quiet
    assert not standings.failures()
    return counted["looks"]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pipeline_of_twice_the_steps_costs_twice_as_much(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (looks_of(MAKERS[kind](count), monkeypatch) for count in (200, 400))
    assert many < 2.2 * few
