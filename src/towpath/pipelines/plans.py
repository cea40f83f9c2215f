"""The compiled plans of definitions that were accepted, kept while they are in use."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from towpath.kernel.resource import Document, Resource
from towpath.pipelines.definition import parse
from towpath.pipelines.evaluation import Scope, evaluate
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.selection import STEPS, restricted


@lru_cache(maxsize=64)
def plan_of(definition: str) -> Plan:
    """Return the plan of a definition that was accepted before; asked again for the same text, the same plan."""
    return compile(parse(definition))


def plan_for(execution: Resource) -> Plan:
    """Return the plan of an execution: that of its definition, as far as it is about all of its steps."""
    steps = execution.spec.get(STEPS)
    whole: str = execution.spec["PipelineDefinition"]
    return plan_of(whole) if steps is None else _some_of(whole, tuple(steps))


@lru_cache(maxsize=64)
def _some_of(definition: str, steps: tuple[str, ...]) -> Plan:
    return restricted(plan_of(definition), steps)


def execution_variables(execution: Resource) -> dict[str, Any]:
    """Return the values of the execution variables that stay the same throughout."""
    return variables(
        pipeline_name=execution.spec["PipelineName"],
        pipeline_arn=execution.spec["PipelineArn"],
        execution_id=execution.name,
        execution_arn=execution.arn,
        started_at=execution.created_at,
    )


def variables(
    *, pipeline_name: str, pipeline_arn: str, execution_id: str, execution_arn: str, started_at: datetime
) -> dict[str, Any]:
    """Return the execution variables of an execution, by name."""
    return {
        "StartDateTime": started_at.isoformat(),
        "PipelineName": pipeline_name,
        "PipelineArn": pipeline_arn,
        "PipelineExecutionId": execution_id,
        "PipelineExecutionArn": execution_arn,
    }


def experiment_config(plan: Plan, values: Document, known: Document, now: datetime) -> Document | None:
    """Return the experiment and trial that an execution belongs to, None when the definition says null.

    A definition that says nothing means an experiment by the name of the pipeline and a trial by that of the execution.

    Args:
        values: of the parameters.
        known: execution variables.
    """
    if "PipelineExperimentConfig" not in plan.definition.members:
        return {"ExperimentName": known["PipelineName"], "TrialName": known["PipelineExecutionId"]}
    if "PipelineExperimentConfig" not in plan.config:
        return None
    scope = Scope(parameters=values, execution={**known, "CurrentDateTime": now.isoformat()})
    config: Document = evaluate(plan.config["PipelineExperimentConfig"], scope)
    return config
