"""The rule book for definitions: each rule looks at the whole outline and yields what breaks it, and where."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from towpath.functions.requests import is_name
from towpath.kernel.errors import Invalid, Unsupported
from towpath.pipelines.argument_checks import argument_faults
from towpath.pipelines.callbacks import output_faults
from towpath.pipelines.comparison_checks import comparison_faults
from towpath.pipelines.definition import Definition, ParameterType, Trigger, read
from towpath.pipelines.durations import parse_duration
from towpath.pipelines.expressions import (
    EXECUTION_VARIABLES,
    EXPERIMENT_MEMBERS,
    ConfigValue,
    CurrentItem,
    ExecutionVariable,
    IterationOutput,
    IterationOutputs,
    ParameterValue,
    PropertyFileValue,
    Reference,
    Selected,
    StepValue,
    is_expression,
)
from towpath.pipelines.expressions import references as references_of
from towpath.pipelines.faults import Fault, InvalidDefinition, Place, item, member
from towpath.pipelines.graph import PICKS, Node, Outline, circles, cleaned, outline, selector_of, step_of
from towpath.pipelines.parameters import typed
from towpath.pipelines.paths import describe
from towpath.pipelines.ports import NoShapes, Shapes
from towpath.pipelines.quality_checks import checked_members
from towpath.pipelines.retry import EXCEPTION_TYPES
from towpath.pipelines.rounds import concurrency_of, items_of
from towpath.pipelines.steps import STEP_TYPES
from towpath.pipelines.yield_checks import yield_faults

STEP_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PARAMETER_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")

Findings: TypeAlias = Iterator[tuple[Place, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the rules look at."""

    outline: Outline
    shapes: Shapes
    nodes: dict[str, Node] = field(init=False)  #: by name; of two with one name the first

    def __post_init__(self) -> None:
        by_name: dict[str, Node] = {}
        for node in self.outline.nodes:
            by_name.setdefault(node.name, node)
        object.__setattr__(self, "nodes", by_name)

    def references(self) -> Iterator[Reference]:
        """Yield every reference of the definition."""
        for node in self.outline.nodes:
            yield from node.references()
        for expression in self.outline.config.values():
            yield from references_of(expression)


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
                        f"read it as Steps.{target.each}.IterationOutputs[0].{reference.step}",
                    )


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


def cache_durations(checked: Checked) -> Findings:
    """CacheConfig holds an ISO 8601 duration."""
    for node in checked.outline.nodes:
        cache = node.step.cache
        if cache is not None and cache.expire_after is not None:
            try:
                parse_duration(cache.expire_after)
            except Invalid as error:
                yield member(member(node.step.place, "CacheConfig"), "ExpireAfter"), error.message


def retry_policies(checked: Checked) -> Findings:
    """Retry policies name known exception types, each once, and have one end."""
    for node in checked.outline.nodes:
        taken: set[str] = set()
        for policy in node.step.retry_policies:
            inside = member(policy.place, "ExceptionType")
            if not policy.exception_types:
                yield inside, "at least one exception type must be named"
            for index, exception_type in enumerate(policy.exception_types):
                if exception_type not in EXCEPTION_TYPES:
                    known = ", ".join(EXCEPTION_TYPES)
                    yield item(inside, index), f"{exception_type!r} is not an exception type; expected one of {known}"
                elif exception_type in taken:
                    yield item(inside, index), f"{exception_type!r} stands in an earlier policy already"
                taken.add(exception_type)
            if policy.max_attempts is not None and policy.expire_after_min is not None:
                yield policy.place, "MaxAttempts and ExpireAfterMin exclude each other"
            for name, value, least, most in (
                ("MaxAttempts", policy.max_attempts, 1, 20),
                ("ExpireAfterMin", policy.expire_after_min, 0, 14_400),
                ("IntervalSeconds", policy.interval_s, 0, None),
                ("BackoffRate", policy.backoff_rate, 0, None),
            ):
                if value is not None and (value < least or (most is not None and value > most)):
                    allowed = f"at least {least}" if most is None else f"{least} to {most}"
                    yield member(policy.place, name), f"{value} is out of range; expected {allowed}"


def comparable_values(checked: Checked) -> Findings:
    """Conditions compare values that can be ordered, as far as their types are known before the execution."""
    types = {parameter.name: parameter.type for parameter in checked.outline.definition.parameters}
    for node in checked.outline.nodes:
        for condition in node.conditions:
            yield from comparison_faults(condition, types)


def required_members(checked: Checked) -> Findings:
    """A step has the members that its type cannot do without."""
    for node in checked.outline.nodes:
        if node.type is None:
            continue
        inside = member(node.step.place, "Arguments")
        present = {*node.step.arguments, *node.step.branches}
        for name in sorted(node.type.required_arguments - present):
            yield member(inside, name), f"this member is missing; {node.step.type} steps need it"
        for name in sorted(node.type.required_members):
            if node.step.members.get(name) is None:
                yield member(node.step.place, name), f"this member is missing; {node.step.type} steps need it"
        if node.step.type == "Condition" and node.step.arguments.get("Conditions") == []:
            yield member(inside, "Conditions"), "there must be at least one condition"


def cleanups(checked: Checked) -> Findings:
    """A Cleanup step names steps of the definition, and URIs as a list."""
    for node in checked.outline.nodes:
        for place, entry in cleaned(node):
            name = entry.get("StepName") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                yield place, "expected an object with StepName, and S3Uris where only some are meant"
            elif name not in checked.nodes:
                yield member(place, "StepName"), f"there is no step {name!r}"
            elif not isinstance(entry.get("S3Uris", []), list):
                yield member(place, "S3Uris"), f"expected a list, found {describe(entry['S3Uris'])}"


def check_members(checked: Checked) -> Findings:
    """QualityCheck and ClarifyCheck steps say what they check, as far as that is written literally."""
    for node in checked.outline.nodes:
        if node.type is None or not node.type.checks:
            continue
        literal = {name: value for name, value in node.step.members.items() if not is_expression(value)}
        if "CheckType" in literal:
            try:
                checked_members(node.step.type, literal)
            except Invalid as error:
                yield node.step.place, error.message


def callbacks(checked: Checked) -> Findings:
    """A Callback step asks at an address, and declares outputs of known types, each once."""
    for node in checked.outline.nodes:
        if node.step.type != "Callback":
            continue
        address = node.step.members.get("SqsQueueUrl")
        is_address = isinstance(address, str) and address.startswith(("http://", "https://"))
        if not (is_address or address is None or is_expression(address)):
            yield (
                member(node.step.place, "SqsQueueUrl"),
                f"expected the address of a queue, or of a webhook, https://…; found {describe(address)}",
            )
        yield from _outputs(node)


def lambdas(checked: Checked) -> Findings:
    """A Lambda step names a function by its ARN, and declares outputs of known types, each once."""
    for node in checked.outline.nodes:
        if node.step.type != "Lambda":
            continue
        function = node.step.members.get("FunctionArn")
        names_one = isinstance(function, str) and is_name(function)
        if not (names_one or function is None or is_expression(function)):
            yield (
                member(node.step.place, "FunctionArn"),
                "expected the ARN of a function, arn:aws:lambda:REGION:ACCOUNT:function:NAME; "
                f"found {describe(function)}",
            )
        yield from _outputs(node)


def _outputs(node: Node) -> Findings:
    declared = node.step.members.get("OutputParameters")
    place = member(node.step.place, "OutputParameters")
    for number, fault in [] if declared is None else output_faults(declared):
        yield place if number is None else item(place, number), fault


def arguments(checked: Checked) -> Findings:
    """Arguments are a request that the step's Create operation would take, as far as they are known."""
    for node in checked.outline.nodes:
        shape = None if node.type is None or node.type.create is None else checked.shapes.input(node.type.create)
        if shape is None or node.type is None:
            continue
        given = {name for name in (node.type.name_member,) if name is not None}
        yield from argument_faults(node.step.arguments, shape, member(node.step.place, "Arguments"), given)


Rule: TypeAlias = Callable[[Checked], Findings]

RULES: tuple[Rule, ...] = (
    no_steps,
    step_names,
    duplicate_steps,
    step_types,
    parameter_names,
    parameter_defaults,
    unknown_parameters,
    unknown_variables,
    unknown_steps,
    property_files,
    unknown_property_files,
    unknown_yields,
    rounds,
    loops,
    waiting_in_circles,
    impossible_order,
    cache_durations,
    retry_policies,
    comparable_values,
    required_members,
    cleanups,
    check_members,
    callbacks,
    lambdas,
    arguments,
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
    definition, faults = read(text)
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
        instead = STEP_TYPES[step.type].instead
        if instead is not None:
            raise Unsupported(
                f"Step {step.name!r} ({step.place}) is of type {step.type}, which Towpath does not execute; use "
                f"{instead}."
            )
