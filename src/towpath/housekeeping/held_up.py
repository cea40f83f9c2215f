"""What is held up: resources about which nothing can be decided, since each look at them ends in an exception."""

from towpath.kernel.faults import SEEN_AFTER, sentence
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document

_MOST = 100  #: that are named


def held_up_operations() -> list[Operation]:
    """Return the operation of the service `towpath`."""
    return [Operation(name="DescribeHeldUpWork", function=describe_held_up_work, writes=False)]


def describe_held_up_work(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeHeldUpWork: what is held up, the longest first."""
    found = []
    for uid, fault in transaction.work.faults(SEEN_AFTER, _MOST):
        resource = transaction.resources.get(uid)
        if resource is None or not resource.is_live:
            continue  # it went meanwhile, and its next turn forgets it
        found.append(
            {
                "ResourceKind": resource.kind,
                "ResourceName": resource.name,
                "ResourceArn": resource.arn,
                "Tries": fault.tries,
                "Since": fault.since.timestamp(),
                "NextTryAt": fault.next_try_at.timestamp(),
                "Reason": sentence(fault),
            }
        )
    return {"HeldUp": found}
