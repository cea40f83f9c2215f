"""The repository of events: append-only."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from towpath.kernel.events import Event
from towpath.kernel.resource import Uid
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import event

_MEMBERS = ("type", "subject", "subject_arn", "principal", "at", "detail")
_APPEND = Prepared(insert(event).values({name: bindparam(name) for name in _MEMBERS}))


class EventTable:
    """Implements `kernel.ports.Events`."""

    def __init__(self, connection: Connection, happened: Callable[[Event], None]) -> None:
        self._connection = connection
        self._happened = happened  # delivers it to those who wait for it, in this same transaction

    def append(self, new: Event) -> None:
        _APPEND(
            self._connection,
            type=new.type,
            subject=new.subject,
            subject_arn=new.subject_arn,
            principal=new.principal,
            at=to_epoch(new.at),
            detail=to_json(new.detail),
        )
        self._happened(new)

    def of(self, subject: Uid) -> list[Event]:
        rows = self._connection.execute(select(event).where(event.c.subject == subject).order_by(event.c.seq))
        return [_read(row) for row in rows]

    def newest(self, subject: Uid, of_type: str, *, before: int | None, limit: int) -> list[tuple[int, Event]]:
        wanted = select(event).where(event.c.subject == subject, event.c.type == of_type)
        if before is not None:
            wanted = wanted.where(event.c.seq < before)
        rows = self._connection.execute(wanted.order_by(event.c.seq.desc()).limit(limit))
        return [(row.seq, _read(row)) for row in rows]


def _read(row: Row[Any]) -> Event:
    return Event(
        type=row.type,
        subject=Uid(row.subject),
        subject_arn=row.subject_arn,
        principal=row.principal,
        at=from_epoch(row.at),
        detail=from_json(row.detail),
    )
