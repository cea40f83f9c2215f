"""Pages of resources: which rows a query means, in which order, from where on."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Select, and_, bindparam, func, or_, select

from towpath.kernel.paging import token_of, values_of
from towpath.kernel.ports import Filter, Query
from towpath.store.codec import to_epoch
from towpath.store.prepared import Prepared
from towpath.store.tables import resource, resource_index

_COLUMNS = {"name", "status", "parent", "created_at", "modified_at"}
_BEHIND_ALL_TEXTS = "\U0010ffff"  #: sorts behind every character of a name
_SHAPES = 256  #: statements that are kept; there are as many shapes as ways to ask
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


class _Shape(NamedTuple):
    """What decides the SQL of a query; everything else is a parameter."""

    conditions: tuple[tuple[str | None, str, bool], ...]  #: column (None: an indexed member), operator, of a text
    rarest: int | None  #: which condition the rows are read by, in the order of its index
    sort_by: str | None  #: a column; None: an indexed member
    descending: bool
    goes_on: bool  #: behind the last row of another page


def page(connection: Connection, query: Query) -> tuple[Sequence[Any], str | None]:
    """Return the rows of one page of live resources, and the token of the next page, None at the end.

    Raises:
        Invalid: the query's token is none of ours.
    """
    rarest = _rarest(connection, query) if query.sort_by == "created_at" else None
    values: dict[str, Any] = {"of_kind": query.kind, "most": query.limit + 1}
    conditions: list[tuple[str | None, str, bool]] = []
    for number, condition in enumerate(query.filters):
        value = to_epoch(condition.value) if isinstance(condition.value, datetime) else condition.value
        values |= _values(condition.operator, value, f"value{number}")
        is_column = condition.member in _COLUMNS
        if not is_column:
            values[f"member{number}"] = condition.member
        conditions.append((condition.member if is_column else None, condition.operator, isinstance(value, str)))
    if query.sort_by not in _COLUMNS:
        values["sorting"] = query.sort_by
    if query.token is not None:
        values["after"], values["after_seq"] = values_of(query.token, 2)
    shape = _Shape(
        conditions=tuple(conditions),
        rarest=None if rarest is None else query.filters.index(rarest),
        sort_by=query.sort_by if query.sort_by in _COLUMNS else None,
        descending=query.descending,
        goes_on=query.token is not None,
    )
    rows = _prepared(shape)(connection, **values).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    return rows[: query.limit], token_of((last.sorted_by, last.seq))


@lru_cache(_SHAPES)
def _prepared(shape: _Shape) -> Prepared:
    """Return the statement of all queries of a shape: putting it together takes longer than running it."""
    statement, column = _selected(shape)
    if shape.goes_on:
        after: Any = bindparam("after")
        seq: Any = bindparam("after_seq")
        if shape.descending:
            statement = statement.where(or_(column < after, and_(column == after, resource.c.seq < seq)))
        else:
            statement = statement.where(or_(column > after, and_(column == after, resource.c.seq > seq)))
    order = (column.desc(), resource.c.seq.desc()) if shape.descending else (column, resource.c.seq)
    return Prepared(
        statement.add_columns(column.label("sorted_by")).order_by(*order).limit(bindparam("most", type_=Integer))
    )


def _selected(shape: _Shape) -> tuple[Select[Any], Any]:
    """Return what selects all rows of a query, and the column of its order."""
    statement = select(resource).where(resource.c.kind == bindparam("of_kind"), resource.c.deleted_at.is_(None))
    column: Any
    if shape.rarest is not None:
        # The rows are read in the order of the index and none that is not wanted, as long as the others agree.
        driving = resource_index.alias("driving")
        statement = statement.join(driving, driving.c.uid == resource.c.uid).where(
            driving.c.kind == bindparam("of_kind"),
            driving.c.member == bindparam(f"member{shape.rarest}"),
            driving.c.text == bindparam(f"value{shape.rarest}"),
        )
        column = driving.c.created_at
    elif shape.sort_by is not None:
        column = resource.c[shape.sort_by]
    else:
        sorting = resource_index.alias("sorting")
        of_member = and_(sorting.c.uid == resource.c.uid, sorting.c.member == bindparam("sorting"))
        statement = statement.join(sorting, of_member)
        column = func.coalesce(sorting.c.number, sorting.c.text)
    for number in range(len(shape.conditions)):
        if number != shape.rarest:
            statement = statement.where(_holds(shape, number))
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


def _holds(shape: _Shape, number: int) -> Any:
    """Return a condition on the resources of a kind: looked up for each row, or as the set of all that meet it."""
    name, operator, is_text = shape.conditions[number]
    if name is not None:
        return _bound(resource.c[name], operator, f"value{number}")
    indexed = resource_index.alias()
    column = indexed.c.text if is_text else indexed.c.number
    matching = select(indexed.c.uid).where(
        indexed.c.kind == bindparam("of_kind"),
        indexed.c.member == bindparam(f"member{number}"),
        _bound(column, operator, f"value{number}"),
    )
    if shape.rarest is not None:
        return matching.where(indexed.c.uid == resource.c.uid).exists()
    return resource.c.uid.in_(matching)


def _values(operator: str, value: Any, name: str) -> dict[str, Any]:
    """Return the values of the parameters that `_bound` makes of a name."""
    if operator == "contains":
        return {name: value.lower()}
    if operator == "begins":
        return {name: value, f"{name}_end": value + _BEHIND_ALL_TEXTS}
    return {name: value}


def _bound(column: Any, operator: str, name: str) -> Any:
    """Return the condition that an operator of a filter stands for, on a parameter."""
    if operator == "contains":
        return func.instr(func.lower(column), bindparam(name)) > 0
    if operator == "begins":
        return and_(column >= bindparam(name), column < bindparam(f"{name}_end"))
    return compare(column, operator, bindparam(name))


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
