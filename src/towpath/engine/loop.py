"""The loop that makes time pass: it leases what is due and gives each piece of work to a thread.

Nothing is polled: commits that schedule work, wake-ups from back ends and the time of the next due item end the wait.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from towpath.engine.full_disk import RETRY_S as FULL_DISK_RETRY_S
from towpath.engine.full_disk import FullDiskNotice
from towpath.engine.turn import Ended, Seen, Turn, Turns, WritableStore
from towpath.kernel.clock import Clock, went_back
from towpath.kernel.decisions import Controller
from towpath.kernel.errors import DiskFull
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Uid
from towpath.store import SqlTransaction
from towpath.store.work import Lease

R = TypeVar("R")
logger = logging.getLogger(__name__)

LEASE_S = 60.0
#: How much earlier than it is told of what the world tells of is due: before all but what has waited for as long. Ten
#: thousand jobs that were just created would else be looked at one after the other before anybody sees that one has
#: ended and the next may begin.
_AHEAD = timedelta(seconds=60)
LONGEST_WAIT_S = 60.0  #: then the clock is read again, which somebody may have set


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
        lease_s: float = LEASE_S,
    ) -> None:
        """`lease_s` should be longer than any turn takes: one that takes longer is taken over, and begun again."""
        self._store = store
        self._clock = clock
        self._threads = threads
        self._lease_s = lease_s
        self._full_disk = FullDiskNotice()
        self._seen = Seen()
        self._turns = Turns(
            store,
            clock,
            controllers,
            kinds,
            seen=self._seen,
            full_disk=self._full_disk,
            follow_up=self._follow_up,
            timed=self._timed,
        )
        self._owner = uuid4().hex
        self._changed = threading.Condition()
        self._woken: set[Uid] = set()  #: to be scheduled with the next lease
        self._due: set[Uid] = set()  #: scheduled by commits since they were last looked at
        self._busy: set[Uid] = set()  #: turns under way
        self._kept: list[Lease] = []  #: of turns that have ended and could not give them back
        self._latest = clock.now()  #: the latest time that was read, or the time of the last leases after a jump back
        self._next_due: datetime | None = None  #: when to look without being told, as far as commits have told
        self._backlog = True  #: there may be more due than is known here
        self._stopping = False
        self._pool: ThreadPoolExecutor | None = None
        self._dispatcher: threading.Thread | None = None
        store.on_commit(self._on_commit)

    def start(self) -> None:
        """Take over what a former process left, and begin to work."""
        # Times that were set before the clock was put back may lie far ahead: looking too early does no harm.
        self._store.write(lambda transaction: transaction.work.release_all(then=transaction.now))
        # One more than take turns: a thread that goes on from link to link of a chain is busy for as long as that.
        self._pool = ThreadPoolExecutor(self._threads + 1, thread_name_prefix="engine")
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
        turn: Turn | None = None
        self._backlog = False  # nobody else waits for this thread
        for taken in range(turns):
            if turn is None:
                turn = next(iter(self._lease(1)), None)
            if turn is None:
                return taken
            ended = self._turns.take(turn)
            if ended.last is not None:
                ended.last()
            turn = ended.following
        raise RuntimeError(f"work was still due after {turns} turns")

    def next_due(self) -> datetime | None:
        """Return when the next work is due, None when nothing is waiting for time to pass."""
        return self._store.read(lambda transaction: transaction.work.next_due())

    def _dispatch(self) -> None:
        while True:
            try:
                if not self._wait_for_work():
                    return
                with self._changed:
                    free = self._threads - len(self._busy)
                turns = self._lease(free)
            except Exception as error:  # noqa: BLE001 - the store says what is wrong, and it may be well again soon
                self._log("leasing work failed", error)
                with self._changed:
                    self._backlog = True
                    self._changed.wait(FULL_DISK_RETRY_S)
                continue
            with self._changed:
                self._backlog = len(turns) == free
                self._busy.update(turn.lease.uid for turn in turns)
            assert self._pool is not None
            for turn in turns:
                self._pool.submit(self._take, turn)

    def _wait_for_work(self) -> bool:
        """Wait until something may be due and a thread is free; False when the engine stops."""
        with self._changed:
            while not self._stopping:
                if len(self._busy) >= self._threads:
                    self._changed.wait()
                    continue
                now = self._clock.now()
                if went_back(self._latest, now):
                    return True
                self._latest = max(self._latest, now)
                # What a running turn is about is looked at when the turn has ended.
                if self._backlog or not (self._woken | self._due) <= self._busy:
                    return True
                due = self._next_due
                wait_s = LONGEST_WAIT_S if due is None else (due - now).total_seconds()
                if wait_s <= 0:
                    return True
                self._changed.wait(min(wait_s, LONGEST_WAIT_S))
            return False

    def _lease(self, limit: int) -> list[Turn]:
        """Take leases on what is due, each with its resource as it stands."""
        with self._changed:
            woken = self._woken - self._busy
            self._woken -= woken
            self._due &= self._busy
            kept = tuple(self._kept)

        def lease(transaction: SqlTransaction) -> tuple[list[Turn], datetime | None]:
            if went_back(self._latest, transaction.now):
                back_s = (self._latest - transaction.now).total_seconds()
                logger.warning("the clock went back by %.0f s; what waits for a time waits on by the new one", back_s)
                transaction.work.move_times(-back_s)
            for uid in woken:
                transaction.work.schedule(uid, transaction.now - _AHEAD)
            for held in kept:
                later = transaction.now + timedelta(seconds=FULL_DISK_RETRY_S)
                transaction.work.give_back(held, later, held.failures)
            transaction.work.expire(transaction.now)
            leases = transaction.work.lease(self._owner, transaction.now, self._lease_s, limit)
            transaction.work.scheduled -= {lease.uid for lease in leases}
            self._latest = transaction.now
            return [self._turn(transaction, lease) for lease in leases], transaction.work.next_due()

        with self._changed:
            self._next_due = None  # from here on turns that end tell theirs
        try:
            # A lease that a power cut takes belonged to nobody who lives on.
            turns, next_due = self._store.note(lease)
        except Exception:
            with self._changed:
                self._woken |= woken
            raise
        self._timed(next_due)
        with self._changed:
            del self._kept[: len(kept)]
        return turns

    def _turn(self, transaction: SqlTransaction, lease: Lease) -> Turn:
        return Turn(lease, transaction.resources.get(lease.uid, self._seen.find(lease.uid)))

    def _follow_up(self, transaction: SqlTransaction) -> Turn | None:
        """Take the lease on one of the things that a turn made due, so that its thread goes on with that at once.

        It saves a wait and a transaction for each link of a chain. While others wait for a thread it is not done.
        """
        if self._backlog or self._stopping:
            return None
        for uid in sorted(transaction.work.scheduled):
            lease = transaction.work.lease_one(uid, self._owner, transaction.now, self._lease_s)
            if lease is not None:
                transaction.work.scheduled.discard(uid)
                return self._turn(transaction, lease)
        return None

    def _timed(self, due_at: datetime | None) -> None:
        """Look at the work again at that time at the latest."""
        if due_at is None:
            return
        with self._changed:
            if self._next_due is None or due_at < self._next_due:
                self._next_due = due_at
                self._changed.notify_all()

    def _take(self, turn: Turn) -> None:
        following: Turn | None = turn
        while following is not None:
            lease = following.lease
            ended = self._attempted(lease, partial(self._turns.take, following)) or Ended()
            following = ended.following
            with self._changed:
                was_full = len(self._busy) >= self._threads
                self._busy.discard(lease.uid)
                if following is not None:
                    self._busy.add(following.lease.uid)
                # A thread that goes on along a chain leaves the dispatcher alone, unless it waits for this very turn.
                if following is None or was_full or lease.uid in self._woken or lease.uid in self._due:
                    self._changed.notify_all()
            if ended.last is not None:
                self._carry_out(lease, ended.last)

    def _carry_out(self, lease: Lease, effects: Callable[[], None]) -> None:
        """Carry out the effects of a last decision beside what follows from it, which they shall not hold up."""
        with self._changed:
            if not self._stopping:
                assert self._pool is not None
                self._pool.submit(self._attempted, lease, effects)
                return
        self._attempted(lease, effects)

    def _attempted(self, lease: Lease, part: Callable[[], R]) -> R | None:
        """Do a part of a turn; None when it failed and the lease could not be given back for it either."""
        try:
            return part()
        except Exception as error:  # noqa: BLE001 - the store is closed or full
            # The next look at the work gives it back.
            self._log(f"the turn on {lease.uid} could not be ended", error)
            with self._changed:
                self._kept.append(lease)
                self._backlog = True
                self._changed.notify_all()
            return None

    def _log(self, what: str, error: Exception) -> None:
        """Write into the log what failed, with its trace; of a full disk only that it is full."""
        if isinstance(error, DiskFull):
            self._full_disk.tell(error, self._clock.now())
        else:
            logger.error(what, exc_info=error)

    def _on_commit(self, scheduled: set[Uid]) -> None:
        with self._changed:
            self._due |= scheduled
            self._changed.notify_all()
