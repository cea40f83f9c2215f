"""The plan of a definition: every step with what it waits for and the branch that it belongs to."""

import heapq
from collections.abc import Callable, Iterator

import msgspec

from towpath.kernel.errors import Invalid
from towpath.pipelines import conditions, expressions
from towpath.pipelines.conditions import Condition
from towpath.pipelines.definition import Definition, PropertyFile, Step, Trigger
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.expressions import (
    Expression,
    IterationOutputs,
    JsonGet,
    PropertyFileValue,
    Reference,
    Selected,
    StepValue,
)
from towpath.pipelines.faults import Fault, InvalidDefinition, Place, member
from towpath.pipelines.paths import Key, Member, follow
from towpath.pipelines.steps import STEP_TYPES, StepType


class Guard(msgspec.Struct, frozen=True):
    """The branch that a step belongs to: it runs only when the condition has this outcome."""

    step: str
    outcome: bool


class Need(msgspec.Struct, frozen=True):
    """Another step that must have ended before, and how."""

    step: str
    trigger: Trigger
    place: Place
    reads: bool = False  #: because something that it yielded is used


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the plan."""

    step: Step
    type: StepType | None  #: None: the type is not known
    position: int  #: in the order of the document, nested steps behind the one that holds them
    guard: Guard | None = None
    each: str | None = None  #: the ForEach step whose body holds this one
    needs: tuple[Need, ...] = ()
    arguments: Expression
    members: Expression  #: what stands beside Arguments
    conditions: tuple[Condition, ...] = ()
    documents: tuple[JsonGet, ...] = ()  #: JSON documents that must be read before the step can start

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def is_cached(self) -> bool:
        """Whether the result of an earlier execution may stand for the step."""
        config = self.step.cache
        return self.type is not None and self.type.cache is not None and config is not None and config.enabled

    def expressions(self) -> Iterator[Expression]:
        """Yield every expression of the step."""
        yield self.arguments
        for condition in self.conditions:
            yield from conditions.expressions(condition)
        yield self.members

    def references(self) -> Iterator[Reference]:
        """Yield every reference of the step."""
        for expression in self.expressions():
            yield from expressions.references(expression)


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """All steps of a definition, which may still have faults."""

    definition: Definition
    nodes: tuple[Node, ...]
    config: dict[str, Expression]  #: PipelineExperimentConfig and MlflowConfig
    faults: tuple[Fault, ...]  #: malformed expressions and conditions


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution will do. Every name is known and nothing waits in a circle."""

    definition: Definition
    nodes: dict[str, Node]  #: in an order in which each step stands behind those that it waits for
    followers: dict[str, tuple[str, ...]]  #: step -> the steps that wait for it
    config: dict[str, Expression]
    property_files: dict[tuple[str, str], Callable[[StepYield], str]]  #: -> URI of the file, from the step's yield
    reads_documents: bool  #: whether any step reads JSON documents
    uses_cache: bool  #: whether any step asks for the cache


def outline(definition: Definition) -> Outline:
    """Return the steps of a definition with their expressions parsed; what is malformed is listed, not raised."""
    faults: list[Fault] = []
    nodes: list[Node] = []
    _collect(definition.steps, None, None, nodes, faults)
    config = {
        section: expressions.parse(definition.members[section], section, faults)
        for section in ("PipelineExperimentConfig", "MlflowConfig")
        if definition.members.get(section) is not None
    }
    return Outline(definition=definition, nodes=tuple(nodes), config=config, faults=tuple(faults))


def _collect(
    steps: tuple[Step, ...], guard: Guard | None, each: str | None, nodes: list[Node], faults: list[Fault]
) -> None:
    for step in steps:
        nodes.append(_node(step, guard, each, len(nodes), faults))
        for branch, nested in step.branches.items():
            if branch == "ForEachBody":
                _collect(nested, None, step.name, nodes, faults)
            else:
                _collect(nested, Guard(step.name, branch == "IfSteps"), each, nodes, faults)


def _node(step: Step, guard: Guard | None, each: str | None, position: int, faults: list[Fault]) -> Node:
    inside = member(step.place, "Arguments")
    values = dict(step.arguments)
    found: tuple[Condition, ...] = ()
    if step.type == "Condition" and "Conditions" in values:
        found = conditions.parse_all(values.pop("Conditions"), member(inside, "Conditions"), faults)
    node = Node(
        step=step,
        type=STEP_TYPES.get(step.type),
        position=position,
        guard=guard,
        each=each,
        arguments=expressions.parse(values, inside, faults),
        members=expressions.parse(step.members, step.place, faults),
        conditions=found,
    )
    documents = tuple(get for expression in node.expressions() for get in expressions.json_gets(expression))
    return msgspec.structs.replace(node, needs=tuple(_needs(node)), documents=documents)


def _needs(node: Node) -> Iterator[Need]:
    for entry in node.step.depends_on:
        yield Need(entry.step, entry.trigger, entry.place)
    declared = {entry.step for entry in node.step.depends_on}
    seen = set()
    for reference in node.references():
        name = step_of(reference)
        # A data reference to a step that DependsOn names too keeps the trigger that the user chose.
        if name is not None and name not in seen:
            seen.add(name)
            trigger = Trigger.ANY if name in declared else Trigger.COMPLETED
            yield Need(name, trigger, reference.place, reads=True)
    if node.guard is not None:
        yield Need(node.guard.step, Trigger.COMPLETED, node.step.place)
    if node.each is not None:
        yield Need(node.each, Trigger.ANY, node.step.place)


def step_of(reference: Reference) -> str | None:
    """Return the name of the step that a reference waits for."""
    match reference:
        case StepValue(step) | PropertyFileValue(step):
            return step
        case IterationOutputs(each) | Selected(each):
            return each
        case _:
            return None


def circles(nodes: tuple[Node, ...]) -> Iterator[tuple[Place, list[str]]]:
    """Yield (place of the reference that closes it, names) of circles in which steps wait for each other."""
    by_name = {node.name: node for node in nodes}
    done: set[str] = set()
    for root in by_name:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, Iterator[Need]]] = []
        if root not in done:
            stack.append((root, iter(by_name[root].needs)))
            trail.append(root)
            on_trail.add(root)
        while stack:
            name, needs = stack[-1]
            need = next(needs, None)
            if need is None:
                stack.pop()
                trail.pop()
                on_trail.discard(name)
                done.add(name)
            elif need.step in on_trail:
                yield need.place, [*trail[trail.index(need.step) :], need.step]
            elif need.step in by_name and need.step not in done:
                stack.append((need.step, iter(by_name[need.step].needs)))
                trail.append(need.step)
                on_trail.add(need.step)


def compile(definition: Definition) -> Plan:
    """Return the plan of a definition.

    Raises:
        InvalidDefinition: malformed expressions, unknown or repeated step names, or steps that wait in a circle.
    """
    outlined = outline(definition)
    faults = list(outlined.faults)
    nodes = {node.name: node for node in outlined.nodes}
    if len(nodes) != len(outlined.nodes):
        faults.append(Fault("Steps", "step names are not unique", "duplicate-steps"))
    for node in outlined.nodes:
        faults.extend(
            Fault(need.place, f"there is no step {need.step!r}", "unknown-steps")
            for need in node.needs
            if need.step not in nodes
        )
    for place, names in circles(outlined.nodes):
        faults.append(Fault(place, f"steps wait for each other: {' → '.join(names)}", "circles"))
    if faults:
        raise InvalidDefinition(faults)
    ordered = _ordered(outlined.nodes)
    followers: dict[str, list[str]] = {name: [] for name in nodes}
    for node in ordered:
        for name in {need.step: None for need in node.needs}:
            followers[name].append(node.name)
    return Plan(
        definition=definition,
        nodes={node.name: node for node in ordered},
        followers={name: tuple(names) for name, names in followers.items()},
        config=outlined.config,
        reads_documents=any(node.documents for node in ordered),
        uses_cache=any(node.is_cached for node in ordered),
        property_files={
            (node.name, file.name): _locator(file) for node in ordered for file in node.step.property_files
        },
    )


def _ordered(nodes: tuple[Node, ...]) -> list[Node]:
    waiting = {node.name: {need.step for need in node.needs} for node in nodes}
    followers: dict[str, list[str]] = {}
    for name, needs in waiting.items():
        for need in needs:
            followers.setdefault(need, []).append(name)
    by_name = {node.name: node for node in nodes}
    ready = [(node.position, node.name) for node in nodes if not waiting[node.name]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, name = heapq.heappop(ready)
        ordered.append(by_name[name])
        for follower in followers.get(name, ()):
            waiting[follower].discard(name)
            if not waiting[follower]:
                heapq.heappush(ready, (by_name[follower].position, follower))
    return ordered


_OUTPUT = (Member("ProcessingOutputConfig"), Member("Outputs"))


def _locator(file: PropertyFile) -> Callable[[StepYield], str]:
    path = (*_OUTPUT, Key(file.output_name), Member("S3Output"), Member("S3Uri"))

    def locate(yielded: StepYield) -> str:
        uri = follow(yielded.document, path, names=yielded.names)
        if not isinstance(uri, str):
            raise Invalid(f"output {file.output_name!r} has no S3Uri")
        return f"{uri.rstrip('/')}/{file.file_path.lstrip('/')}"

    return locate
