"""The repository of the lineage graph."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.resource import Document
from towpath.store.codec import from_json, to_epoch, to_json
from towpath.store.tables import lineage_edge, lineage_node

_NAMES_A_STATEMENT = 500  #: bound variables; older SQLite takes 999


class LineageTable:
    """Implements `kernel.ports.LineageRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put_node(self, node_id: str, type_: str, properties: Document, at: datetime) -> None:
        existing = self.node(node_id)
        moment = to_epoch(at)
        if existing is None:
            self._connection.execute(
                insert(lineage_node).values(
                    id=node_id, type=type_, properties=to_json(properties), created_at=moment, modified_at=moment
                )
            )
            return
        merged = {**existing[1], **properties}
        if merged != existing[1]:
            self._connection.execute(
                update(lineage_node)
                .where(lineage_node.c.id == node_id)
                .values(properties=to_json(merged), modified_at=moment)
            )

    def put_nodes(self, nodes: Sequence[tuple[str, str, Document]], at: datetime) -> None:
        moment = to_epoch(at)
        known: set[str] = set()
        for start in range(0, len(nodes), _NAMES_A_STATEMENT):
            names = [node_id for node_id, _, _ in nodes[start : start + _NAMES_A_STATEMENT]]
            known.update(
                self._connection.execute(select(lineage_node.c.id).where(lineage_node.c.id.in_(names))).scalars()
            )
        fresh: dict[str, dict[str, Any]] = {}
        again = []
        for node_id, type_, properties in nodes:
            if node_id in known or node_id in fresh:
                again.append((node_id, type_, properties))
            else:
                fresh[node_id] = {
                    "id": node_id,
                    "type": type_,
                    "properties": to_json(properties),
                    "created_at": moment,
                    "modified_at": moment,
                }
        if fresh:
            self._connection.execute(insert(lineage_node), list(fresh.values()))
        for node_id, type_, properties in again:
            self.put_node(node_id, type_, properties, at)

    def put_edges(self, edges: Sequence[tuple[str, str, str]], at: datetime) -> None:
        moment = to_epoch(at)
        rows = [
            {"source": source, "destination": destination, "association": association, "created_at": moment}
            for source, destination, association in edges
        ]
        if rows:
            self._connection.execute(insert(lineage_edge).on_conflict_do_nothing(), rows)

    def node(self, node_id: str) -> tuple[str, Document] | None:
        row = self._connection.execute(select(lineage_node).where(lineage_node.c.id == node_id)).one_or_none()
        return None if row is None else (row.type, from_json(row.properties))

    def edges_into(self, node_id: str) -> list[tuple[str, str]]:
        rows = self._connection.execute(
            select(lineage_edge)
            .where(lineage_edge.c.destination == node_id)
            .order_by(lineage_edge.c.created_at, lineage_edge.c.source)
        )
        return [(row.source, row.association) for row in rows]

    def edges_out_of(self, node_id: str) -> list[tuple[str, str]]:
        rows = self._connection.execute(
            select(lineage_edge)
            .where(lineage_edge.c.source == node_id)
            .order_by(lineage_edge.c.created_at, lineage_edge.c.destination)
        )
        return [(row.destination, row.association) for row in rows]
