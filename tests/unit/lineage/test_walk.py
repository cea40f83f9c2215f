"""Walks through graphs of all shapes, against reachability worked out by repetition."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.ports import LineageRows
from towpath.lineage.walk import Direction, walk

nodes = st.sampled_from("abcdef")
graphs = st.sets(st.tuples(nodes, nodes), max_size=12)


class Edges:
    """The part of the lineage that a walk asks."""

    def __init__(self, edges: set[tuple[str, str]]) -> None:
        self._edges = sorted(edges)

    def edges_into(self, node_id: str) -> list[tuple[str, str]]:
        return [(source, "Produced") for source, destination in self._edges if destination == node_id]

    def edges_out_of(self, node_id: str) -> list[tuple[str, str]]:
        return [(destination, "Produced") for source, destination in self._edges if source == node_id]


def reachable(edges: set[tuple[str, str]], start: set[str], depth: int) -> set[str]:
    found = set(start)
    for _ in range(depth):
        found |= {destination for source, destination in edges if source in found}
    return found


@given(graphs, st.lists(nodes, min_size=1, max_size=2), st.sampled_from(Direction), st.integers(0, 6))
def test_a_walk_reaches_each_node_within_its_depth_once(
    edges: set[tuple[str, str]], start: list[str], direction: Direction, depth: int
) -> None:
    steps = list(walk(cast(LineageRows, Edges(edges)), start, direction, depth))
    new = [step.node_id for step in steps if step.new]
    expected: set[str] = set()
    if direction is not Direction.ASCENDANTS:
        expected |= reachable(edges, set(start), depth)
    if direction is not Direction.DESCENDANTS:
        expected |= reachable({(b, a) for a, b in edges}, set(start), depth)
    assert len(new) == len(set(new))
    assert set(new) == expected - set(start)
    assert all(step.edge[:2] in edges and step.node_id in step.edge[:2] for step in steps)


@given(graphs, nodes)
def test_every_association_among_what_is_reached_downward_is_followed(edges: set[tuple[str, str]], start: str) -> None:
    steps: list[Any] = list(walk(cast(LineageRows, Edges(edges)), [start], Direction.DESCENDANTS, 10))
    reached = {start} | {step.node_id for step in steps}
    assert {step.edge[:2] for step in steps} == {edge for edge in edges if edge[0] in reached}
