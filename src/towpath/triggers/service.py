"""What became of deliveries and when triggers are due next, as our own service tells it."""

from towpath.kernel import paging
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.triggers.deliveries import OUTCOME, pending_delivery
from towpath.triggers.kinds import DELIVERY, RULE, SCHEDULE, SOURCE, schedule_name
from towpath.triggers.ports import RememberingTransaction
from towpath.triggers.timing import next_time, plan_of


def operations() -> list[Operation]:
    """Return the operations of triggers in the service `towpath`."""
    return [
        Operation(name="DescribeTriggerTimes", function=describe_trigger_times, writes=False),
        Operation(name="ListTriggerDeliveries", function=list_trigger_deliveries, writes=False),
    ]


def describe_trigger_times(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeTriggerTimes, of those of the triggers that wait for times, in the order asked for."""
    found = (transaction.resources.by_arn(arn) for arn in request.input["TriggerArns"])
    times: list[Document] = []
    for trigger in found:
        plan = None if trigger is None else plan_of(trigger)
        if trigger is None or plan is None:
            continue
        due_at = next_time(plan, trigger, transaction.now)
        told = {"Status": "Ended"} if due_at is None else {"Status": "Waiting", "NextTime": due_at.timestamp()}
        times.append({"TriggerArn": trigger.arn, **told})
    return {"TriggerTimes": times}


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
