"""What became of deliveries, as our own service tells it."""

from towpath.kernel.errors import Invalid
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource
from towpath.triggers.deliveries import OUTCOME
from towpath.triggers.kinds import RULE, SCHEDULE, schedule_name

_PAGE = 100


def operations() -> list[Operation]:
    """Return the operations of triggers in the service `towpath`."""
    return [Operation(name="ListTriggerDeliveries", function=list_trigger_deliveries, writes=False)]


def list_trigger_deliveries(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTriggerDeliveries, the newest first."""
    trigger = _trigger(transaction, request.input["TriggerName"])
    # Events are only ever appended, so that a position counted from the oldest one stays true.
    events = [event for event in transaction.events.of(trigger.uid) if event.type == OUTCOME]
    token, limit = request.input.get("NextToken"), min(int(request.input.get("MaxResults") or _PAGE), _PAGE)
    end = len(events) if token is None else int(token[:10]) if token.isascii() and token.isdigit() else -1
    if not 0 <= end <= len(events):
        raise Invalid(f"NextToken {token!r} is not one that this server gave out")
    start = max(end - limit, 0)
    answer: Document = {"Deliveries": [_shown(event) for event in reversed(events[start:end])]}
    return answer if start == 0 else {**answer, "NextToken": str(start)}


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
