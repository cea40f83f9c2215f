"""What a search asks for: conditions on properties, joined by And and Or.

Source: Amazon SageMaker API Reference, "SearchExpression", "Filter" and "NestedFilters".
"""

from enum import StrEnum

import msgspec


class Operator(StrEnum):
    """How a property is compared with the value of a filter."""

    EQUALS = "Equals"
    NOT_EQUALS = "NotEquals"
    GREATER = "GreaterThan"
    GREATER_OR_EQUAL = "GreaterThanOrEqualTo"
    LESS = "LessThan"
    LESS_OR_EQUAL = "LessThanOrEqualTo"
    CONTAINS = "Contains"
    EXISTS = "Exists"
    NOT_EXISTS = "NotExists"
    IN = "In"


class Filter(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A condition on one property."""

    name: str  #: "TrainingJobStatus", "HyperParameters.epochs", "Metrics.validation:accuracy", "Tags.team"
    operator: Operator = Operator.EQUALS
    value: str | None = None


class NestedFilters(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Conditions that one and the same item of a list has to satisfy."""

    nested_property_name: str  #: of the list: "InputDataConfig"
    filters: tuple[Filter, ...]


class Joined(StrEnum):
    """Whether all conditions of an expression have to hold, or one of them."""

    AND = "And"
    OR = "Or"


class Expression(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Conditions, and expressions within."""

    filters: tuple[Filter, ...] = ()
    nested_filters: tuple[NestedFilters, ...] = ()
    sub_expressions: tuple["Expression", ...] = ()
    operator: Joined = Joined.AND


class PropertyType(StrEnum):
    """What the values of a property are, which decides how they are compared."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"  #: epoch seconds
    BOOLEAN = "boolean"
    OPEN = "open"  #: text that may hold a number: hyperparameters, parameters of trial components
    GROUP = "group"  #: has members of its own; can only exist or not
