"""The repository of work items and their leases."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, func, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.errors import StaleRevision
from towpath.kernel.faults import Fault
from towpath.kernel.resource import Uid
from towpath.store.codec import from_epoch, to_epoch
from towpath.store.prepared import Prepared
from towpath.store.tables import changed_child, work

_NEVER = 1e11  #: epoch seconds in the year 5138; NULL would not take part in comparisons

_ALL = 2**63 - 1  #: no row has a greater number

#: What a fault holds up is due when its back-off is over, whatever happens around it: the next try sees all of that.
_held_up = (work.c.failures > 0) & work.c.lease_until.is_(None)
_SCHEDULE = Prepared(
    insert(work)
    .values(uid=bindparam("uid"), due_at=bindparam("due_at"))
    .on_conflict_do_update(
        index_elements=[work.c.uid],
        set_={"due_at": case((_held_up, work.c.due_at), else_=func.min(work.c.due_at, bindparam("due_at")))},
    )
)
#: What is hurried is due since the beginning of time: no fault puts that off (`_FAIL`), not even one of a turn that has
#: begun before.
_AT_ONCE = 0.0
_HURRY = Prepared(
    insert(work)
    .values(uid=bindparam("uid"), due_at=_AT_ONCE)
    .on_conflict_do_update(index_elements=[work.c.uid], set_={"due_at": _AT_ONCE})
)
_DUE = Prepared(
    select(work.c.uid)
    .where(work.c.due_at <= bindparam("now"), work.c.lease_until.is_(None))
    .order_by(work.c.due_at)
    .limit(bindparam("most"))
)
#: Number of the last change of a child that the resource has been told of.
_last_told = select(func.max(changed_child.c.seq)).where(changed_child.c.parent == work.c.uid).scalar_subquery()
#: What is scheduled from the lease on is seen as new when the lease is given back: the due time is hidden meanwhile.
_TAKE = Prepared(
    update(work)
    .where(work.c.uid == bindparam("of"), work.c.due_at <= bindparam("now"), work.c.lease_until.is_(None))
    .values(owner=bindparam("by"), token=work.c.token + 1, lease_until=bindparam("until"), due_at=bindparam("never"))
    .returning(work.c.token, work.c.failures, _last_told.label("told"))
)
_TOKEN = Prepared(select(work.c.token).where(work.c.uid == bindparam("of")))
_GIVE_BACK = Prepared(
    update(work)
    .where(work.c.uid == bindparam("of"), work.c.token == bindparam("number"))
    .values(due_at=func.min(work.c.due_at, bindparam("at")), lease_until=None, owner=None, failures=bindparam("failed"))
)
_FAIL = Prepared(
    update(work)
    .where(work.c.uid == bindparam("of"), work.c.token == bindparam("number"))
    .values(
        failing_since=case((work.c.failures == 0, bindparam("now")), else_=work.c.failing_since),
        fault=bindparam("said"),
        failures=bindparam("failed"),
        due_at=case((work.c.due_at == _AT_ONCE, _AT_ONCE), else_=bindparam("at")),
        lease_until=None,
        owner=None,
    )
)
_FAULT = Prepared(select(work).where(work.c.uid == bindparam("of"), work.c.failures > 0))
_FAULTS = Prepared(
    select(work).where(work.c.failures >= bindparam("least")).order_by(work.c.failing_since).limit(bindparam("most"))
)
_REMOVE = Prepared(delete(work).where(work.c.uid == bindparam("of")))
_FIRST_DUE = Prepared(select(func.min(work.c.due_at)).where(work.c.lease_until.is_(None)))
_FIRST_LEASE_OVER = Prepared(select(func.min(work.c.lease_until)))
_EXPIRE = Prepared(
    update(work)
    .where(work.c.lease_until <= bindparam("now"))
    .values(due_at=bindparam("now"), lease_until=None, owner=None)
)
_TELL = Prepared(plain_insert(changed_child).values(parent=bindparam("of"), child=bindparam("who")))
_TOLD = Prepared(
    select(changed_child.c.child).where(changed_child.c.parent == bindparam("of")).order_by(changed_child.c.seq)
)
_DROP_TOLD = Prepared(
    delete(changed_child).where(changed_child.c.parent == bindparam("of"), changed_child.c.seq <= bindparam("last"))
)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to decide about one resource for a while. A commit with an older token is refused."""

    uid: Uid
    token: int
    failures: int  #: tries in a row that ended in an exception
    told: int = 0  #: number of the last change of a child that was told before the lease was taken


class WorkTable:
    """Implements `kernel.ports.Work`, and the leases that the engine takes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.scheduled: set[Uid] = set()  #: for the engine, told after the commit

    def schedule(self, uid: Uid, due_at: datetime, *, because: Uid | None = None) -> None:
        _SCHEDULE(self._connection, uid=uid, due_at=to_epoch(due_at))
        if because is not None:
            _TELL(self._connection, of=uid, who=because)
        self.scheduled.add(uid)

    def hurry(self, uid: Uid) -> None:
        _HURRY(self._connection, uid=uid)
        self.scheduled.add(uid)

    def changed(self, uid: Uid) -> list[Uid]:
        return [Uid(child) for (child,) in _TOLD(self._connection, of=uid).all()]

    def told(self, lease: Lease) -> None:
        """Drop what the turn of a lease has been told of changed children: what it decided is written."""
        if lease.told:
            _DROP_TOLD(self._connection, of=lease.uid, last=lease.told)

    def lease(self, owner: str, now: datetime, seconds: float, limit: int) -> list[Lease]:
        """Take up to `limit` items that are due and that nobody holds, longest due first."""
        due = [Uid(uid) for (uid,) in _DUE(self._connection, now=to_epoch(now), most=limit).all()]
        taken = (self.lease_one(uid, owner, now, seconds) for uid in due)
        return [lease for lease in taken if lease is not None]

    def lease_one(self, uid: Uid, owner: str, now: datetime, seconds: float) -> Lease | None:
        """Take one item if it is due and nobody holds it."""
        until = to_epoch(now + timedelta(seconds=seconds))
        row = _TAKE(self._connection, of=uid, now=to_epoch(now), by=owner, until=until, never=_NEVER).one_or_none()
        return None if row is None else Lease(uid=uid, token=row.token, failures=row.failures, told=row.told or 0)

    def confirm(self, lease: Lease) -> None:
        """Make sure that the lease is still ours. Raises StaleRevision when somebody else took over."""
        token = _TOKEN(self._connection, of=lease.uid).scalar()
        if token != lease.token:
            raise StaleRevision(f"the lease {lease.token} on {lease.uid} was taken over")

    def end(self, lease: Lease, due_at: datetime | None) -> None:
        """Give a lease back that must still be ours. Raises StaleRevision when somebody else took over."""
        if not self.give_back(lease, due_at):
            raise StaleRevision(f"the lease {lease.token} on {lease.uid} was taken over")

    def give_back(self, lease: Lease, due_at: datetime | None, failures: int = 0) -> bool:
        """End a lease if it is ours still; look again at `due_at`, or when something else was scheduled for."""
        at = _NEVER if due_at is None else to_epoch(due_at)
        given = _GIVE_BACK(self._connection, of=lease.uid, number=lease.token, at=at, failed=failures)
        return given.rowcount == 1

    def fail(self, lease: Lease, now: datetime, due_at: datetime, fault: str) -> None:
        """End a lease whose turn has failed once more, until `due_at`; keep what it said for those who ask.

        What was scheduled during the turn is not due before either: it would be tried, and fail, with each wake. Only
        what was hurried is.
        """
        _FAIL(
            self._connection,
            of=lease.uid,
            number=lease.token,
            now=to_epoch(now),
            said=fault,
            failed=lease.failures + 1,
            at=to_epoch(due_at),
        )

    def fault(self, uid: Uid) -> Fault | None:
        row = _FAULT(self._connection, of=uid).one_or_none()
        return None if row is None else _fault(row)

    def faults(self, least: int, most: int) -> list[tuple[Uid, Fault]]:
        return [(Uid(row.uid), _fault(row)) for row in _FAULTS(self._connection, least=least, most=most).all()]

    def release_all(self, *, then: datetime | None = None) -> int:
        """Make every item due that a lease was held on, for a home whose former process is gone for certain.

        A lease taken hides the due time, so an item whose holder died is due at once.

        Args:
            then: if given, also let nothing wait beyond this time.
        """
        if then is not None:
            at = to_epoch(then)
            waits = (work.c.due_at > at) & (work.c.due_at < _NEVER)
            self._connection.execute(update(work).where(waits).values(due_at=at))
        return self._connection.execute(
            update(work).where(work.c.lease_until.is_not(None)).values(due_at=0.0, lease_until=None, owner=None)
        ).rowcount

    def move_times(self, seconds: float) -> None:
        """Move every due time and the end of every lease, after somebody has set the clock."""
        self._connection.execute(
            update(work).where(work.c.due_at < _NEVER).values(due_at=func.max(work.c.due_at + seconds, 0.0))
        )
        self._connection.execute(
            update(work).where(work.c.lease_until.is_not(None)).values(lease_until=work.c.lease_until + seconds)
        )

    def expire(self, now: datetime) -> int:
        """Make items due whose lease ran out."""
        return _EXPIRE(self._connection, now=to_epoch(now)).rowcount

    def remove(self, uid: Uid) -> None:
        """Forget a resource that needs no more looking at."""
        _REMOVE(self._connection, of=uid)
        _DROP_TOLD(self._connection, of=uid, last=_ALL)

    def next_due(self) -> datetime | None:
        """Return when the next item is due or the next lease runs out; None when nothing will ever be."""
        firsts = (_FIRST_DUE(self._connection).scalar(), _FIRST_LEASE_OVER(self._connection).scalar())
        times = [at for at in firsts if at is not None and at < _NEVER]
        return from_epoch(min(times)) if times else None


def _fault(row: Any) -> Fault:
    """Return the fault of a row. During a try the next one is due at its end: the lease's, at the latest."""
    due_at = row.due_at if row.lease_until is None else row.lease_until
    since = row.failing_since or 0.0  # an older release counted failures and kept no times
    at = from_epoch(min(max(due_at, since), _NEVER))  # what is due at once has a time long gone
    return Fault(tries=row.failures, since=from_epoch(since), said=row.fault or "", next_try_at=at)
