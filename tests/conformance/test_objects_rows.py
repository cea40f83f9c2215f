"""The rows of objects on SQLite, against their suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.kernel.ports import Store
from towpath.store import SqliteStore
from towpath.testing.object_rows import ObjectRowsConformance


class TestRowsOnSqlite(ObjectRowsConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqliteStore(tmp_path / "store.db")
        yield store
        store.close()
