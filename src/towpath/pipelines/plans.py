"""The compiled plans of definitions that were accepted, kept while they are in use."""

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any, NamedTuple

from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.definition import parse
from towpath.pipelines.evaluation import Scope, evaluate
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.selection import STEPS, restricted

_KEPT_STEPS = 50_000  #: of all plans that are kept; the one that was asked for last is kept however many it has
_KNOWN = 4_096  #: executions whose plan is found by their uid


class _Key(NamedTuple):
    """What decides a plan."""

    definition: str
    steps: tuple[str, ...] | None = None  #: those that it is about, None for all


class _Plans:
    """The plans that were asked for last. Any number of threads may ask.

    An execution never changes its definition, so that its uid is enough to find its plan. To look for the definition
    itself, megabytes where there are ten thousand steps, takes longer than most of what a turn does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[_Key, Plan]] = OrderedDict()
        self._of: OrderedDict[Uid, _Key] = OrderedDict()  #: execution -> the very key under which its plan is kept
        self._steps = 0

    def find(self, key: _Key) -> Plan:
        """Return the plan of a definition; asked again for the same, the same plan."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(kept[0])
                return kept[1]
        plan = compile(parse(key.definition)) if key.steps is None else restricted(self.find(_Key(key[0])), key.steps)
        with self._lock:
            return self._keep(key, plan)

    def of(self, execution: Uid) -> Plan | None:
        """Return the plan of an execution that is known by its uid."""
        with self._lock:
            key = self._of.get(execution)
            if key is None:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][1]

    def know(self, execution: Uid, key: _Key) -> None:
        """Find the plan of an execution by its uid from now on, as long as it is kept."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return
            self._of[execution] = kept[0]
            if len(self._of) > _KNOWN:
                self._of.popitem(last=False)

    def _keep(self, key: _Key, plan: Plan) -> Plan:
        if key not in self._kept:  # else another thread was faster
            self._kept[key] = key, plan
            self._steps += _size(plan)
        while self._steps > _KEPT_STEPS and len(self._kept) > 1:
            forgotten, (_, oldest) = self._kept.popitem(last=False)
            self._steps -= _size(oldest)
            for execution in [execution for execution, known in self._of.items() if known is forgotten]:
                del self._of[execution]
        return self._kept[key][1]


def _size(plan: Plan) -> int:
    return 1 + len(plan.nodes) + sum(len(body.nodes) for body in plan.bodies.values())


_PLANS = _Plans()


def plan_of(definition: str) -> Plan:
    """Return the plan of a definition that was accepted before; asked again for the same text, the same plan."""
    return _PLANS.find(_Key(definition))


def plan_for(execution: Resource) -> Plan:
    """Return the plan of an execution: that of its definition, as far as it is about all of its steps."""
    known = _PLANS.of(execution.uid)
    if known is not None:
        return known
    steps = execution.spec.get(STEPS)
    key = _Key(execution.spec["PipelineDefinition"], None if steps is None else tuple(steps))
    plan = _PLANS.find(key)
    _PLANS.know(execution.uid, key)
    return plan


def max_parallel_of(spec: Document) -> int | None:
    """Return how many steps of an execution with this spec may run at one time, None for as many as there are."""
    most: int | None = (spec.get("ParallelismConfiguration") or {}).get("MaxParallelExecutionSteps")
    return most


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
