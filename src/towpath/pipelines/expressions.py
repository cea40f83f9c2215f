"""Expressions: values of a definition that are known only when a step starts.

`Get` reads a parameter, an execution variable or what a step yielded; `Std:Join` joins texts; `Std:JsonGet` reads from
a JSON document. Everything else is a literal. An expression may stand wherever a value may.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.faults import Fault, Place, item, member
from towpath.pipelines.paths import Index, Key, Member, Path, PathFault, describe, follow, parse_path, render_path

EXECUTION_VARIABLES = frozenset(
    {
        "StartDateTime",
        "CurrentDateTime",
        "PipelineName",
        "PipelineArn",
        "PipelineExecutionId",
        "PipelineExecutionArn",
        "TrainingJobName",
        "ProcessingJobName",
    }
)
EXPERIMENT_MEMBERS = frozenset({"ExperimentName", "TrialName"})


class Literal(msgspec.Struct, frozen=True):
    """A value without expressions in it."""

    value: Any
    place: Place = ""


class ParameterValue(msgspec.Struct, frozen=True):
    """`Parameters.<name>`."""

    name: str
    place: Place = ""


class ExecutionVariable(msgspec.Struct, frozen=True):
    """`Execution.<name>`."""

    name: str
    place: Place = ""


class ConfigValue(msgspec.Struct, frozen=True):
    """`PipelineExperimentConfig.<name>` or `MlflowConfig.<name>`."""

    section: str
    name: str
    place: Place = ""


class StepValue(msgspec.Struct, frozen=True):
    """`Steps.<step>.<path>`: something that a step yielded."""

    step: str
    path: Path
    place: Place = ""


class PropertyFileValue(msgspec.Struct, frozen=True):
    """`Steps.<step>.PropertyFiles.<name>`: only meaningful as the source of a JsonGet."""

    step: str
    name: str
    place: Place = ""


class IterationOutputs(msgspec.Struct, frozen=True):
    """`Steps.<each>.IterationOutputs[<index>].<step>.<path>`: what one round of a ForEach yielded."""

    each: str
    index: int
    step: str
    path: Path
    place: Place = ""


class Selected(msgspec.Struct, frozen=True):
    """`Steps.<each>.Selected.<path>`: what the round that a ForEach's Selector picked yielded."""

    each: str
    path: Path
    place: Place = ""


class CurrentItem(msgspec.Struct, frozen=True):
    """`ForEach.CurrentItem<path>`: the item of this round."""

    path: Path
    place: Place = ""


class IterationOutput(msgspec.Struct, frozen=True):
    """`IterationOutput.<step>.<path>`: what a step of the round being judged by a Selector yielded."""

    step: str
    path: Path
    place: Place = ""


class Join(msgspec.Struct, frozen=True):
    """`Std:Join`: the texts of values with `on` between them."""

    on: str
    values: tuple["Expression", ...]
    place: Place = ""


class JsonGet(msgspec.Struct, frozen=True):
    """`Std:JsonGet`: a value read from a property file or from a JSON object in S3."""

    source: "Expression"  #: PropertyFileValue, or an expression that gives an S3 URI
    path: Path
    place: Place = ""


class ListOf(msgspec.Struct, frozen=True):
    """A list with expressions in it."""

    items: tuple["Expression", ...]
    place: Place = ""


class MapOf(msgspec.Struct, frozen=True):
    """An object with expressions in it."""

    members: dict[str, "Expression"]
    place: Place = ""


class Malformed(msgspec.Struct, frozen=True):
    """Stands where something could not be parsed; the fault was reported."""

    place: Place = ""


StepReference: TypeAlias = StepValue | PropertyFileValue | IterationOutputs | Selected
Reference: TypeAlias = ParameterValue | ExecutionVariable | ConfigValue | StepReference | CurrentItem | IterationOutput
Expression: TypeAlias = Literal | Malformed | Reference | Join | JsonGet | ListOf | MapOf


def is_expression(value: Any) -> bool:
    """Whether a JSON value is written as an expression: an object whose only member is Get or a Std function."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    (name,) = value
    return isinstance(name, str) and (name == "Get" or name.startswith("Std:"))


def parse(value: Any, place: Place, faults: list[Fault]) -> Expression:
    """Return the expression that a JSON value stands for; what is malformed is added to `faults`."""
    match value:
        case dict() if is_expression(value):
            return _parse_function(value, place, faults)
        case dict():
            members = {name: parse(inner, member(place, name), faults) for name, inner in value.items()}
            if all(isinstance(inner, Literal) for inner in members.values()):
                return Literal(value, place)
            return MapOf(members, place)
        case list():
            items = tuple(parse(inner, item(place, index), faults) for index, inner in enumerate(value))
            if all(isinstance(inner, Literal) for inner in items):
                return Literal(value, place)
            return ListOf(items, place)
        case _:
            return Literal(value, place)


def _malformed(faults: list[Fault], place: Place, message: str) -> Malformed:
    faults.append(Fault(place, message, "expression"))
    return Malformed(place)


def _parse_function(value: Document, place: Place, faults: list[Fault]) -> Expression:
    ((name, argument),) = value.items()
    inside = member(place, name)
    match name:
        case "Get":
            if not isinstance(argument, str):
                return _malformed(
                    faults, inside, f"expected a text such as 'Parameters.Name', found {describe(argument)}"
                )
            try:
                return parse_get(argument, inside)
            except Invalid as error:
                return _malformed(faults, inside, error.message)
        case "Std:Join":
            return _parse_join(argument, inside, faults)
        case "Std:JsonGet":
            return _parse_json_get(argument, inside, faults)
        case _:
            return _malformed(faults, inside, f"unknown function {name!r}; there are Get, Std:Join and Std:JsonGet")


def _parse_join(argument: Any, place: Place, faults: list[Fault]) -> Expression:
    if not isinstance(argument, dict) or not {"On", "Values"} >= set(argument) or "Values" not in argument:
        return _malformed(faults, place, "expected an object with the members On and Values")
    on, values = argument.get("On", ""), argument["Values"]
    if not isinstance(on, str):
        return _malformed(faults, member(place, "On"), f"expected a text, found {describe(on)}")
    if not isinstance(values, list):
        return _malformed(faults, member(place, "Values"), f"expected a list, found {describe(values)}")
    inside = member(place, "Values")
    return Join(on, tuple(parse(value, item(inside, index), faults) for index, value in enumerate(values)), place)


def _parse_json_get(argument: Any, place: Place, faults: list[Fault]) -> Expression:
    sources = {"PropertyFile", "S3Uri"}
    if not isinstance(argument, dict) or len(sources & set(argument)) != 1 or not sources | {"Path"} >= set(argument):
        return _malformed(faults, place, "expected an object with the members Path and one of PropertyFile and S3Uri")
    (source_name,) = sources & set(argument)
    source_place = member(place, source_name)
    source = parse(argument[source_name], source_place, faults)
    path_text = argument.get("Path", "")
    path_place = member(place, "Path")
    if not isinstance(path_text, str):
        return _malformed(faults, path_place, f"expected a text, found {describe(path_text)}")
    if "Path" not in argument or not path_text:
        return _malformed(faults, path_place, "expected the path of a value in the document, such as metrics.accuracy")
    try:
        path = parse_path(path_text)
    except PathFault as error:
        return _malformed(faults, path_place, error.message)
    if source_name == "PropertyFile" and not isinstance(source, PropertyFileValue):
        if isinstance(source, Malformed):
            return source
        return _malformed(faults, source_place, "expected {'Get': 'Steps.<step>.PropertyFiles.<name>'}")
    if source_name == "S3Uri" and isinstance(source, PropertyFileValue):
        return _malformed(faults, source_place, "a property file goes into the member PropertyFile")
    return JsonGet(source, path, place)


def parse_get(text: str, place: Place = "") -> Reference:
    """Return what the text of a `Get` refers to.

    Raises:
        Invalid: it is not a reference; the message lists what there is.
    """
    match parse_path(text):
        case (Member("Parameters"), Member(name)):
            return ParameterValue(name, place)
        case (Member("Execution"), Member(name)):
            return ExecutionVariable(name, place)
        case (Member("PipelineExperimentConfig" | "MlflowConfig" as section), Member(name)):
            return ConfigValue(section, name, place)
        case (Member("Steps"), Member(step) | Key(step), Member("PropertyFiles"), Member(name) | Key(name)):
            return PropertyFileValue(step, name, place)
        case (Member("Steps"), Member(each) | Key(each), Member("Selected"), *path):
            return Selected(each, tuple(path), place)
        case (Member("Steps"), Member(each) | Key(each), Member("IterationOutputs"), Index(index), Member(step), *path):
            return IterationOutputs(each, index, step, tuple(path), place)
        case (Member("Steps"), Member(step) | Key(step), _, *_) as path:
            return StepValue(step, tuple(path[2:]), place)
        case (Member("ForEach"), Member("CurrentItem"), *path):
            return CurrentItem(tuple(path), place)
        case (Member("IterationOutput"), Member(step), _, *_) as path:
            return IterationOutput(step, tuple(path[2:]), place)
    raise Invalid(
        f"{text!r} is not a reference; there are Parameters.<name>, Execution.<variable>, "
        "PipelineExperimentConfig.<name>, Steps.<step>.<path>, ForEach.CurrentItem and IterationOutput.<step>.<path>"
    )


def render_get(reference: Reference) -> str:
    """Return the text of a `Get`, such that `parse_get` gives the reference again."""
    match reference:
        case ParameterValue(name):
            return f"Parameters.{name}"
        case ExecutionVariable(name):
            return f"Execution.{name}"
        case ConfigValue(section, name):
            return f"{section}.{name}"
        case PropertyFileValue(step, name):
            return render_path((Member("Steps"), Member(step), Member("PropertyFiles"), Member(name)))
        case Selected(each, path):
            return render_path((Member("Steps"), Member(each), Member("Selected"), *path))
        case IterationOutputs(each, index, step, path):
            start = (Member("Steps"), Member(each), Member("IterationOutputs"), Index(index), Member(step))
            return render_path((*start, *path))
        case StepValue(step, path):
            return render_path((Member("Steps"), Member(step), *path))
        case CurrentItem(path):
            return render_path((Member("ForEach"), Member("CurrentItem"), *path))
        case IterationOutput(step, path):
            return render_path((Member("IterationOutput"), Member(step), *path))


def references(expression: Expression) -> Iterator[Reference]:
    """Yield every reference in an expression, in the order of the document."""
    match expression:
        case Literal() | Malformed():
            return
        case Join(_, values) | ListOf(values):
            for value in values:
                yield from references(value)
        case MapOf(members):
            for value in members.values():
                yield from references(value)
        case JsonGet(source):
            yield from references(source)
        case _:
            yield expression


def json_gets(expression: Expression) -> Iterator[JsonGet]:
    """Yield every JsonGet in an expression, inner ones first."""
    match expression:
        case Join(_, values) | ListOf(values):
            for value in values:
                yield from json_gets(value)
        case MapOf(members):
            for value in members.values():
                yield from json_gets(value)
        case JsonGet(source):
            yield from json_gets(source)
            yield expression
        case _:
            return


class StepYield(msgspec.Struct, frozen=True, kw_only=True):
    """What a step yielded, frozen when it ended: later changes of the live resource are not seen."""

    document: Document
    names: dict[str, str] = msgspec.field(default_factory=dict)  #: dotted path of a list -> member that names its items


class EvaluationError(Invalid):
    """An expression has no value. The message begins with the place."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(f"{place}: {message}")


class DocumentRef(msgspec.Struct, frozen=True):
    """A JSON document that an expression reads."""

    uri: str  #: s3://bucket/key
    step: str | None = None  #: the step whose job wrote the version that is meant; None: the latest version


def _no_document(source: DocumentRef) -> Any:
    raise Invalid(f"the document {source.uri} is not at hand")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that references can see."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: PipelineExperimentConfig, MlflowConfig
    yields: Mapping[str, StepYield] = field(default_factory=dict)
    property_files: Mapping[tuple[str, str], Callable[[StepYield], str]] = field(default_factory=dict)
    #: (step, property file) -> function from the step's yield to the S3 URI of the file
    document: Callable[[DocumentRef], Any] = _no_document  #: raises Invalid when it cannot be read
    item: Any = None  #: the current item of a ForEach
    round: Mapping[str, StepYield] = field(default_factory=dict)  #: what the steps of the round at hand yielded
    rounds: Mapping[str, list[dict[str, StepYield]]] = field(default_factory=dict)  #: ForEach step -> its rounds
    selected: Mapping[str, StepYield] = field(default_factory=dict)  #: ForEach step -> what the picked round yielded


def as_text(value: Any) -> str:
    """Return a value as Join writes it: texts as they are, True and False as in a start parameter, the rest as JSON."""
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value)


def evaluate(expression: Expression, scope: Scope) -> Any:
    """Return the value of an expression.

    Raises:
        EvaluationError: something it refers to is not there.
    """
    match expression:
        case Literal(value):
            return value
        case Malformed(place):
            raise EvaluationError(place, "this could not be read as an expression")
        case ListOf(items):
            return [evaluate(inner, scope) for inner in items]
        case MapOf(members):
            return {name: evaluate(inner, scope) for name, inner in members.items()}
        case Join(on, values):
            return on.join(as_text(evaluate(inner, scope)) for inner in values)
    try:
        match expression:
            case JsonGet(source, path):
                return follow(scope.document(document_ref(source, scope)), path)
            case ParameterValue(name):
                return _lookup(scope.parameters, name, "parameter")
            case ExecutionVariable(name):
                return _lookup(scope.execution, name, "execution variable")
            case ConfigValue(section, name):
                return _lookup(_lookup(scope.config, section, "section"), name, f"member of {section}")
            case StepValue(step, path):
                return _read(_lookup(scope.yields, step, "ended step"), path)
            case Selected(each, path):
                return _read(_lookup(scope.selected, each, "ForEach step with a selected round"), path)
            case IterationOutputs(each, index, step, path):
                rounds = _lookup(scope.rounds, each, "ended ForEach step")
                if index >= len(rounds):
                    raise Invalid(f"{each} had {len(rounds)} rounds; there is no round {index}")
                return _read(_lookup(rounds[index], step, f"step in the rounds of {each}"), path)
            case CurrentItem(path):
                return follow(scope.item, path)
            case IterationOutput(step, path):
                return _read(_lookup(scope.round, step, "step in this round"), path)
            case PropertyFileValue():
                raise Invalid("a property file is read by Std:JsonGet; it has no value of its own")
    except EvaluationError:
        raise
    except Invalid as error:
        raise EvaluationError(expression.place, error.message) from error


def document_ref(source: Expression, scope: Scope) -> DocumentRef:
    """Return which document a JsonGet reads: a property file as its step wrote it, what lies at an S3 URI as it is now.

    Raises:
        Invalid: what the URI depends on is not there, or it gives no text.
    """
    if isinstance(source, PropertyFileValue):
        locate = scope.property_files.get((source.step, source.name))
        if locate is None:
            raise EvaluationError(source.place, f"step {source.step!r} declares no property file {source.name!r}")
        return DocumentRef(locate(_lookup(scope.yields, source.step, "ended step")), source.step)
    uri = evaluate(source, scope)
    if not isinstance(uri, str):
        raise Invalid(f"S3Uri is {describe(uri)}; expected a text")
    return DocumentRef(uri)


def _lookup(values: Mapping[str, Any], name: str, noun: str) -> Any:
    if name not in values:
        raise Invalid(f"there is no {noun} {name!r}")
    return values[name]


def _read(yielded: StepYield, path: Path) -> Any:
    return follow(yielded.document, path, names=yielded.names)
