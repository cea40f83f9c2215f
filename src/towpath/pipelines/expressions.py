"""Expressions: values of a definition that are known only when a step starts.

`Get` reads a parameter, an execution variable or what a step yielded; `Std:Join` joins texts; `Std:JsonGet` reads from
a JSON document. Everything else is a literal. An expression may stand wherever a value may.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.faults import Fault, Place, item, member
from towpath.pipelines.paths import Index, Key, Member, Path, PathFault, describe, parse_path, render_path

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
