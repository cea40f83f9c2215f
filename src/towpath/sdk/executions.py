"""A running or finished execution of a pipeline, as a client follows it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towpath.sdk.errors import Conflict, ExecutionFailed, NotFound, TimedOut
from towpath.sdk.explanations import Explanation, explanation
from towpath.sdk.expressions import Document
from towpath.sdk.log_sources import log_of_step, source_of
from towpath.sdk.logs import Labelled, Log, LogLine, last_lines, merged
from towpath.sdk.results import fetched
from towpath.sdk.step_runs import StepRun, StepRuns

if TYPE_CHECKING:
    from towpath.sdk.client import Client

ENDED = frozenset({"Succeeded", "Failed", "Stopped", "CompletedWithFailures"})
POLL_S = 0.5


class Execution:
    """One execution of a pipeline."""

    def __init__(self, client: Client, arn: str) -> None:
        self._client = client
        self.arn = arn

    @property
    def id(self) -> str:
        """The execution's id, the last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def pipeline(self) -> str:
        """The name of the pipeline."""
        return self.arn.split("/")[1]

    def __repr__(self) -> str:
        return f"Execution({self.pipeline}/{self.id})"

    def describe(self) -> Document:
        """Return what DescribePipelineExecution answers."""
        return self._client.call("SageMaker.DescribePipelineExecution", {"PipelineExecutionArn": self.arn})

    @property
    def status(self) -> str:
        """Executing, Stopping, Stopped, Failed or Succeeded."""
        return str(self.describe()["PipelineExecutionStatus"])

    def steps(self) -> list[StepRun]:
        """Return the steps that have begun, in the order in which they began."""
        return StepRuns(self._client, self.arn).look()

    def logs(self, step: str | None = None, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Yield the lines that the code of the steps prints, each with the name of its step.

        That is what the job of a step prints, on each of its hosts; what the training jobs of a Tuning step print, with
        the number of theirs as `part`; and what the function of a Lambda step prints when it is called.

        Args:
            step: only those of this one; in a round of a ForEach with its number, `Train[2]`.
            follow: go on until the execution, or the step, has ended, with the lines of what runs side by side as they
                appear; otherwise the logs come as they are, one after the other in the order in which the steps began.
            tail: only the last so many lines of all of them as they are when this begins, in the order of their times.
        Raises:
            NotFound: no such step has begun.
        """
        if step is not None:
            self._step(step)
        runs = StepRuns(self._client, self.arn)
        logs: dict[str, Log] = {}  #: by what runs code for a step
        seen: set[str] = set()
        while True:
            # Asked first: a job that begins before the execution ends is then not missed.
            described = self.describe()
            ended = described["PipelineExecutionStatus"] in ENDED
            steps = [each for each in runs.look(described.get("LastModifiedTime")) if step in {None, each.name}]
            ended = ended or (step is not None and all(each.has_ended for each in steps))
            sources = {source: each for each in steps if (source := source_of(each)) is not None}
            for source, each in sources.items():
                log = None if source in seen else log_of_step(self._client, self.arn, each)
                if log is not None:
                    seen.add(source)
                    logs[source] = Labelled(log, step=each.name)
            # What had not ended when the steps were listed may print more. Of those there are as many as run at a time.
            going_on = {source for source, each in sources.items() if follow and not each.has_ended}
            if tail is None:
                new = {source: log.new() for source, log in logs.items()}
                yield from itertools.chain(*(lines for source, lines in new.items() if source not in going_on))
                yield from merged(*(lines for source, lines in new.items() if source in going_on))
            else:
                yield from last_lines(((sources[source].ended_at, log) for source, log in logs.items()), tail)
                tail = None
            if ended or not follow:
                return
            logs = {source: log for source, log in logs.items() if source in going_on}
            time.sleep(POLL_S)

    def explain(self, step: str) -> Explanation:
        """Return why a step ran, or whose result it took over, and what differs from the run before.

        Example:
            client.run(pipeline).wait().explain("Train").first
        """
        asked = {"PipelineExecutionArn": self.arn, "StepName": step}
        return explanation(self._client.call("Towpath.ExplainPipelineExecutionStep", asked))

    def result(self, step: str, *, folder: str | Path | None = None) -> Any:
        """Return what the function of a step returned; see `towpath.step`.

        Dataclasses come as dicts. Tables and arrays need the library that made them, here too.

        Example:
            client.run(pipeline).wait().result("score")["accuracy"]
        Args:
            folder: where files go to that the value names, made if it is not there; needed for a value with a path.
        Raises:
            NotFound: no such step has begun.
            Conflict: it has not succeeded, or is no function.
            ResultUnreadable: a library is missing, or no folder was given for files.
        """
        found = self._step(step)
        if found.type != "ProcessingJob" or found.status != "Succeeded" or found.job is None:
            kind = found.type or "step"
            told = f"step {step} is a {kind} that is {found.status}; expected a function that has succeeded"
            raise Conflict("ConflictException", told, status=400)
        described = self._client.call("SageMaker.DescribeProcessingJob", {"ProcessingJobName": found.job})
        uris = {
            each["OutputName"]: each["S3Output"]["S3Uri"]
            for each in (described.get("ProcessingOutputConfig") or {}).get("Outputs", ())
        }
        if "value" not in uris or "runtime" not in {each["InputName"] for each in described["ProcessingInputs"]}:
            raise Conflict("ConflictException", f"step {step} is no function with @step", status=400)
        return fetched(self._client.lake, uris["value"], None if folder is None else Path(folder))

    def _step(self, name: str) -> StepRun:
        steps = self.steps()
        found = next((each for each in steps if each.name == name), None)
        if found is None:
            begun = ", ".join(each.name for each in steps) or "none yet"
            raise NotFound(
                "ResourceNotFound",
                f"{self!r} has no step {name!r} that has begun; those that have: {begun}",
                status=404,
            )
        return found

    def answer(self, step: str, outputs: Mapping[str, Any] | None = None, *, fail: str | None = None) -> None:
        """Answer a Callback step that waits: with the values that it declares, or let it fail.

        Example:
            execution.answer("Ticket", {"ticket": "4711", "accepted": True})
        Args:
            fail: why the step fails; None: it succeeds.
        Raises:
            NotFound: no such step has begun.
            Conflict: the step does not wait for an answer.
            RequestFailed: a value is not one that the step declares, or not of its type; the step waits on.
        """
        found = self._step(step)
        if not found.waits_for_answer:
            waiting = ", ".join(each.name for each in self.steps() if each.waits_for_answer) or "none"
            told = f"step {step} is {found.status} and waits for no answer; steps that do: {waiting}"
            raise Conflict("ConflictException", told, status=400)
        asked: Document = {"CallbackToken": found.token, "ClientRequestToken": self._client.new_token()}
        if fail is not None:
            self._client.call("SageMaker.SendPipelineExecutionStepFailure", {**asked, "FailureReason": fail})
            return
        given = [{"Name": name, "Value": str(value)} for name, value in (outputs or {}).items()]
        self._client.call("SageMaker.SendPipelineExecutionStepSuccess", {**asked, "OutputParameters": given})

    def stop(self) -> None:
        """Ask the execution to stop; running jobs get their time of grace."""
        token = self._client.new_token()
        request = {"PipelineExecutionArn": self.arn, "ClientRequestToken": token}
        self._client.call("SageMaker.StopPipelineExecution", request)

    def retry(self) -> Execution:
        """Begin what failed or was stopped anew, and keep what has succeeded; return the execution, which goes on.

        Example:
            client.execution("reviews/latest").retry().wait()
        Raises:
            Conflict: it has not ended, or has not failed.
        """
        token = self._client.new_token()
        request = {"PipelineExecutionArn": self.arn, "ClientRequestToken": token}
        self._client.call("SageMaker.RetryPipelineExecution", request)
        return self

    def wait(
        self,
        *,
        timeout_s: float | None = None,
        check: bool = True,
        watch: Callable[[list[StepRun]], None] | None = None,
    ) -> Execution:
        """Wait until the execution has ended.

        Args:
            check: raise where it did not succeed.
            watch: called with the steps each time they were looked at, the last time after the end.
        Raises:
            ExecutionFailed: it ended other than Succeeded; the message names step and reason.
            TimedOut: it has not ended after `timeout_s`; it goes on.
        """
        give_up = None if timeout_s is None else time.monotonic() + timeout_s
        runs = StepRuns(self._client, self.arn)
        while True:
            ended = self.describe()
            looks = watch is not None or ended["PipelineExecutionStatus"] in ENDED
            steps = runs.look(ended.get("LastModifiedTime")) if looks else []
            if watch is not None:
                watch(steps)
            if ended["PipelineExecutionStatus"] in ENDED:
                break
            if give_up is not None and time.monotonic() >= give_up:
                raise TimedOut(f"{self!r} still runs after {timeout_s:g} s; it goes on")
            time.sleep(POLL_S)
        if check and ended["PipelineExecutionStatus"] != "Succeeded":
            raise ExecutionFailed(failure_text(ended, steps))
        return self


def failure_text(ended: Document, steps: list[StepRun]) -> str:
    """Return in a sentence or two how an execution ended that did not succeed, and why."""
    if any(step.status == "Failed" for step in steps):
        return why(ended, steps)
    reason = why(ended, steps)
    return f"the execution ended {ended['PipelineExecutionStatus']}" + (f": {reason}" if reason else "")


def why(ended: Document, steps: list[StepRun]) -> str:
    """Return in a sentence or two why an execution did not succeed, empty where nothing says: it was stopped.

    Of a ForEach the steps of rounds that failed are told, and not once more itself.
    """
    failed = [step for step in steps if step.status == "Failed"]
    loops = {step.each for step in failed}
    failed = [step for step in failed if step.name not in loops]
    if failed:
        return "; ".join(f"step {step.name} failed: {step.failure_reason or 'no reason given'}" for step in failed)
    return str(ended.get("FailureReason") or "")
