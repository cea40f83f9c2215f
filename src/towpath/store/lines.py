"""The repository of lines that events have written to log groups."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from towpath.kernel.ports import StoredLine
from towpath.kernel.resource import Uid
from towpath.store.codec import from_epoch, to_epoch
from towpath.store.tables import log_line


class LineTable:
    """Implements `kernel.ports.LineRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, group: Uid, at: datetime, text: str, now: datetime) -> None:
        row = {"log_group": group, "at": to_epoch(at), "received_at": to_epoch(now), "text": text}
        self._connection.execute(insert(log_line).values(**row))

    def after(self, group: Uid, number: int, limit: int) -> Sequence[StoredLine]:
        line = log_line.c
        wanted = select(log_line).where(line.log_group == group, line.seq > number).order_by(line.seq).limit(limit)
        return [
            StoredLine(number=row.seq, at=from_epoch(row.at), text=row.text) for row in self._connection.execute(wanted)
        ]

    def newest(self, group: Uid, count: int) -> int:
        line = log_line.c
        numbers = select(line.seq).where(line.log_group == group).order_by(line.seq.desc()).limit(count + 1)
        found = self._connection.execute(numbers).scalars().all()
        return found[-1] if len(found) > count else 0

    def drop(self, before: datetime, most: int) -> int:
        line = log_line.c
        old = select(line.seq).where(line.received_at < to_epoch(before)).order_by(line.received_at).limit(most)
        return self._connection.execute(delete(log_line).where(line.seq.in_(old))).rowcount

    def forget(self, group: Uid) -> None:
        self._connection.execute(delete(log_line).where(log_line.c.log_group == group))
