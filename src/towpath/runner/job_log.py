"""Writes a job's log and the metric values found in it."""

import contextlib
import json
import math
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from towpath.runner.folder import METRICS, is_full, moment, write_all
from towpath.runner.lines import Lines
from towpath.runner.log_file import LogFile
from towpath.runner.redaction import Redactor

#: Enough for a traceback through a deep library.
_TAIL_LINES = 200
SEARCH_S = 2.0  #: for the expression of one metric over the lines that came together
MOST_VALUES = 100_000  #: each of which is recorded; of more, the last of each metric every `THINNED_S`
THINNED_S = 1.0


class JobLog:
    """The log of one attempt, or of one of its hosts, which only its runner writes."""

    def __init__(
        self,
        folder: Path,
        shown: Callable[[str], str],
        redactor: Redactor,
        *,
        limit_bytes: int,
        metrics: Path | None = None,
    ) -> None:
        """
        Args:
            folder: of the attempt, or of one host of it.
            metrics: file of the values, which several hosts of a job share; by default the one in `folder`.
            shown: gives a line as people should read it, with paths as the job's author wrote them.
            redactor: keeps secrets out; nothing is written, searched or kept before it has passed.
            limit_bytes: what the log may take on the disk.
        """
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)  #: the last lines of the job itself
        self.has_new_metrics = False  #: set for each value, cleared by whoever tells of them
        self._shown = shown
        self._redactor = redactor
        self._lines = Lines()
        self._metrics_path = metrics or folder / METRICS
        self._log = LogFile(folder, limit_bytes)
        self._metrics_file: int | None = None
        self._metrics: list[tuple[str, re.Pattern[str]]] = []
        self._values = 0  #: recorded so far
        self._newest: dict[str, bytes] = {}  #: by metric, the last value that was not recorded because of too many
        self._thinned_at = 0.0  #: when `_newest` was last recorded, on the monotonic clock

    def look_for(self, metrics: list[dict[str, Any]]) -> None:
        """Record the values of these MetricDefinition documents from now on.

        Raises:
            ValueError: a regular expression is wrong; the message names the metric.
        """
        self._metrics = [(item["name"], _compiled(item)) for item in metrics]

    def feed(self, data: bytes) -> None:
        """Take bytes that the job printed just now."""
        self._keep(self._lines.feed(self._redactor.feed(data), time.monotonic()))

    def due_at(self) -> float | None:
        """Return when `flush` is due, on the monotonic clock."""
        return self._lines.due_at()

    def flush(self) -> None:
        """Write what waits for the end of its line, and the last values."""
        self._keep(self._lines.flush())
        self._record_newest()

    def end(self) -> None:
        """Write what is left; the job prints nothing any more."""
        self._keep(self._lines.feed(self._redactor.end(), time.monotonic()))
        self.flush()

    def say(self, text: str) -> None:
        """Write a line of the platform itself."""
        self._write([f"towpath: {line}" for line in self._redactor.text(text).splitlines()])

    def _keep(self, lines: list[str]) -> None:
        if not lines:
            return
        lines = [self._shown(line) for line in lines]
        self.tail.extend(lines)
        self._write(lines)
        if self._metrics:
            self._search(lines)

    def _write(self, lines: list[str]) -> None:
        at = time.time_ns() // 1_000_000
        self._log.write("".join(f"{at}\t{line}\n" for line in lines).encode("utf-8", "replace"), at)

    def _search(self, lines: list[str]) -> None:
        """Look for values in lines, within a time: an expression can take for ever over a single line."""
        for name, pattern in tuple(self._metrics):
            try:
                with _alarm(SEARCH_S):
                    for line in lines:
                        if found := pattern.search(line):
                            self._record(name, found)
            except _TooSlow:
                self._metrics.remove((name, pattern))
                self.say(
                    f"the regular expression of the metric {name} took longer than {SEARCH_S:g} s over "
                    "a few lines; no more values are read for it. Nested repetitions such as (a+)+ do that."
                )

    def _record(self, name: str, found: re.Match[str]) -> None:
        try:
            value = float(found.group(1) if found.re.groups else found.group())
        except (TypeError, ValueError):
            return  # the definition also matched words; only numbers are values
        if not math.isfinite(value):
            return  # JSON has no word for it, and neither has the API
        point = {"name": name, "value": value, "at": moment(time.time())}
        self._newest[name] = json.dumps(point).encode() + b"\n"
        if self._values < MOST_VALUES or time.monotonic() - self._thinned_at >= THINNED_S:
            self._record_newest()

    def _record_newest(self) -> None:
        """Write the values that wait: each at once as long as there are few, and of many the last one in a while."""
        if not self._newest:
            return
        if self._metrics_file is None:
            self._metrics_file = _append(self._metrics_path)
        size = os.fstat(self._metrics_file).st_size
        try:
            write_all(self._metrics_file, b"".join(self._newest.values()))
        except OSError as error:
            if not is_full(error):
                raise
            os.ftruncate(self._metrics_file, size)
            return  # the newest values wait for room
        self._values += len(self._newest)
        self._newest.clear()
        if self._values >= MOST_VALUES:
            self._thinned_at = time.monotonic()
        self.has_new_metrics = True


class _TooSlow(Exception):
    """The alarm went off."""


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Interrupt what is done inside when it takes longer; the search of a regular expression looks for signals."""

    def interrupt(*_: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _compiled(definition: dict[str, Any]) -> re.Pattern[str]:
    try:
        return re.compile(definition["regex"])
    except re.error as error:
        raise ValueError(f"The regular expression of the metric {definition['name']} is wrong: {error}") from error
