"""The platform's own metrics: what is recorded of jobs and executions becomes values, in the same transaction.

Namespaces, names and dimensions are those of AWS where AWS has them. Source: Amazon SageMaker AI Developer Guide,
"Amazon SageMaker AI metrics in Amazon CloudWatch".
"""

from collections.abc import Iterator, Mapping, Sequence

from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Datum, Measured, SeriesKey, Transaction
from towpath.kernel.resource import Resource, Uid
from towpath.metrics.intake import take_in
from towpath.metrics.model import series_key
from towpath.pipelines.controller import EXECUTION_EVENT, STEP_EVENT
from towpath.pipelines.model import StepStatus
from towpath.pipelines.naming import step_of

TRAINING = "/aws/sagemaker/TrainingJobs"
COMPONENTS = "/aws/sagemaker/TrialComponents"  #: ours: AWS keeps these values apart from CloudWatch
PIPELINES = "AWS/Sagemaker/ModelBuildingPipeline"
_STARTED = "StartPipelineExecution"


class OwnMetrics:
    """Implements `store.unit_of_work.Subscriber`."""

    def __init__(self, keep_days: float) -> None:
        self._keep_days = keep_days

    def happened(self, transaction: Transaction, event: Event) -> None:
        """Count executions that begin and end, tell how long they took, and count steps that fail."""
        # Steps that begin and succeed are not counted: each value takes several statements of its own.
        values: dict[SeriesKey, list[Datum]] = {}
        one = Datum(at=event.at, count=1, total=1, least=1, greatest=1, unit="Count")
        dimensions = {"PipelineName": event.subject_arn.partition(":pipeline/")[2].partition("/")[0]}
        if event.type == _STARTED:
            values[series_key(PIPELINES, "ExecutionStarted", dimensions.items())] = [one]
        elif event.type == EXECUTION_EVENT:
            status = event.detail["currentPipelineExecutionStatus"]
            values[series_key(PIPELINES, f"Execution{status}", dimensions.items())] = [one]
            execution = transaction.resources.get(event.subject) if event.subject is not None else None
            if execution is not None:
                ms = (event.at - execution.created_at).total_seconds() * 1000
                lasted = Datum(at=event.at, count=1, total=ms, least=ms, greatest=ms, unit="Milliseconds")
                values[series_key(PIPELINES, "ExecutionDuration", dimensions.items())] = [lasted]
        elif event.type == STEP_EVENT and event.detail.get("currentStepStatus") == StepStatus.FAILED:
            dimensions["StepName"] = event.detail["stepName"].partition("[")[0]
            values[series_key(PIPELINES, "StepFailed", dimensions.items())] = [one]
        if values:
            take_in(transaction, values, keep_days=self._keep_days)

    def created(self, transaction: Transaction, versions: Sequence[ObjectVersion]) -> None:
        """Do nothing: objects have no metrics."""

    def measured(self, transaction: Transaction, subject: Uid, values: Sequence[Measured]) -> None:
        """Take over what a training job or a trial component has told."""
        owner = transaction.resources.get(subject)
        if owner is None:
            return
        found: dict[SeriesKey, list[Datum]] = {}
        for namespace, dimensions in _places(transaction, owner):
            for name, data in _data(values).items():
                found[series_key(namespace, name, dimensions.items())] = data
        if found:
            take_in(transaction, found, keep_days=self._keep_days)


def _places(transaction: Transaction, owner: Resource) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the namespaces and dimensions of what a job or trial component tells."""
    if owner.kind == "TrialComponent":
        yield COMPONENTS, {"TrialComponentName": owner.name}
    elif owner.kind == "TrainingJob":
        yield TRAINING, {"TrainingJobName": owner.name}
        step = _step_of(transaction, owner)
        if step is not None:
            # Ours. Names of jobs differ from execution to execution: an alarm needs something that stays.
            yield TRAINING, step


def _step_of(transaction: Transaction, job: Resource) -> Mapping[str, str] | None:
    """Return the pipeline and the step that started a job, None for one that no step did."""
    execution = None if job.parent is None else transaction.resources.heading(job.parent)
    if execution is None or execution.kind != "PipelineExecution":
        return None
    pipeline, _, name = execution.arn.partition(":pipeline/")[2].partition("/execution/")
    created = next(iter(transaction.events.of(job.uid)), None)
    step = None if created is None else step_of(name, created.detail.get("request_id"))
    return None if step is None else {"PipelineName": pipeline, "StepName": step}


def _data(values: Sequence[Measured]) -> dict[str, list[Datum]]:
    found: dict[str, list[Datum]] = {}
    for each in values:
        value = Datum(at=each.at, count=1, total=each.value, least=each.value, greatest=each.value)
        found.setdefault(each.name, []).append(value)
    return found
