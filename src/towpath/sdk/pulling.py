"""Which steps of functions a pipeline holds that its author did not list: those whose results others read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace

from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import expressions_in
from towpath.sdk.steps.arguments import Files, leaves
from towpath.sdk.steps.function import FunctionStep
from towpath.sdk.steps.step import After, Step, StepResult

_NAME_LENGTH = 64


def completed(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with those that they read from, and give those names that have none of their own.

    A step that is needed within one branch of a condition or one ForEach alone stands there, so that it runs only
    where that does; any other stands beside those that were listed.
    """
    listed = {id(step) for step in _all(steps)}
    whole = _filled(tuple(steps), listed)
    _name(list(_all(whole)))
    return whole


def _filled(steps: tuple[Step, ...], listed: set[int]) -> tuple[Step, ...]:
    # What needs a step: one of these steps itself, or a list of steps inside of one.
    outside = [_needs([step], inside=False) for step in steps]
    branches = {(id(step), name): _needs(_all(inner)) for step in steps for name, inner in step.branches()}
    times = Counter(each for need in (*outside, *branches.values()) for each in need)
    known = {each: step for need in (*outside, *branches.values()) for each, step in need.items()}
    direct = {each for need in outside for each in need}
    here = [known[each] for each, count in times.items() if each not in listed and (count > 1 or each in direct)]
    taken = listed | {id(step) for step in here}
    made = []
    for step in steps:
        changed = {name: _filled(inner, taken) for name, inner in step.branches()}
        grown = any(len(changed[name]) != len(inner) for name, inner in step.branches())
        deeper = any(a is not b for name, inner in step.branches() for a, b in zip(changed[name], inner, strict=False))
        made.append(replace(step, **changed) if grown or deeper else step)  # type: ignore[arg-type]
    return (*sorted(here, key=lambda step: step.number), *made)


def _needs(steps: Iterable[Step], *, inside: bool = True) -> dict[int, FunctionStep]:
    """Return the steps of functions that these read from, directly or by way of others."""
    found: dict[int, FunctionStep] = {}
    waiting = list(steps)
    while waiting:
        for step in _reads(waiting.pop()):
            if id(step) not in found:
                found[id(step)] = step
                waiting.append(step)
    return found


def _reads(step: Step) -> Iterator[FunctionStep]:
    """Yield the steps of functions whose results a step itself reads, or that it waits for."""
    within = {name for name, _ in step.branches()}
    values = [getattr(step, each.name) for each in fields(step) if each.name not in within]
    given = [each.step if isinstance(each, After) else each for each in step.depends_on]
    if isinstance(step, FunctionStep):
        values += [each.source if isinstance(each, Files) else each for each in leaves(step.reads)]
    for expression in (*expressions_in(values), *given):
        if isinstance(expression, StepResult) and isinstance(expression.step, FunctionStep):
            yield expression.step


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all(step.nested)


def _name(steps: list[Step]) -> None:
    """Give steps that are called after their functions names that nobody else has, in the order of the calls."""
    taken = {step.name for step in steps if not isinstance(step, FunctionStep) or step.named}
    free = [step for step in steps if isinstance(step, FunctionStep) and not step.named]
    for step in sorted(free, key=lambda each: each.number):
        base, number = step.own_name, 1
        while (name := base if number == 1 else f"{base}-{number}") in taken:
            number += 1
        if len(name) > _NAME_LENGTH:
            raise DefinitionError(f"{name!r} is too long for a step name; give one: @step(name=…)")
        step.name = name
        taken.add(name)
