"""The repository of executions' steps and histories."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Float, LargeBinary, String, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.faults import said_by
from towpath.kernel.resource import Uid
from towpath.pipelines.model import Fact, HistoryEntry, Parallelism, StepRow, StepStatus
from towpath.store.codec import to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import history, step

_read_row = msgspec.json.Decoder(StepRow).decode


class _StoredEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a history as it is stored: what a step left, or how many steps may run from here on."""

    at: datetime
    row: StepRow | None = None
    before: int | None = None
    max_parallel: int | None = None


_read_stored = msgspec.json.Decoder(_StoredEntry).decode

_BEHIND_ALL = 2**31 - 1  #: no execution has so many steps
_CHANGING = ("status", "attempt", "position", "data")
_fresh = insert(step).values({column.name: bindparam(column.name) for column in step.c})
_PUT = Prepared(
    _fresh.on_conflict_do_update(
        index_elements=[step.c.execution, step.c.name], set_={name: _fresh.excluded[name] for name in _CHANGING}
    )
)
_OF = Prepared(select(step.c.data).where(step.c.execution == bindparam("of")).order_by(step.c.position, step.c.name))
_PAGE = {
    descending: Prepared(
        select(step.c.name, step.c.status, step.c.attempt, step.c.position, step.c.data)
        .where(step.c.execution == bindparam("of"))
        .where(step.c.position < bindparam("after") if descending else step.c.position > bindparam("after"))
        .order_by(*((column.desc() if descending else column) for column in (step.c.position, step.c.name)))
        .limit(bindparam("most"))
    )
    for descending in (False, True)
}
_FIND = Prepared(
    select(step.c.data).where(step.c.execution == bindparam("of_execution"), step.c.name == bindparam("of_name"))
)
#: Behind the last fact of the execution.
_APPEND = Prepared(
    insert(history).from_select(
        ["execution", "seq", "at", "fact"],
        select(
            bindparam("of", type_=String),
            func.coalesce(func.max(history.c.seq), 0) + 1,
            bindparam("settled_at", type_=Float),
            bindparam("settled", type_=LargeBinary),
        ).where(history.c.execution == bindparam("of")),
    )
)


def _shown(name: str, status: str, attempt: int, position: int, data: bytes) -> StepRow:
    """Return a step to be shown: of one whose record cannot be read, what its columns tell, and that it cannot."""
    try:
        return _read_row(data)
    except msgspec.MsgspecError as fault:
        reason = f"What is recorded of this step cannot be read ({said_by(fault)})"
        return StepRow(name=name, status=StepStatus(status), attempt=attempt, position=position, failure_reason=reason)


class StepTable:
    """Implements `pipelines.ports.StepRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, execution: Uid) -> dict[str, StepRow]:
        return {row.name: row for row in (_read_row(data) for (data,) in _OF(self._connection, of=execution).all())}

    def page(self, execution: Uid, *, after: int | None, limit: int, descending: bool) -> list[StepRow]:
        if after is None:
            after = _BEHIND_ALL if descending else -1
        found = _PAGE[descending](self._connection, of=execution, after=after, most=limit).all()
        return [_shown(*row) for row in found]

    def find(self, execution: Uid, name: str) -> StepRow | None:
        data = _FIND(self._connection, of_execution=execution, of_name=name).scalar()
        return None if data is None else _read_row(data)

    def put(self, execution: Uid, rows: Iterable[StepRow]) -> None:
        for row in rows:
            _PUT(
                self._connection,
                execution=execution,
                name=row.name,
                status=row.status.value,
                attempt=row.attempt,
                position=row.position,
                data=to_json(row),
            )

    def append(self, execution: Uid, entries: Iterable[HistoryEntry]) -> None:
        for entry in entries:
            _APPEND(self._connection, of=execution, settled_at=to_epoch(entry.at), settled=to_json(entry))

    def history(self, execution: Uid) -> list[HistoryEntry]:
        rows = self._connection.execute(
            select(history.c.fact).where(history.c.execution == execution).order_by(history.c.seq)
        )
        return [_entry(data) for (data,) in rows]


def _entry(data: bytes) -> HistoryEntry:
    stored = _read_stored(data)
    if stored.row is not None:
        return Fact(at=stored.at, row=stored.row)
    return Parallelism(at=stored.at, before=stored.before, max_parallel=stored.max_parallel)
