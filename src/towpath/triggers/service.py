"""What became of deliveries, as our own service tells it."""

from towpath.kernel import paging
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query
from towpath.kernel.resource import Document, Resource
from towpath.triggers.deliveries import OUTCOME, pending_delivery
from towpath.triggers.kinds import DELIVERY, RULE, SCHEDULE, SOURCE, schedule_name
from towpath.triggers.ports import RememberingTransaction


def operations() -> list[Operation]:
    """Return the operations of triggers in the service `towpath`."""
    return [Operation(name="ListTriggerDeliveries", function=list_trigger_deliveries, writes=False)]


def list_trigger_deliveries(transaction: RememberingTransaction, request: Request) -> Document:
    """Carry out ListTriggerDeliveries, the newest first."""
    trigger = _trigger(transaction, request.input["TriggerName"])
    size, before = paging.size(request.input), paging.position(request.input.get("NextToken"))
    # One more than a page says whether there is another.
    found = transaction.events.newest(trigger.uid, OUTCOME, before=before, limit=size + 1)
    page = found[:size]
    answer: Document = {"Deliveries": [_shown(event) for _, event in page]}
    if request.input.get("NextToken") is None:
        on_their_way = Query(kind=DELIVERY.noun, filters=(Filter(SOURCE, "=", trigger.uid),), limit=paging.LARGEST)
        pending = transaction.resources.query(on_their_way).items
        answer["Pending"] = [pending_delivery(delivery) for delivery in pending]
    return {**answer, "NextToken": str(page[-1][0])} if len(found) > size else answer


def _trigger(transaction: RememberingTransaction, name: str) -> Resource:
    """Return the rule, or else the schedule, of a name; where both are gone, the one that went last.

    A schedule may delete itself when its time has come, and what came of that is told afterwards.

    Raises:
        NotFound: there is neither, nor is one remembered.
    """
    named = ((RULE.noun, name), (SCHEDULE.noun, schedule_name(name)))
    for noun, kept_as in named:
        found = transaction.resources.find(noun, kept_as)
        if found is not None:
            return found
    gone = [transaction.housekeeping.tombstone(noun, kept_as) for noun, kept_as in named]
    last = max((each for each in gone if each is not None), key=lambda each: each.modified_at, default=None)
    if last is None:
        raise RULE.missing(RULE.noun, name)
    return last


def _shown(event: Event) -> Document:
    return {**event.detail, "Time": event.at.timestamp()}
