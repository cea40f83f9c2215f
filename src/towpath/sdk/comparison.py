"""Executions side by side: what each was given, how its steps did, what was measured and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from towpath.sdk.executions import Execution
from towpath.sdk.expressions import Document
from towpath.sdk.step_runs import StepRun

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_OWN = "SageMaker."  #: what the platform's own parameters and artifacts begin with
_SCRIPT_MODE = "sagemaker_"  #: what the SDKs' own hyperparameters begin with


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was the same or different in executions."""

    group: str  #: "execution", "parameter", or the name of a step
    name: str
    values: tuple[str | float | None, ...]  #: one for each execution, in their order; None where it has none

    @property
    def differs(self) -> bool:
        """Whether the executions do not all have the same."""
        return len(set(self.values)) > 1


def compare(client: Client, executions: Sequence[Execution]) -> list[Row]:
    """Return what there is to compare of executions: parameters, statuses and times, hyperparameters, metrics, files.

    A metric is its last value. A file is where it lies, from the folder of the execution on that wrote it.
    """
    facts = [dict(_facts(client, execution)) for execution in executions]
    names = dict.fromkeys(name for each in facts for name in each)
    groups = list(dict.fromkeys(group for group, _ in names))
    return [
        Row(group=group, name=name, values=tuple(each.get((group, name)) for each in facts))
        for group, name in sorted(names, key=lambda name: groups.index(name[0]))
    ]


def without_job(where: str) -> str:
    """Return a place below an execution's folder without the folder that bears the name of a step's job."""
    return re.sub(r"/pipelines-[^/]+/output/", "/", where)


def _facts(client: Client, execution: Execution) -> Iterator[tuple[tuple[str, str], str | float | None]]:
    described = execution.describe()
    yield ("execution", "status"), str(described["PipelineExecutionStatus"])
    yield ("execution", "started"), float(described["CreationTime"])
    arn = {"PipelineExecutionArn": execution.arn}
    for each in client.pages("SageMaker.ListPipelineParametersForExecution", "PipelineParameters", arn):
        yield ("parameter", str(each["Name"])), str(each["Value"])
    components = _components(client, described)
    for step in execution.steps():
        yield (step.name, "status"), step.status
        if step.outcome is not None:
            yield (step.name, "outcome"), step.outcome
        if step.cached_from is not None:
            yield (step.name, "taken over from"), step.cached_from.rpartition("/")[2]
        if step.has_ended:
            seconds = step.seconds(datetime.now(UTC))
            yield (step.name, "seconds"), None if seconds is None else round(seconds, 1)
        if step.failure_reason:
            yield (step.name, "failure"), step.failure_reason.partition("\n")[0]
        wrote = step.cached_from or execution.arn
        yield from _measured(client, step, components.get(step.arn or "", {}), wrote.rpartition("/")[2])


def _components(client: Client, described: Document) -> dict[str, Document]:
    """Return the trial components of an execution by the ARN of their job."""
    trial = (described.get("PipelineExperimentConfig") or {}).get("TrialName")
    if not trial:
        return {}
    listed = client.pages("SageMaker.ListTrialComponents", "TrialComponentSummaries", {"TrialName": trial})
    names = [str(each["TrialComponentName"]) for each in listed]
    found = [client.call("SageMaker.DescribeTrialComponent", {"TrialComponentName": name}) for name in names]
    return {str((each.get("Source") or {}).get("SourceArn")): each for each in found}


def _measured(
    client: Client, step: StepRun, component: Document, execution_id: str
) -> Iterator[tuple[tuple[str, str], str | float | None]]:
    for name, value in sorted((component.get("Parameters") or {}).items()):
        if not name.startswith((_OWN, _SCRIPT_MODE)):
            yield (step.name, name), value.get("StringValue", value.get("NumberValue"))
    for metric in sorted(component.get("Metrics") or [], key=lambda each: str(each["MetricName"])):
        yield (step.name, str(metric["MetricName"])), metric["Last"]
    if step.type == "TuningJob" and step.arn is not None:
        yield from _best(client, step.name, step.arn.rpartition("/")[2])
    if step.status == "Failed":
        return  # where it would have left its files
    for name, artifact in sorted((component.get("OutputArtifacts") or {}).items()):
        where = str(artifact["Value"])
        inside = where.partition(f"/{execution_id}/")[2]
        yield (step.name, f"output {name.removeprefix(_OWN)}"), without_job(inside) or where


def _best(client: Client, step: str, tuning: str) -> Iterator[tuple[tuple[str, str], str | float | None]]:
    """Yield the objective metric and the hyperparameters of a tuning job's best training job."""
    asked = {"HyperParameterTuningJobName": tuning}
    best = client.call("SageMaker.DescribeHyperParameterTuningJob", asked).get("BestTrainingJob") or {}
    metric = best.get("FinalHyperParameterTuningJobObjectiveMetric")
    if metric:
        yield (step, f"best {metric['MetricName']}"), float(metric["Value"])
    for name, value in sorted((best.get("TunedHyperParameters") or {}).items()):
        yield (step, f"best {name}"), str(value)
