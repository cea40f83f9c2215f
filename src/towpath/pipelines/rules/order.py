"""Rules about order: every step can run once, when what it waits for has ended."""

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import Trigger
from towpath.pipelines.expressions import (
    CurrentItem,
    IterationOutput,
    IterationOutputs,
    Selected,
    StepValue,
    is_expression,
)
from towpath.pipelines.faults import Findings, Place, member
from towpath.pipelines.graph import PICKS, Node, circles, selector_of
from towpath.pipelines.paths import Member, render_path
from towpath.pipelines.rounds import concurrency_of, items_of
from towpath.pipelines.rules.checked import Checked

_OF_FOREACH = ("IterableItems", "MaxConcurrency", "Selector", "ForEachBody")  #: members of its Arguments


def rounds(checked: Checked) -> Findings:
    """What belongs to the rounds of a ForEach is used where there are rounds."""
    for node in checked.outline.nodes:
        for reference in node.references():
            if isinstance(reference, CurrentItem) and node.each is None:
                yield (
                    reference.place,
                    f"step {node.name!r} is not in the body of a ForEach step; there is no current item",
                )
            if isinstance(reference, IterationOutput):
                yield from _body_step(checked, node.name, node.step.type, reference.step, reference.place)
            if isinstance(reference, Selected | IterationOutputs):
                target = checked.nodes.get(reference.each)
                kind = "" if target is None else target.step.type
                if target is not None and kind != "ForEach":
                    yield reference.place, f"step {reference.each!r} is of type {kind}; only ForEach steps have rounds"
                elif target is not None and isinstance(reference, IterationOutputs):
                    yield from _body_step(checked, reference.each, kind, reference.step, reference.place)
            if isinstance(reference, StepValue) and reference.step in checked.nodes:
                target = checked.nodes[reference.step]
                if target.each is not None and target.each != node.each:
                    yield (
                        reference.place,
                        f"step {reference.step!r} runs once in each round of {target.each!r}; "
                        f"read it as {_read_as(node, target.each, reference)}",
                    )


def _read_as(node: Node, each: str, reference: StepValue) -> str:
    """Return how what a body step yields is read elsewhere."""
    selector = member(member(node.step.place, "Arguments"), "Selector")
    if node.name == each and reference.place.startswith(selector):
        return render_path((Member("IterationOutput"), Member(reference.step), *reference.path))
    return f"Steps.{each}.IterationOutputs[0].{reference.step}"


def _body_step(checked: Checked, each: str, kind: str, name: str, place: Place) -> Findings:
    if kind != "ForEach":
        yield place, "IterationOutput is known only in the Selector of a ForEach step"
    elif name not in checked.nodes or checked.nodes[name].each != each:
        yield place, f"the body of {each!r} has no step {name!r}"


def loops(checked: Checked) -> Findings:
    """A ForEach goes over a list, has steps in its body, and its Selector compares a value of one of them."""
    for node in checked.outline.nodes:
        for entry in node.step.depends_on:
            target = checked.nodes.get(entry.step)
            if target is not None and target.each is not None and target.each != node.each:
                yield entry.place, f"step {entry.step!r} runs in each round of {target.each!r}; wait for that instead"
        if node.step.type != "ForEach":
            continue
        inside = member(node.step.place, "Arguments")
        if node.each is not None:
            yield node.step.place, f"a ForEach step cannot stand in the body of another one, {node.each!r}"
        if node.step.branches.get("ForEachBody") == ():
            yield member(inside, "ForEachBody"), "the body has no steps"
        for name in (name for name in _OF_FOREACH if name in node.step.members):
            yield (
                member(node.step.place, name),
                "this member belongs into the Arguments of the ForEach step, and here it means nothing; write "
                f"Arguments.{name}",
            )
        for name, understand in (("IterableItems", items_of), ("MaxConcurrency", concurrency_of)):
            value = node.step.arguments.get(name)
            if not is_expression(value) and value is not None:
                try:
                    understand(value)
                except Invalid as error:
                    yield member(inside, name), error.message
        if node.step.arguments.get("Selector") is not None and selector_of(node) is None:
            yield (
                member(inside, "Selector"),
                f"expected an object with Pick ({' or '.join(PICKS)}) and Field "
                "({'Get': 'IterationOutput.<step>.<path>'})",
            )


def waiting_in_circles(checked: Checked) -> Findings:
    """No step waits for itself, directly or through others."""
    for place, names in circles(checked.outline.nodes):
        yield place, f"steps wait for each other: {' → '.join(names)}"


def impossible_order(checked: Checked) -> Findings:
    """No step waits for one that cannot have run, or cannot have yielded anything, when its turn comes."""
    for node in checked.outline.nodes:
        branches = _branches(checked, node)
        triggers = {entry.step: entry.trigger for entry in node.step.depends_on}
        for need in node.needs:
            target = checked.nodes.get(need.step)
            if target is None:
                continue
            other = _branches(checked, target)
            excluded = next((name for name in branches if other.get(name, branches[name]) != branches[name]), None)
            if excluded is not None:
                yield (
                    need.place,
                    f"step {node.name!r} and step {need.step!r} stand in different branches of {excluded!r}; "
                    "never do both run",
                )
            if target.step.type == "Fail":
                yield need.place, f"step {need.step!r} is a Fail step; nothing runs after it"
            chosen = triggers.get(need.step)
            if need.reads and chosen in {Trigger.FAILED, Trigger.STOPPED} and node.step.type != "Cleanup":
                yield (
                    need.place,
                    f"step {node.name!r} runs only when {need.step!r} has {chosen}, and then there is nothing to read",
                )


def _branches(checked: Checked, node: Node) -> dict[str, bool]:
    found: dict[str, bool] = {}
    while node.guard is not None and node.guard.step not in found:
        found[node.guard.step] = node.guard.outcome
        node = checked.nodes[node.guard.step]
    return found
