"""Which steps an execution runs that was started for some of a pipeline's steps, and what it takes from an earlier one.

Source: Amazon SageMaker Developer Guide, "Selective execution of pipeline steps".
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from towpath.kernel.errors import Invalid
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.model import StepRow, StepStatus

#: Member of an execution's spec: the steps it is about, those that it took over included. Never shown.
STEPS = "StepsOfThisExecution"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a selective execution runs and what it takes over."""

    steps: tuple[str, ...]  #: all that its plan holds, in the plan's order
    kept: tuple[StepRow, ...]  #: as they stood in the source, in the order in which they began there


def select(plan: Plan, selected: Sequence[str], source: Mapping[str, StepRow] | None) -> Selection:
    """Return what an execution of the selected steps consists of.

    A condition that is selected decides anew, but only selected steps of its branches run. What selected steps read of
    others is taken from the source; a step that they merely come after does not matter.

    Args:
        source: the steps of the execution whose results are taken over, None when there is none.
    Raises:
        Invalid: a selected step is not there, cannot run by itself, or reads what the source has not.
    """
    _refuse_strangers(plan, selected)
    chosen = set(selected)
    for step, (first, last) in _gaps(plan, chosen).items():
        raise Invalid(
            f"Step {step!r} lies on the way from {first!r} to {last!r}, both of which are selected; select it as well"
        )
    kept: dict[str, None] = {}
    for name in plan.nodes:
        if name in chosen:
            _keep(plan, plan.nodes[name], chosen, source, kept)
    rows = [] if source is None else [row for row in source.values() if (row.each or row.name) in kept]
    return Selection(steps=tuple(name for name in plan.nodes if name in chosen or name in kept), kept=tuple(rows))


def restricted(plan: Plan, steps: Iterable[str]) -> Plan:
    """Return the plan of an execution that is about some of the steps only."""
    left = set(steps)
    nodes = {
        name: replace(
            node,
            needs=tuple(need for need in node.needs if need.step in left),
            guard=node.guard if node.guard is not None and node.guard.step in left else None,
        )
        for name, node in plan.nodes.items()
        if name in left
    }
    followers = {
        name: tuple(other for other in plan.followers[name] if other in left and _waits(nodes[other], name))
        for name in nodes
    }
    return replace(plan, nodes=nodes, followers=followers)


def _waits(node: Node, name: str) -> bool:
    return any(need.step == name for need in node.needs)


def _refuse_strangers(plan: Plan, selected: Sequence[str]) -> None:
    if not selected:
        raise Invalid("SelectedSteps names no step; name those that are to run")
    for name in selected:
        each = next((each for each, body in plan.bodies.items() if name in body.nodes), None)
        if each is not None:
            raise Invalid(
                f"SelectedSteps names {name!r}, which runs in the rounds of {each!r}; select {each!r} instead"
            )
        if name not in plan.nodes:
            known = ", ".join(plan.nodes)
            raise Invalid(f"SelectedSteps names {name!r}; the pipeline has no such step, it has {known[:500]}")


def _gaps(plan: Plan, chosen: set[str]) -> dict[str, tuple[str, str]]:
    """Return the steps that are not chosen and lie between two that are: step -> (one before it, one behind it)."""
    before: dict[str, str] = {}
    for name, node in plan.nodes.items():  # each stands behind those that it waits for
        for need in node.needs:
            if need.step in chosen:
                before.setdefault(name, need.step)
            elif need.step in before:
                before.setdefault(name, before[need.step])
    behind: dict[str, str] = {}
    for name in reversed(plan.nodes):
        for follower in plan.followers[name]:
            if follower in chosen:
                behind.setdefault(name, follower)
            elif follower in behind:
                behind.setdefault(name, behind[follower])
    return {
        name: (before[name], behind[name])
        for name in plan.nodes
        if name in before and name in behind and name not in chosen
    }


def _keep(
    plan: Plan, node: Node, chosen: set[str], source: Mapping[str, StepRow] | None, kept: dict[str, None]
) -> None:
    for need in node.needs:
        if need.step in chosen or not need.reads:
            continue
        row = None if source is None else source.get(need.step)
        if source is None:
            raise Invalid(
                f"Step {node.name!r} uses what step {need.step!r} yields, which is not selected; give "
                "SourcePipelineExecutionArn to take it from an earlier execution, or select it as well"
            )
        if row is None or row.status is not StepStatus.SUCCEEDED:
            happened = "did not run" if row is None else f"is {row.status.value}"
            raise Invalid(
                f"Step {node.name!r} uses what step {need.step!r} yields, and that {happened} in the source execution; "
                "select it as well, or name an execution in which it succeeded"
            )
        kept[need.step] = None
    guard = node.guard
    if guard is None or guard.step in chosen or source is None:
        return
    decided = source.get(guard.step)
    if decided is not None and decided.outcome is not None and decided.outcome != guard.outcome:
        raise Invalid(
            f"Step {node.name!r} stands in the branch of {guard.step!r} that the source execution did not take; select "
            f"{guard.step!r} as well, so that it is decided anew"
        )
