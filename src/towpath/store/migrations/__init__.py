"""Raises the schema of a store to this release's. Alembic is imported only when there is something to do."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from towpath.kernel.errors import Invalid

HEAD = "0001"  #: the newest revision under versions/


def current(engine: Engine) -> str | None:
    """Return the revision that the store stands at, None for an empty file."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(engine: Engine, path: Path) -> None:
    """Bring the store to HEAD; a file that holds data is copied to `<name>.before-<revision>` first.

    Raises:
        Invalid: the store's revision is not one that this release knows.
    """
    stands_at = current(engine)
    if stands_at == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if stands_at is not None and stands_at not in known:
        raise Invalid(
            f"The store {path} stands at schema {stands_at}, which this release (schema {HEAD}) does not know: it was "
            "written by a newer release. Use that release, or restore a backup."
        )
    if stands_at is not None:
        _copy(path, path.with_name(f"{path.name}.before-{HEAD}"))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _copy(path: Path, to: Path) -> None:
    """Copy a store, its write-ahead log included, to a file of its own."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
