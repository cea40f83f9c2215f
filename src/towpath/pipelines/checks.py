"""Checks definitions against the rule book."""

from collections.abc import Callable
from typing import TypeAlias

from towpath.kernel.errors import Unsupported
from towpath.pipelines.definition import Definition, read
from towpath.pipelines.faults import Fault, Findings, InvalidDefinition
from towpath.pipelines.graph import outline
from towpath.pipelines.ports import NoShapes, Shapes
from towpath.pipelines.rules import members, names, order
from towpath.pipelines.rules.checked import Checked
from towpath.pipelines.steps import STEP_TYPES

Rule: TypeAlias = Callable[[Checked], Findings]

RULES: tuple[Rule, ...] = (
    names.no_steps,
    names.step_names,
    names.duplicate_steps,
    names.step_types,
    names.parameter_names,
    names.parameter_defaults,
    names.unknown_parameters,
    names.unknown_variables,
    names.unknown_steps,
    names.property_files,
    names.unknown_property_files,
    names.unknown_yields,
    order.rounds,
    order.loops,
    order.waiting_in_circles,
    order.impossible_order,
    members.cache_durations,
    members.retry_policies,
    members.comparable_values,
    members.required_members,
    members.request_members,
    members.performed,
    members.check_members,
    members.callbacks,
    members.lambdas,
    members.arguments,
)


def check(definition: Definition, shapes: Shapes | None = None) -> list[Fault]:
    """Return everything that the rules find wrong with a definition, in the order of the rules."""
    outlined = outline(definition)
    checked = Checked(outline=outlined, shapes=shapes or NoShapes())
    found = [
        Fault(place, message, rule.__name__.replace("_", "-")) for rule in RULES for place, message in rule(checked)
    ]
    return list(dict.fromkeys([*outlined.faults, *found]))


def accept(text: str | bytes, shapes: Shapes | None = None) -> Definition:
    """Return the definition that a text holds.

    Raises:
        InvalidDefinition: lists every fault of its shape and every rule that it breaks, with the places.
    """
    definition, faults = read(text, unique=True)
    return _faultless(definition, faults, shapes)


def accept_executed(text: str | bytes, shapes: Shapes | None = None) -> Definition:
    """Return the definition that a text holds and executions can be made of.

    Raises:
        Unsupported: a step is of a type that is not executed, told before any fault: mending those would be in vain.
        InvalidDefinition: see `accept`.
    """
    definition, faults = read(text, unique=True)
    refuse_unexecuted(definition)
    return _faultless(definition, faults, shapes)


def _faultless(definition: Definition, faults: list[Fault], shapes: Shapes | None) -> Definition:
    # Faults of the shape leave gaps in what was read; rules would report those again in other words.
    if not faults:
        faults = check(definition, shapes)
    if faults:
        raise InvalidDefinition(faults)
    return definition


def refuse_unexecuted(definition: Definition) -> None:
    """Raise when a definition has a step of a type that is not executed.

    Raises:
        Unsupported: names the step, its place and its type, and what to use in its place.
    """
    for step in definition.all_steps():
        step_type = STEP_TYPES.get(step.type)
        if step_type is not None and step_type.instead is not None:
            raise Unsupported(
                f"Step {step.name!r} ({step.place}) is of type {step.type}, which Towpath does not execute; use "
                f"{step_type.instead}."
            )
