"""What became of deliveries, as our own service tells it."""

from towpath.kernel import paging
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.triggers.deliveries import OUTCOME, pending_delivery
from towpath.triggers.kinds import DELIVERY, RULE, SCHEDULE, SOURCE, schedule_name


def operations() -> list[Operation]:
    """Return the operations of triggers in the service `towpath`."""
    return [Operation(name="ListTriggerDeliveries", function=list_trigger_deliveries, writes=False)]


def list_trigger_deliveries(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTriggerDeliveries, the newest first."""
    trigger = _trigger(transaction, request.input["TriggerName"])
    events = [event for event in transaction.events.of(trigger.uid) if event.type == OUTCOME]
    page, token = paging.newest_first(events, request.input.get("NextToken"), paging.size(request.input))
    answer: Document = {"Deliveries": [_shown(event) for event in page]}
    if request.input.get("NextToken") is None:
        on_their_way = Query(kind=DELIVERY.noun, filters=(Filter(SOURCE, "=", trigger.uid),), limit=paging.LARGEST)
        pending = transaction.resources.query(on_their_way).items
        answer["Pending"] = [pending_delivery(delivery) for delivery in pending]
    return answer if token is None else {**answer, "NextToken": token}


def _trigger(transaction: Transaction, name: str) -> Resource:
    """Return the rule, or else the schedule, of a name.

    Raises:
        NotFound: there is neither.
    """
    rule = transaction.resources.find(RULE.noun, name)
    schedule = transaction.resources.find(SCHEDULE.noun, schedule_name(name))
    found = rule or schedule
    if found is None:
        raise RULE.missing(RULE.noun, name)
    return found


def _shown(event: Event) -> Document:
    return {**event.detail, "Time": event.at.timestamp()}
