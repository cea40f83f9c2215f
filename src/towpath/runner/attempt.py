"""Runs one attempt from claim to manifest: the whole life of a runner."""

import contextlib
import json
import os
import select
import signal
import time
import traceback
from pathlib import Path
from typing import Any

from towpath.runner import claim, failure, hosts, layers, layout, network, outputs, process, syscalls, tree, wake, warm
from towpath.runner.command import Command, SecretMissing, command_of, with_secrets
from towpath.runner.continuous import ContinuousOutputs
from towpath.runner.deadlines import Deadlines, Due
from towpath.runner.folder import (
    APART,
    HOSTS,
    INCREMENTS,
    JOB,
    LATER,
    LAYER,
    LOG,
    MANIFEST,
    METRICS,
    ML,
    NOT_ASKED,
    STAGING,
    STATUS,
    STOP,
    STOP_AT_ONCE,
    TMP,
    ManifestDocument,
    Settings,
    StagedDocument,
    is_full,
    moment,
    read_json,
    room_bytes,
    with_room,
    write_whole,
)
from towpath.runner.limits import Limits
from towpath.runner.removal import remove_tree
from towpath.runner.requirements import Refused

_ACTIVITIES = {"training": "Training", "processing": "Processing", "serving": "Loading", "transform": "Transforming"}
_METRICS_EVERY_S = 0.25
#: With less than this the disk counts as full: writing down how a job ended takes some of it, here and in the store.
_ROOM_TO_END_BYTES = 4 << 20
#: After a host has failed the others may still say why they fail of it, before they are asked to end; and how long they
#: have for that.
_PEERS_FAIL_S = 2.0
_PEERS_END_S = 10.0


class _Stopped(Exception):
    """Somebody asked to stop before the job's process ran."""


def wait_and_run(orders: int, origin: warm.Origin | None = None) -> None:
    """Prepare all that can be, wait for an attempt to be named in a pipe, and run it; return if the pipe just ends.

    Args:
        origin: what this process has imported, where it was forked by a zygote.
    Raises:
        warm.Begin: in the job's process, when it is to run a script itself.
    """
    syscalls.become_subreaper()
    waiting = process.prepare(orders, origin=origin)
    received = b""
    while not received.endswith(b"\n"):
        chunk = os.read(orders, 1 << 16)
        if not chunk:
            return  # the host has ended; with this runner the waiting process ends as well
        received += chunk
    request = json.loads(received)
    # A host outlives the server that started it: a newer one may know of settings that this one does not.
    told = {name: value for name, value in request["settings"].items() if name in Settings._fields}
    settings = Settings(**{**told, "needed": tuple(told["needed"])})
    if not settings.cold:
        settings = settings._replace(cold=_why_cold(origin))
    run(Path(request["attempt"]), settings, waiting)


def _why_cold(origin: warm.Origin | None) -> str:
    if origin is None:
        return "no process with imports was ready"
    changed = origin.changed()
    return f"{changed} has changed since the imports" if changed else ""


def run(attempt: Path, settings: Settings, waiting: process.Process) -> None:
    """Run the job of an attempt's folder unless another runner was first. Returns when the manifest is written."""
    stop_read, stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # Before the claim: whoever sees the claim may send SIGTERM at once.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(stop_write, warn_on_full_buffer=False)
    if claim.take(attempt) is None:
        return
    _Attempt(attempt, settings, waiting, stop_read).run()


class _Attempt:
    """What is known of the attempt while it runs."""

    def __init__(self, folder: Path, settings: Settings, waiting: process.Process, signals: int) -> None:
        self.folder = folder
        self.settings = settings
        self.signals = signals  #: readable after a signal
        self.job: dict[str, Any] = read_json(folder / JOB)
        limits = self.job.get("limits", {})
        self.max_runtime_s: float | None = limits.get("max_runtime_s")
        self.stop_grace_s: float = limits.get("stop_grace_s", 120.0)  #: between SIGTERM and SIGKILL
        self.stopped = False
        self.timed_out = False
        self.killed = False  #: by us, because stopping gracefully was not wanted or took too long
        self.no_room = False  #: what we wrote for the job, or kept of it, found no room
        self.exit_code: int | None = None  #: of the host that failed first, 0 if none did
        self.failed: list[hosts.Host] = []  #: those that failed by themselves, in the order in which they ended
        self.started_at: str | None = None
        self.download_s = 0.0
        self.began = warm.Began(False, settings.cold)
        self.limits = Limits(self.job, by_kernel=settings.groups)
        self.layer: layers.Layer | None = None  #: packages that were added to the environment
        self.peers_ended = False  #: the other hosts were asked to end, because one had failed
        self.phase = "running"
        self._told: dict[str, Any] | None = None  #: the status that was told last
        self._clear()
        self.hosts = hosts.of_job(folder, self.job, settings)
        self.hosts[0].process = waiting
        self.log = self.hosts[0].log  #: where the platform says what concerns all of them
        self.places = [(host.name, host.ml) for host in self.hosts]
        self.continuous = ContinuousOutputs(
            self.job, folder, lambda: wake.tell(settings.wake, self.job["key"]), [host.ml for host in self.hosts]
        )

    def run(self) -> None:
        """Run the job and write the manifest, whatever happens."""
        staged: list[StagedDocument] = []
        try:
            for host in self.hosts:
                host.make_folders()
                host.log.look_for(self.job.get("metrics", []))
            for note in self.job.get("notes", ()):
                self.log.say(note)
            reason = self._work()
            staged = self._stage(reason)
        except Exception as error:  # noqa: BLE001 - an attempt always ends with a manifest that says why
            reason = failure.of_platform(error)
            self.no_room = isinstance(error, OSError) and is_full(error)
            with contextlib.suppress(OSError):  # a broken disk may be the very reason
                traceback.print_exc()  # to the log of the runner host
                self.log.say(reason)
        tree.end_all()  # nothing may write to the outputs any more, and nothing outlives the job
        self.limits.remove()
        self._finish(reason, staged)

    def _clear(self) -> None:
        """Remove what an earlier runner of this attempt left: a power cut can take its claim, which is not synced."""
        for left in self.folder.iterdir():
            if left.name in (ML, TMP, STAGING, INCREMENTS, LATER, HOSTS):
                remove_tree(left)
            elif left.name in (LOG, METRICS, STATUS):
                left.unlink()

    def _work(self) -> str | None:
        """Run the user's process, or one on each host, to the end; return why the job failed, or None."""
        for host in self.hosts:
            if host.process is None or process.has_ended(host.process):
                others = [other.process for other in self.hosts if other.process is not None]
                # One that was killed while it waited is no fault of the job. What is forked now holds the job's
                # secrets and more, so it has to begin cold.
                self.settings = self.settings._replace(cold=self.settings.cold or "its first process was killed")
                host.process = process.prepare(*(held for other in others for held in process.held(other)))
        commands = [command_of(host.job, host.folder, self.settings) for host in self.hosts]
        try:
            self._check_stop()
            if self.job.get("inputs"):
                self._tell_status("Downloading")
            begun = time.monotonic()
            for host, command in zip(self.hosts, commands, strict=True):
                layout.lay_out(host.job, host.ml, self._check_stop, command.rewrite)
            commands = self._add_layer(commands)
            self.download_s = round(time.monotonic() - begun, 3)
            self._check_stop()
            self.limits.hold(*(host.running.pid for host in self.hosts))
            commands = [with_secrets(command, dict(self.settings.secrets)) for command in commands]
            self.continuous.note_laid_out()
            with network.places(self.job, self.folder, self.settings) as places:
                for host, command, place in zip(self.hosts, commands, places, strict=True):
                    self.began = process.start(
                        host.running, host.job, command, host.folder, self.settings, place, cold=self.settings.cold
                    )
        except _Stopped:
            return "Stopped on request before the job's process was started"
        except (layout.LayoutFailed, Refused, SecretMissing, network.NoNetwork, process.NotStarted) as error:
            self.log.say(str(error))
            return failure.shortened(str(error))
        self.started_at = moment(time.time())
        self._tell_status(_ACTIVITIES.get(self.job["kind"], "Running"))
        self.continuous.begin()
        try:
            self._supervise()
        finally:
            self.continuous.end()
        survivors = tree.end_all()
        if survivors:
            self.log.say(f"processes that could not be killed: {survivors}")
        for host in self.hosts:
            host.drain()
        return self._reason()

    def _add_layer(self, commands: list[Command]) -> list[Command]:
        """Return the commands with the packages on their path that the job's requirements ask for."""
        if not self.job.get("requirements"):
            return commands
        self._tell_status("Downloading")
        self.layer = layers.prepare(
            self.job,
            self.hosts[0].ml,
            self.settings,
            signals=self.signals,
            checkpoint=self._check_stop,
            say=self.log.say,
        )
        if self.layer is not None:
            # For house-keeping, which keeps the layers of what runs.
            write_whole(self.folder / LAYER, self.layer.hash.encode(), durable=False)
        self.settings = layers.shown_with(self.settings, self.layer)
        return [layers.added_to(command, self.layer) for command in commands]

    def _check_stop(self) -> None:
        """Raise if the attempt is to stop; called while nothing runs yet."""
        if (self.folder / STOP).exists():
            self.stopped = True
            raise _Stopped

    # -- while the process runs

    def _supervise(self) -> None:
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
            if self.stopped or self.timed_out:
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
                    self.phase = "ready"
                    self._tell_status("Serving")
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
        if self.failed and self.job["kind"] != APART and not (self.stopped or self.timed_out):
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
            wake.tell(self.settings.wake, self.job["key"])

    def _note_ended(self, ended: list[hosts.Host]) -> None:
        """Reap the processes of these hosts, and note which of them failed, not being asked to end."""
        asked = self.stopped or self.timed_out or self.peers_ended
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
            host.terminate(self.settings.sandbox)

    def _kill(self) -> None:
        """Kill the whole tree but for the reaping, which is left to the usual way out."""
        self.killed = True
        for pid in tree.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # -- after the process

    def _reason(self) -> str | None:
        codes = [host.exit_code for host in (*self.failed[:1], *self.hosts)]
        self.exit_code = next((code for code in codes if code), 0)
        tail = list((self.failed or self.hosts)[0].log.tail)
        if self.limits.over_memory and self.exit_code != 0:
            return failure.over_memory(self.job["limits"]["memory_bytes"], self.limits.peak_bytes, tail)
        if self.limits.over_memory:
            self.log.say("the kernel killed a process of the job because its memory was used up; the job went on")
        if self.timed_out:
            grace = f" and was killed {self.stop_grace_s:g} s after SIGTERM" if self.killed else ""
            return f"The job ran longer than its limit of {self.max_runtime_s:g} s{grace}"
        if self.stopped:
            return "Stopped on request" + (" and killed" if self.killed else "")
        if not self.failed:
            return None
        reason, *others = (
            failure.failure_reason(host.failure_file(), host.exit_code or 0, list(host.log.tail))
            for host in self.failed
        )
        if others:
            told = [f"{host.name}: {text}" for host, text in zip(self.failed[1:], others, strict=True)]
            reason = failure.shared(reason, told)
        return failure.on_full_disk(reason) if room_bytes(self.folder) < _ROOM_TO_END_BYTES else reason

    def _stage(self, reason: str | None) -> list[StagedDocument]:
        """Stage the outputs that this end of the job allows.

        A training job that was asked to stop had its grace time to save its model, as on SageMaker; that is kept.
        """
        unwanted = self.job["kind"] == APART and (self.stopped or self.timed_out)  # as on SageMaker, again
        if self.exit_code is None or unwanted:
            return []
        saved = self.job["kind"] == "training" and (self.stopped or self.timed_out) and not self.killed
        wanted = [item for item in self.job.get("outputs", []) if reason is None or saved or item.get("on_failure")]
        if wanted:
            self._tell_status("Uploading")
        try:
            return outputs.stage(
                wanted,
                self.places,
                self.folder / STAGING,
                self.log.say,
                self.continuous.known,
                self.continuous.laid_out,
            )
        except BaseException:
            remove_tree(self.folder / STAGING)  # all outputs are published or none
            raise

    def _finish(self, reason: str | None, staged: list[StagedDocument]) -> None:
        manifest: ManifestDocument = {
            "key": self.job["key"],
            "exit_code": self.exit_code,
            "host": self.failed[0].name or None if self.failed else None,
            "reason": None if reason is None else self.hosts[0].redactor.text(reason),
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "started_at": self.started_at,
            "ended_at": moment(time.time()),
            "no_room": self.no_room,
            "download_s": self.download_s,
            "peak_memory_bytes": self.limits.peak_bytes or None,
            "outputs": staged,
            "sandbox": self.settings.sandbox,
            "warm": self.began.warm,
            "cold_because": "" if self.began.because == NOT_ASKED else self.began.because,
            "memory_limit": self.limits.mechanism,
            "layer": None if self.layer is None else self.layer._asdict(),
        }
        if room_bytes(self.folder) < _ROOM_TO_END_BYTES:
            self._remove_work()
        # If there is no room for it in time, the attempt ends without a manifest, as one that was lost.
        with_room(lambda: self._write_manifest(manifest))
        wake.tell(self.settings.wake, self.job["key"])
        with contextlib.suppress(OSError):  # a leftover goes with the folder when it is forgotten
            for host in self.hosts:
                remove_tree(host.folder / TMP)

    def _write_manifest(self, manifest: ManifestDocument) -> None:
        try:
            write_whole(self.folder / MANIFEST, json.dumps(manifest).encode(), durable=True)
        except OSError as error:
            if is_full(error):
                self._remove_work()
            raise

    def _remove_work(self) -> None:
        """Make room by what nobody needs any more: the outputs are staged by now, or lost."""
        for host in self.hosts:
            for name in (TMP, ML):
                remove_tree(host.folder / name)

    def _tell_status(self, activity: str) -> None:
        status = {"phase": self.phase, "activity": activity, "started_at": self.started_at}
        if status == self._told:
            return
        self._told = status
        try:
            write_whole(self.folder / STATUS, json.dumps(status).encode(), durable=False)
        except OSError as error:
            if not is_full(error):
                raise  # what is told here is for people to read; a job that needs no room goes on without
        wake.tell(self.settings.wake, self.job["key"])
