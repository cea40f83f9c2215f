"""Where rows live: SQLAlchemy Core tables, repositories, SQLite."""

from towpath.store.sqlite import SqliteStore
from towpath.store.unit_of_work import SqlTransaction

__all__ = ["SqlTransaction", "SqliteStore"]
