"""Writes a job's log and the metric values found in it."""

import json
import math
import os
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from towpath.runner.folder import LOG, METRICS, moment, write_all
from towpath.runner.lines import Lines

#: Enough for a traceback through a deep library.
_TAIL_LINES = 200


class JobLog:
    """The log of one attempt, which only its runner writes."""

    def __init__(self, attempt: Path, shown: Callable[[str], str]) -> None:
        """
        Args:
            shown: gives a line as people should read it, with paths as the job's author wrote them.
        """
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)  #: the last lines of the job itself
        self.has_new_metrics = False  #: set for each value, cleared by whoever tells of them
        self._shown = shown
        self._lines = Lines()
        self._metrics_path = attempt / METRICS
        self._log = _append(attempt / LOG)
        self._metrics_file: int | None = None
        self._metrics: list[tuple[str, re.Pattern[str]]] = []

    def look_for(self, metrics: list[dict[str, Any]]) -> None:
        """Record the values of these MetricDefinition documents from now on.

        Raises:
            ValueError: a regular expression is wrong; the message names the metric.
        """
        self._metrics = [(item["name"], _compiled(item)) for item in metrics]

    def feed(self, data: bytes) -> None:
        """Take bytes that the job printed just now."""
        self._keep(self._lines.feed(data, time.monotonic()))

    def due_at(self) -> float | None:
        """Return when `flush` is due, on the monotonic clock."""
        return self._lines.due_at()

    def flush(self) -> None:
        """Write what waits for the end of its line."""
        self._keep(self._lines.flush())

    def say(self, text: str) -> None:
        """Write a line of the platform itself."""
        self._write([f"towpath: {line}" for line in text.splitlines()])

    def _keep(self, lines: list[str]) -> None:
        if not lines:
            return
        lines = [self._shown(line) for line in lines]
        self.tail.extend(lines)
        self._write(lines)
        for line in lines if self._metrics else ():
            for name, pattern in self._metrics:
                if found := pattern.search(line):
                    self._record(name, found)

    def _write(self, lines: list[str]) -> None:
        at = time.time_ns() // 1_000_000
        write_all(self._log, "".join(f"{at}\t{line}\n" for line in lines).encode("utf-8", "replace"))

    def _record(self, name: str, found: re.Match[str]) -> None:
        try:
            value = float(found.group(1) if found.re.groups else found.group())
        except (TypeError, ValueError):
            return  # the definition also matched words; only numbers are values
        if not math.isfinite(value):
            return  # JSON has no word for it, and neither has the API
        if self._metrics_file is None:
            self._metrics_file = _append(self._metrics_path)
        point = {"name": name, "value": value, "at": moment(time.time())}
        write_all(self._metrics_file, json.dumps(point).encode() + b"\n")
        self.has_new_metrics = True


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _compiled(definition: dict[str, Any]) -> re.Pattern[str]:
    try:
        return re.compile(definition["regex"])
    except re.error as error:
        raise ValueError(f"The regular expression of the metric {definition['name']} is wrong: {error}") from error
