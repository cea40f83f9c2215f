"""The schema is raised step by step, a copy is kept before, and what came from a newer release is left alone."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from towpath.kernel.errors import Invalid
from towpath.store import SqliteStore, migrations
from towpath.store.sqlite import _engine
from towpath.store.tables import metadata

NEXT = '''
from alembic import op
import sqlalchemy as sa

revision = "NEXT"
down_revision = "HEAD"


def upgrade():
    """Give buckets an owner, and fail when the bucket `broken` is there."""
    op.add_column("bucket", sa.Column("owner", sa.String(64), nullable=False, server_default="nobody"))
    if op.get_bind().execute(sa.text("SELECT 1 FROM bucket WHERE name = 'broken'")).first():
        raise RuntimeError("on purpose")
'''


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """Return the migrations of a made-up next release, which has one revision more."""
    scripts = tmp_path / "next" / "50% migrations"
    shutil.copytree(migrations.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(NEXT.replace('"HEAD"', f'"{migrations.HEAD}"'))
    return scripts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a store of this release with a bucket in it."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.write(lambda transaction: transaction.objects.create_bucket("lake", transaction.now))
    store.close()
    return path


def schema(path: Path) -> dict[str, str]:
    """Return the statements that made what is in a file, by name."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", " ", sql).replace(" ,", ",").replace(" )", ")") for name, sql in rows}


def buckets(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM bucket").fetchall()


def raise_to_next(path: Path, scripts: Path) -> None:
    engine = _engine(path)
    try:
        migrations.upgrade(engine, path, head="NEXT", scripts=scripts)
    finally:
        engine.dispose()


def test_a_new_store_is_what_the_revisions_come_to(tmp_path: Path) -> None:
    """Word for word: a comparison of columns would miss the conditions of partial indexes."""
    SqliteStore(tmp_path / "made.db").close()
    engine = _engine(tmp_path / "migrated.db")
    migrations.follow(engine)
    assert migrations.current(engine) == migrations.HEAD
    engine.dispose()
    SqliteStore(tmp_path / "migrated.db").close()
    assert schema(tmp_path / "migrated.db") == schema(tmp_path / "made.db")
    rows = [everything(tmp_path / name) for name in ("migrated.db", "made.db")]
    assert rows[0] == rows[1]


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of all tables of a new store, but for what names its home."""
    with closing(sqlite3.connect(path)) as connection:
        found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in metadata.tables}
        revision = connection.execute("SELECT * FROM alembic_version").fetchall()
    return {**found, "alembic_version": revision, "meta": []}


def test_a_revision_stands_for_itself_and_does_not_follow_the_tables() -> None:
    for script in (migrations.SCRIPTS / "versions").glob("*.py"):
        assert "towpath" not in script.read_text(), f"{script.name} must not change when the tables do"


def test_a_migration_keeps_a_copy_of_the_store_as_it_was(path: Path, next_release: Path) -> None:
    before = buckets(path)
    raise_to_next(path, next_release)
    assert [bucket[-1] for bucket in buckets(path)] == ["nobody"]
    kept = path.with_name("store.db.before-NEXT")
    assert buckets(kept) == before
    assert kept.stat().st_mode & 0o777 == 0o600
    SqliteStore(kept).close()  # a store of this release, ready to be used


def test_a_store_at_the_newest_revision_is_not_copied(path: Path, next_release: Path) -> None:
    raise_to_next(path, next_release)
    kept = path.with_name("store.db.before-NEXT")
    kept.unlink()
    raise_to_next(path, next_release)
    assert not kept.exists()


def test_a_new_store_has_nothing_to_keep(tmp_path: Path, next_release: Path) -> None:
    raise_to_next(tmp_path / "new.db", next_release)
    assert [file.name for file in tmp_path.glob("*.before-*")] == []


def test_a_migration_that_fails_leaves_the_store_as_it_was(path: Path, next_release: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO bucket VALUES ('broken', 0.0)")
        connection.commit()
    before, rows = schema(path), buckets(path)
    engine = _engine(path)
    try:
        with pytest.raises(RuntimeError, match="on purpose"):
            migrations.upgrade(engine, path, head="NEXT", scripts=next_release)
        assert migrations.current(engine) == migrations.HEAD
    finally:
        engine.dispose()
    assert (schema(path), buckets(path)) == (before, rows)


def test_a_file_that_is_no_database_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "towpath.db"
    path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(Invalid, match=r"towpath\.db cannot be read: file is not a database.*restore a backup"):
        SqliteStore(path)
    assert path.read_bytes() == b"not a database at all" * 1000


def test_a_store_of_the_next_release_is_refused_and_left_as_it_is(path: Path, next_release: Path) -> None:
    raise_to_next(path, next_release)
    before = path.read_bytes()
    with pytest.raises(Invalid, match=r"schema NEXT.*newer release.*restore a backup"):
        SqliteStore(path)
    assert path.read_bytes() == before
