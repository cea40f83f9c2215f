"""The table of kinds: what distinguishes one kind of resource from another, as data.

A kind's *view* says how the Describe and List documents come from spec and state. Where names agree, and they mostly
do, the view is the projection on the operation's output shape; what differs is declared here.

Documents hold timestamps as epoch seconds (numbers), which is how the JSON protocols of AWS carry them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from towpath.kernel.errors import NotFound
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource


def not_found(noun: str, name: str) -> NotFound:
    """Return the error that most SageMaker kinds answer with (the SDKs match on its code and text)."""
    return NotFound(f"Could not find {noun} '{name}'.", code="ValidationException")


def resource_not_found(noun: str, name: str) -> NotFound:
    """Return the error of the kinds that answer ResourceNotFound (pipelines, executions, experiments, …)."""
    return NotFound(f"{noun} '{name}' does not exist.", code="ResourceNotFound")


def already_exists(noun: str, name: str, arn: str) -> str:
    """Return the message for a name that is taken; the SDKs look for "already exist" in it."""
    return f"{noun} names must be unique within an account and region. A {noun} already exists: {name} ({arn})"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How Describe and List documents come from a resource."""

    renames: Mapping[str, str] = field(default_factory=dict)  #: member of spec or state -> member of the answer
    computed: Callable[[Resource], Document] | None = None  #: members that are worked out, they win over stored ones
    hidden: frozenset[str] = frozenset()  #: members never shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of resource."""

    noun: str  #: the API's noun: "TrainingJob"
    arn_type: str  #: in ARNs: "training-job"
    name_member: str  #: "TrainingJobName"
    arn_member: str  #: "TrainingJobArn"
    status_member: str | None = None  #: "TrainingJobStatus"
    describe: str | None = None  #: "DescribeTrainingJob"
    listing: str | None = None  #: "ListTrainingJobs"
    list_member: str | None = None  #: "TrainingJobSummaries"
    delete: str | None = None  #: "DeleteTrainingJob"
    missing: Callable[[str, str], NotFound] = not_found
    view: View = View()
    sort_by: Mapping[str, str] = field(default_factory=dict)  #: value of SortBy -> member it sorts by
    default_sort: str = "created_at"
    ascending: bool = False  #: how its List operation sorts when nothing is said
    page: int = 100  #: how many its List operation answers when nothing is said
    filters: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: request member -> (member, operator)
    indexed: Callable[[Resource], dict[str, str | float | None]] | None = None  #: kept in `Resource.sort`
    refuse_delete: Callable[[Transaction, Resource], None] | None = None  #: raises InUse or Conflict
    refuse_undelete: Callable[[Transaction, Resource], None] | None = None  #: raises Conflict: it could not live again
    comes_back: bool = True  #: False: no undelete ever finds one fit to live again, so that none is offered
    undeleted_status: str | None = None  #: status in which a controller begins anew with one that was undeleted
    controlled: bool = (
        False  #: has a controller: creating it makes work, deleting it asks the controller to take it down
    )
    deleting_status: str | None = None  #: status while a controller takes it down, for example "Deleting"


#: What Name/Creation/LastModified filters of List operations have in common.
COMMON_FILTERS: Mapping[str, tuple[str, str]] = {
    "NameContains": ("name", "contains"),
    "CreationTimeAfter": ("created_at", ">="),
    "CreationTimeBefore": ("created_at", "<="),
    "LastModifiedTimeAfter": ("modified_at", ">="),
    "LastModifiedTimeBefore": ("modified_at", "<="),
    "StatusEquals": ("status", "="),
}
#: What the kinds of lineage, experiments and pipelines call the same filters.
CREATED_FILTERS: Mapping[str, tuple[str, str]] = {
    "CreatedAfter": ("created_at", ">="),
    "CreatedBefore": ("created_at", "<="),
}
COMMON_SORT: Mapping[str, str] = {
    "Name": "name",
    "CreationTime": "created_at",
    "LastModifiedTime": "modified_at",
    "Status": "status",
}
