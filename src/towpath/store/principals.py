"""The repository of principals and their keys."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, insert, select

from towpath.kernel.principals import Principal
from towpath.store.codec import to_epoch
from towpath.store.tables import principal


class PrincipalTable:
    """Who may call, by name, access key or token."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, new: Principal, at: datetime) -> None:
        """Add a principal."""
        self._connection.execute(
            insert(principal).values(
                name=new.name,
                access_key=new.access_key,
                secret_key=new.secret_key,
                token=new.token,
                role=new.role,
                created_at=to_epoch(at),
            )
        )

    def by_name(self, name: str) -> Principal | None:
        """Return the principal of that name."""
        return self._one(principal.c.name == name)

    def by_access_key(self, access_key: str) -> Principal | None:
        """Return the principal with that access key."""
        return self._one(principal.c.access_key == access_key)

    def by_token(self, token: str) -> Principal | None:
        """Return the principal with that bearer token."""
        return self._one(principal.c.token == token)

    def _one(self, condition: ColumnElement[bool]) -> Principal | None:
        row = self._connection.execute(select(principal).where(condition)).one_or_none()
        if row is None:
            return None
        return Principal(
            name=row.name, access_key=row.access_key, secret_key=row.secret_key, token=row.token, role=row.role
        )
