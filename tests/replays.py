"""Every execution that a test has run on a real store is decided again when the test is over."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from towpath.home import HomeFolder

_DEEPEST = 4  #: folders between a test's own and a home
_NEVER_HOMES = {"jobs", "objects", "run", "site-packages", ".git", ".venv"}


def homes_below(folder: Path, depth: int = _DEEPEST) -> Iterator[HomeFolder]:
    """Yield the homes in a folder: those that a server of this release has run on."""
    home = HomeFolder(folder)
    if home.database.is_file():
        if _is_of_this_release(home.database):
            yield home
        return
    if depth == 0:
        return
    with os.scandir(folder) as entries:
        below = [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    for each in below:
        if each.name not in _NEVER_HOMES and os.access(each, os.R_OK | os.X_OK):
            yield from homes_below(each, depth - 1)


def _is_of_this_release(database: Path) -> bool:
    """Whether a store is one that servers of today work on; tests damage some, and make others older or newer."""
    from towpath.store import migrations

    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.DatabaseError, TypeError):
        return False
    return bool(version == migrations.HEAD and sound == "ok")


def decided_alike(home: HomeFolder) -> int:
    """Decide all executions of a home again; return how many could be.

    What is decided otherwise than then fails the test.
    """
    from towpath.app import OperationShapes
    from towpath.gateway import ServiceModels
    from towpath.objects.documents import StoredDocuments
    from towpath.objects.folder import FolderObjects
    from towpath.objects.location import FOLDER
    from towpath.store import OBJECTS_LIE, SqliteStore
    from towpath.testing.replay import replay_all

    if not home.database.is_file() or not (home.path / "objects").is_dir():
        return 0
    store = SqliteStore(home.database)
    try:
        if store.settle(OBJECTS_LIE, FOLDER) != FOLDER:
            return 0  # what lies in a bucket is not read here
        documents = StoredDocuments(store, FolderObjects(home.path / "objects"))
        replayed, complaints = replay_all(store, documents, OperationShapes(ServiceModels()))
    finally:
        store.close()
    assert complaints == [], f"{home.path}: decided otherwise today"
    return replayed
