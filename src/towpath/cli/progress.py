"""How an execution gets on, as people follow it: a live table on a terminal, else one line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.live import Live
from rich.table import Table

from towpath.cli.console import coloured, console, duration, is_terminal
from towpath.sdk.client import Client
from towpath.sdk.executions import ENDED, POLL_S, Execution, StepRun
from towpath.sdk.expressions import Document

WAITING = "waiting"  #: a step that has not begun
NOT_RUN = "not run"  #: a step that never will, because the execution has ended


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step as it is shown."""

    step: str
    state: str  #: the API's word, or WAITING or NOT_RUN
    seconds: float | None
    note: str  #: last metric, outcome, reason


@dataclass(frozen=True, kw_only=True)
class Look:
    """An execution as it was found at one moment."""

    names: Sequence[str] = ()  #: of all steps, in the order in which they are shown; others follow
    steps: Sequence[StepRun] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)  #: step name -> its last metric, as text
    described: Document = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The execution's status."""
        return str(self.described.get("PipelineExecutionStatus", ""))

    def rows(self, now: datetime) -> list[Row]:
        """Return what is shown of each step at `now`."""
        by_name = {step.name: step for step in self.steps}
        shown = []
        for name in dict.fromkeys([*self.names, *by_name]):
            step = by_name.get(name)
            if step is None:
                state = NOT_RUN if self.status in ENDED else WAITING
                shown.append(Row(step=name, state=state, seconds=None, note=""))
            else:
                told = note_of(step, self.metrics.get(name, ""))
                shown.append(Row(step=name, state=step.status, seconds=step.seconds(now), note=told))
        return shown


def note_of(step: StepRun, metric: str) -> str:
    """Return the few words that say most about a step."""
    if step.failure_reason:
        return step.failure_reason.strip().splitlines()[0][:160]
    if step.outcome is not None:
        return f"condition is {step.outcome.lower()}"
    if step.cached_from:
        return "taken over from an earlier execution"
    if step.type == "RegisterModel" and step.arn:
        return "/".join(step.arn.split("/")[-2:])
    if step.type == "Model" and step.arn:
        return step.arn.rpartition("/")[2]
    return metric


def last_metric(client: Client, step: StepRun) -> str:
    """Return the newest metric of a training step as text; empty when there is none yet."""
    if step.type != "TrainingJob" or step.job is None:
        return ""
    described = client.call("SageMaker.DescribeTrainingJob", {"TrainingJobName": step.job})
    metrics = described.get("FinalMetricDataList") or []
    if not metrics:
        return ""
    newest = max(metrics, key=lambda metric: float(metric.get("Timestamp") or 0))
    return f"{newest['MetricName']} {newest['Value']:.4g}"


def follow(execution: Execution, client: Client, names: Sequence[str], *, quiet: bool = False) -> Look:
    """Show an execution until it has ended, and return how it was found then.

    Args:
        names: of all its steps, in the order in which they are shown.
        quiet: show nothing.
    """
    if quiet:
        return _watch(execution, client, names, lambda look: None)
    if not is_terminal():
        return _watch(execution, client, names, Lines(print_line))
    table = LiveTable(f"{execution.pipeline}/{execution.id}")
    with Live(table, console=console(), refresh_per_second=5) as live:
        look = _watch(execution, client, names, table.show)
        live.refresh()
    return look


def _watch(execution: Execution, client: Client, names: Sequence[str], show: Callable[[Look], None]) -> Look:
    metrics: dict[str, str] = {}
    settled: set[str] = set()
    while True:
        # The status first: steps read afterwards are at least as new, so an ended execution is shown complete.
        described = execution.describe()
        steps = execution.steps()
        for step in steps:
            if step.name not in settled:
                metrics[step.name] = last_metric(client, step)
                if step.has_ended:
                    settled.add(step.name)
        look = Look(names=names, steps=steps, metrics=dict(metrics), described=described)
        show(look)
        if look.status in ENDED:
            return look
        time.sleep(POLL_S)


def print_line(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


class Lines:
    """Writes one line for each change of a step's state or of its metric."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._before: dict[str, tuple[str, str]] = {}

    def __call__(self, look: Look) -> None:
        for row in look.rows(datetime.now(UTC)):
            if row.state in {WAITING, NOT_RUN} or self._before.get(row.step) == (row.state, row.note):
                continue
            self._before[row.step] = (row.state, row.note)
            words = [row.step, row.state, duration(row.seconds), row.note]
            self._write("  ".join(word for word in words if word))


class LiveTable:
    """A table that rich draws again and again, its times going on between two looks."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._look = Look()

    def show(self, look: Look) -> None:
        """Show this from now on."""
        self._look = look

    def __rich__(self) -> Table:
        table = Table(title=self._title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("step", header_style="dim", no_wrap=True)
        table.add_column("state", header_style="dim", no_wrap=True)
        table.add_column("time", header_style="dim", justify="right", no_wrap=True)
        table.add_column("", overflow="ellipsis", no_wrap=True)
        for row in self._look.rows(datetime.now(UTC)):
            table.add_row(row.step, coloured(row.state), duration(row.seconds), row.note)
        return table
