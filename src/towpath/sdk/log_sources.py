"""Where lines come from: the log of a job, of all training jobs of a tuning job, of a step, of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from towpath.sdk.logs import Log, LogLine, LogReader, lines_while
from towpath.sdk.step_runs import JOBS, StepRun
from towpath.sdk.tuning_logs import TuningReader

if TYPE_CHECKING:
    from towpath.sdk.client import Client

TUNING_JOB = "HyperParameterTuningJob"
_RUNNING = frozenset({"InProgress", "Stopping"})


class CallReader(LogReader):
    """Reads what the function printed that a Lambda step calls: steps alone know which call is theirs.

    What it was told of stays: the call may have more to tell when the step's next attempt has begun another.
    """

    def __init__(self, client: Client, function: str, execution: str, step: StepRun) -> None:
        super().__init__(client, f"/aws/lambda/{function}")
        self._asked = {"PipelineExecutionArn": execution, "StepName": step.name}
        self._attempt = step.attempts
        self._known: dict[str, None] = {}  #: names of streams, the oldest first

    def _streams(self) -> list[str]:
        told = self._client.call("Towpath.DescribePipelineExecutionStepLogs", self._asked)
        if told["AttemptCount"] == self._attempt:
            self._known |= {str(each["LogStreamName"]): None for each in told["Streams"]}
        return list(self._known)


def log_of(client: Client, kind: str, name: str) -> Log:
    """Return the log of a job, a tuning job or an endpoint.

    Raises:
        DefinitionError: what is of this kind has none.
    """
    return TuningReader(client, name) if kind == TUNING_JOB else LogReader.of(client, kind, name)


def source_of(step: StepRun) -> str | None:
    """Return what runs code for a step, by a name that nothing else has; None where nothing does, or not yet.

    A step that is tried again has another job, or begins another call.
    """
    if step.waiting_for is not None or step.arn is None:
        return None
    if step.type == "Lambda":
        return f"call {step.attempts} of {step.name}"
    return step.arn if step.type in {*JOBS, "TuningJob"} else None


def log_of_step(client: Client, execution: str, step: StepRun) -> Log | None:
    """Return the log of what runs code for a step, None where nothing does.

    Args:
        execution: the ARN of the step's execution.
    """
    if source_of(step) is None or step.arn is None:
        return None
    name = step.arn.rpartition("/")[2]
    if step.type == "Lambda":
        return CallReader(client, step.arn.rpartition(":")[2], execution, step)
    return log_of(client, TUNING_JOB if step.type == "TuningJob" else step.type, name)


def log_lines(
    client: Client, kind: str, name: str, *, follow: bool = False, tail: int | None = None
) -> Iterator[LogLine]:
    """Yield the lines of a job's or an endpoint's log, stream after stream; see `Client.logs`.

    When following, lines of several streams come as they appear, until the job has ended. An endpoint's log has no end.
    """
    going_on = _still_runs(client, kind, name) if follow else lambda: False
    return lines_while(going_on, log_of(client, kind, name), tail=tail)


def _still_runs(client: Client, kind: str, name: str) -> Callable[[], bool]:
    if kind == "Endpoint":
        return lambda: True

    def runs() -> bool:
        shown = client.call(f"SageMaker.Describe{kind}", {f"{kind}Name": name})
        return shown[f"{kind}Status"] in _RUNNING

    return runs
