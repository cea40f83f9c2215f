"""Values that are known only while a pipeline runs, and the conditions that comparing them gives.

Comparing an expression does not compare now: `evaluate.json("evaluation", "accuracy") >= 0.6` is a condition for a
Condition step. Conditions are combined by `&`, `|` and `~`.
Source: Amazon SageMaker Pipelines, definition document, version 2020-12-01.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from towpath.sdk.errors import DefinitionError

Document: TypeAlias = dict[str, Any]  #: a JSON object as it stands in the definition


class Expression(ABC):
    """A value that is resolved while the pipeline runs. May stand wherever a plain value may."""

    __hash__ = object.__hash__

    @abstractmethod
    def to_wire(self) -> Document:
        """Return the expression as it stands in the definition."""

    @property
    def operands(self) -> tuple[Any, ...]:
        """The values inside this expression."""
        return ()

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps that this expression itself refers to."""
        return ()

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]
        return Comparison("Equals", self, other)

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]
        return Not(Comparison("Equals", self, other))

    def __ge__(self, other: Any) -> Predicate:
        return Comparison("GreaterThanOrEqualTo", self, other)

    def __gt__(self, other: Any) -> Predicate:
        return Comparison("GreaterThan", self, other)

    def __le__(self, other: Any) -> Predicate:
        return Comparison("LessThanOrEqualTo", self, other)

    def __lt__(self, other: Any) -> Predicate:
        return Comparison("LessThan", self, other)

    def in_(self, values: Iterable[Any]) -> Predicate:
        """Return the condition that this value is one of `values`."""
        return In(self, tuple(values))

    def __bool__(self) -> NoReturn:
        raise DefinitionError(
            "this value is known only while the pipeline runs, so Python cannot branch on it; use a Condition step"
        )

    def __str__(self) -> str:
        raise DefinitionError(
            "this value is known only while the pipeline runs; put it into text by join(…), not by str() or an f-string"
        )

    def __format__(self, spec: str) -> str:
        return str(self)

    def _compute(self, *_: Any) -> NoReturn:
        raise DefinitionError(
            "this value is known only while the pipeline runs, so it cannot be computed with here; do it in a function "
            "with @step that gets the value as an argument, or make a text by join(…)"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _compute
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = __round__ = _compute
    __int__ = __float__ = _compute


class Predicate(ABC):
    """A condition on values of a running pipeline."""

    @abstractmethod
    def to_wire(self) -> Document:
        """Return the condition as it stands in the definition."""

    @property
    @abstractmethod
    def operands(self) -> tuple[Any, ...]:
        """The values and conditions inside this one."""

    def all_of(self) -> tuple[Predicate, ...]:
        """Return the conditions that must all hold for this one to hold."""
        return (self,)

    def __and__(self, other: Predicate) -> Predicate:
        return And((*self.all_of(), *other.all_of()))

    def __or__(self, other: Predicate) -> Predicate:
        return Or((*self._any_of(), *other._any_of()))

    def __invert__(self) -> Predicate:
        return Not(self)

    def _any_of(self) -> tuple[Predicate, ...]:
        return (self,)

    def __bool__(self) -> NoReturn:
        raise DefinitionError(
            "a condition is decided while the pipeline runs; combine conditions by & | ~, not by and, or, not, "
            "and not by chains like a < b < c"
        )


@dataclass(frozen=True, eq=False)
class Comparison(Predicate):
    """One value compared with another."""

    type: str  #: "Equals", "GreaterThan", …
    left: Any
    right: Any

    def to_wire(self) -> Document:
        return {"Type": self.type, "LeftValue": wire(self.left), "RightValue": wire(self.right)}

    @property
    def operands(self) -> tuple[Any, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, eq=False)
class In(Predicate):
    """A value is one of several."""

    value: Any
    values: tuple[Any, ...]

    def to_wire(self) -> Document:
        return {"Type": "In", "QueryValue": wire(self.value), "Values": wire(self.values)}

    @property
    def operands(self) -> tuple[Any, ...]:
        return (self.value, *self.values)


@dataclass(frozen=True, eq=False)
class Not(Predicate):
    """A condition does not hold."""

    condition: Predicate

    def to_wire(self) -> Document:
        return {"Type": "Not", "Condition": self.condition.to_wire()}

    @property
    def operands(self) -> tuple[Any, ...]:
        return (self.condition,)

    def __invert__(self) -> Predicate:
        return self.condition


@dataclass(frozen=True, eq=False)
class Or(Predicate):
    """At least one condition holds."""

    conditions: tuple[Predicate, ...]

    def to_wire(self) -> Document:
        return {"Type": "Or", "Conditions": [condition.to_wire() for condition in self.conditions]}

    @property
    def operands(self) -> tuple[Any, ...]:
        return self.conditions

    def _any_of(self) -> tuple[Predicate, ...]:
        return self.conditions


@dataclass(frozen=True, eq=False)
class And(Predicate):
    """All conditions hold."""

    conditions: tuple[Predicate, ...]

    def to_wire(self) -> Document:
        # The grammar has no And: a Condition step takes a list of conditions, and below another condition
        # De Morgan's law says it with what there is.
        return Not(Or(tuple(~condition for condition in self.conditions))).to_wire()

    @property
    def operands(self) -> tuple[Any, ...]:
        return self.conditions

    def all_of(self) -> tuple[Predicate, ...]:
        return self.conditions


@dataclass(frozen=True, eq=False)
class Get(Expression):
    """A reference: to a parameter, to the execution, or to what a step found."""

    path: str  #: for example "Steps.Train.ModelArtifacts.S3ModelArtifacts"

    def to_wire(self) -> Document:
        return {"Get": self.path}

    @property
    def steps(self) -> tuple[str, ...]:
        parts = self.path.split(".")
        return (parts[1],) if parts[0] == "Steps" else ()


@dataclass(frozen=True, eq=False)
class Join(Expression):
    """Text made of several values."""

    values: tuple[Any, ...]
    on: str = ""

    def to_wire(self) -> Document:
        return {"Std:Join": {"On": self.on, "Values": wire(self.values)}}

    @property
    def operands(self) -> tuple[Any, ...]:
        return self.values


@dataclass(frozen=True, eq=False)
class JsonGet(Expression):
    """A value in a JSON file that a processing step wrote (a property file)."""

    step: str
    output: str
    file: str  #: below the output's folder
    path: str  #: in the document, for example "metrics.accuracy.value"

    @property
    def property_file(self) -> str:
        """The name under which the step declares the file."""
        plain = self.file.removesuffix(".json").replace("/", "-").replace(".", "-")
        return self.output if plain == self.output else f"{self.output}-{plain}"

    def to_wire(self) -> Document:
        reference = {"Get": f"Steps.{self.step}.PropertyFiles.{self.property_file}"}
        return {"Std:JsonGet": {"PropertyFile": reference, "Path": self.path}}

    @property
    def steps(self) -> tuple[str, ...]:
        return (self.step,)


class _Execution:
    """The running execution, as a pipeline's values may refer to it."""

    id = Get("Execution.PipelineExecutionId")
    arn = Get("Execution.PipelineExecutionArn")
    pipeline_name = Get("Execution.PipelineName")
    pipeline_arn = Get("Execution.PipelineArn")
    started_at = Get("Execution.StartDateTime")
    now = Get("Execution.CurrentDateTime")


#: `execution.id`, `execution.pipeline_name`, `execution.started_at`, …: facts of the execution, known while it runs.
execution = _Execution()


def join(*values: Any, on: str = "") -> Join:
    """Return the text of `values`, plain ones and expressions, with `on` between them.

    Example:
        join("accuracy ", evaluate.json("evaluation", "accuracy"), " is below ", min_accuracy)
    """
    if not values:
        raise DefinitionError("join() needs at least one value")
    return Join(tuple(values), on)


def as_text(value: Any) -> Any:
    """Return `value` in a form that is text once resolved, for members of the API that must be strings."""
    if isinstance(value, Join):
        return value
    if isinstance(value, Expression):
        return Join((value,))
    if isinstance(value, bool):
        return "True" if value else "False"
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)


def wire(value: Any) -> Any:
    """Return `value` as plain JSON data, expressions and conditions written out."""
    if isinstance(value, Expression | Predicate):
        return value.to_wire()
    if isinstance(value, Mapping):
        return {str(name): wire(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [wire(member) for member in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise DefinitionError(
        f"{value!r} (a {type(value).__name__}) cannot stand in a pipeline definition; "
        "expected text, a number, a boolean, or a value such as step.output(…), a parameter or join(…)"
    )


def expressions_in(value: Any) -> Iterator[Expression]:
    """Yield every expression inside `value`, at any depth, `value` itself included."""
    if isinstance(value, Expression):
        yield value
    if isinstance(value, Expression | Predicate):
        for operand in value.operands:
            yield from expressions_in(operand)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from expressions_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from expressions_in(member)
