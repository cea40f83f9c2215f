"""What Callback steps wait for, as the command line tells it, and what to type to answer it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from towpath.sdk.client import Client
from towpath.sdk.expressions import Document
from towpath.sdk.step_runs import StepRun


@dataclass(frozen=True, kw_only=True)
class Question:
    """A Callback step that waits for its answer."""

    execution: str  #: ARN
    name: str  #: PIPELINE/EXECUTION/STEP
    step: StepRun
    outputs: Sequence[str]  #: names of what an answer has to bring

    @property
    def command(self) -> str:
        """What to type to answer it."""
        return answer_command(self.name, self.outputs)


def open_questions(client: Client, executions: Iterable[str]) -> Iterator[Question]:
    """Yield what waits for an answer in executions, given as ARNs."""
    for arn in executions:
        execution = client.execution(arn)
        waiting = [step for step in execution.steps() if step.waits_for_answer]
        declared = declared_outputs(client, arn) if waiting else {}
        for step in waiting:
            name = f"{execution.pipeline}/{execution.id}/{step.name}"
            yield Question(execution=arn, name=name, step=step, outputs=outputs_of(declared, step.name))


def declared_outputs(client: Client, arn: str) -> dict[str, list[str]]:
    """Return the names of the outputs that each Callback step of an execution declares, by the step's name."""
    answer = client.call("SageMaker.DescribePipelineDefinitionForExecution", {"PipelineExecutionArn": arn})
    return {
        str(step["Name"]): [str(output["OutputName"]) for output in step.get("OutputParameters") or ()]
        for step in _steps(json.loads(answer["PipelineDefinition"])["Steps"])
        if step.get("Type") == "Callback"
    }


def steps_of(client: Client, arn: str) -> list[str]:
    """Return the names of all steps of an execution, as its definition has them, those inside others included."""
    answer = client.call("SageMaker.DescribePipelineDefinitionForExecution", {"PipelineExecutionArn": arn})
    return [str(step["Name"]) for step in _steps(json.loads(answer["PipelineDefinition"])["Steps"])]


def outputs_of(declared: Mapping[str, Sequence[str]], step: str) -> Sequence[str]:
    """Return the outputs of a step; in a round of a ForEach its name has the number of the round behind it."""
    return declared.get(step.partition("[")[0], ())


def answer_command(name: str, declared: Sequence[str], values: Mapping[str, str] | None = None) -> str:
    """Return what to type to answer PIPELINE/EXECUTION/STEP, with the values that were given already."""
    known = values or {}
    given = [f"-o {shlex.quote(f'{each}={known[each]}')}" if each in known else f"-o {each}=…" for each in declared]
    return " ".join(["towpath answer", shlex.quote(name), *given])


def _steps(steps: Sequence[Document]) -> Iterator[Document]:
    for step in steps:
        yield step
        arguments = step.get("Arguments")
        for inside in ("IfSteps", "ElseSteps", "ForEachBody"):
            yield from _steps((arguments or {}).get(inside) or ())
