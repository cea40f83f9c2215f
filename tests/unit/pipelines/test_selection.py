"""Which steps a selective execution runs, what it takes over, and what it refuses."""

from typing import Any

import pytest

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import parse
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.selection import restricted, select


def job(name: str, *needs: str, reads: tuple[str, ...] = ()) -> dict[str, Any]:
    arguments = {"Environment": {step: {"Get": f"Steps.{step}.Answer"} for step in reads}}
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "DependsOn": list(needs)}


def condition(name: str, then: list[Any], otherwise: list[Any]) -> dict[str, Any]:
    asked = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": asked, "IfSteps": then, "ElseSteps": otherwise},
    }


def plan_of(*steps: Any) -> Plan:
    return compile(parse({"Version": "2020-12-01", "Steps": list(steps)}))


def ended(*names: str, status: StepStatus = StepStatus.SUCCEEDED, outcome: bool | None = None) -> dict[str, StepRow]:
    return {name: StepRow(name=name, status=status, outcome=outcome, position=at) for at, name in enumerate(names)}


def test_only_what_is_read_is_taken_over() -> None:
    plan = plan_of(job("A"), job("B", reads=("A",)), job("C", "B", reads=("A",)), job("D", reads=("C",)))
    chosen = select(plan, ["C"], ended("A", "B", "C", "D"))
    assert chosen.steps == ("A", "C")
    assert [row.name for row in chosen.kept] == ["A"]
    left = restricted(plan, chosen.steps)
    assert list(left.nodes) == ["A", "C"]
    assert [need.step for need in left.nodes["C"].needs] == ["A"], "C merely came after B"
    assert left.followers == {"A": ("C",), "C": ()}


def test_steps_between_two_selected_ones_must_be_selected() -> None:
    plan = plan_of(job("A"), job("B", "A"), job("C", "B"), job("D", "C"))
    with pytest.raises(Invalid, match="Step 'B' lies on the way from 'A' to 'D'"):
        select(plan, ["A", "D"], ended("A", "B", "C", "D"))
    assert select(plan, ["B", "C"], None).steps == ("B", "C")


def test_a_step_of_a_branch_runs_without_its_condition_where_the_source_took_the_branch() -> None:
    plan = plan_of(condition("If", [job("Yes")], [job("No")]))
    source = ended("If", outcome=True)
    chosen = select(plan, ["Yes"], source)
    assert chosen.steps == ("Yes",)
    assert restricted(plan, chosen.steps).nodes["Yes"].guard is None
    with pytest.raises(Invalid, match="the branch of 'If' that the source execution did not take"):
        select(plan, ["No"], source)
    assert select(plan, ["If", "No"], source).steps == ("If", "No")


def test_unknown_steps_and_none_at_all_are_refused() -> None:
    plan = plan_of(job("A"))
    with pytest.raises(Invalid, match=r"has no such step, it has A$"):
        select(plan, ["B"], None)
    with pytest.raises(Invalid, match="names no step"):
        select(plan, [], None)
