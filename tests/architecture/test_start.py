"""A server that starts loads only what it needs."""

from pathlib import Path

from tests.architecture.test_client import loaded_by

from towpath.store import migrations
from towpath.store.sqlite import _engine


def test_alembic_is_loaded_only_for_a_store_of_an_older_schema(tmp_path: Path) -> None:
    path = tmp_path / "towpath.db"
    opened = "\n".join(
        [
            "import towpath.server",
            "from pathlib import Path",
            "from towpath.store import SqliteStore",
            f"SqliteStore(Path({str(path)!r})).close()",
        ]
    )
    for _ in ("a new store", "the same again"):
        loaded = loaded_by(opened)
        assert "sqlalchemy" in loaded
        assert "alembic" not in loaded
    path.unlink()
    engine = _engine(path)
    migrations.upgrade(engine, path, head="0010")
    engine.dispose()
    assert "alembic" in loaded_by(opened), "it is brought to head"
