"""Where rows live: SQLAlchemy Core tables, repositories, SQLite."""

from towpath.store.backup import OBJECTS_LIE
from towpath.store.reserve import FreeingStore, Reserve
from towpath.store.sqlite import SqliteStore
from towpath.store.unit_of_work import SqlTransaction

__all__ = ["OBJECTS_LIE", "FreeingStore", "Reserve", "SqlTransaction", "SqliteStore"]
