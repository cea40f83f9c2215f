"""The repository of the lineage graph."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from towpath.experiments.record import SUFFIXES
from towpath.kernel.paging import token_of, values_of
from towpath.kernel.ports import Filter, LineageEdge, LineageNode, Query
from towpath.kernel.resource import Document
from towpath.lineage.entities import ARN_TYPES, LineageType, entity_of
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.queries import compare
from towpath.store.tables import lineage_edge, lineage_node, resource

_EDGE = ("source", "destination", "association", "created_at")
_recorded = insert(lineage_edge).values({name: bindparam(name) for name in _EDGE})
#: What a user said before becomes the platform's own when it sees it happen.
_RECORD = Prepared(
    _recorded.on_conflict_do_update(index_elements=["source", "destination", "association"], set_={"created_by": None})
)
_NODE = Prepared(select(lineage_node).where(lineage_node.c.id == bindparam("of")))
_PROPERTIES = Prepared(select(lineage_node.c.properties).where(lineage_node.c.id == bindparam("of")))
_added = insert(lineage_node).values({column.name: bindparam(column.name) for column in lineage_node.c})
_ADD_NODE = Prepared(_added)
_ADD_NEW_NODE = Prepared(_added.on_conflict_do_nothing(index_elements=["id"]))

_TOGETHER = 500  #: nodes that are added together; their ids are bound variables, of which older SQLite takes 999


class LineageTable:
    """Implements `kernel.ports.LineageRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put_node(self, node_id: str, type_: str, properties: Document, at: datetime) -> None:
        existing = self.node(node_id)
        if existing is None:
            _ADD_NODE(self._connection, **_row_of(node_id, type_, properties, at))
            return
        merged = {**existing[1], **properties}
        if merged != existing[1]:
            self._connection.execute(
                update(lineage_node)
                .where(lineage_node.c.id == node_id)
                .values(properties=to_json(merged), **_index(node_id, existing[0], merged), modified_at=to_epoch(at))
            )

    def put_nodes(self, nodes: Sequence[tuple[str, str, Document]], at: datetime) -> None:
        for start in range(0, len(nodes), _TOGETHER):
            some = nodes[start : start + _TOGETHER]
            rows = [_row_of(*node, at) for node in some]
            # The outputs of one job may be a hundred thousand, all new: to look for each takes as long as to add it.
            if _ADD_NEW_NODE.many(self._connection, rows) == len(rows):
                continue
            # One by one: mostly there are two, and SQLAlchemy needs for a list of ids what SQLite needs for thirty.
            for (node_id, type_, properties), row in zip(some, rows, strict=True):
                if _PROPERTIES(self._connection, of=node_id).scalar() != row["properties"]:
                    self.put_node(node_id, type_, properties, at)

    def put_edges(self, edges: Sequence[tuple[str, str, str]], at: datetime) -> None:
        moment = to_epoch(at)
        rows = (
            {"source": source, "destination": destination, "association": association, "created_at": moment}
            for source, destination, association in edges
        )
        _RECORD.many(self._connection, rows)

    def put_edge(self, source: str, destination: str, association: str, at: datetime, *, by: str | None = None) -> None:
        row = dict(zip(_EDGE, (source, destination, association, to_epoch(at)), strict=True))
        if by is None:
            _RECORD(self._connection, **row)
        else:
            self._connection.execute(insert(lineage_edge).values(**row, created_by=by).on_conflict_do_nothing())

    def node(self, node_id: str) -> tuple[str, Document] | None:
        row = _NODE(self._connection, of=node_id).one_or_none()
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

    def is_recorded(self, source: str, destination: str, association: str) -> bool:
        edge = lineage_edge.c
        row = self._connection.execute(
            select(edge.source).where(
                edge.source == source,
                edge.destination == destination,
                edge.association == association,
                edge.created_by.is_(None),
            )
        ).one_or_none()
        return row is not None

    def find(self, node_id: str) -> LineageNode | None:
        row = _NODE(self._connection, of=node_id).one_or_none()
        return None if row is None else _node(row._asdict())

    def by_entity(self, lineage_type: str, entity: str) -> LineageNode | None:
        named = select(lineage_node).where(lineage_node.c.lineage_type == lineage_type, lineage_node.c.entity == entity)
        row = self._connection.execute(named.limit(1)).one_or_none()
        return None if row is None else _node(row._mapping)

    def entities(self, filters: Sequence[Filter], query: Query) -> tuple[list[LineageNode], str | None]:
        statement = select(lineage_node)
        for condition in filters:
            statement = statement.where(
                compare(lineage_node.c[condition.member], condition.operator, _plain(condition))
            )
        order = (lineage_node.c[query.sort_by], lineage_node.c.id)
        rows, token = self._page(statement, order, query)
        return [_node(row._mapping) for row in rows], token

    def associations(self, filters: Sequence[Filter], query: Query) -> tuple[list[LineageEdge], str | None]:
        source, destination = lineage_node.alias("source_node"), lineage_node.alias("destination_node")
        columns: dict[str, Any] = {
            "source": lineage_edge.c.source,
            "destination": lineage_edge.c.destination,
            "association": lineage_edge.c.association,
            "created_at": lineage_edge.c.created_at,
            "source_type": source.c.entity_type,
            "destination_type": destination.c.entity_type,
            "source_arn": _arn_of(source),
            "destination_arn": _arn_of(destination),
        }
        statement = select(
            *(column.label(f"edge_{column.name}") for column in lineage_edge.c),
            *(column.label(f"source_{column.name}") for column in source.c),
            *(column.label(f"destination_{column.name}") for column in destination.c),
        ).select_from(
            lineage_edge.join(source, source.c.id == lineage_edge.c.source).join(
                destination, destination.c.id == lineage_edge.c.destination
            )
        )
        for condition in filters:
            statement = statement.where(compare(columns[condition.member], condition.operator, _plain(condition)))
        order = (columns[query.sort_by], columns["source"], columns["destination"], columns["association"])
        rows, token = self._page(statement, order, query)
        edges = [
            LineageEdge(
                source=_node(row._mapping, "source_"),
                destination=_node(row._mapping, "destination_"),
                association=row.edge_association,
                created_at=from_epoch(row.edge_created_at),
                created_by=row.edge_created_by,
            )
            for row in rows
        ]
        return edges, token

    def _page(self, statement: Select[Any], order: tuple[Any, ...], query: Query) -> tuple[list[Row[Any]], str | None]:
        """Return the rows behind the position that a token tells, which is the values of the order's columns."""
        keys = [column.label(f"key_{position}") for position, column in enumerate(order)]
        statement = statement.add_columns(*keys)
        if query.token is not None:
            position = tuple_(*order)
            after = values_of(query.token, len(order))
            statement = statement.where(position < after if query.descending else position > after)
        statement = statement.order_by(*(column.desc() if query.descending else column for column in order))
        rows = list(self._connection.execute(statement.limit(query.limit + 1)))
        if len(rows) <= query.limit:
            return rows, None
        last = rows[query.limit - 1]._mapping
        token = token_of(last[f"key_{number}"] for number in range(len(order)))
        return rows[: query.limit], token

    def remove_node(self, node_id: str) -> None:
        self._connection.execute(delete(lineage_node).where(lineage_node.c.id == node_id))

    def remove_edges(self, source: str, destination: str) -> int:
        between = (lineage_edge.c.source == source, lineage_edge.c.destination == destination)
        done = self._connection.execute(delete(lineage_edge).where(*between, lineage_edge.c.created_by.is_not(None)))
        return done.rowcount


def _arn_of(node: FromClause) -> ColumnElement[str]:
    """Return what tells the ARNs of nodes apart: type and name, as `lineage.naming` puts them together."""
    stored = select(_component_name(resource.c.name, resource.c.kind)).where(resource.c.uid == node.c.entity)
    # The resource of a job may be gone; its node keeps what it was called.
    properties = cast(node.c.properties, Text)
    told = _component_name(func.json_extract(properties, "$.name"), func.json_extract(properties, "$.kind"))
    name = case(
        (node.c.lineage_type != LineageType.TRIAL_COMPONENT.value, node.c.entity),
        else_=func.coalesce(stored.scalar_subquery(), told, node.c.entity),
    )
    types = {type_.value: literal(f"{arn_type}/") for type_, arn_type in ARN_TYPES.items()}
    return case(types, value=node.c.lineage_type).concat(name)


def _component_name(name: ColumnElement[str], kind: ColumnElement[str]) -> ColumnElement[str]:
    suffixes = {noun: literal(f"-{suffix}") for noun, suffix in SUFFIXES.items()}
    return name.concat(case(suffixes, value=kind, else_=literal("")))


def _plain(condition: Filter) -> Any:
    return to_epoch(condition.value) if isinstance(condition.value, datetime) else condition.value


def _row_of(node_id: str, type_: str, properties: Document, at: datetime) -> dict[str, Any]:
    """Return the columns of a new node."""
    moment = to_epoch(at)
    index = _index(node_id, type_, properties)
    return {
        "id": node_id,
        "type": type_,
        "properties": to_json(properties),
        **index,
        "created_at": moment,
        "modified_at": moment,
    }


def _index(node_id: str, type_: str, properties: Document) -> dict[str, str]:
    """Return the columns by which a node is found and listed."""
    entity = entity_of(node_id, type_, properties)
    return {
        "lineage_type": entity.lineage_type.value,
        "entity": entity.entity,
        "entity_type": entity.type,
        "source_uri": entity.source_uri,
    }


def _node(found: Mapping[Any, Any], prefix: str = "") -> LineageNode:
    return LineageNode(
        properties=from_json(found[f"{prefix}properties"]),
        created_at=from_epoch(found[f"{prefix}created_at"]),
        modified_at=from_epoch(found[f"{prefix}modified_at"]),
        **{
            name: found[f"{prefix}{name}"]
            for name in ("id", "type", "lineage_type", "entity", "entity_type", "source_uri")
        },
    )
