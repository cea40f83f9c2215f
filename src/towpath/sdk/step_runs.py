"""The steps of an execution as they stand, and how somebody who looks again and again asks only for what may change."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from towpath.sdk.expressions import Document

if TYPE_CHECKING:
    from towpath.sdk.client import Client

UNCHANGED_S = 5.0  #: after so long a list of several pages is asked for although its execution has not changed
#: Member of a step's Metadata -> what it started, for logs and links.
JOBS = {"TrainingJob": "TrainingJob", "ProcessingJob": "ProcessingJob", "TransformJob": "TransformJob"}
#: What steps are told of by that may have a key in the cache.
_WITH_KEY = frozenset({*JOBS, "TuningJob", "Lambda"})
_UNDELIVERED = "The message is not delivered yet: "  #: begins the StepDescription of a Callback step then
#: Types of steps that are told of by another name than that of the job they run.
_RUNS = {"QualityCheck": "ProcessingJob", "ClarifyCheck": "ProcessingJob"}


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """One step of an execution, as it stands."""

    name: str  #: in a round of a ForEach with its number behind it: `Train[2]`
    type: str  #: as the Metadata calls it: "TrainingJob", "Condition", …, of a check its job; empty before it started
    status: str  #: Starting, Executing, Stopping, Stopped, Failed, Succeeded
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure_reason: str | None = None
    arn: str | None = None  #: of what the step started or made
    outcome: str | None = None  #: of a condition: "True" or "False"
    attempts: int = 0
    waiting_for: str | None = None  #: what the host has too little of for its job to start, or when it is tried again
    cached_from: str | None = None  #: ARN of the execution whose result was taken over
    each: str | None = None  #: the ForEach in a round of which it runs
    item: str | None = None  #: of that ForEach, which its round is about; one that is no text as JSON
    selected: int | None = None  #: of a ForEach with a Selector: the number of the round that it chose
    token: str | None = None  #: of a Callback step: what it is answered by
    undelivered: str | None = None  #: why nobody has got its message yet, and when the next try is

    @property
    def job(self) -> str | None:
        """The name of the job that the step started."""
        return self.arn.rpartition("/")[2] if self.arn and self.type in JOBS else None

    @property
    def may_have_key(self) -> bool:
        """Whether it is of those that results may be taken over for, has begun and waits for nothing of the host."""
        return self.type in _WITH_KEY and self.waiting_for is None

    @property
    def waits_for_answer(self) -> bool:
        """Whether somebody has to answer the step before it goes on."""
        return self.token is not None and self.status == "Executing"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to the step."""
        return self.status in {"Succeeded", "Failed", "Stopped"}

    def seconds(self, now: datetime) -> float | None:
        """Return how long the step has run, up to `now`."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())


def step_run(shown: Document) -> StepRun:
    """Return a step from an entry of ListPipelineExecutionSteps."""
    metadata: Document = shown.get("Metadata") or {}
    told = (shown.get("StepDescription") or "").partition("\n")[0]
    waits = shown.get("StepStatus") == "Starting" and told.startswith("Waiting for ")
    nothing: tuple[str, Document] = ("", {})
    type_, facts = next(iter(metadata.items()), nothing)
    context = shown.get("IterationContext")
    return StepRun(
        name=shown["StepName"] if context is None else f"{shown['StepName']}[{context['Index']}]",
        type=_RUNS.get(type_, type_),
        status=shown.get("StepStatus") or "Starting",
        started_at=moment(shown.get("StartTime")),
        ended_at=moment(shown.get("EndTime")),
        failure_reason=shown.get("FailureReason") or None,
        arn=facts.get("Arn") or facts.get("CheckJobArn"),
        outcome=facts.get("Outcome"),
        attempts=int(shown.get("AttemptCount") or 0),
        waiting_for=told if waits else None,
        each=None if context is None else context["ParentStepName"],
        item=None if context is None else context.get("Item"),
        selected=(facts.get("Selector") or {}).get("Index"),
        token=facts.get("CallbackToken"),
        undelivered=told if told.startswith(_UNDELIVERED) and shown.get("StepStatus") == "Executing" else None,
        cached_from=(shown.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn"),
    )


def moment(epoch_s: float | None) -> datetime | None:
    """Return a time of the wire (seconds since 1970) as a datetime."""
    return None if epoch_s is None else datetime.fromtimestamp(float(epoch_s), UTC)


@dataclass(frozen=True, kw_only=True)
class _Page:
    steps: tuple[StepRun, ...]
    following: str | None  #: the token of the next page

    @property
    def is_settled(self) -> bool:
        """Whether it will always be the same: no step is added to it, and all have ended."""
        return self.following is not None and all(step.has_ended for step in self.steps)


class StepRuns:
    """The steps of an execution that goes on, for somebody who looks at them again and again.

    Steps are listed in the order in which they began, so a page whose steps have all ended is asked for once. Begin
    anew for an execution that is retried: its failed steps are run again.
    """

    def __init__(self, client: Client, execution: str) -> None:
        self._client = client
        self._asked: Document = {"PipelineExecutionArn": execution, "SortOrder": "Ascending"}
        self._pages: list[_Page] = []
        self._found: list[StepRun] = []
        self._changed_at: float | None = None
        self._again_at = 0.0  #: on the monotonic clock

    def look(self, changed_at: float | None = None) -> list[StepRun]:
        """Return the steps that have begun as they stand now, in the order in which they began.

        Args:
            changed_at: LastModifiedTime of the execution, described just before. Whoever tells it asks for a list of
                several pages only where that is another time, and else after a few seconds: no step begins or ends
                without it, and only that a job waits no more for room on the host is seen a little later.
        """
        now = time.monotonic()
        if len(self._pages) > 1 and changed_at is not None and changed_at == self._changed_at and now < self._again_at:
            return self._found
        self._found = self._asked_for()
        self._changed_at, self._again_at = changed_at, now + UNCHANGED_S
        return self._found

    def _asked_for(self) -> list[StepRun]:
        known, self._pages = self._pages, []
        token: str | None = None
        while True:
            page = known[len(self._pages)] if len(self._pages) < len(known) else None
            if page is None or not page.is_settled:
                asked = self._page(token)
                if page is not None and asked.following != page.following:
                    known = []  # what came behind begins somewhere else now
                page = asked
            self._pages.append(page)
            token = page.following
            if token is None:
                break
        never = datetime.max.replace(tzinfo=UTC)
        return sorted((step for page in self._pages for step in page.steps), key=lambda step: step.started_at or never)

    def _page(self, token: str | None) -> _Page:
        asked = self._asked if token is None else {**self._asked, "NextToken": token}
        answer = self._client.call("SageMaker.ListPipelineExecutionSteps", asked)
        steps = tuple(step_run(entry) for entry in answer.get("PipelineExecutionSteps") or ())
        return _Page(steps=steps, following=answer.get("NextToken") or None)
