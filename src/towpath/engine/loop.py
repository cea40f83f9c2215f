"""The loop that makes time pass: it leases what is due and gives each piece of work to a thread.

Nothing is polled: commits that schedule work, wake-ups from back ends and the time of the next due item end the wait.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from towpath.engine.turn import Turns, WritableStore
from towpath.kernel.clock import Clock
from towpath.kernel.decisions import Controller
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Uid
from towpath.store import SqlTransaction
from towpath.store.work import Lease

logger = logging.getLogger(__name__)

LEASE_S = 60.0  #: longer than any turn takes; a turn that hangs is taken over after it
LONGEST_WAIT_S = 3600.0


class NotifyingStore(WritableStore, Protocol):
    """A store that tells of commits which scheduled work."""

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None: ...


class Engine:
    """Drives controllers. Start it once; `stop` lets running turns finish."""

    def __init__(
        self,
        store: NotifyingStore,
        controllers: Mapping[str, Controller[Any]],
        *,
        clock: Clock,
        kinds: Mapping[str, Kind],
        threads: int = 4,
    ) -> None:
        self._store = store
        self._clock = clock
        self._threads = threads
        self._turns = Turns(store, clock, controllers, kinds)
        self._owner = uuid4().hex
        self._changed = threading.Condition()
        self._woken: set[Uid] = set()
        self._news = True
        self._busy = 0
        self._stopping = False
        self._pool: ThreadPoolExecutor | None = None
        self._dispatcher: threading.Thread | None = None
        store.on_commit(self._on_commit)

    def start(self) -> None:
        """Take over what a former process left, and begin to work."""
        self._store.write(lambda transaction: transaction.work.release_all())
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="engine")
        self._dispatcher = threading.Thread(target=self._dispatch, name="engine-dispatch", daemon=True)
        self._dispatcher.start()

    def stop(self) -> None:
        """Begin no more turns and wait for the running ones."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._dispatcher is not None:
            self._dispatcher.join()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def wake(self, uid: Uid) -> None:
        """Make a resource due now, because the world around it changed."""
        with self._changed:
            self._woken.add(uid)
            self._changed.notify_all()

    def run_until_idle(self, *, turns: int = 10_000) -> int:
        """Take turns in this thread until nothing is due at the clock's time; return how many were taken.

        For tests with a virtual clock, on an engine that was not started.

        Raises:
            RuntimeError: work was still due after `turns` turns.
        """
        for taken in range(turns):
            leases = self._lease(1)
            if not leases:
                return taken
            self._turns.take(leases[0])
        raise RuntimeError(f"work was still due after {turns} turns")

    def next_due(self) -> datetime | None:
        """Return when the next work is due, None when nothing is waiting for time to pass."""
        return self._store.read(lambda transaction: transaction.work.next_due())

    def _dispatch(self) -> None:
        while self._wait_for_work():
            with self._changed:
                free = self._threads - self._busy
                self._news = False
            try:
                leases = self._lease(free)
            except Exception:
                # The store says what is wrong (a full disk); a while later it may be well again.
                logger.exception("leasing work failed")
                with self._changed:
                    self._changed.wait(1.0)
                    self._news = True
                continue
            for lease in leases:
                with self._changed:
                    self._busy += 1
                assert self._pool is not None
                self._pool.submit(self._take, lease)
            if len(leases) == free:
                with self._changed:
                    self._news = True  # there may be more than there were free threads

    def _wait_for_work(self) -> bool:
        """Wait until something may be due and a thread is free; False when the engine stops."""
        with self._changed:
            while not self._stopping:
                if self._busy < self._threads and (self._news or self._woken):
                    return True
                if self._busy >= self._threads:
                    self._changed.wait()
                    continue
                due = self.next_due()
                wait_s = LONGEST_WAIT_S if due is None else (due - self._clock.now()).total_seconds()
                if wait_s <= 0:
                    return True
                self._changed.wait(min(wait_s, LONGEST_WAIT_S))
            return False

    def _lease(self, limit: int) -> list[Lease]:
        with self._changed:
            woken, self._woken = self._woken, set()

        def lease(transaction: SqlTransaction) -> list[Lease]:
            for uid in woken:
                transaction.work.schedule(uid, transaction.now)
            transaction.work.expire(transaction.now)
            return transaction.work.lease(self._owner, transaction.now, LEASE_S, limit)

        try:
            return self._store.write(lease)
        except Exception:
            with self._changed:
                self._woken |= woken
            raise

    def _take(self, lease: Lease) -> None:
        try:
            self._turns.take(lease)
        except Exception:
            # Giving the lease back failed too (the store is closed or full): it runs out by itself.
            logger.exception("the turn on %s could not be ended", lease.uid)
        finally:
            with self._changed:
                self._busy -= 1
                self._news = True
                self._changed.notify_all()

    def _on_commit(self, _: set[Uid]) -> None:
        with self._changed:
            self._news = True
            self._changed.notify_all()
