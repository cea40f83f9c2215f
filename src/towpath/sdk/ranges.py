"""What a hyperparameter may be, for a step that searches the best values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from towpath.sdk.errors import DefinitionError

SCALES = ("Auto", "Linear", "Logarithmic", "ReverseLogarithmic")


@dataclass(frozen=True)
class Choice:
    """One of some values. Made by `choice(…)`."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Numbers:
    """A number from `low` to `high`, both included. Made by `numbers(…)` or `integers(…)`."""

    low: float
    high: float
    scale: str
    whole: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise DefinitionError(f"a range cannot go from {self.low} to {self.high}; the lower end comes first")
        if self.scale not in SCALES:
            raise DefinitionError(f"{self.scale!r} is no scale; expected one of {', '.join(SCALES)}")


Range: TypeAlias = Choice | Numbers


def choice(*values: Any) -> Choice:
    """Return a hyperparameter that is one of some values.

    Example: choice("adam", "sgd")
    """
    if not values:
        raise DefinitionError("choice() needs the values to choose from")
    return Choice(values)


def numbers(low: float, high: float, *, scale: str = "Auto") -> Numbers:
    """Return a hyperparameter that is a number.

    Args:
        scale: where values lie evenly: Linear; Logarithmic, for learning rates; ReverseLogarithmic, for what is just
            below 1; Auto: the platform chooses.
    Example: numbers(1e-5, 1e-2, scale="Logarithmic")
    """
    return Numbers(float(low), float(high), scale)


def integers(low: int, high: int, *, scale: str = "Auto") -> Numbers:
    """Return a hyperparameter that is a whole number; `scale` as in `numbers`.

    Example: integers(1, 12)
    """
    return Numbers(low, high, scale, whole=True)
