"""The operations on tuning jobs: create, stop, and list their training jobs; the others are those of all kinds."""

from collections.abc import Callable

from towpath.experiments.record import begin_tuning
from towpath.jobs import JobStatus
from towpath.jobs.service import stopping, typed
from towpath.jobs.tuned import tuned_of
from towpath.kernel import generic
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.tuning.children import best_first, counters, summary_of
from towpath.tuning.controller import children_of
from towpath.tuning.kinds import CHILDREN, EARLIER, HYPER_PARAMETER_TUNING_JOB, KINDS
from towpath.tuning.launching import child_request
from towpath.tuning.model import TuningJobRequest
from towpath.tuning.plan import plan_of
from towpath.tuning.warm_start import check, names_of


class Tuning:
    """What creates and lists tuning jobs."""

    def __init__(self, check_training_job: Callable[[Document], None]) -> None:
        """
        Args:
            check_training_job: raises Invalid or Unsupported for a CreateTrainingJob request that cannot become a job.
        """
        self._check_training_job = check_training_job

    def create(self, transaction: Transaction, request: Request) -> Document:
        """Carry out CreateHyperParameterTuningJob."""
        typed(TuningJobRequest, request.input)
        plan = plan_of(request.input)
        parents = [generic.find(transaction, HYPER_PARAMETER_TUNING_JOB, name) for name in names_of(request.input)]
        check(request.input, parents)
        tuning = generic.create(
            transaction,
            HYPER_PARAMETER_TUNING_JOB,
            request,
            state={**counters(()), EARLIER: [parent.uid for parent in parents]} if parents else counters(()),
            status=JobStatus.IN_PROGRESS,
        )
        for index, arm in enumerate(plan.arms):
            # That it could never start is better told now than by the first training job.
            self._check_training_job(child_request(tuning, arm, index, index + 1, {}, {}))
        begin_tuning(transaction, request, tuning)
        return {HYPER_PARAMETER_TUNING_JOB.arn_member: tuning.arn}

    def operations(self) -> list[Operation]:
        """Return every operation on tuning jobs."""
        found = [
            Operation(name="CreateHyperParameterTuningJob", function=self.create),
            Operation(
                name="StopHyperParameterTuningJob",
                function=stopping(HYPER_PARAMETER_TUNING_JOB),
            ),
            Operation(name=CHILDREN.listing or "", function=list_training_jobs, writes=False),
        ]
        for kind in KINDS:
            found += generic.operations_of(kind)
        return found


def list_training_jobs(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTrainingJobsForHyperParameterTuningJob."""
    name = request.input[HYPER_PARAMETER_TUNING_JOB.name_member]
    tuning = generic.find(transaction, HYPER_PARAMETER_TUNING_JOB, name)
    query = generic.query_of(CHILDREN, request, Filter("parent", "=", tuning.uid))
    page = transaction.resources.query(query)
    noted = [(job, tuned_of(job)) for job in page.items]
    answer: Document = {"TrainingJobSummaries": [summary_of(job, tuned) for job, tuned in noted if tuned is not None]}
    if page.token:
        answer["NextToken"] = page.token
    return answer


def yielded(transaction: Transaction, tuning: Resource) -> Document:
    """Return what a pipeline step yields of a tuning job beside what Describe shows: its training jobs, best first."""
    return {"TrainingJobSummaries": [child.summary for child in best_first(children_of(transaction, tuning.uid))]}
