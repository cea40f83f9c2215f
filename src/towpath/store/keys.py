"""The repository of access keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from towpath.kernel.principals import AccessKey
from towpath.store.codec import from_epoch, optional_time, to_epoch
from towpath.store.tables import access_key


class KeyTable:
    """Implements `identity.ports.KeyRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = False  #: whether anything was written, for those who hold keys in memory

    def add(self, new: AccessKey) -> None:
        """Add a key."""
        self.changed = True
        expires_at = None if new.expires_at is None else to_epoch(new.expires_at)
        self._connection.execute(
            insert(access_key).values(
                access_key=new.access_key,
                secret_key=new.secret_key,
                principal=new.principal,
                arn=new.arn,
                session_token=new.session_token,
                active=new.active,
                created_at=to_epoch(new.created_at),
                expires_at=expires_at,
            )
        )

    def find(self, name: str) -> AccessKey | None:
        """Return the key of that name."""
        row = self._connection.execute(select(access_key).where(access_key.c.access_key == name)).one_or_none()
        return None if row is None else _key(row)

    def of(self, principal: str) -> list[AccessKey]:
        """Return the keys of a principal, oldest first."""
        rows = self._connection.execute(
            select(access_key)
            .where(access_key.c.principal == principal)
            .order_by(access_key.c.created_at, access_key.c.access_key)
        )
        return [_key(row) for row in rows]

    def all(self) -> list[AccessKey]:
        """Return every key."""
        return [_key(row) for row in self._connection.execute(select(access_key))]

    def set_active(self, name: str, *, active: bool) -> None:
        """Let a key be good, or not."""
        self.changed = True
        self._connection.execute(update(access_key).where(access_key.c.access_key == name).values(active=active))

    def remove(self, name: str) -> None:
        """Forget a key."""
        self.changed = True
        self._connection.execute(delete(access_key).where(access_key.c.access_key == name))

    def rights_changed(self) -> None:
        """Let those who hold keys in memory read them anew, since a user's rights have changed."""
        self.changed = True

    def remove_expired(self, before: datetime) -> None:
        """Forget the keys whose time was over before `before`."""
        self._connection.execute(delete(access_key).where(access_key.c.expires_at < to_epoch(before)))


def _key(row: Row[Any]) -> AccessKey:
    return AccessKey(
        access_key=row.access_key,
        secret_key=row.secret_key,
        principal=row.principal,
        arn=row.arn,
        session_token=row.session_token,
        active=bool(row.active),
        created_at=from_epoch(row.created_at),
        expires_at=optional_time(row.expires_at),
    )
