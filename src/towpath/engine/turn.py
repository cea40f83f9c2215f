"""One turn of the engine on one resource: observe, decide, commit, act, until there is nothing left to act on."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from towpath.engine.full_disk import RETRY_S as FULL_DISK_RETRY_S
from towpath.engine.full_disk import FullDiskNotice
from towpath.kernel.clock import Clock
from towpath.kernel.decisions import Controller, Decision
from towpath.kernel.errors import DiskFull, StaleRevision
from towpath.kernel.generic import with_sort
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Resource
from towpath.store import SqlTransaction
from towpath.store.codec import from_json, to_json
from towpath.store.work import Lease

R = TypeVar("R")
logger = logging.getLogger(__name__)

ROUNDS = 20  #: rounds of one turn at most; a controller that always finds something to do must not hold a thread
RETRY_S = (0.1, 1.0, 5.0, 30.0, 120.0)  #: delay before the next try after 1, 2, 3, … exceptions in a row


class WritableStore(Protocol):
    """What the engine needs of the store."""

    def read(self, work: Callable[[SqlTransaction], R]) -> R: ...

    def write(self, work: Callable[[SqlTransaction], R]) -> R: ...


class Turn(NamedTuple):
    """A lease and the resource as it stood when the lease was taken; None when there is none of that uid."""

    lease: Lease
    resource: Resource | None


class Ended(NamedTuple):
    """What a turn leaves to do."""

    following: Turn | None = None  #: the turn to take next, when there was one to go on with
    last: Callable[[], None] | None = None  #: carries out the effects of a last decision; raises as `take` does


class Turns:
    """Takes turns on resources by their kind's controller."""

    def __init__(
        self,
        store: WritableStore,
        clock: Clock,
        controllers: Mapping[str, Controller[Any]],
        kinds: Mapping[str, Kind],
        *,
        full_disk: FullDiskNotice,
        follow_up: Callable[[SqlTransaction], Turn | None],
        timed: Callable[[datetime | None], None],
    ) -> None:
        """
        Args:
            full_disk: is told when a turn finds no room.
            follow_up: takes, in the transaction that ends a turn, the lease on something that the turn made due.
            timed: is told when something is due once more, None for no time, after the commit that wrote it.
        """
        self._store = store
        self._clock = clock
        self._controllers = controllers
        self._kinds = kinds
        self._full_disk = full_disk
        self._follow_up = follow_up
        self._timed = timed

    def take(self, turn: Turn) -> Ended:
        """Make the state of the leased resource follow its spec as far as that goes now, and give the lease back.

        Raises:
            Exception: what the store raises when the lease could not be given back.
        """
        return self._guarded(turn.lease, lambda: self._follow(turn.lease, turn.resource)) or Ended()

    def _guarded(self, lease: Lease, action: Callable[[], R]) -> R | None:
        """Do a part of a turn; None when it failed, and the resource is to be looked at again."""
        try:
            return action()
        except StaleRevision:
            # Somebody changed the resource, or took the lease, while we decided: the decision is void, look again.
            self._give_back(lease, self._clock.now(), failures=0)
        except DiskFull as error:
            # No fault of what the turn was about, which therefore does not wait longer and longer.
            self._full_disk.tell(error, self._clock.now())
            due_at = self._clock.now() + timedelta(seconds=FULL_DISK_RETRY_S)
            self._give_back(lease, due_at, failures=lease.failures)
        except Exception:
            failures = lease.failures + 1
            delay = RETRY_S[min(failures, len(RETRY_S)) - 1]
            logger.exception("reconciling %s failed %d times in a row; next try in %g s", lease.uid, failures, delay)
            self._give_back(lease, self._clock.now() + timedelta(seconds=delay), failures=failures)
        return None

    def _follow(self, lease: Lease, resource: Resource | None) -> Ended:
        for _ in range(ROUNDS):
            controller = None if resource is None else self._controllers.get(resource.kind)
            if resource is None or controller is None or not resource.is_live:
                self._store.write(lambda transaction: transaction.work.remove(lease.uid))
                return Ended()
            observation = controller.observe(resource)
            decision = controller.decide(resource, observation, self._clock.now())
            # What is written is what the next round decides about; a change by anybody else makes its commit fail.
            resource, following = self._commit(lease, controller, resource, decision)
            if not decision.effects:
                return Ended(following)
            act = partial(controller.act, resource, decision)
            if decision.last:
                # The lease has been given back: what fails then makes the resource due once more.
                return Ended(following, partial(self._guarded, lease, act))
            act()
        self._give_back(lease, self._clock.now(), failures=0)
        return Ended()

    def _commit(
        self, lease: Lease, controller: Controller[Any], resource: Resource, decision: Decision
    ) -> tuple[Resource, Turn | None]:
        """Write a decision, all of it or nothing; give the lease back with it when nothing is left to decide."""
        goes_on = bool(decision.effects) and not decision.last

        def commit(transaction: SqlTransaction) -> tuple[Resource, Turn | None]:
            transaction.work.confirm(lease)
            written = self._written(transaction, resource, decision)
            if written is resource and (decision.events or decision.facts):
                _check_unchanged(transaction, resource)
            for event in decision.events:
                transaction.events.append(event)
            if decision.facts:
                controller.apply(transaction, written, decision)
                if resource.uid in transaction.resources.replaced:  # by `apply`, it may be
                    written = transaction.resources.get(resource.uid) or written
            if goes_on:
                return written, None
            transaction.work.give_back(lease, decision.due_at)
            return written, self._follow_up(transaction)

        written = self._store.write(commit)
        if not goes_on:
            self._timed(decision.due_at)
        return written

    def _written(self, transaction: SqlTransaction, current: Resource, decision: Decision) -> Resource:
        changes: dict[str, Any] = {}
        if decision.state is not None:
            # As it will be read back: a state that only differs by Python's types (tuples, say) is no change.
            state = from_json(to_json(decision.state))
            if state != current.state:
                changes["state"] = state
        if decision.status is not None and decision.status != current.status:
            changes["status"] = decision.status
        if current.observed_generation != current.generation:
            changes["observed_generation"] = current.generation
        if decision.delete:
            changes["deleted_at"] = transaction.now
        if not changes:
            return current
        kind = self._kinds.get(current.kind)
        if kind is not None and kind.indexed is not None:
            changes["sort"] = with_sort(kind, replace(current, **changes)).sort
        return transaction.resources.replace(current, **changes)

    def _give_back(self, lease: Lease, due_at: datetime, *, failures: int) -> None:
        self._store.write(lambda transaction: transaction.work.give_back(lease, due_at, failures))
        self._timed(due_at)


def _check_unchanged(transaction: SqlTransaction, resource: Resource) -> None:
    """Raise StaleRevision when the resource is not what was decided about; a write of it would find that out itself."""
    current = transaction.resources.get(resource.uid)
    if current is None or current.revision != resource.revision:
        raise StaleRevision(f"{resource.kind} {resource.name!r} was changed while it was decided about")
