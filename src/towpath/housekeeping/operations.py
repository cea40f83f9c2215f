"""The operations of house-keeping, of the service `towpath`."""

from collections.abc import Mapping

from towpath.housekeeping.held_up import held_up_operations
from towpath.housekeeping.ports import Transaction
from towpath.housekeeping.service import Collector, Outcome
from towpath.housekeeping.undelete import Undeletion
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operation, Request
from towpath.kernel.resource import Document

MOST_ITEMS = 1000  #: items that an answer tells of; its groups count all


def operations(kinds: Mapping[str, Kind], collector: Collector) -> list[Operation]:
    """Return the operations of house-keeping."""
    undeletion = Undeletion(kinds, collector.retention)

    def collect_garbage(_: Transaction, request: Request) -> Document:
        """Carry out CollectGarbage."""
        dry_run = request.input.get("DryRun", False)
        outcome = collector.dry_run() if dry_run else collector.collect(principal=request.caller.principal)
        return described(outcome, dry_run=dry_run)

    return [
        # It removes files and writes in transactions of its own, so the one that it is given only reads.
        Operation(name="CollectGarbage", function=collect_garbage, writes=False),
        Operation(name="Undelete", function=undeletion.undelete),
        Operation(name="ListDeletedResources", function=undeletion.list_deleted, writes=False),
        *held_up_operations(),
    ]


def described(outcome: Outcome, *, dry_run: bool) -> Document:
    """Return what a collection did, or would do, as the API tells it."""
    return {
        "DryRun": dry_run,
        "Count": sum(group.count for group in outcome.groups),
        "Size": sum(group.size for group in outcome.groups),
        "Groups": [{"What": group.what.value, "Count": group.count, "Size": group.size} for group in outcome.groups],
        "Items": [
            {
                "What": item.what.value,
                "Name": item.name,
                "Size": item.size,
                "UnneededSince": item.since.timestamp(),
                "Reason": item.reason,
            }
            for item in outcome.items[:MOST_ITEMS]
        ],
    }
