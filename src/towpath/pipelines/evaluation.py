"""What expressions are worth: references are looked up in what is known of an execution when a step starts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.expressions import (
    ConfigValue,
    CurrentItem,
    ExecutionVariable,
    Expression,
    IterationOutput,
    IterationOutputs,
    Join,
    JsonGet,
    ListOf,
    Literal,
    Malformed,
    MapOf,
    ParameterValue,
    PropertyFileValue,
    Selected,
    StepValue,
)
from towpath.pipelines.faults import Place
from towpath.pipelines.no_values import read_at
from towpath.pipelines.paths import Path, describe, follow


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
    step: str | None = (
        None  #: name of the row of the step whose job wrote the version that is meant; None: the latest version
    )


def _no_document(source: DocumentRef) -> Any:
    raise Invalid(f"the document {source.uri} is not at hand")


def _itself(step: str) -> str:
    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Everything that references can see."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: PipelineExperimentConfig, MlflowConfig
    yields: Mapping[str, StepYield] = field(default_factory=dict)
    property_files: Mapping[tuple[str, str], Callable[[StepYield], str]] = field(default_factory=dict)
    #: (step, property file) -> function from the step's yield to the S3 URI of the file
    row_of: Callable[[str], str] = _itself  #: step -> the name of its row, as seen from where this is read
    document: Callable[[DocumentRef], Any] = _no_document  #: raises Invalid when it cannot be read
    item: Any = None  #: the current item of a ForEach
    round: Mapping[str, StepYield] = field(default_factory=dict)  #: what the steps of the round at hand yielded
    rounds: Mapping[str, Sequence[Mapping[str, StepYield]]] = field(default_factory=dict)  #: ForEach step -> its rounds
    selected: Mapping[str, StepYield] = field(default_factory=dict)  #: ForEach step -> what the picked round yielded


def as_text(value: Any) -> str:
    """Return a value as Join writes it: texts as they are, True and False as in a start parameter, the rest as JSON."""
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value)


def evaluate(expression: Expression, scope: Scope) -> Any:
    """Return the value of an expression.

    Raises:
        EvaluationError: something it refers to is not there, or is nothing that JSON can hold.
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
                return read_at(scope.document(document_ref(source, scope)), path)
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
        return DocumentRef(locate(_lookup(scope.yields, source.step, "ended step")), scope.row_of(source.step))
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
