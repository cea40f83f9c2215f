"""One turn of the engine on one resource: observe, decide, commit, act, until there is nothing left to act on."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from towpath.engine.full_disk import RETRY_S as FULL_DISK_RETRY_S
from towpath.engine.full_disk import FullDiskNotice
from towpath.kernel.clock import Clock
from towpath.kernel.decisions import Controller, Decision, PromptController
from towpath.kernel.errors import DiskFull, StaleRevision
from towpath.kernel.faults import said_by
from towpath.kernel.generic import with_sort
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Resource, Uid
from towpath.store import SqlTransaction
from towpath.store.codec import from_json, to_json
from towpath.store.work import Lease

R = TypeVar("R")
logger = logging.getLogger(__name__)

ROUNDS = 20  #: rounds of one turn at most; a controller that always finds something to do must not hold a thread
REMEMBERED = 64  #: resources that are not read anew at their next turn when nobody has changed them
AT_ONCE = 8  #: decisions that one transaction takes on what it made due, at most
RETRY_S = (0.1, 1.0, 5.0, 30.0, 120.0)  #: delay before the next try after 1, 2, 3, … exceptions in a row


class WritableStore(Protocol):
    """What the engine needs of the store."""

    def read(self, work: Callable[[SqlTransaction], R]) -> R: ...

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        """Return when what was written is durable."""

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        """Return before that; only a power cut can take it."""


class Turn(NamedTuple):
    """A lease and the resource as it stood when the lease was taken; None when there is none of that uid."""

    lease: Lease
    resource: Resource | None
    decided: Decision | None = None  #: was committed with the lease, and has effects that are still to be carried out


class Ended(NamedTuple):
    """What a turn leaves to do."""

    following: Turn | None = None  #: the turn to take next, when there was one to go on with
    last: Callable[[], None] | None = None  #: carries out the effects of a last decision; raises as `take` does


class _Noted:
    """What a transaction did that matters once it is committed, or undone."""

    def __init__(self) -> None:
        self.due: list[datetime | None] = []  #: when resources whose turns have ended want to be looked at again
        self.settled: list[Resource] = []  #: these resources as they were written
        self.looked_at: list[Resource] = []  #: resources whose controllers were asked how they stand


class Seen:
    """The resources that turns have ended on last, as they were committed: unchanged ones are not read again.

    Whoever asks compares the revision with the one in the store, so nothing has to be forgotten when it changes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Uid, Resource] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, resource: Resource) -> None:
        """Remember a resource as it stands in the store."""
        with self._lock:
            self._kept[resource.uid] = resource
            self._kept.move_to_end(resource.uid)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def find(self, uid: Uid) -> Resource | None:
        """Return a resource as it was remembered last, None when it was not."""
        with self._lock:
            return self._kept.get(uid)


class Turns:
    """Takes turns on resources by their kind's controller."""

    def __init__(
        self,
        store: WritableStore,
        clock: Clock,
        controllers: Mapping[str, Controller[Any]],
        kinds: Mapping[str, Kind],
        *,
        seen: "Seen",
        full_disk: FullDiskNotice,
        follow_up: Callable[[SqlTransaction], Turn | None],
        timed: Callable[[datetime | None], None],
    ) -> None:
        """
        Args:
            seen: is given the resources whose turns have ended, as they were committed.
            full_disk: is told when a turn finds no room.
            follow_up: takes, in the transaction that ends a turn, the lease on something that the turn made due.
            timed: is told when something is due once more, None for no time, after the commit that wrote it.
        """
        self._store = store
        self._clock = clock
        self._controllers = controllers
        self._prompt = {
            kind: controller for kind, controller in controllers.items() if isinstance(controller, PromptController)
        }
        self._kinds = kinds
        self._seen = seen
        self._full_disk = full_disk
        self._follow_up = follow_up
        self._timed = timed

    def take(self, turn: Turn) -> Ended:
        """Make the state of the leased resource follow its spec as far as that goes now, and give the lease back.

        Raises:
            Exception: what the store raises when the lease could not be given back.
        """
        return self._guarded(turn.lease, lambda: self._follow(turn)) or Ended()

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
        except Exception as error:
            failures = lease.failures + 1
            delay = RETRY_S[min(failures, len(RETRY_S)) - 1]
            logger.exception("reconciling %s failed %d times in a row; next try in %g s", lease.uid, failures, delay)
            self._fail(lease, self._clock.now() + timedelta(seconds=delay), said_by(error))
        return None

    def _follow(self, turn: Turn) -> Ended:
        lease, resource, decided = turn
        if resource is not None and decided is not None:
            self._controllers[resource.kind].act(resource, decided)
        for _ in range(ROUNDS):
            controller = None if resource is None else self._controllers.get(resource.kind)
            if resource is None or controller is None or not resource.is_live:
                self._store.note(lambda transaction: transaction.work.remove(lease.uid))
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
        """Write a decision, all of it or nothing; give the lease back with it when nothing is left to decide.

        What it makes due is decided about in the same transaction, as far as that alone tells how things stand.
        """
        goes_on = bool(decision.effects) and not decision.last
        noted = _Noted()

        def commit(transaction: SqlTransaction) -> tuple[Resource, Turn | None]:
            # Before anything is written: a lease that somebody else took must not lead to a decision.
            if goes_on:
                transaction.work.confirm(lease)
            else:
                transaction.work.end(lease, decision.due_at)
            written = self._decided(transaction, controller, resource, decision)
            if goes_on:
                return written, None
            self._settle(transaction, lease, written, decision.due_at, noted)
            for _ in range(AT_ONCE):
                leased = self._follow_up(transaction)
                if leased is None or decision.can_be_lost:
                    return written, leased
                left = self._at_once(transaction, leased, noted)
                if left is not None:
                    return written, left
            return written, None

        try:
            ended = self._store.note(commit) if decision.can_be_lost else self._store.write(commit)
        except Exception:
            for seen in noted.looked_at:
                self._prompt[seen.kind].unobserved(seen)
            raise
        for due_at in noted.due:
            self._timed(due_at)
        for seen in noted.settled:
            self._seen.keep(seen)
        return ended

    @staticmethod
    def _settle(
        transaction: SqlTransaction, lease: Lease, written: Resource, due_at: datetime | None, noted: _Noted
    ) -> None:
        transaction.work.told(lease)
        noted.due.append(due_at)
        noted.settled.append(written)

    def _at_once(self, transaction: SqlTransaction, turn: Turn, noted: _Noted) -> Turn | None:
        """Take a turn within the transaction that gave its lease; return what is left of it, None for nothing."""
        resource = turn.resource
        if resource is None or resource.kind not in self._prompt or not resource.is_live:
            return turn
        controller = self._controllers[resource.kind]
        noted.looked_at.append(resource)
        try:
            with transaction.nested():
                observation = self._prompt[resource.kind].observe_within(transaction, resource)
                if observation is None:
                    return turn
                decision = controller.decide(resource, observation, transaction.now)
                if decision.effects and decision.last:
                    return turn  # rare, and its effects are for later: decided anew in a turn of its own
                written = self._decided(transaction, controller, resource, decision)
                if decision.effects:
                    return Turn(turn.lease, written, decision)
        except Exception:
            if transaction.is_undone():
                raise
            # What made it due stands nevertheless. A turn of its own meets the fault again and tells of it.
            logger.debug("what %s %r needs could not be decided at once", resource.kind, resource.name, exc_info=True)
            return turn
        transaction.work.end(turn.lease, decision.due_at)
        self._settle(transaction, turn.lease, written, decision.due_at, noted)
        return None

    def _decided(
        self, transaction: SqlTransaction, controller: Controller[Any], resource: Resource, decision: Decision
    ) -> Resource:
        """Write a decision; return the resource as it stands then."""
        written = self._written(transaction, resource, decision)
        if written is resource and (decision.events or decision.facts):
            _check_unchanged(transaction, resource)
        if decision.facts:
            controller.apply(transaction, written, decision)
            revision = transaction.resources.replaced.get(resource.uid, written.revision)
            if revision != written.revision:  # `apply` has changed it once more
                written = transaction.resources.get(resource.uid) or written
        # Behind what the facts tell of themselves: the end of an execution comes after those of its steps.
        for event in decision.events:
            transaction.events.append(event)
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

    def _fail(self, lease: Lease, due_at: datetime, fault: str) -> None:
        self._store.note(lambda transaction: transaction.work.fail(lease, transaction.now, due_at, fault))
        self._timed(due_at)

    def _give_back(self, lease: Lease, due_at: datetime, *, failures: int) -> None:
        self._store.note(lambda transaction: transaction.work.give_back(lease, due_at, failures))
        self._timed(due_at)


def _check_unchanged(transaction: SqlTransaction, resource: Resource) -> None:
    """Raise StaleRevision when the resource is not what was decided about; a write of it would find that out itself."""
    current = transaction.resources.get(resource.uid)
    if current is None or current.revision != resource.revision:
        raise StaleRevision(f"{resource.kind} {resource.name!r} was changed while it was decided about")
