"""The repository of accesses to objects."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.accesses import GET_OBJECT, AccessKind, AccessQuery, ObjectAccess
from towpath.kernel.objects import parse_s3_uri
from towpath.store.codec import from_epoch, to_epoch
from towpath.store.objects import first_behind
from towpath.store.prepared import Prepared
from towpath.store.tables import object_access

_NAMES = tuple(column.name for column in object_access.c if column.name != "seq")
_added = insert(object_access).values({name: bindparam(name) for name in _NAMES})
_RECORD = Prepared(
    _added.on_conflict_do_update(
        index_elements=AccessKind._fields,
        set_={
            "first_at": func.min(object_access.c.first_at, _added.excluded.first_at),
            "last_at": func.max(object_access.c.last_at, _added.excluded.last_at),
            "count": object_access.c.count + _added.excluded.count,
        },
    )
)


class AccessTable:
    """Implements `kernel.accesses.AccessRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, accesses: Sequence[ObjectAccess]) -> None:
        rows = [_row_of(access) for access in accesses]
        if len(rows) == 1:
            _RECORD(self._connection, **rows[0])
        else:
            _RECORD.many(self._connection, rows)

    def page(self, query: AccessQuery, *, before: int | None, limit: int) -> list[ObjectAccess]:
        column = object_access.c
        statement = select(object_access).order_by(column.seq.desc()).limit(limit)
        for name in ("bucket", "key", "version_id", "principal", "operation", "access_key"):
            if (wanted := getattr(query, name)) is not None:
                statement = statement.where(column[name] == wanted)
        if query.reads is not None:
            statement = statement.where(
                column.operation == GET_OBJECT if query.reads else column.operation != GET_OBJECT
            )
        if query.number is not None:
            statement = statement.where(column.seq == query.number)
        if query.since is not None:
            statement = statement.where(column.last_at >= to_epoch(query.since))
        if query.until is not None:
            statement = statement.where(column.first_at <= to_epoch(query.until))
        if before is not None:
            statement = statement.where(column.seq < before)
        return [_access(row) for row in self._connection.execute(statement)]

    def reads_below(self, uri: str) -> Iterator[ObjectAccess]:
        column = object_access.c
        bucket, key = parse_s3_uri(uri)
        statement = select(object_access).where(column.bucket == bucket, column.operation == GET_OBJECT)
        if key and not key.endswith("/"):
            statement = statement.where(column.key == key)
        elif key:
            end = first_behind(key)
            assert end is not None, "it ends with a slash"
            statement = statement.where(column.key >= key, column.key < end)
        ordered = statement.order_by(column.hour, column.principal, column.seq)
        return (_access(row) for row in self._connection.execute(ordered))


def _row_of(access: ObjectAccess) -> dict[str, Any]:
    return {
        **access.kind._asdict(),
        "access_key": access.access_key,
        "request_id": access.request_id,
        "first_at": to_epoch(access.first_at),
        "last_at": to_epoch(access.last_at),
        "count": access.count,
    }


def _access(row: Any) -> ObjectAccess:
    return ObjectAccess(
        **{name: getattr(row, name) for name in ("bucket", "key", "version_id", "principal", "operation")},
        access_key=row.access_key,
        request_id=row.request_id,
        first_at=from_epoch(row.first_at),
        last_at=from_epoch(row.last_at),
        count=row.count,
        number=row.seq,
    )
