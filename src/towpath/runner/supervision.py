"""Follows the processes of an attempt until all have ended: what they print and use, and what ends them early."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from towpath.runner import process, tree
from towpath.runner.deadlines import Deadlines, Due
from towpath.runner.folder import APART, STOP, STOP_AT_ONCE
from towpath.runner.hosts import Host
from towpath.runner.limits import Limits

_METRICS_EVERY_S = 0.25
#: After a host has failed the others may still say why they fail of it, before they are asked to end; and how long they
#: have for that.
_PEERS_FAIL_S = 2.0
_PEERS_END_S = 10.0


class Supervision:
    """The processes of an attempt, one a host, and what has become of them so far."""

    def __init__(
        self,
        folder: Path,
        job: dict[str, Any],
        hosts: Sequence[Host],
        *,
        limits: Limits,
        sandbox: str,
        signals: int,
        on_ready: Callable[[], None],
        on_metrics: Callable[[], None],
    ) -> None:
        """
        Args:
            signals: a descriptor that is readable after a signal.
            on_ready: called when the job says that it is ready.
            on_metrics: called when it has told new values of metrics, and not for each of many.
        """
        self.folder = folder
        self.job = job
        self.hosts = hosts
        self.log = hosts[0].log
        self.limits = limits
        self.sandbox = sandbox
        self.signals = signals
        self._on_ready = on_ready
        self._on_metrics = on_metrics
        asked = job.get("limits", {})
        self.max_runtime_s: float | None = asked.get("max_runtime_s")
        self.stop_grace_s: float = asked.get("stop_grace_s", 120.0)  #: between SIGTERM and SIGKILL
        self.stopped = False
        self.timed_out = False
        self.killed = False  #: by us, because stopping gracefully was not wanted or took too long
        self.failed: list[Host] = []  #: those that failed by themselves, in the order in which they ended
        self.peers_ended = False  #: the other hosts were asked to end, because one had failed

    @property
    def cut_short(self) -> bool:
        """Whether all are to end because somebody asked for it, or the time is over."""
        return self.stopped or self.timed_out

    def was_asked_to_stop(self) -> bool:
        """Return whether somebody asked to stop; for the time in which nothing runs yet."""
        self.stopped = self.stopped or (self.folder / STOP).exists()
        return self.stopped

    def follow(self) -> None:
        """Follow the processes until all have ended: output, readiness, requests to stop, time limits."""
        deadlines, begun = Deadlines(), time.monotonic()
        if self.max_runtime_s is not None:
            deadlines.once(Due.OUT_OF_TIME, begun + self.max_runtime_s)
        deadlines.latest(Due.MEASURE, begun + self.limits.every_s)
        poll = select.poll()
        ready_end = self.hosts[0].running.ready
        printing = {host.running.output: host for host in self.hosts}
        going_on = {host.running.pidfd: host for host in self.hosts}
        for descriptor in (self.signals, ready_end, *printing, *going_on):
            poll.register(descriptor, select.POLLIN)
        self._on_signal()  # a request may have come before there was a process
        while True:
            if self.cut_short:
                deadlines.once(Due.KILL, time.monotonic() + self.stop_grace_s)
            wait_s = deadlines.next(self._logs_due_at()) - time.monotonic()
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, wait_s) * 1000 + 1)}
            for descriptor in ready & printing.keys():
                if not printing[descriptor].read_output():
                    poll.unregister(descriptor)
            ended = [going_on.pop(descriptor) for descriptor in list(going_on) if descriptor in ready]
            for host in ended:
                poll.unregister(host.running.pidfd)
            self._note_ended(ended)
            if not going_on:
                return
            if ready_end in ready:
                poll.unregister(ready_end)
                if os.read(ready_end, 1):
                    self._on_ready()
            if self.signals in ready:
                self._on_signal()
            self._do_what_is_due(deadlines)

    def _do_what_is_due(self, deadlines: Deadlines) -> None:
        """End what has had its time, measure, and tell what is new."""
        now = time.monotonic()
        if deadlines.passed(Due.OUT_OF_TIME, now) and not self.stopped:
            self.timed_out = True
            self.log.say(f"the job reached its time limit of {self.max_runtime_s:g} s and is being stopped")
            self._terminate()
        if self.failed and self.job["kind"] != APART and not self.cut_short:
            deadlines.once(Due.PEERS_END, now + _PEERS_FAIL_S)
        if deadlines.passed(Due.PEERS_END, now):
            self.log.say(f"{self.failed[0].name} has failed, so the other hosts are ended")
            self._terminate()
            deadlines.latest(Due.KILL, now + _PEERS_END_S)
            self.peers_ended = True
        if deadlines.passed(Due.KILL, now):
            self._kill()
        if deadlines.passed(Due.MEASURE, now):
            if self.limits.measure():
                self._kill()
            deadlines.latest(Due.MEASURE, time.monotonic() + self.limits.every_s)
        self._write_logs(now)
        if any(host.log.has_new_metrics for host in self.hosts):
            deadlines.latest(Due.METRICS, now + _METRICS_EVERY_S)
        if deadlines.passed(Due.METRICS, now):
            for host in self.hosts:
                host.log.has_new_metrics = False
            self._on_metrics()

    def _note_ended(self, ended: list[Host]) -> None:
        """Reap the processes of these hosts, and note which of them failed, not being asked to end."""
        asked = self.cut_short or self.peers_ended
        failed = []
        for host in ended:
            if len(self.hosts) > 1:
                host.kill_group()  # a machine that is given back runs nothing any more
            told = process.wait(host.running)
            host.exit_code = told.exit_code
            self.limits.sum_up(told.peak_bytes)
            if told.exit_code != 0 and not asked:
                failed.append(host)
        # Of several that were found together the one that was killed is rather the cause than those that raised.
        self.failed += sorted(failed, key=lambda host: (host.exit_code or 0) > 0)

    def _logs_due_at(self) -> list[float | None]:
        return [host.log.due_at() for host in self.hosts]

    def _write_logs(self, now: float) -> None:
        """Write what waits for the end of its line for too long."""
        for host, due in zip(self.hosts, self._logs_due_at(), strict=True):
            if due is not None and now >= due:
                host.log.flush()

    def _on_signal(self) -> None:
        """Look why a signal came, or whether a request to stop lies there."""
        with contextlib.suppress(BlockingIOError):
            while numbers := os.read(self.signals, 64):
                self.stopped = self.stopped or signal.SIGTERM in numbers
        try:
            how = (self.folder / STOP).read_text()
        except FileNotFoundError:
            how = ""
        if how:
            self.stopped = True
        if how == STOP_AT_ONCE:
            self._kill()
        elif self.stopped:
            self._terminate()

    def _terminate(self) -> None:
        """Send SIGTERM to the process groups of the job."""
        for host in self.hosts:
            host.terminate(self.sandbox)

    def _kill(self) -> None:
        """Kill the whole tree but for the reaping, which is left to the usual way out."""
        self.killed = True
        for pid in tree.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
