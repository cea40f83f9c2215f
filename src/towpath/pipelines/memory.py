"""How the steps of executions stand, kept in memory from one turn to the next."""

import threading
from collections import OrderedDict
from uuid import uuid4

from towpath.kernel.resource import Resource, Uid
from towpath.pipelines.kinds import TURN
from towpath.pipelines.standing import Standings

#: Steps that have begun, of all executions whose standings are kept in memory; of others they are worked out anew from
#: the rows. The execution that was looked at last is always kept.
_REMEMBERED = 50_000


class Memory:
    """The standings of executions as they were written last, each under the turn that wrote them.

    The turn is a member of the execution's state and is written with the rows. Each decision has a turn that no other
    one ever has, so what is remembered under the turn that stands in the store is what stands in the store.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Uid, tuple[str, Standings]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, execution: Uid, standings: Standings) -> str:
        """Remember standings and return the turn under which they are found again."""
        turn = uuid4().hex
        with self._lock:
            self._kept[execution] = turn, standings
            self._kept.move_to_end(execution)
            self._forget_oldest()
        return turn

    def _forget_oldest(self) -> None:
        kept = sum(len(standings.rows) + 1 for _, standings in self._kept.values())
        while kept > _REMEMBERED and len(self._kept) > 1:
            _, (_, oldest) = self._kept.popitem(last=False)
            kept -= len(oldest.rows) + 1

    def find(self, resource: Resource) -> Standings | None:
        """Return the standings of an execution whose rows are as its last turn left them."""
        with self._lock:
            turn, standings = self._kept.get(resource.uid, (None, None))
        return standings if turn is not None and turn == resource.state.get(TURN) else None

    def take(self, resource: Resource) -> Standings | None:
        """Return the same, and leave it to the caller: it is remembered again when it is kept."""
        found = self.find(resource)
        if found is not None:
            self.forget(resource.uid)
        return found

    def put_back(self, resource: Resource, standings: Standings) -> None:
        """Remember what was taken, with which nothing was done."""
        turn = resource.state.get(TURN)
        if turn is not None:
            with self._lock:
                self._kept[resource.uid] = turn, standings

    def forget(self, execution: Uid) -> None:
        """Remember an execution no longer."""
        with self._lock:
            self._kept.pop(execution, None)
