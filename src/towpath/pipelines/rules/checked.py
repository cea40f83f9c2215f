"""What the rules look at."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from towpath.pipelines.expressions import (
    Reference,
)
from towpath.pipelines.expressions import references as references_of
from towpath.pipelines.graph import Node, Outline
from towpath.pipelines.ports import Shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the rules look at."""

    outline: Outline
    shapes: Shapes
    nodes: dict[str, Node] = field(init=False)  #: by name; of two with one name the first

    def __post_init__(self) -> None:
        by_name: dict[str, Node] = {}
        for node in self.outline.nodes:
            by_name.setdefault(node.name, node)
        object.__setattr__(self, "nodes", by_name)

    def references(self) -> Iterator[Reference]:
        """Yield every reference of the definition."""
        for node in self.outline.nodes:
            yield from node.references()
        for expression in self.outline.config.values():
            yield from references_of(expression)
