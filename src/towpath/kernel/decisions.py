"""What a controller decides, as data, and the protocol that the engine drives controllers by."""

from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from towpath.kernel.events import Event
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource

O = TypeVar("O")  # noqa: E741 - the observation


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The next change of one resource. The engine commits state, status, events and `due_at` in one transaction with
    whatever `Controller.apply` adds, then calls `Controller.act`, then looks again if there was something to act on and
    the decision was not the last one."""

    state: Document | None = None  #: the new state; None leaves it
    status: str | None = None  #: the new status; None leaves it
    events: tuple[Event, ...] = ()
    facts: tuple[Any, ...] = ()  #: consequences inside the platform, written by `apply` in the same transaction
    effects: tuple[
        Any, ...
    ] = ()  #: consequences outside, carried out by `act` after the commit; each is safe to repeat
    last: bool = False  #: nothing is left to decide when the effects are done; whoever lost one is woken for it
    due_at: datetime | None = None  #: look again then at the latest; None: only when something wakes us
    observed: bool = False  #: state says only what the world tells again at the next look; nothing else is decided
    delete: bool = False  #: the resource has been taken down and becomes a tombstone

    @property
    def can_be_lost(self) -> bool:
        """Whether a power cut may take its commit, since the next look leads to the same again."""
        decides = any((self.status is not None, self.events, self.facts, self.effects, self.delete))
        return not decides and (self.state is None or self.observed)


class Controller(Protocol, Generic[O]):
    """Makes the state of one kind follow its spec. Level-triggered: called again after a crash, it decides alike."""

    kind: str

    def observe(self, resource: Resource) -> O:
        """Look at the world. May read through ports; changes nothing but what it may remember of such looks."""

    def decide(self, resource: Resource, observation: O, now: datetime) -> Decision:
        """Return what to do next. Pure."""

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Write the decision's facts. `resource` is as it stands after state and status were written."""

    def act(self, resource: Resource, decision: Decision) -> None:
        """Carry out the decision's effects; each is repeated after a crash."""


@runtime_checkable
class PromptController(Protocol):
    """What a controller may offer beside: to decide in the very transaction that made its resource due.

    It saves the commit between the two decisions. A controller without it is asked in a turn of its own.
    """

    def observe_within(self, transaction: Transaction, resource: Resource) -> Any | None:
        """Return what `observe` would return, where the transaction alone can tell it without waiting for anything.

        None where one has to look elsewhere; `observe` is called then, after the commit.
        """

    def unobserved(self, resource: Resource) -> None:
        """Take back what `observe_within` may have remembered: its transaction was undone."""
