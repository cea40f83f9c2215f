"""How a ForEach begins and ends: with its items evaluated once, and when its rounds have come to rest. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.evaluation import Scope, StepYield, evaluate
from towpath.pipelines.expressions import Literal, MapOf
from towpath.pipelines.graph import Node
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.rounds import concurrency_of, items_of, picked, round_yields
from towpath.pipelines.standing import Standings


def with_items(node: Node, row: StepRow, scope: Scope) -> StepRow:
    """Return a ForEach with the items that it goes over and the number of rounds that may run at one time.

    Raises:
        Invalid: they cannot be evaluated, or are not what they must be.
    """
    members = node.arguments.members if isinstance(node.arguments, MapOf) else {}
    literal = node.arguments.value if isinstance(node.arguments, Literal) else {}
    asked = {
        name: evaluate(members[name], scope) if name in members else literal.get(name)
        for name in ("IterableItems", "MaxConcurrency")
    }
    items = items_of(asked["IterableItems"])
    return replace(row, items=items, max_concurrency=concurrency_of(asked["MaxConcurrency"]))


def ended(
    row: StepRow, standings: Standings, scope: Callable[[], Scope], now: datetime, *, stopping: bool, failing: bool
) -> StepRow | None:
    """Return how a ForEach has ended, None while something in its rounds goes on or will begin.

    Args:
        scope: gives what its Selector sees; asked only where the ForEach has one and its rounds are done.
        stopping: the execution is being stopped.
        failing: the execution has failed outside of rounds, so that no further round begins.
    """
    if not standings.rounds_quiet(row.name):
        return None
    failed = standings.fatal(row.name)
    if failed and not stopping:
        return _told(row, StepStatus.FAILED, standings, now, failure_reason=_reason(failed))
    if standings.rounds_done(row.name) and not failed:
        return _succeeded(row, standings, scope, now)
    if stopping:
        return _told(row, StepStatus.STOPPED, standings, now, failure_reason=None)
    if failing:
        reason = "the execution failed before all of its rounds had run"
        return _told(row, StepStatus.STOPPED, standings, now, failure_reason=reason)
    return None


def _succeeded(row: StepRow, standings: Standings, scope: Callable[[], Scope], now: datetime) -> StepRow:
    """Return a ForEach whose rounds are done, failed where its Selector cannot pick one of them."""
    selector = standings.plan.bodies[row.name].selector
    number = None
    if selector is not None:
        yields_of = partial(round_yields, standings.plan, standings.rows, row.name)
        try:
            number = picked(selector, len(row.items or ()), yields_of, scope())
        except Invalid as error:
            return _told(row, StepStatus.FAILED, standings, now, failure_reason=error.message)
    return _told(
        row,
        StepStatus.SUCCEEDED,
        standings,
        now,
        picked=number,
        yielded=StepYield(document={}),
        failure_reason=None,
    )


def _told(row: StepRow, status: StepStatus, standings: Standings, now: datetime, **changes: Any) -> StepRow:
    """Return an ended ForEach with what its Metadata tell of its rounds."""
    counted = Counter(inner.status for inner in standings.in_rounds(row.name))
    told: Document = {
        "Status": status.value,
        "InputItemCount": len(row.items or ()),
        "TotalStepCount": counted.total(),
        "SucceededStepCount": counted[StepStatus.SUCCEEDED],
        "FailedStepCount": counted[StepStatus.FAILED],
        "StoppedStepCount": counted[StepStatus.STOPPED],
    }
    selector = standings.plan.bodies[row.name].selector
    if changes.get("picked") is not None and selector is not None:
        told["Selector"] = {"StepName": selector.step, "Index": changes["picked"]}
    return replace(row, status=status, ended_at=now, metadata={"ForEach": told}, **changes)


def _reason(failed: Sequence[StepRow]) -> str:
    """Return why a ForEach failed: its first round that did."""
    first = min(failed, key=lambda row: (row.round or 0, row.position))
    happened = "was stopped" if first.status is StepStatus.STOPPED else "failed"
    reason = f"Step {first.step!r} {happened} in round {first.round} (item {first.item or ''!r})"
    reason += f": {first.failure_reason}" if first.failure_reason else ""
    rest = len(failed) - 1
    return f"{reason} (and {rest} more)" if rest else reason
