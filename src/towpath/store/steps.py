"""The repository of executions' steps and histories."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert_postgresql
from sqlalchemy.dialects.sqlite import insert as upsert_sqlite

from towpath.kernel.resource import Uid
from towpath.pipelines.model import Fact, StepRow
from towpath.store.codec import to_epoch, to_json
from towpath.store.tables import history, step

_read_row = msgspec.json.Decoder(StepRow).decode
_read_fact = msgspec.json.Decoder(Fact).decode


class StepTable:
    """Implements `pipelines.ports.StepRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, execution: Uid) -> dict[str, StepRow]:
        rows = self._connection.execute(
            select(step.c.data).where(step.c.execution == execution).order_by(step.c.position, step.c.name)
        )
        return {row.name: row for row in (_read_row(data) for (data,) in rows)}

    def put(self, execution: Uid, rows: Iterable[StepRow]) -> None:
        values = [
            {
                "execution": execution,
                "name": row.name,
                "status": row.status.value,
                "attempt": row.attempt,
                "position": row.position,
                "data": to_json(row),
            }
            for row in rows
        ]
        if not values:
            return
        upsert = upsert_postgresql if self._connection.dialect.name == "postgresql" else upsert_sqlite
        statement = upsert(step)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[step.c.execution, step.c.name],
                set_={name: statement.excluded[name] for name in ("status", "attempt", "position", "data")},
            ),
            values,
        )

    def append(self, execution: Uid, facts: Iterable[Fact]) -> None:
        facts = list(facts)
        if not facts:
            return
        last = self._connection.execute(
            select(func.max(history.c.seq)).where(history.c.execution == execution)
        ).scalar_one()
        self._connection.execute(
            insert(history),
            [
                {"execution": execution, "seq": seq, "at": to_epoch(fact.at), "fact": to_json(fact)}
                for seq, fact in enumerate(facts, start=(last or 0) + 1)
            ],
        )

    def history(self, execution: Uid) -> list[Fact]:
        rows = self._connection.execute(
            select(history.c.fact).where(history.c.execution == execution).order_by(history.c.seq)
        )
        return [_read_fact(data) for (data,) in rows]
