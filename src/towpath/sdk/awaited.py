"""What a trigger waits for: names that cannot be are refused, and of those that are not there yet somebody is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from towpath.sdk.alarms import OF_STEPS, PIPELINES, TARGET, TRAINING, Threshold
from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.known import did_you_mean, nothing_called

if TYPE_CHECKING:
    from towpath.sdk.client import Client

#: Metrics of executions. `docs/operations.md` tells when each comes.
OF_EXECUTIONS = (
    *("ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed", "ExecutionStopped"),
    *("ExecutionCompletedWithFailures", "ExecutionDuration"),
)
_TRAINING_STEPS = ("Training", "Tuning")  #: types of steps whose jobs tell metrics
_INSIDE = ("IfSteps", "ElseSteps", "ForEachBody")  #: arguments of steps that hold others


def refuse_never(client: Client, alarm: Threshold) -> None:
    """Refuse a metric that would never come: of a pipeline or a step that is not there, or that it does not have.

    Raises:
        NotFound: there is no such pipeline.
        DefinitionError: it has no such step, or that no such metric.
    """
    pipeline, step = alarm.dimensions.get("PipelineName"), alarm.dimensions.get("StepName")
    if pipeline is None or alarm.namespace not in {TRAINING, PIPELINES}:
        return
    described = described_pipeline(client, pipeline)
    steps = {str(each["Name"]): each for each in _steps(json.loads(described["PipelineDefinition"])["Steps"])}
    if step is not None and step not in steps:
        raise DefinitionError(f"pipeline {pipeline} has no step {step!r}; it has {', '.join(steps)}")
    if step is None:
        _refuse_other(f"pipeline {pipeline}", alarm.metric, OF_EXECUTIONS)
    elif alarm.namespace == TRAINING:
        type_ = steps[step]["Type"]
        if type_ not in _TRAINING_STEPS:
            raise DefinitionError(
                f"step {pipeline}/{step} is of the type {type_} and has no metric {alarm.metric!r}; steps of the types "
                f"{' and '.join(_TRAINING_STEPS)} have metrics of their own, and each step has {', '.join(OF_STEPS)}"
            )
        names = _metrics(steps[step].get("Arguments") or {}) if type_ == "Training" else None
        if names is not None:
            _refuse_other(f"step {pipeline}/{step}", alarm.metric, names)


def described_pipeline(client: Client, name: str) -> Document:
    """Return what DescribePipeline tells of a pipeline.

    Raises:
        NotFound: there is none of that name; says which there are.
    """
    try:
        return client.call("SageMaker.DescribePipeline", {"PipelineName": name})
    except NotFound as missing:
        listed = client.pages("SageMaker.ListPipelines", "PipelineSummaries")
        known = (str(each["PipelineName"]) for each in listed)
        raise nothing_called("pipeline", name, known, missing, make="store one: towpath create FILE") from missing


def not_there_yet(client: Client, pattern: Mapping[str, Any] | None, alarm: Threshold | None) -> list[str]:
    """Return in sentences what is waited for that may still come, and is not there now."""
    told = []
    detail = (pattern or {}).get("detail")
    detail = detail if isinstance(detail, Mapping) else {}
    for group in _plain(detail.get("ModelPackageGroupName")):
        if _is_nothing(client, "SageMaker.DescribeModelPackageGroup", {"ModelPackageGroupName": group}):
            listed = client.pages("SageMaker.ListModelPackageGroups", "ModelPackageGroupSummaryList")
            known = [str(each["ModelPackageGroupName"]) for each in listed]
            told.append(f"there is no model package group {group!r} yet{did_you_mean(group, known)}")
    bucket = detail.get("bucket")
    for name in _plain(bucket.get("name") if isinstance(bucket, Mapping) else None):
        if not client.lake.has_bucket(name):
            told.append(f"there is no bucket {name!r} yet")
    if alarm is not None and "PipelineName" not in alarm.dimensions and not _has_values(client, alarm):
        told.append(f"no value of {alarm.metric} has been put there ({alarm.namespace}) yet")
    return told


def _steps(steps: list[Document]) -> Iterator[Document]:
    for step in steps:
        yield step
        arguments = step.get("Arguments") or {}
        for member in _INSIDE:
            inside = arguments.get(member)
            if isinstance(inside, list):
                yield from _steps(inside)


def _metrics(arguments: Document) -> list[str] | None:
    """Return the names of the metrics of a training step, None where an expression holds them until the step runs."""
    specification = arguments.get("AlgorithmSpecification") or {}
    if "Get" in specification:
        return None
    defined = specification.get("MetricDefinitions") or []
    if not isinstance(defined, list):
        return None
    names = [each.get("Name") if isinstance(each, dict) else None for each in defined]
    known = [name for name in names if isinstance(name, str)]
    return known if len(known) == len(names) else None


def _refuse_other(owner: str, metric: str, names: tuple[str, ...] | list[str]) -> None:
    if metric not in names:
        raise DefinitionError(
            f"{owner} has no metric {metric!r}{did_you_mean(metric, names)}; it has {', '.join(names) or 'none'}"
        )


def _plain(values: Any) -> list[str]:
    """Return the plain texts that a pattern compares with."""
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []


def _is_nothing(client: Client, operation: str, asked: Document) -> bool:
    try:
        client.call(operation, asked)
    except NotFound:
        return True
    return False


def _has_values(client: Client, alarm: Threshold) -> bool:
    dimensions = [{"Name": name, "Value": value} for name, value in alarm.dimensions.items()]
    asked = {"Namespace": alarm.namespace, "MetricName": alarm.metric, "Dimensions": dimensions}
    return bool(client.call(f"{TARGET}.ListMetrics", asked)["Metrics"])
