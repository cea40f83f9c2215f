"""The store on SQLite: one writer thread with group commit, any number of readers on snapshots.

`synchronous=FULL` with the write-ahead log: a write returns after its batch has been synced. Each function of a batch
runs in a savepoint of its own, so one that fails undoes itself and nothing else.
Source of the settings: SQLite documentation, "Write-Ahead Logging" and "PRAGMA synchronous".
"""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.errors import DiskFull, Unavailable
from towpath.kernel.resource import Uid
from towpath.store import migrations
from towpath.store.long_specs import DecodedSpecs
from towpath.store.tables import meta
from towpath.store.unit_of_work import SqlTransaction, Subscriber, Subscribers

R = TypeVar("R")
_Item = tuple[Callable[[SqlTransaction], Any], "Future[Any]", bool]  #: what to run, whom to tell, whether to sync

_WRITES = {"writes": True}  #: execution options of connections that write
#: What SQLite says where the database, its log or the log's index cannot grow.
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
BATCH = 256  #: writes that share one sync at most
#: Pages that a large transaction has changed are kept in memory up to this, and not written to the log twice. SQLite's
#: own default of 2 MB makes the transaction that publishes 100,000 files last twice as long.
_WRITER_CACHE_KB = 32_768
_PRIMARY = 0xFF  #: the byte of SQLite's error codes that says which kind; the others go into detail
#: Kinds of errors that say nothing about what was asked. Source: SQLite documentation, "Result and Error Codes".
_DISK_OR_FILE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class SqliteStore:
    """Implements `kernel.ports.Store` on one file."""

    def __init__(self, path: Path, *, home: Home | None = None, clock: Clock | None = None) -> None:
        """Open the file, making it or raising its schema as needed.

        Raises:
            Invalid: the file was written by a newer release.
            DiskFull: there is no room for the files beside it.
        """
        self.clock = clock or SystemClock()
        self._listeners: list[Callable[[set[Uid]], None]] = []
        self._key_listeners: list[Callable[[], None]] = []
        self._kind_listeners: dict[str, list[Callable[[], None]]] = {}
        self._subscriber: Subscriber = Subscribers()
        self._decoded = DecodedSpecs()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        # Made by us and not by SQLite, which would let everybody read the keys; its other files take this one's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._engine = _engine(path)
        try:
            migrations.upgrade(self._engine, path)
            self.home, self.home_id = self._identity(home or Home())
        except BaseException as error:
            self._engine.dispose()  # the last to close the file leaves nothing beside it
            if isinstance(error, OperationalError) and _is_full(error):
                raise DiskFull from error
            raise
        self._closing = threading.Lock()  #: held to put into the queue, so that nothing comes after its end
        self._closed = False
        self._syncs = True  #: commits of the writer's connection wait for the disk; known to its thread alone
        self._writer = threading.Thread(target=self._write_batches, name="store-writer", daemon=True)
        self._writer.start()

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
        """Call `listener` after each commit that scheduled work, with what was scheduled."""
        self._listeners.append(listener)

    def on_keys(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit that changed access keys, before those who changed them are told."""
        self._key_listeners.append(listener)

    def on_kind(self, kind: str, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit that made or changed resources of a kind, before those who did are told."""
        self._kind_listeners.setdefault(kind, []).append(listener)

    def subscribe(self, *subscribers: Subscriber) -> None:
        """Tell these, and no others, of all that happens from now on, inside the transactions in which it happens."""
        self._subscriber = Subscribers(*subscribers)

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        """Run `work` on a consistent snapshot; it must not write."""
        with self._engine.connect() as connection, connection.begin():
            return work(SqlTransaction(connection, self.home, self.clock.now(), self._decoded))

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        """Run `work` in a transaction on the writer thread; return when it is durable."""
        return self._written(work, synced=True)

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        """Do as `write`, but do not wait for the disk: for what is observed again where it is lost.

        A power cut may take it, together with everything noted later; the end of the process does not. Whatever is
        written later is durable only together with it.
        """
        return self._written(work, synced=False)

    def _written(self, work: Callable[[SqlTransaction], R], *, synced: bool) -> R:
        if threading.current_thread() is self._writer:
            raise RuntimeError("a transaction cannot wait for another one: pass the transaction on instead")
        future: Future[R] = Future()
        with self._closing:
            if self._closed:
                raise Unavailable("The store is closed; the server is shutting down.")
            self._queue.put((work, future, synced))
        return future.result()

    def close(self) -> None:
        """Finish what was accepted and close the file."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._writer.join()
        self._engine.dispose()

    def settle(self, name: str, value: str) -> str:
        """Return the fact of that name about the home; it is `value` from now on where none was written down yet."""
        with self._engine.connect().execution_options(**_WRITES) as connection, connection.begin():
            found = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one_or_none()
            if found is None:
                connection.execute(insert(meta).values(name=name, value=value))
        return value if found is None else found

    def _identity(self, wanted: Home) -> tuple[Home, str]:
        """Return the account and region that the file was made for, and its id; written on first use."""
        with self._engine.connect().execution_options(**_WRITES) as connection, connection.begin():
            stored = {row.name: row.value for row in connection.execute(select(meta))}
            if "account" not in stored:
                stored = {"account": wanted.account, "region": wanted.region, "home_id": uuid4().hex}
                connection.execute(insert(meta), [{"name": name, "value": text} for name, text in stored.items()])
        return Home(account=stored["account"], region=stored["region"]), stored["home_id"]

    def _write_batches(self) -> None:
        with self._engine.connect().execution_options(**_WRITES) as connection:
            connection.connection.cursor().execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KB}")
            while (item := self._queue.get()) is not None:
                batch = [item]
                last = False
                while len(batch) < BATCH:
                    try:
                        following = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if following is None:
                        last = True
                        break
                    batch.append(following)
                self._commit(connection, batch)
                if last:
                    break

    def _commit(self, connection: Connection, batch: list[_Item]) -> None:
        """Run a batch in one database transaction; tell each caller how its own part ended after the sync."""
        self._sync(connection, any(synced for _, _, synced in batch))
        if len(batch) == 1:
            self._commit_alone(connection, *batch[0][:2])
            return
        ended: list[Callable[[], None]] = []
        scheduled: set[Uid] = set()
        changed: set[str] = set()
        try:
            with connection.begin():
                for work, future, _ in batch:
                    ended.append(self._run(connection, work, future, scheduled, changed))
        except Exception as error:  # noqa: BLE001 - a full disk or a broken file: every caller of the batch is told
            for _, future, _ in batch:
                future.set_exception(_told(error))
            return
        for tell in ended:
            tell()
        self._tell_of(scheduled)

    def _sync(self, connection: Connection, wanted: bool) -> None:
        """Have the next commit wait for the disk, or not."""
        if wanted != self._syncs:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            driver.cursor().execute(f"PRAGMA synchronous={'FULL' if wanted else 'NORMAL'}")
            self._syncs = wanted

    def _commit_alone(self, connection: Connection, work: Callable[[SqlTransaction], R], future: "Future[R]") -> None:
        """Run one function in a transaction of its own, which needs no savepoint."""
        transaction = SqlTransaction(connection, self.home, self.clock.now(), self._decoded, self._subscriber)
        try:
            with connection.begin():
                result = work(transaction)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
            future.set_exception(_told(error))
            return
        self._tell_of_changes(transaction)
        future.set_result(result)
        self._tell_of(transaction.work.scheduled)

    def _tell_of(self, scheduled: set[Uid]) -> None:
        if scheduled:
            for listener in self._listeners:
                listener(scheduled)

    def _tell_of_changes(self, transaction: SqlTransaction) -> None:
        if transaction.keys.changed:
            for listener in self._key_listeners:
                listener()
        for kind in transaction.resources.changed_kinds & self._kind_listeners.keys():
            for listener in self._kind_listeners[kind]:
                listener()

    def _run(
        self,
        connection: Connection,
        work: Callable[[SqlTransaction], R],
        future: "Future[R]",
        scheduled: set[Uid],
        changed: set[str],
    ) -> Callable[[], None]:
        """Run one function in a savepoint; return how to tell its caller.

        Args:
            scheduled: what the batch has scheduled so far; is added to, as is
            changed: the kinds of what it has changed so far.
        """
        now = self.clock.now()
        transaction = SqlTransaction(connection, self.home, now, self._decoded, self._subscriber, frozenset(changed))
        try:
            with transaction.nested():
                result = work(transaction)
        except Exception as error:
            if transaction.is_undone():
                raise  # the rest of the batch must not run outside of a transaction
            raised = _told(error)
            return lambda: future.set_exception(raised)
        scheduled |= transaction.work.scheduled
        changed |= transaction.resources.changed_kinds

        def tell() -> None:
            self._tell_of_changes(transaction)
            future.set_result(result)

        return tell


def _is_full(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) in _FULL


def _told(error: Exception) -> Exception:
    """Return what a caller is told of an error: DiskFull or Unavailable where disk or file is to blame, else itself."""
    found: BaseException | None = error
    while isinstance(found, DBAPIError):
        code = getattr(found.orig, "sqlite_errorcode", sqlite3.SQLITE_OK)
        if code & _PRIMARY in _DISK_OR_FILE:
            reason = f"The store could not commit: {found.orig}. Nothing was written; mend the file or its disk."
            told = DiskFull() if _is_full(found) else Unavailable(reason)
            told.__cause__ = error
            return told
        # Going back to a savepoint fails where SQLite has undone everything: what it did that for came before.
        found = found.orig.__context__ if found.orig else None
    return error


def _engine(path: Path) -> Engine:
    """Return an engine whose transactions are begun here alone (Python's sqlite3 adds none of its own)."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        hide_parameters=True,  # errors are shown to whoever may ask why something is held up
        pool_size=16,
        max_overflow=48,
        connect_args={"timeout": 30, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")
        # What a savepoint may have to put back, some pages, would else be a file of its own in the temporary folder.
        connection.execute("PRAGMA temp_store=MEMORY")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: a transaction that begins as a reader cannot always become a writer.
        writes = connection.get_execution_options().get("writes", False)
        cursor = connection.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        cursor.close()

    return engine
