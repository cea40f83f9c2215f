"""Copies of a store for backups: taken while it is in use, checked, and made ready to be used elsewhere."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.exc import DatabaseError

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Uid
from towpath.store import migrations
from towpath.store.tables import access_key, meta, object_version, resource, upload_part


class BlobFacts(NamedTuple):
    """What a store says of the bytes of a blob."""

    size: int
    sha256: str


OBJECTS_LIE = "objects"  #: the fact about a home that says where the bytes of its objects lie


class StoreFacts(NamedTuple):
    """What a backup says of the store in it."""

    schema: str  #: revision of the tables
    home_id: str
    account: str
    region: str


def snapshot(database: Path, to: Path, *, with_keys: bool) -> None:
    """Copy a store as it stands at one moment, also while a server uses it.

    Args:
        with_keys: keep the principals with their keys; without them, the first start makes a new administrator.
    """
    migrations.copy(database, to)
    if with_keys:
        return
    with closing(sqlite3.connect(to)) as connection:
        # What is only marked as deleted could still be read from the file.
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"DELETE FROM {access_key.name}")
        connection.commit()


def facts(database: Path) -> StoreFacts:
    """Return what a store is.

    Raises:
        Invalid: a newer release wrote it, or it is damaged.
    """
    with _connected(database) as connection:
        damage = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
        if damage != "ok":
            raise Invalid(f"{database} is damaged: {damage}")
        schema = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        told = {row.name: row.value for row in connection.execute(select(meta))}
    migrations.check_known(schema, database)
    return StoreFacts(schema=schema, home_id=told["home_id"], account=told["account"], region=told["region"])


def objects_lie(database: Path) -> str | None:
    """Return where the bytes of a store's objects lie, None where it was never written down: in the home's folder."""
    with _connected(database) as connection:
        asked = select(meta.c.value).where(meta.c.name == OBJECTS_LIE)
        return connection.execute(asked).scalar_one_or_none()


def blobs(database: Path) -> dict[str, BlobFacts]:
    """Return every blob that the rows of a store refer to."""
    found: dict[str, BlobFacts] = {}
    with _connected(database) as connection:
        for table in (object_version, upload_part):
            columns = (table.c.blob, table.c.size, table.c.sha256)
            rows = connection.execute(select(*columns).where(table.c.blob.is_not(None)))
            found.update((blob, BlobFacts(size, sha256)) for blob, size, sha256 in rows)
    return found


def with_status(database: Path, statuses: frozenset[str]) -> frozenset[Uid]:
    """Return the live resources that stand so."""
    with _connected(database) as connection:
        rows = connection.execute(
            select(resource.c.uid).where(resource.c.deleted_at.is_(None), resource.c.status.in_(statuses))
        )
        return frozenset(Uid(uid) for uid in rows.scalars())


@contextmanager
def _connected(database: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{database}")
    try:
        with engine.connect() as connection:
            yield connection
    except DatabaseError as error:
        raise Invalid(f"{database} is not a store of Towpath, or it is damaged: {error.orig}") from error
    finally:
        engine.dispose()
