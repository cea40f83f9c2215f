"""Pages of resources: which rows a query means, in which order, from where on."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from towpath.kernel.errors import Invalid
from towpath.kernel.ports import Filter, Query
from towpath.store.codec import from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import resource, resource_index

_COLUMNS = {"name", "status", "parent", "created_at", "modified_at"}
_BEHIND_ALL_TEXTS = "\U0010ffff"  #: sorts behind every character of a name
_COUNTED = 1000  #: a value that more resources have is one that many have

_HAVING = Prepared(
    select(func.count()).select_from(
        select(resource_index.c.uid)
        .where(
            resource_index.c.kind == bindparam("of"),
            resource_index.c.member == bindparam("named"),
            resource_index.c.text == bindparam("having"),
        )
        .limit(bindparam("most"))
        .subquery()
    )
)


def page(connection: Connection, query: Query) -> tuple[Sequence[Row[Any]], str | None]:
    """Return the rows of one page of live resources, and the token of the next page, None at the end.

    Raises:
        Invalid: the query's token is none of ours.
    """
    statement, column = _selected(connection, query)
    if query.token is not None:
        value, seq = _decode_token(query.token)
        if query.descending:
            statement = statement.where(or_(column < value, and_(column == value, resource.c.seq < seq)))
        else:
            statement = statement.where(or_(column > value, and_(column == value, resource.c.seq > seq)))
    order = (column.desc(), resource.c.seq.desc()) if query.descending else (column, resource.c.seq)
    statement = statement.add_columns(column.label("sorted_by")).order_by(*order)
    rows = connection.execute(statement.limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    return rows[: query.limit], _encode_token(last.sorted_by, last.seq)


def _selected(connection: Connection, query: Query) -> tuple[Select[Any], Any]:
    """Return what selects all rows of a query, and the column of its order."""
    statement = select(resource).where(resource.c.kind == query.kind, resource.c.deleted_at.is_(None))
    rarest = _rarest(connection, query) if query.sort_by == "created_at" else None
    column: Any
    if rarest is not None:
        # The rows are read in the order of the index and none that is not wanted, as long as the others agree.
        driving = resource_index.alias("driving")
        statement = statement.join(driving, driving.c.uid == resource.c.uid).where(
            driving.c.kind == query.kind, driving.c.member == rarest.member, driving.c.text == rarest.value
        )
        column = driving.c.created_at
    elif query.sort_by in _COLUMNS:
        column = resource.c[query.sort_by]
    else:
        sorting = resource_index.alias("sorting")
        statement = statement.join(sorting, and_(sorting.c.uid == resource.c.uid, sorting.c.member == query.sort_by))
        column = func.coalesce(sorting.c.number, sorting.c.text)
    for condition in query.filters:
        if condition is not rarest:
            statement = statement.where(_holds(query.kind, condition, by_row=rarest is not None))
    return statement, column


def _rarest(connection: Connection, query: Query) -> Filter | None:
    """Return the condition, among those that want one text of an indexed member, that the fewest resources meet."""
    wanting = [
        condition
        for condition in query.filters
        if condition.operator == "=" and condition.member not in _COLUMNS and isinstance(condition.value, str)
    ]
    if len(wanting) < 2:
        return wanting[0] if wanting else None

    def having(condition: Filter) -> int:
        found = _HAVING(connection, of=query.kind, named=condition.member, having=condition.value, most=_COUNTED)
        return int(found.scalar() or 0)

    return min(wanting, key=having)


def _holds(kind: str, condition: Filter, *, by_row: bool) -> Any:
    """Return a condition on the resources of `kind`: looked up for each row, or as the set of all that meet it."""
    value = to_epoch(condition.value) if isinstance(condition.value, datetime) else condition.value
    if condition.member in _COLUMNS:
        return compare(resource.c[condition.member], condition.operator, value)
    indexed = resource_index.alias()
    column = indexed.c.text if isinstance(value, str) else indexed.c.number
    matching = select(indexed.c.uid).where(
        indexed.c.kind == kind, indexed.c.member == condition.member, compare(column, condition.operator, value)
    )
    return matching.where(indexed.c.uid == resource.c.uid).exists() if by_row else resource.c.uid.in_(matching)


def compare(column: Any, operator: str, value: Any) -> Any:
    """Return the condition that an operator of a filter stands for."""
    match operator:
        case "=":
            return column == value
        case "contains":
            return func.instr(func.lower(column), value.lower()) > 0
        case "begins":
            # A range, which an index can answer.
            return and_(column >= value, column < value + _BEHIND_ALL_TEXTS)
        case ">":
            return column > value
        case "<":
            return column < value
        case ">=":
            return column >= value
        case "<=":
            return column <= value
    raise ValueError(f"a filter cannot use the operator {operator!r}")


def _encode_token(value: Any, seq: int) -> str:
    return base64.urlsafe_b64encode(to_json([value, seq])).decode("ascii")


def _decode_token(token: str) -> tuple[Any, int]:
    try:
        value, seq = from_json(base64.urlsafe_b64decode(token))
        return value, int(seq)
    except (ValueError, TypeError, binascii.Error, msgspec.DecodeError) as error:
        raise Invalid(f"NextToken {token!r} is not one that this server gave out") from error
