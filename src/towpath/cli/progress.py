"""How an execution gets on, as people follow it: a live table on a terminal, else one line for each change."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from towpath.cli.console import coloured, console, duration, is_terminal
from towpath.cli.naming import StepNames
from towpath.cli.questions import answer_command, declared_outputs, outputs_of
from towpath.sdk.client import Client
from towpath.sdk.constraints import in_words
from towpath.sdk.executions import ENDED, POLL_S, Execution
from towpath.sdk.expressions import Document
from towpath.sdk.log_sources import log_of_step, source_of
from towpath.sdk.logs import last_lines
from towpath.sdk.step_runs import StepRun, StepRuns

WAITING = "waiting"  #: a step that has not begun
STARTING = "Starting"  #: the API's word for a step that waits for its turn
NOT_RUN = "not run"  #: a step that never will, because the execution has ended
_WIDEST_COLUMN = 32
_GAP = 2  #: between two columns
_LINES_BESIDE_ROWS = 5  #: title, heads, what is left out, and where the next command is typed
_LOGS_READ = 4  #: running steps whose last printed line is asked for at each look
_LONGEST_ITEM = 40  #: characters of a ForEach's item
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step as it is shown."""

    step: str
    state: str  #: the API's word, or WAITING or NOT_RUN
    seconds: float | None
    note: str  #: last metric, outcome, reason
    is_log_line: bool = False  #: the note is what the step's script printed last


@dataclass(frozen=True, kw_only=True)
class Look:
    """An execution as it was found at one moment."""

    names: Sequence[str] = ()  #: of all steps, in the order in which they are shown; others follow
    steps: Sequence[StepRun] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)  #: step name -> its last metric, as text
    printed: Mapping[str, str] = field(default_factory=dict)  #: name of a running step -> the last line of its log
    asks: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: Callback step -> names of its outputs
    described: Document = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The execution's status."""
        return str(self.described.get("PipelineExecutionStatus", ""))

    @property
    def held_up(self) -> str:
        """Why the execution does not go on, empty while it does or once it has ended."""
        reason = self.described.get("FailureReason")
        return str(reason) if reason and self.status not in ENDED else ""

    @property
    def _execution(self) -> str:
        """PIPELINE/EXECUTION, as commands take it."""
        return "/".join(str(self.described.get("PipelineExecutionArn", "")).split("/")[1::2])

    def rows(self, now: datetime) -> list[Row]:
        """Return what is shown of each step at `now`."""
        by_name = {step.name: step for step in self.steps}
        shown = []
        for name in self._shown(by_name):
            step = by_name.get(name)
            if step is None:
                state = NOT_RUN if self.status in ENDED else WAITING
                shown.append(Row(step=name, state=state, seconds=None, note=""))
            else:
                told = self._note(step)
                line = "" if told or step.has_ended else self.printed.get(name, "")
                shown.append(
                    Row(
                        step=name,
                        state=step.status,
                        seconds=step.seconds(now),
                        note=_about(step.item, told or line),
                        is_log_line=bool(line),
                    )
                )
        return shown

    def _note(self, step: StepRun) -> str:
        """Return what is said of a step; one of a ForEach that chose a round names its item, too."""
        asks = outputs_of(self.asks, step.name)
        told = note_of(self._with_own_reason(step), self.metrics.get(step.name, ""), self._execution, asks)
        if step.selected is None or step.failure_reason:
            return told
        inside = (each for each in self.steps if each.each == step.name and each.name.endswith(f"[{step.selected}]"))
        item = next((each.item for each in inside if each.item), None)
        return told if item is None else f"{told}, {_about(item, '')}"

    def _with_own_reason(self, step: StepRun) -> StepRun:
        """Return a step without what the steps of its rounds tell in their own places."""
        reason = step.failure_reason
        if reason is None or step.type != "ForEach":
            return step
        for inner in self.steps:
            if inner.each == step.name and inner.failure_reason:
                reason = reason.replace(f": {inner.failure_reason}", "")
        return replace(step, failure_reason=reason)

    def _shown(self, begun: Collection[str]) -> list[str]:
        """Return the names of all steps; the rounds of one inside a ForEach stand in its place once they have begun."""
        rounds: dict[str, list[str]] = {}
        for name in begun:
            body, bracket, _ = name.partition("[")
            if bracket:
                rounds.setdefault(body, []).append(name)
        for names in rounds.values():
            names.sort(key=lambda name: int(name.partition("[")[2].rstrip("]")))
        placed = [each for name in self.names for each in rounds.get(name, [name])]
        return list(dict.fromkeys([*placed, *begun]))


def note_of(step: StepRun, metric: str, execution: str, outputs: Sequence[str] = ()) -> str:
    """Return the few words that say most about a step of an execution.

    Args:
        metric: its last one, as text.
        execution: PIPELINE/EXECUTION.
        outputs: names of what an answer to it has to bring.
    """
    if step.failure_reason:
        return _tried(step, most_telling_line(step.failure_reason))
    if step.waiting_for is not None:
        return step.waiting_for
    if step.waits_for_answer:
        waits = f"waits for: {answer_command(f'{execution}/{step.name}', outputs)}"
        return f"{step.undelivered}; {waits}" if step.undelivered is not None else waits
    if step.selected is not None:
        return f"chose round {step.selected}"
    if step.outcome is not None:
        return f"condition is {step.outcome.lower()}"
    if step.cached_from:
        return "taken over from an earlier execution"
    if step.type == "RegisterModel" and step.arn:
        return "/".join(step.arn.split("/")[-2:])
    return metric


def _tried(step: StepRun, reason: str) -> str:
    """Return why a step failed with which of its attempts that was, where a retry policy gives it several."""
    if step.has_ended:
        return f"{reason} (attempt {step.attempts})" if step.attempts > 1 else reason
    if step.status != STARTING:
        return f"attempt {step.attempts}, after: {reason}"
    if step.waiting_for is not None:
        return f"{step.waiting_for}, after: {reason}"
    return f"attempt {step.attempts + 1} follows: {reason}" if step.attempts else reason


def _about(item: str | None, told: str) -> str:
    """Return what is told of a step, that of a round with what the round is about in some characters."""
    line = " ".join((item or "").split())
    if not line:
        return told
    short = line if len(line) <= _LONGEST_ITEM else f"{line[: _LONGEST_ITEM - 1]}…"
    return f"for {short}: {told}" if told else f"for {short}"


def most_telling_line(reason: str) -> str:
    """Return in one line why something failed.

    A reason that begins inside a traceback, as that of a script that does not compile, says most in its last line.
    """
    lines = [line for line in reason.strip().splitlines() if line.strip()]
    head = in_words(lines[0]) if lines else ""
    cause, colon, rest = head.partition(":   File ")
    return f"{cause}: {lines[-1].strip()}" if colon and rest and len(lines) > 1 else head


def last_metric(client: Client, step: StepRun) -> str:
    """Return the newest metric of a training step as text, the best of a tuning step; empty when there is none yet."""
    if step.type == "TuningJob" and step.arn is not None:
        return _best_of_tuning(client, step.arn.rpartition("/")[2])
    if step.type != "TrainingJob" or step.job is None:
        return ""
    described = client.call("SageMaker.DescribeTrainingJob", {"TrainingJobName": step.job})
    metrics = described.get("FinalMetricDataList") or []
    if not metrics:
        return ""
    newest = max(metrics, key=lambda metric: float(metric.get("Timestamp") or 0))
    return f"{newest['MetricName']} {newest['Value']:.4g}"


def _best_of_tuning(client: Client, name: str) -> str:
    described = client.call("SageMaker.DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name})
    counts = described["TrainingJobStatusCounters"]
    ended = sum(counts.values()) - counts["InProgress"]
    best = (described.get("BestTrainingJob") or {}).get("FinalHyperParameterTuningJobObjectiveMetric")
    of_jobs = f"of {ended} training job{'' if ended == 1 else 's'}"
    return f"{best['MetricName']} {best['Value']:.4g}, the best {of_jobs}" if best else ""


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
    live = Live(table, console=console(), refresh_per_second=5)
    try:
        # Not `with`: Ctrl-C while it starts would leave it drawing, and the terminal without its cursor.
        live.start()
        return _watch(execution, client, names, table.show, reads_logs=True)
    finally:
        live.stop()


def last_line(client: Client, step: StepRun, execution: str = "") -> str:
    """Return what the code of a running step printed last, fit to be shown in a line; empty when nothing yet.

    Args:
        execution: its ARN, of a step that runs no job of its own: a Tuning step, or a call of a function.
    """
    if step.has_ended:
        return ""
    if step.job is not None:
        lines = list(client.logs(step.type, step.job, tail=1))
    else:
        log = log_of_step(client, execution, step) if source_of(step) is not None else None
        lines = [] if log is None else list(last_lines([(None, log)], 1))
    # Progress bars write over themselves, and scripts colour what they print.
    text = lines[-1].text.rstrip("\r").rpartition("\r")[2] if lines else ""
    return "".join(character for character in _CONTROL.sub("", text) if character.isprintable()).strip()


def _watch(
    execution: Execution,
    client: Client,
    names: Sequence[str],
    show: Callable[[Look], None],
    *,
    reads_logs: bool = False,
) -> Look:
    named = StepNames(client)
    metrics: dict[str, str] = {}
    settled: set[str] = set()
    asks: Mapping[str, Sequence[str]] | None = None
    runs = StepRuns(client, execution.arn)
    while True:
        # The status first: steps read afterwards are at least as new, so an ended execution is shown complete.
        described = execution.describe()
        steps = [
            step if step.waiting_for is None else replace(step, waiting_for=named.in_(step.waiting_for))
            for step in runs.look(described.get("LastModifiedTime"))
        ]
        for step in steps:
            if step.name not in settled:
                metrics[step.name] = last_metric(client, step)
                if step.has_ended:
                    settled.add(step.name)
        running = [step for step in steps if not step.has_ended][:_LOGS_READ] if reads_logs else []
        printed = {step.name: last_line(client, step, execution.arn) for step in running if not metrics.get(step.name)}
        if asks is None and any(step.waits_for_answer for step in steps):
            asks = declared_outputs(client, execution.arn)
        look = Look(
            names=names, steps=steps, metrics=dict(metrics), printed=printed, asks=asks or {}, described=described
        )
        show(look)
        if look.status in ENDED:
            return look
        time.sleep(POLL_S)


def print_line(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


class Lines:
    """Writes one line for each change of a step's state or of its metric.

    Of changes that are seen at one look, ends come first, in the order in which they happened.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._before: dict[str, tuple[str, str]] = {}
        self._held_up = ""

    def __call__(self, look: Look) -> None:
        held_up = look.held_up.partition(": ")[0]  # what follows is another one with each try
        if held_up != self._held_up:
            self._held_up = held_up
            self._write(look.held_up or "It goes on.")
        ends = {step.name: step.ended_at for step in look.steps if step.ended_at is not None}
        never = datetime.max.replace(tzinfo=UTC)
        rows = _loops_behind_rounds(look.rows(datetime.now(UTC)), {s.name for s in look.steps if s.type == "ForEach"})
        for row in sorted(rows, key=lambda row: ends.get(row.step, never)):
            # Whom a waiting step waits for changes with each step that ends, and how often a message was tried with
            # each try: said once, it is no news.
            seen = (row.state, "" if row.state == STARTING else row.note.partition("; tried ")[0])
            if row.state in {WAITING, NOT_RUN} or self._before.get(row.step) == seen:
                continue
            self._before[row.step] = seen
            words = [row.step, row.state, duration(row.seconds), row.note]
            self._write("  ".join(word for word in words if word))


def _loops_behind_rounds(rows: Sequence[Row], loops: Collection[str]) -> list[Row]:
    """Return the rows with each ForEach behind its rounds, which it ends with."""
    moved: list[Row] = []
    held: list[Row] = []
    for row in rows:
        if held and "[" not in row.step:
            moved += held
            held = []
        (held if row.step in loops else moved).append(row)
    return moved + held


class LiveTable:
    """A table that rich draws again and again, its times going on between two looks.

    Steps, states and times always show whole; the note takes what is left of the line. While more steps than
    the screen has lines are on their way, those that tell least are only counted.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._look = Look()

    def show(self, look: Look) -> None:
        """Show this from now on."""
        self._look = look

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = self._look.rows(datetime.now(UTC))
        left_out: list[Row] = []
        if self._look.status not in ENDED and len(rows) > options.size.height - _LINES_BESIDE_ROWS:
            rows, left_out = most_telling(rows, max(1, options.size.height - _LINES_BESIDE_ROWS))
        yield self._table(rows, options.max_width)
        if left_out:
            yield Text(f"and {counted(left_out)}", style="dim")
        if self._look.held_up:
            yield Text(self._look.held_up, style="red")

    def _table(self, rows: Sequence[Row], width: int) -> Table:
        table = Table(title=self._title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        cells = [(row.step, coloured(row.state), duration(row.seconds), row) for row in rows]
        for name, justify, widest in (
            ("step", "left", max((len(row.step) for row in rows), default=0)),
            ("state", "left", max((len(row.state) for row in rows), default=0)),
            ("time", "right", max((len(cell[2]) for cell in cells), default=0)),
        ):
            column = min(max(len(name), widest), _WIDEST_COLUMN)
            table.add_column(name, header_style="dim", justify=justify, no_wrap=True, width=column)  # type: ignore[arg-type]
            width -= column + _GAP
        table.add_column("", no_wrap=True)
        for step, state, took, row in cells:
            note = Text(row.note, style="dim" if row.is_log_line else "")
            # Cut here: rich would rather make the other columns narrower than this one.
            note.truncate(max(0, width), overflow="ellipsis")
            table.add_row(step, state, took, note)
        return table


def most_telling(rows: Sequence[Row], count: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to show where there is room for `count`, in their order, and those left out."""
    places = {WAITING: 2, NOT_RUN: 3, "Succeeded": 1}
    # Of those that have ended the last ones, of those that wait the first ones: what is near to what happens now.
    order = sorted(
        range(len(rows)),
        key=lambda at: (place := places.get(rows[at].state, 0), -at if place == 1 else at),
    )
    chosen = set(order[:count])
    shown = [row for at, row in enumerate(rows) if at in chosen]
    return shown, [row for at, row in enumerate(rows) if at not in chosen]


def counted(rows: Sequence[Row]) -> str:
    """Return how many rows there are in each state."""
    counts = Counter(row.state for row in rows)
    return f"{len(rows)} more: " + ", ".join(f"{count} {state}" for state, count in counts.items())
