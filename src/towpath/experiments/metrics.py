"""The metrics of trial components: those that were sent for them, and those that the log of their job told."""

from collections.abc import Iterable
from datetime import UTC, datetime

from towpath.experiments.kinds import TRIAL_COMPONENT
from towpath.experiments.model import component_state
from towpath.experiments.series import Asked, series
from towpath.kernel import generic
from towpath.kernel.errors import TowpathError
from towpath.kernel.operations import Request
from towpath.kernel.ports import Measured, MetricSummary, Transaction
from towpath.kernel.resource import Document, Resource, view


def summaries(transaction: Transaction, component: Resource, job: Resource | None) -> list[Document]:
    """Return what Describe shows of the metrics of a component and of its job, each with its source."""
    arns = {component.uid: component.arn} | ({} if job is None else {job.uid: job.arn})
    return [_shown(summary, arns[summary.subject]) for summary in transaction.metrics.summaries(list(arns))]


def _shown(summary: MetricSummary, arn: str) -> Document:
    return {
        "MetricName": summary.name,
        "SourceArn": arn,
        "TimeStamp": summary.at.timestamp(),
        "Max": summary.greatest,
        "Min": summary.least,
        "Last": summary.last,
        "Count": summary.count,
        "Avg": summary.mean,
        "StdDev": summary.deviation,
    }


def batch_put_metrics(transaction: Transaction, request: Request) -> Document:
    """Carry out BatchPutMetrics: add values to a trial component."""
    component = generic.find(transaction, TRIAL_COMPONENT, request.input["TrialComponentName"])
    transaction.metrics.put(component.uid, [_measured(item) for item in request.input["MetricData"]])
    return {"Errors": []}


def _measured(item: Document) -> Measured:
    at = datetime.fromtimestamp(float(item["Timestamp"]), UTC)
    return Measured(name=item["MetricName"], value=float(item["Value"]), at=at, step=item.get("Step"))


def batch_get_metrics(transaction: Transaction, request: Request) -> Document:
    """Carry out BatchGetMetrics: a series for each query; one that cannot be answered says why, the others are."""
    results = [_answer(transaction, query) for query in request.input["MetricQueries"]]
    return {"MetricQueryResults": results}


def _answer(transaction: Transaction, query: Document) -> Document:
    try:
        component = generic.find(transaction, TRIAL_COMPONENT, query["ResourceArn"])
    except TowpathError as error:
        return {"Status": "ValidationError", "Message": error.message, "XAxisValues": [], "MetricValues": []}
    found = series(_values(transaction, component, query["MetricName"]), view(Asked, query))
    return {
        "Status": "Truncated" if found.truncated else "Complete",
        "XAxisValues": found.positions,
        "MetricValues": found.values,
    }


def _values(transaction: Transaction, component: Resource, name: str) -> Iterable[Measured]:
    """Yield what the job's log told, then what was sent for the component itself."""
    job = component_state(component).job
    if job is not None:
        yield from transaction.metrics.values(job.uid, name)
    yield from transaction.metrics.values(component.uid, name)
