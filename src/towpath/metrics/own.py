"""The platform's own metrics: what is recorded of jobs and executions becomes values, in the same transaction.

Namespaces, names and dimensions are those of AWS where AWS has them. Source: Amazon SageMaker AI Developer Guide,
"Amazon SageMaker AI metrics in Amazon CloudWatch".
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Datum, Measured, SeriesKey, Transaction
from towpath.kernel.resource import Resource, Uid, view
from towpath.metrics.intake import take_in
from towpath.metrics.kinds import ALARM, METRIC
from towpath.metrics.model import AlarmSpec, series_key
from towpath.pipelines.acting import EXECUTION_EVENT, STEP_EVENT
from towpath.pipelines.model import StepStatus
from towpath.pipelines.naming import step_of

TRAINING = "/aws/sagemaker/TrainingJobs"
COMPONENTS = "/aws/sagemaker/TrialComponents"  #: ours: AWS keeps these values apart from CloudWatch
PIPELINES = "AWS/Sagemaker/ModelBuildingPipeline"
_STARTED = "StartPipelineExecution"
#: Status that a step comes into -> what is counted.
_COUNTED: Mapping[str, str] = {
    StepStatus.EXECUTING: "Started",
    StepStatus.SUCCEEDED: "Succeeded",
    StepStatus.FAILED: "Failed",
    StepStatus.STOPPED: "Stopped",
}
_BETWEEN_DROPS = timedelta(seconds=1)  #: of old values


class OwnMetrics:
    """Implements `store.unit_of_work.Subscriber`.

    Steps are counted in the turns of the engine. So what there are alarms on is kept in memory, and read anew after
    each commit that changed one (`forget`), and old values go once in a while.
    """

    def __init__(self, keep_days: float) -> None:
        self._keep_days = keep_days
        self._watched: frozenset[SeriesKey] | None = None
        self._dropped_at: datetime | None = None

    def forget(self) -> None:
        """Read the alarms anew before the next value."""
        self._watched = None

    def happened(self, transaction: Transaction, event: Event) -> None:
        """Count executions and steps that begin and end, and tell how long they took."""
        if event.type == STEP_EVENT:
            self._take_in(transaction, _of_step(event))
        elif event.type in {_STARTED, EXECUTION_EVENT}:
            self._take_in(transaction, _of_execution(transaction, event))

    def _take_in(self, transaction: Transaction, values: Mapping[SeriesKey, Sequence[Datum]]) -> None:
        if not values:
            return
        now = transaction.now
        is_time = self._dropped_at is None or abs(now - self._dropped_at) >= _BETWEEN_DROPS
        if is_time:
            self._dropped_at = now
        take_in(
            transaction,
            values,
            keep_days=self._keep_days if is_time else None,
            watched=self._alarms_on(transaction),
        )

    def _alarms_on(self, transaction: Transaction) -> frozenset[SeriesKey]:
        # What this transaction or one that is committed with it changed counts already. It may still be undone, too,
        # and must not be kept for others.
        if transaction.resources.has_changed(ALARM.noun):
            return _watched(transaction)
        if self._watched is None:
            self._watched = _watched(transaction)
        return self._watched

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
            self._take_in(transaction, found)


def _of_execution(transaction: Transaction, event: Event) -> dict[SeriesKey, list[Datum]]:
    """Return what the beginning or the end of an execution comes to."""
    pipeline = _pipeline_of(event)
    if event.type == _STARTED:
        return {_key("ExecutionStarted", pipeline): [_one(event.at)]}
    values = {_key(f"Execution{event.detail['currentPipelineExecutionStatus']}", pipeline): [_one(event.at)]}
    execution = transaction.resources.get(event.subject) if event.subject is not None else None
    if execution is not None:
        values[_key("ExecutionDuration", pipeline)] = [_lasted(execution.created_at, event.at)]
    return values


def _of_step(event: Event) -> dict[SeriesKey, list[Datum]]:
    """Return what the beginning of an attempt of a step, or the end of a step, comes to."""
    told = event.detail
    counted = _COUNTED.get(str(told.get("currentStepStatus")))
    if counted is None:
        return {}
    pipeline, step = _pipeline_of(event), str(told["stepName"]).partition("[")[0]
    begun, ended = told.get("stepStartTime"), told.get("stepEndTime")
    values = {_key(f"Step{counted}", pipeline, step): [_one(event.at)]}
    if ended is not None and begun is not None:
        if begun == ended:  # it was over as soon as it began, and so was never seen to run
            values[_key("StepStarted", pipeline, step)] = [_one(event.at)]
        lasted = _lasted(datetime.fromisoformat(begun), datetime.fromisoformat(ended))
        values[_key("StepDuration", pipeline, step)] = [lasted]
    return values


def _pipeline_of(event: Event) -> str:
    return event.subject_arn.partition(":pipeline/")[2].partition("/")[0]


@lru_cache(maxsize=4096)
def _key(name: str, pipeline: str, step: str | None = None) -> SeriesKey:
    dimensions = {"PipelineName": pipeline} | ({} if step is None else {"StepName": step})
    return series_key(PIPELINES, name, dimensions.items())


def _one(at: datetime) -> Datum:
    return Datum(at=at, count=1, total=1, least=1, greatest=1, unit="Count")


def _lasted(begun: datetime, ended: datetime) -> Datum:
    ms = (ended - begun).total_seconds() * 1000
    return Datum(at=ended, count=1, total=ms, least=ms, greatest=ms, unit="Milliseconds")


def _watched(transaction: Transaction) -> frozenset[SeriesKey]:
    return frozenset(view(AlarmSpec, alarm.spec).key for alarm in transaction.resources.by_member(ALARM.noun, METRIC))


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
