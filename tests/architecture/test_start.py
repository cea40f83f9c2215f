"""A server that starts loads only what it needs."""

from pathlib import Path

from tests.architecture.test_client import loaded_by


def test_alembic_is_loaded_only_when_the_schema_is_not_at_head(tmp_path: Path) -> None:
    path = tmp_path / "towpath.db"
    opened = "\n".join(
        [
            "import towpath.server",
            "from pathlib import Path",
            "from towpath.store import SqliteStore",
            f"SqliteStore(Path({str(path)!r})).close()",
        ]
    )
    assert "alembic" in loaded_by(opened), "a new store is brought to head"
    again = loaded_by(opened)
    assert "sqlalchemy" in again
    assert "alembic" not in again
