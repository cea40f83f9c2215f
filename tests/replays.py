"""Every execution that a test has run on a real store is decided again when the test is over."""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towpath.home import HomeFolder
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Uid

if TYPE_CHECKING:
    from towpath.kernel.objects import ObjectStore
    from towpath.pipelines.ports import Documents

_DEEPEST = 4  #: folders between a test's own and a home
_NEVER_HOMES = {"jobs", "objects", "run", "site-packages", ".git", ".venv"}

EXECUTIONS = "executions decided again"
OTHER_STORES = "homes left out: damaged, or of another release"


@dataclass(frozen=True)
class Again:
    """What has been decided again in this process, and what was left out."""

    homes: set[Path] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)  #: since it was told last

    def homes_below(self, folder: Path, depth: int = _DEEPEST) -> Iterator[HomeFolder]:
        """Yield the homes in a folder that a server of this release has run on and that are not decided again yet."""
        home = HomeFolder(folder)
        if home.database.is_file():
            if home.path in self.homes:
                return
            self.homes.add(home.path)
            if _is_of_this_release(home.database):
                yield home
            else:
                self.counted[OTHER_STORES] += 1
            return
        if depth == 0:
            return
        with os.scandir(folder) as entries:
            below = [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
        for each in below:
            if each.name not in _NEVER_HOMES and os.access(each, os.R_OK | os.X_OK):
                yield from self.homes_below(each, depth - 1)

    def decide(self, folder: Path, objects: "ObjectStore | None" = None) -> None:
        """Decide the executions of all homes in a folder again, each home once.

        Args:
            objects: holds the bytes of homes whose objects lie in a bucket, while its service runs.
        """
        for home in self.homes_below(folder):
            self._decide_home(home, objects)

    def told(self) -> dict[str, int]:
        """Return what has been counted since this was asked last."""
        counted = dict(self.counted)
        self.counted.clear()
        return counted

    def _decide_home(self, home: HomeFolder, objects: "ObjectStore | None") -> None:
        from towpath.app import OperationShapes
        from towpath.gateway import ServiceModels
        from towpath.objects.documents import StoredDocuments
        from towpath.objects.folder import FolderObjects
        from towpath.objects.location import FOLDER
        from towpath.store import OBJECTS_LIE, SqliteStore
        from towpath.testing.replay import replay_all

        store = SqliteStore(home.database)
        try:
            lie = store.settle(OBJECTS_LIE, FOLDER)
            folder = home.path / "objects"
            if lie == FOLDER and folder.is_dir():
                objects = FolderObjects(folder)
            documents: Documents
            if objects is not None:
                documents = StoredDocuments(store, objects)
            else:
                documents = _NoDocuments() if lie == FOLDER else _OutOfReach(home.path, lie)
            found = replay_all(store, documents, OperationShapes(ServiceModels()))
        finally:
            store.close()
        assert (found.left_out, found.complaints) == ((), ()), f"{home.path}: decided otherwise today, or not at all"
        self.counted[EXECUTIONS] += found.executions


class _NoDocuments:
    """Implements `pipelines.ports.Documents` for a home in which no server has come up."""

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        raise Invalid(f"There is no object {uri}")


@dataclass(frozen=True)
class _OutOfReach:
    """Implements `pipelines.ports.Documents` for a home whose bytes lie in a bucket that may be gone by now."""

    home: Path
    lie: str

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        raise AssertionError(f"{self.home}: decide it again while {self.lie}, which holds its bytes, is there: {uri}")


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
