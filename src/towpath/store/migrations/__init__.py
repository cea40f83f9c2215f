"""Raises the schema of a store to this release's: by revisions, or at once where the file is empty.

Alembic is imported only for the revisions.
"""

import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Engine, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from towpath.kernel.errors import DiskFull, Invalid
from towpath.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0011"  #: the newest revision under versions/
SCRIPTS = Path(__file__).parent  #: the folder of versions/
#: Where Alembic notes the revision, as it makes it.
_REVISION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def current(engine: Engine) -> str | None:
    """Return the revision that the store stands at, None for an empty file."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(engine: Engine, path: Path, *, head: str = HEAD, scripts: Path = SCRIPTS) -> None:
    """Bring the store to `head`. A file that holds data is copied to `<name>.before-<revision>` first.

    Args:
        head: the newest revision under `scripts`; as an argument for the tests of releases that are still to come.
    Raises:
        Invalid: the store's revision is not one that this release knows, or the file is no database.
    """
    try:
        stands_at = current(engine)
    except OperationalError:
        raise  # locked, or a disk that does not answer: the file itself may be well
    except DatabaseError as error:
        raise Invalid(
            f"The store {path} cannot be read: {error.orig}. It was damaged, or it is another program's file. "
            "Move it away and restore a backup."
        ) from error
    if stands_at == head:
        return
    if stands_at is None and (head, scripts) == (HEAD, SCRIPTS):
        make(engine)
        return
    if stands_at is not None:
        check_known(stands_at, path, head=head, scripts=scripts)
        copy(path, path.with_name(f"{path.name}.before-{head}"))
    follow(engine, head=head, scripts=scripts)


def make(engine: Engine) -> None:
    """Make the tables of this release in an empty file: what the revisions come to, in a tenth of their time."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        for statement in _statements():
            connection.exec_driver_sql(statement)
        connection.execute(insert(_REVISION).values(version_num=HEAD))


@cache
def _statements() -> tuple[str, ...]:
    """Return what makes the tables, compiled once: a process of tests makes hundreds of stores."""
    tables = [*metadata.sorted_tables, _REVISION]
    made: list[CreateTable | CreateIndex] = []
    for table in tables:
        made += [CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name)))]
    return tuple(str(each.compile(dialect=sqlite.dialect())) for each in made)


def follow(engine: Engine, *, head: str = HEAD, scripts: Path = SCRIPTS) -> None:
    """Run the revisions that a store has not had yet."""
    from alembic import command

    config = _config(scripts)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, head)


def check_known(revision: str, path: Path, *, head: str = HEAD, scripts: Path = SCRIPTS) -> None:
    """Raise Invalid unless this release knows the revision at which the store `path` stands."""
    if revision == head:
        return
    from alembic.script import ScriptDirectory

    if revision not in {script.revision for script in ScriptDirectory.from_config(_config(scripts)).walk_revisions()}:
        raise Invalid(
            f"The store {path} stands at schema {revision}, which this release (schema {head}) does not know: it was "
            "written by a newer release. Use that release, or restore a backup."
        )


def _config(scripts: Path) -> "Config":
    from alembic.config import Config

    config = Config()
    # A percent sign in the path would be read as the beginning of a variable.
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def copy(path: Path, to: Path) -> None:
    """Copy a store as it stands at one moment, also while it is in use, to a file of its own that only its owner reads.

    A copy that was interrupted is begun anew; the file appears under its name when it is whole.

    Raises:
        DiskFull: there is no room for it.
    """
    fresh = to.with_name(f"{to.name}.new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(fresh)) as target:
        try:
            source.backup(target)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise DiskFull(
                f"There is no room for a copy of the database at {to}. Make room there and try again."
            ) from error
        # A file of its own: without this mark it would ask for a write-ahead log beside it.
        target.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(to)
