"""The repository of executions' steps and histories."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.resource import Uid
from towpath.pipelines.model import Fact, StepRow
from towpath.store.codec import to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import history, step

_read_row = msgspec.json.Decoder(StepRow).decode
_read_fact = msgspec.json.Decoder(Fact).decode

_CHANGING = ("status", "attempt", "position", "data")
_fresh = insert(step).values({column.name: bindparam(column.name) for column in step.c})
_PUT = Prepared(
    _fresh.on_conflict_do_update(
        index_elements=[step.c.execution, step.c.name], set_={name: _fresh.excluded[name] for name in _CHANGING}
    )
)
_OF = Prepared(select(step.c.data).where(step.c.execution == bindparam("of")).order_by(step.c.position, step.c.name))
_FIND = Prepared(
    select(step.c.data).where(step.c.execution == bindparam("of_execution"), step.c.name == bindparam("of_name"))
)
_LAST = Prepared(select(func.max(history.c.seq)).where(history.c.execution == bindparam("of")))
_APPEND = Prepared(insert(history).values({column.name: bindparam(column.name) for column in history.c}))


class StepTable:
    """Implements `pipelines.ports.StepRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, execution: Uid) -> dict[str, StepRow]:
        return {row.name: row for row in (_read_row(data) for (data,) in _OF(self._connection, of=execution).all())}

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

    def append(self, execution: Uid, facts: Iterable[Fact]) -> None:
        last = _LAST(self._connection, of=execution).scalar() or 0
        for seq, fact in enumerate(facts, start=last + 1):
            _APPEND(self._connection, execution=execution, seq=seq, at=to_epoch(fact.at), fact=to_json(fact))

    def history(self, execution: Uid) -> list[Fact]:
        rows = self._connection.execute(
            select(history.c.fact).where(history.c.execution == execution).order_by(history.c.seq)
        )
        return [_read_fact(data) for (data,) in rows]
