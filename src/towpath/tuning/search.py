"""The port to a search: which hyperparameters to try next, and which training jobs are not worth going on with."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from towpath.tuning.model import Strategy
from towpath.tuning.ranges import Point, Space


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A point that was tried, or is being tried."""

    point: dict[str, str]
    value: float | None = None  #: of the objective; None while that is not known
    failed: bool = False  #: and it never will be


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the next points depend on."""

    strategy: Strategy
    space: Space
    is_maximized: bool
    seed: int
    trials: tuple[Trial, ...]  #: so far, in the order in which they began
    places: tuple[int, ...]  #: of the points that are wanted among all of this search, counted from 0


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the objective that one training job has told so far."""

    number: int  #: of the training job, counted from 1
    values: tuple[tuple[float, int, float], ...]  #: (epoch seconds, place counted from 1, value), earliest first


class Race(msgspec.Struct, frozen=True, kw_only=True):
    """Training jobs that compete for going on, by Hyperband."""

    least: int  #: values that each may tell before it can be stopped
    most: int  #: values that the longest may tell
    is_maximized: bool
    seed: int
    curves: tuple[Curve, ...]


class Search(Protocol):
    """Chooses what to try. It remembers nothing: the same question has the same answer in every process."""

    def next_points(self, question: Question) -> list[Point]:
        """Return the points to try next, one for each place that was asked for."""

    def beaten(self, race: Race) -> frozenset[int]:
        """Return the numbers of the training jobs that Hyperband would not let go on."""


def seed_of(seed: int, place: int) -> int:
    """Return the seed of one suggestion, below 2**32: so it does not depend on how many were asked for at one time."""
    return _number(f"{seed}/{place}")


def seed_after(seed: int, earlier: Iterable[Mapping[str, str]]) -> int:
    """Return the seed of a search that begins with points of earlier ones, whose draws would else be drawn again."""
    points = sorted(sorted(point.items()) for point in earlier)
    return _number(f"{seed}/{points}") if points else seed


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
