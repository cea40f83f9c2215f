"""A kind of resource without behaviour of its own, for tests of what the front door does for all kinds."""

from towpath.kernel import generic
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, resource_not_found
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document

EXPERIMENT = Kind(
    noun="Experiment",
    arn_type="experiment",
    name_member="ExperimentName",
    arn_member="ExperimentArn",
    describe="DescribeExperiment",
    listing="ListExperiments",
    list_member="ExperimentSummaries",
    delete="DeleteExperiment",
    missing=resource_not_found,
    sort_by=COMMON_SORT,
    filters=COMMON_FILTERS,
)


def create_experiment(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateExperiment."""
    return {"ExperimentArn": generic.create(transaction, EXPERIMENT, request).arn, "Secret": "never shown"}


def explode(_: Transaction, request: Request) -> Document:
    """Fail as only a bug does."""
    raise ZeroDivisionError(f"a detail that no client may see, in {request.operation}")
