"""The rounds of ForEach steps: what a body is, what each round does, and which round a Selector picks. Pure.

A body step has a row in each round, named by the step and the number of the round: `Train[2]`.
Source: Amazon SageMaker API Reference, ForEachStepMetadata and IterationContext; SageMaker Python SDK 3, ForEachStep.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace as with_round
from typing import Any

from msgspec.structs import replace

from towpath.kernel.errors import Invalid
from towpath.kernel.texts import read_json
from towpath.pipelines.conditions import as_number
from towpath.pipelines.evaluation import Scope, StepYield, evaluate
from towpath.pipelines.graph import Guard, Node, Plan, Selector, round_key
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.paths import describe

_LONGEST_ITEM = 12_800  #: characters of an item in IterationContext


def items_of(value: Any) -> list[Any]:
    """Return the items that a ForEach goes over: a list, or a text that holds one as JSON.

    Raises:
        Invalid: it is something else.
    """
    if isinstance(value, str):
        try:
            value = read_json(value)
        except ValueError:
            raise Invalid(f"IterableItems is {describe(value)}; expected a list, or a list as JSON") from None
    if not isinstance(value, list):
        raise Invalid(f"IterableItems is {describe(value)}; expected a list")
    return value


def concurrency_of(value: Any) -> int | None:
    """Return how many rounds may run at one time, None when all may.

    Raises:
        Invalid: it is not a positive integer.
    """
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise Invalid(f"MaxConcurrency is {describe(value)}; expected an integer of at least 1")
    return number


def item_text(item: Any) -> str:
    """Return an item as IterationContext shows it."""
    return (item if isinstance(item, str) else json.dumps(item))[:_LONGEST_ITEM]


def round_node(node: Node, number: int) -> Node:
    """Return what a step of a body is in one of its rounds: it waits for the others of that round."""
    return replace(
        node,
        round=number,
        needs=tuple(replace(need, step=round_key(need.step, number)) for need in node.needs),
        guard=None if node.guard is None else Guard(round_key(node.guard.step, number), node.guard.outcome),
    )


class RoundYields(Mapping[str, StepYield]):
    """What steps yielded, as it is seen from one round: steps of the body are those of that round."""

    def __init__(
        self, rows: Mapping[str, StepRow], key: Callable[[str], str], names: Iterable[str] | None = None
    ) -> None:
        """Take the rows, the key of a step's row as seen from here, and the names that are seen; None: all."""
        self._rows = rows
        self._key = key
        self._names = names

    def __getitem__(self, name: str) -> StepYield:
        row = self._rows.get(self._key(name))
        if row is None or row.yielded is None:
            raise KeyError(name)
        return row.yielded

    def __iter__(self) -> Iterator[str]:
        return (name for name in (self._rows if self._names is None else self._names) if name in self)

    def __contains__(self, name: object) -> bool:
        row = self._rows.get(self._key(name)) if isinstance(name, str) else None
        return row is not None and row.yielded is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)


class EndedRounds(Mapping[str, list[Mapping[str, StepYield]]]):
    """The rounds of the ForEach steps that have succeeded, looked up when they are asked for."""

    def __init__(self, plan: Plan, rows: Mapping[str, StepRow]) -> None:
        self._plan = plan
        self._rows = rows

    def __getitem__(self, each: str) -> list[Mapping[str, StepYield]]:
        row = self._rows.get(each)
        if row is None or row.items is None or row.status is not StepStatus.SUCCEEDED:
            raise KeyError(each)
        return [round_yields(self._plan, self._rows, each, number) for number in range(len(row.items))]

    def __iter__(self) -> Iterator[str]:
        return (each for each in self._plan.bodies if each in self)

    def __contains__(self, each: object) -> bool:
        row = self._rows.get(each) if isinstance(each, str) else None
        return row is not None and row.items is not None and row.status is StepStatus.SUCCEEDED

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SelectedYields(Mapping[str, StepYield]):
    """What the rounds that Selectors picked yielded, by ForEach step."""

    def __init__(self, plan: Plan, rows: Mapping[str, StepRow]) -> None:
        self._plan = plan
        self._rows = rows

    def __getitem__(self, each: str) -> StepYield:
        row, body = self._rows.get(each), self._plan.bodies.get(each)
        if row is None or row.picked is None or body is None or body.selector is None:
            raise KeyError(each)
        return round_yields(self._plan, self._rows, each, row.picked)[body.selector.step]

    def __iter__(self) -> Iterator[str]:
        return (each for each in self._plan.bodies if each in self)

    def __contains__(self, each: object) -> bool:
        row = self._rows.get(each) if isinstance(each, str) else None
        return row is not None and row.picked is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)


def round_yields(plan: Plan, rows: Mapping[str, StepRow], each: str, number: int) -> Mapping[str, StepYield]:
    """Return what the steps of one round yielded."""
    return RoundYields(rows, lambda name: round_key(name, number), plan.bodies[each].nodes)


def picked(
    selector: Selector, rounds: int, yields_of: Callable[[int], Mapping[str, StepYield]], scope: Scope
) -> int | None:
    """Return the number of the round that a Selector picks, the first of equals; None when there are no rounds.

    A round in which the step did not run, because its branch was not taken, is not picked.

    Raises:
        Invalid: the value of a round is not a number, or no round has one.
    """
    values: dict[int, float] = {}
    for number in range(rounds):
        seen = yields_of(number)
        if selector.step not in seen:
            continue
        value = evaluate(selector.field, with_round(scope, round=seen))
        as_a_number = as_number(value)
        if as_a_number is None:
            raise Invalid(f"{selector.field.place}: in round {number} it is {describe(value)}; expected a number")
        values[number] = as_a_number
    if not values:
        if rounds:
            raise Invalid(f"{selector.field.place}: step {selector.step!r} ran in no round, so none can be picked")
        return None
    choose = max if selector.pick == "MaxBy" else min
    return choose(values, key=lambda number: (values[number], -number if selector.pick == "MaxBy" else number))
