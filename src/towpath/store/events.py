"""The repository of events: append-only."""

from sqlalchemy import Connection, insert, select

from towpath.kernel.events import Event
from towpath.kernel.resource import Uid
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.tables import event


class EventTable:
    """Implements `kernel.ports.Events`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, new: Event) -> None:
        self._connection.execute(
            insert(event).values(
                type=new.type,
                subject=new.subject,
                subject_arn=new.subject_arn,
                principal=new.principal,
                at=to_epoch(new.at),
                detail=to_json(new.detail),
            )
        )

    def of(self, subject: Uid) -> list[Event]:
        rows = self._connection.execute(select(event).where(event.c.subject == subject).order_by(event.c.seq))
        return [
            Event(
                type=row.type,
                subject=Uid(row.subject),
                subject_arn=row.subject_arn,
                principal=row.principal,
                at=from_epoch(row.at),
                detail=from_json(row.detail),
            )
            for row in rows
        ]
