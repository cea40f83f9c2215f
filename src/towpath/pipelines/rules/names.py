"""Rules about names: steps and parameters have good ones, and what is referred to is there."""

import re
from collections import Counter
from typing import Any

import msgspec

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import ParameterType
from towpath.pipelines.expressions import (
    EXECUTION_VARIABLES,
    EXPERIMENT_MEMBERS,
    ConfigValue,
    ExecutionVariable,
    ParameterValue,
    PropertyFileValue,
    StepValue,
    is_expression,
)
from towpath.pipelines.faults import Findings, Place, item, member
from towpath.pipelines.graph import Node, step_of
from towpath.pipelines.parameters import typed
from towpath.pipelines.paths import describe
from towpath.pipelines.rules.checked import Checked
from towpath.pipelines.steps import STEP_TYPES
from towpath.pipelines.yield_checks import yield_faults

STEP_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PARAMETER_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


def no_steps(checked: Checked) -> Findings:
    """A pipeline has at least one step."""
    if not checked.outline.definition.steps:
        yield "Steps", "the pipeline has no steps"


def step_names(checked: Checked) -> Findings:
    """Step names are as AWS allows them."""
    for node in checked.outline.nodes:
        if STEP_NAME.fullmatch(node.name) is None:
            yield (
                member(node.step.place, "Name"),
                f"{node.name!r} is not a step name; expected 1 to 64 letters, digits, - and _",
            )


def duplicate_steps(checked: Checked) -> Findings:
    """Steps share one namespace across all branches."""
    for node in checked.outline.nodes:
        first = checked.nodes[node.name]
        if first is not node:
            yield member(node.step.place, "Name"), f"the name {node.name!r} is taken by the step at {first.step.place}"


def step_types(checked: Checked) -> Findings:
    """Each step has a type of the grammar."""
    for node in checked.outline.nodes:
        if node.type is None:
            yield (
                member(node.step.place, "Type"),
                f"{node.step.type!r} is not a type of steps; expected one of {', '.join(sorted(STEP_TYPES))}",
            )


def parameter_names(checked: Checked) -> Findings:
    """Parameter names are as AWS allows them, and unique."""
    seen: dict[str, Place] = {}
    for parameter in checked.outline.definition.parameters:
        place = member(parameter.place, "Name")
        if PARAMETER_NAME.fullmatch(parameter.name) is None:
            yield place, f"{parameter.name!r} is not a parameter name; expected 1 to 256 letters, digits, - and _"
        if parameter.name in seen:
            yield place, f"the name {parameter.name!r} is taken by the parameter at {seen[parameter.name]}"
        seen.setdefault(parameter.name, parameter.place)


def parameter_defaults(checked: Checked) -> Findings:
    """Defaults and enumerated values are of the declared type, and a default is one of the enumerated values."""
    for parameter in checked.outline.definition.parameters:
        if parameter.enum_values and parameter.type is not ParameterType.STRING:
            yield member(parameter.place, "EnumValues"), f"only String parameters have them, this is {parameter.type}"
            continue
        for index, value in enumerate(parameter.enum_values):
            if not isinstance(value, str):
                yield item(member(parameter.place, "EnumValues"), index), f"expected a text, found {describe(value)}"
        if parameter.default is not msgspec.UNSET:
            place = member(parameter.place, "DefaultValue")
            is_text = isinstance(parameter.default, str) and parameter.type is not ParameterType.STRING
            try:
                typed(parameter, None if is_text else parameter.default)
            except Invalid as error:
                # A default is JSON of the declared type; texts stand for numbers only where an execution is started.
                problem = f"{describe(parameter.default)} is not of type {parameter.type}" if is_text else error.message
                yield place, problem


def unknown_parameters(checked: Checked) -> Findings:
    """References name declared parameters."""
    declared = [parameter.name for parameter in checked.outline.definition.parameters]
    for reference in checked.references():
        if isinstance(reference, ParameterValue) and reference.name not in declared:
            yield (
                reference.place,
                f"there is no parameter {reference.name!r}; there are {', '.join(declared) or 'none'}",
            )


def unknown_variables(checked: Checked) -> Findings:
    """References name execution variables and experiment members that exist."""
    for reference in checked.references():
        if isinstance(reference, ExecutionVariable) and reference.name not in EXECUTION_VARIABLES:
            known = ", ".join(sorted(EXECUTION_VARIABLES))
            yield reference.place, f"there is no execution variable {reference.name!r}; there are {known}"
        if isinstance(reference, ConfigValue):
            known = ", ".join(sorted(EXPERIMENT_MEMBERS))
            if reference.section == "PipelineExperimentConfig" and reference.name not in EXPERIMENT_MEMBERS:
                yield reference.place, f"PipelineExperimentConfig has no member {reference.name!r}; there are {known}"
            if reference.section not in checked.outline.config:
                yield reference.place, f"the definition has no {reference.section}"


def unknown_steps(checked: Checked) -> Findings:
    """References and DependsOn name steps of the definition."""
    for node in checked.outline.nodes:
        for entry in node.step.depends_on:
            if entry.step not in checked.nodes:
                yield entry.place, f"there is no step {entry.step!r}"
    for reference in checked.references():
        name = step_of(reference)
        if name is not None and name not in checked.nodes:
            yield reference.place, f"there is no step {name!r}"


def property_files(checked: Checked) -> Findings:
    """Property files are declared on Processing steps, once, for an output that the step has."""
    for node in checked.outline.nodes:
        if node.step.property_files and node.type is not None and node.step.type != "Processing":
            yield (
                member(node.step.place, "PropertyFiles"),
                f"only Processing steps have property files, this is {node.step.type}",
            )
            continue
        names = Counter(file.name for file in node.step.property_files)
        outputs = literal_names(node, ("ProcessingOutputConfig", "Outputs"), "OutputName")
        for file in node.step.property_files:
            if names[file.name] > 1:
                yield member(file.place, "PropertyFileName"), f"{file.name!r} is declared more than once in this step"
            if outputs is not None and file.output_name not in outputs:
                yield (
                    member(file.place, "OutputName"),
                    f"step {node.name!r} has no output {file.output_name!r}; it has {', '.join(outputs) or 'none'}",
                )


def literal_names(node: Node, path: tuple[str, ...], naming: str) -> list[str] | None:
    """Return the names of the items of a list in a step's Arguments, None when they are not all literals."""
    value: Any = node.step.arguments
    for name in path:
        if not isinstance(value, dict) or is_expression(value):
            return None
        value = value.get(name, {} if name != path[-1] else [])
    if not isinstance(value, list):
        return None
    names = [entry.get(naming) if isinstance(entry, dict) else None for entry in value]
    return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else None


def unknown_property_files(checked: Checked) -> Findings:
    """References name property files that the step declares."""
    for reference in checked.references():
        if isinstance(reference, PropertyFileValue) and reference.step in checked.nodes:
            declared = [file.name for file in checked.nodes[reference.step].step.property_files]
            if reference.name not in declared:
                yield (
                    reference.place,
                    f"step {reference.step!r} declares no property file {reference.name!r}; "
                    f"it declares {', '.join(declared) or 'none'}",
                )


def unknown_yields(checked: Checked) -> Findings:
    """References read something that a step of that type yields."""
    for reference in checked.references():
        if isinstance(reference, StepValue) and reference.step in checked.nodes:
            yield from yield_faults(reference, checked.nodes[reference.step], checked.shapes)
