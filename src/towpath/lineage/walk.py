"""Walking the lineage graph from some nodes up, down, or both ways, level by level."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import msgspec

from towpath.kernel.ports import LineageRows


class Direction(StrEnum):
    """Which way to go: an association points the way that the data went."""

    ASCENDANTS = "Ascendants"
    DESCENDANTS = "Descendants"
    BOTH = "Both"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An association that was followed, and the node that it led to."""

    edge: tuple[str, str, str]  #: (source, destination, association)
    node_id: str
    new: bool  #: whether the node was reached for the first time


Neighbours = Callable[[str], list[tuple[str, str]]]


def walk(rows: LineageRows, start: Iterable[str], direction: Direction, depth: int) -> Iterator[Step]:
    """Yield the associations that are followed, nearest first; nodes that it starts from are not new.

    Both ways means what the start came from and what came of it, not what else came of its sources.
    """
    first = list(dict.fromkeys(start))
    reached = set(first)
    ways: list[tuple[Neighbours, bool]] = []
    if direction is not Direction.DESCENDANTS:
        ways.append((rows.edges_into, True))
    if direction is not Direction.ASCENDANTS:
        ways.append((rows.edges_out_of, False))
    for neighbours, upward in ways:
        for edge, node_id in _one_way(neighbours, first, depth, upward=upward):
            yield Step(edge=edge, node_id=node_id, new=node_id not in reached)
            reached.add(node_id)


def _one_way(
    neighbours: Neighbours, start: list[str], depth: int, *, upward: bool
) -> Iterator[tuple[tuple[str, str, str], str]]:
    seen = set(start)
    waiting = deque((node_id, 0) for node_id in start)
    while waiting:
        node_id, distance = waiting.popleft()
        if distance == depth:
            continue
        for neighbour, association in neighbours(node_id):
            edge = (neighbour, node_id, association) if upward else (node_id, neighbour, association)
            yield edge, neighbour
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append((neighbour, distance + 1))
