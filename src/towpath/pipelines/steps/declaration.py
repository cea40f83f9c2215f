"""What the platform has to know of a step type, as data."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from towpath.kernel.resource import Document, Resource
from towpath.pipelines.model import StepStatus
from towpath.pipelines.performing import Perform

#: What the status words of AWS's jobs mean for the step that started the job.
JOB_ENDS: Mapping[str, StepStatus] = {
    "Completed": StepStatus.SUCCEEDED,
    "Failed": StepStatus.FAILED,
    "Stopped": StepStatus.STOPPED,
}

LONGEST_NAME = 63
_DIGEST_CHARACTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """Which arguments of a step decide what comes of it, as dotted paths; items of lists are not counted."""

    left_out: frozenset[str] = frozenset()  #: names, permissions and limits, with all that is below them
    read: frozenset[str] = frozenset()  #: S3 URIs of what it reads: what lies there counts instead
    placed: frozenset[str] = frozenset()  #: S3 URIs below which it puts what it makes
    settled_late: bool = False  #: what it was made of is certain when it has ended, and looked up again then


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """One type of step."""

    name: str  #: as it stands in Type
    executed: bool = False  #: whether executions have such steps
    instead: str | None = None  #: what to use in place of a type that is never executed here
    create: str | None = None  #: the operation whose request the Arguments are
    describe: str | None = None  #: the operation whose answer the step yields
    noun: str | None = None  #: kind of resource that a step creates
    name_member: str | None = None  #: of the Create request; the platform fills it in
    keeps_name: bool = False  #: a name in the Arguments is taken as it is, not as the beginning of one
    arn_member: str | None = None  #: of the Create answer
    update: str | None = None  #: the operation that is called where a resource of that name is there already
    confirmed: frozenset[str] = frozenset()  #: members that the resource, when it succeeded, shows as it was asked to
    request: Callable[[Document, Document], Document] | None = (
        None  #: from Arguments and the members beside them to what is asked of `create`; None: the Arguments are that
    )
    told: Callable[[Resource], Document] | None = (
        None  #: what its Metadata tell of what it started; None: the ARN of that
    )
    perform: Perform | None = None  #: what the platform carries out itself, for types without `create`
    checks: bool = False  #: its job judges something against a baseline, see `quality_checks`
    stop: str | None = None  #: the operation that stops it, None when it ends by itself at once
    ends: Mapping[str, StepStatus] = field(
        default_factory=dict
    )  #: terminal status of the resource -> status of the step
    names: Mapping[str, str] = field(
        default_factory=dict
    )  #: dotted path of a list it yields -> member naming its items
    metadata: str | None = None  #: member of Metadata in ListPipelineExecutionSteps
    yields: frozenset[str] | None = None  #: members it yields; None: those of the Describe answer, where that is known
    extra_yields: frozenset[str] = frozenset()  #: members it yields beside the Describe answer
    required_arguments: frozenset[str] = (
        frozenset()
    )  #: members of Arguments that must be there, for types without `create`
    longest_name: int = LONGEST_NAME  #: that the API lets the resource have
    required_members: frozenset[str] = frozenset()  #: members beside Arguments that must be there
    cache: CacheRules | None = None  #: None: such a step is never taken over from an earlier execution

    def resource_name(self, execution_id: str, step: str, attempt: int, prefix: str | None = None) -> str:
        """Return the name of what a step creates: the same for the same attempt, another for each other attempt.

        Args:
            prefix: name that the user gave in the Arguments, to be recognised in ours.
        """
        digest = hashlib.sha256(f"{execution_id}/{step}/{attempt}".encode()).hexdigest()[:_DIGEST_CHARACTERS]
        start = ""
        if prefix is None:
            start = f"pipelines-{execution_id}-" if self.longest_name >= LONGEST_NAME else f"{execution_id}-"
        ending = f"-{digest}" if prefix is None else f"-{execution_id}-{digest}"
        # Step names may hold underscores, which names of jobs and models may not.
        middle = re.sub(r"[^A-Za-z0-9]+", "-", prefix or step)[: self.longest_name - len(start) - len(ending)].strip(
            "-"
        )
        return f"{start}{middle}{ending}" if middle else f"{start}{ending[1:]}"
