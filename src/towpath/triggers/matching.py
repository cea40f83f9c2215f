"""Matching: each event, in its own transaction, against the rules that wait for events."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from towpath.kernel.errors import Invalid
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Measured, Transaction
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.triggers.deliveries import OUTCOME, deliver
from towpath.triggers.envelopes import of_event, of_object
from towpath.triggers.kinds import EVENT_PATTERN, RULE
from towpath.triggers.model import RuleSpec
from towpath.triggers.patterns import Match, compiled

logger = logging.getLogger(__name__)

CUSTOM_EVENT = "CustomEvent"  #: type of an event that PutEvents brought; its detail is the event in EventBridge's form


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRule:
    """An enabled rule with a pattern."""

    resource: Resource
    spec: RuleSpec
    matches: Match


class Rules:
    """Implements `store.sqlite.Subscriber`: puts events on their way to the targets of the rules that wait for them.

    The rules are kept in memory and read anew after each commit that changed one (`forget`).
    """

    def __init__(self) -> None:
        self._kept: tuple[WaitingRule, ...] | None = None

    def forget(self) -> None:
        """Read the rules anew before the next event."""
        self._kept = None

    def happened(self, transaction: Transaction, event: Event) -> None:
        """Deliver an event of the platform, or one that somebody put. What became of deliveries starts none."""
        rules = self._waiting(transaction)
        if not rules or event.type == OUTCOME:
            return
        _deliver(transaction, rules, event.detail if event.type == CUSTOM_EVENT else of_event(transaction.home, event))

    def created(self, transaction: Transaction, versions: Sequence[ObjectVersion]) -> None:
        """Deliver that there are new versions of objects."""
        rules = self._waiting(transaction)
        if not rules:
            return
        for version in versions:
            if not version.is_delete_marker:
                _deliver(transaction, rules, of_object(transaction.home, version))

    def measured(self, transaction: Transaction, subject: Uid, values: Sequence[Measured]) -> None:
        """Do nothing: values of metrics are no events; alarms tell of them."""

    def _waiting(self, transaction: Transaction) -> tuple[WaitingRule, ...]:
        # What this transaction or one that is committed with it changed counts already. It may still be undone, too,
        # and must not be kept for others.
        if transaction.resources.has_changed(RULE.noun):
            return _read(transaction)
        if self._kept is None:
            self._kept = _read(transaction)
        return self._kept


def _read(transaction: Transaction) -> tuple[WaitingRule, ...]:
    found = []
    for rule in transaction.resources.by_member(RULE.noun, EVENT_PATTERN):
        spec = view(RuleSpec, rule.spec)
        if spec.event_pattern is not None and spec.is_enabled:
            try:
                matches = compiled(spec.event_pattern)
            except Invalid as error:
                # Another release took it. Events, and whatever makes one, must not fail for the sake of one rule.
                logger.warning("the rule %s waits for nothing: %s", rule.name, error.message)
                continue
            found.append(WaitingRule(resource=rule, spec=spec, matches=matches))
    return tuple(found)


def _deliver(transaction: Transaction, rules: Iterable[WaitingRule], event: Document) -> None:
    for rule in rules:
        if rule.matches(event):
            for target in rule.spec.targets.values():
                deliver(transaction, rule.resource, target, event)
