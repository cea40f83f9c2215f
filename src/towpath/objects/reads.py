"""Reads of objects are gathered in memory and recorded in groups, so that a read costs no commit of its own.

What a process that is killed had gathered is lost: at most what was read within the window. See decision 35.
"""

import logging
import threading

from msgspec.structs import replace

from towpath.kernel.accesses import GET_OBJECT, AccessKind, ObjectAccess, access_of
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.errors import TowpathError
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Store
from towpath.kernel.principals import Caller

LOG = logging.getLogger(__name__)
WINDOW_S = 0.5  #: from the first read that is not recorded yet
GROUP = 500  #: different ones that are recorded at once, without waiting for the window's end, and in one transaction
MOST = 20_000  #: different ones that are held while the store takes none
_AGAIN_S = 5.0  #: after the store has refused


class Reads:
    """Implements `kernel.accesses.Readers`: gathers who read which version of which object, and has it recorded."""

    def __init__(self, store: Store, *, clock: Clock | None = None, window_s: float = WINDOW_S) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._window_s = window_s
        self._gathered: dict[AccessKind, ObjectAccess] = {}
        self._left_out = 0
        self._changed = threading.Condition()
        self._recording = threading.Lock()  #: held while a group is on its way, so that groups come in their order
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, version: ObjectVersion, caller: Caller) -> None:
        access = access_of(version, caller, GET_OBJECT, self._clock.now())
        with self._changed:
            before = len(self._gathered)
            self._gather(access)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="reads", daemon=True)
                self._thread.start()
            elif before == 0 or len(self._gathered) >= GROUP:
                self._changed.notify_all()

    def flush(self) -> None:
        """Record what was read so far. Where the store refuses that, it is kept for later, and the log says why."""
        self._record_all()

    def close(self) -> None:
        """Record what was read so far, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._record_all()
        if self._gathered:
            LOG.error("%d reads of objects could not be recorded before the end", len(self._gathered))

    def _gather(self, access: ObjectAccess) -> None:
        there = self._gathered.get(access.kind)
        if there is not None:
            first, last = min(there.first_at, access.first_at), max(there.last_at, access.last_at)
            access = replace(there, count=there.count + access.count, first_at=first, last_at=last)
        elif len(self._gathered) >= MOST:
            self._left_out += access.count
            return
        self._gathered[access.kind] = access

    def _run(self) -> None:
        taken = True
        while True:
            with self._changed:
                self._changed.wait_for(self._has_any)
                if taken:
                    self._changed.wait_for(self._has_a_group, timeout=self._window_s)
                else:  # what is refused is not asked again at once, however much comes
                    self._changed.wait_for(lambda: self._closed, timeout=_AGAIN_S)
                if self._closed:
                    return
            taken = self._record_all()

    def _has_any(self) -> bool:
        return self._closed or bool(self._gathered)

    def _has_a_group(self) -> bool:
        return self._closed or len(self._gathered) >= GROUP

    def _record_all(self) -> bool:
        """Record what is gathered, group by group; return whether the store took it."""
        with self._recording:
            with self._changed:
                waiting = list(self._gathered.values())
                self._gathered.clear()
                left_out, self._left_out = self._left_out, 0
            if left_out:
                LOG.error("%d reads of objects are not recorded: the store takes none, and too many wait", left_out)
            for start in range(0, len(waiting), GROUP):
                try:
                    self._record(waiting[start : start + GROUP])
                except Exception as error:  # noqa: BLE001 - objects are read on whatever the store says
                    told = error.message if isinstance(error, TowpathError) else repr(error)
                    LOG.warning("reads of objects are kept to be recorded later: %s", told)
                    with self._changed:
                        for access in waiting[start:]:
                            self._gather(access)
                    return False
        return True

    def _record(self, group: list[ObjectAccess]) -> None:
        self._store.write(lambda transaction: transaction.accesses.record(group))
