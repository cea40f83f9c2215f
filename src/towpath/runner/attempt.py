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

from towpath.runner import claim, failure, layers, layout, outputs, process, syscalls, tree, wake
from towpath.runner.command import Command, SecretMissing, command_of, with_secrets
from towpath.runner.contents import resolve_inside
from towpath.runner.continuous import ContinuousOutputs
from towpath.runner.folder import (
    INCREMENTS,
    JOB,
    LATER,
    LAYER,
    LOG,
    MANIFEST,
    METRICS,
    ML,
    OPT_ML,
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
from towpath.runner.job_log import JobLog
from towpath.runner.limits import Limits
from towpath.runner.redaction import Redactor
from towpath.runner.removal import remove_tree
from towpath.runner.requirements import Refused

_ACTIVITIES = {"training": "Training", "processing": "Processing", "serving": "Loading", "transform": "Transforming"}
_METRICS_EVERY_S = 0.25
#: With less than this the disk counts as full: writing down how a job ended takes some of it, here and in the store.
_ROOM_TO_END_BYTES = 4 << 20


class _Stopped(Exception):
    """Somebody asked to stop before the job's process ran."""


def wait_and_run(orders: int) -> None:
    """Prepare all that can be, wait for an attempt to be named in a pipe, and run it; return if the pipe just ends."""
    syscalls.become_subreaper()
    waiting = process.prepare(orders)
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
    run(Path(request["attempt"]), settings, waiting)


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
        self.process = waiting
        self.signals = signals  #: readable after a signal
        self.job: dict[str, Any] = read_json(folder / JOB)
        self.ml = folder / ML
        self.stopped = False
        self.timed_out = False
        self.killed = False  #: by us, because stopping gracefully was not wanted or took too long
        self.no_room = False  #: what we wrote for the job, or kept of it, found no room
        self.exit_code: int | None = None
        self.started_at: str | None = None
        self.download_s = 0.0
        self.continuous = ContinuousOutputs(self.job, folder, lambda: wake.tell(settings.wake, self.job["key"]))
        self.limits = Limits(self.job, by_kernel=settings.groups)
        self.redactor = Redactor(value for _, value in settings.secrets)
        self.layer: layers.Layer | None = None  #: packages that were added to the environment
        self.phase = "running"
        self._clear()
        ml = str(self.ml)
        self.log = JobLog(folder, lambda line: line.replace(ml, OPT_ML), self.redactor, limit_bytes=settings.log_bytes)

    def run(self) -> None:
        """Run the job and write the manifest, whatever happens."""
        staged: list[StagedDocument] = []
        try:
            (self.folder / TMP).mkdir()
            self.ml.mkdir()
            self.log.look_for(self.job.get("metrics", []))
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
        for name in (ML, TMP, STAGING, INCREMENTS, LATER):
            remove_tree(self.folder / name)
        for name in (LOG, METRICS, STATUS):
            (self.folder / name).unlink(missing_ok=True)

    def _work(self) -> str | None:
        """Run the user's process to its end; return why the job failed, or None."""
        if process.has_ended(self.process):
            self.process = process.prepare()  # killed while it waited, which is no fault of the job
        started = self.process
        command = command_of(self.job, self.folder, self.settings)
        try:
            self._check_stop()
            if self.job.get("inputs"):
                self._tell_status("Downloading")
            begun = time.monotonic()
            layout.lay_out(self.job, self.ml, self._check_stop, command.rewrite)
            command = self._add_layer(command)
            self.download_s = round(time.monotonic() - begun, 3)
            self._check_stop()
            self.limits.hold(started.pid)
            command = with_secrets(command, dict(self.settings.secrets))
            self.continuous.note_laid_out()
            process.start(started, self.job, command, self.folder, self.settings)
        except _Stopped:
            return "Stopped on request before the job's process was started"
        except (layout.LayoutFailed, Refused, SecretMissing, process.NotStarted) as error:
            self.log.say(str(error))
            return failure.shortened(str(error))
        self.started_at = moment(time.time())
        self._tell_status(_ACTIVITIES.get(self.job["kind"], "Running"))
        self.continuous.begin()
        try:
            self._supervise(started)
        finally:
            self.continuous.end()
        ended = process.wait(started)
        self.exit_code = ended.exit_code
        self.limits.sum_up(ended.peak_bytes)
        survivors = tree.end_all()
        if survivors:
            self.log.say(f"processes that could not be killed: {survivors}")
        self._drain(started.output)
        return self._reason()

    def _add_layer(self, command: Command) -> Command:
        """Return the command with the packages on its path that the job's requirements ask for."""
        if not self.job.get("requirements"):
            return command
        self._tell_status("Downloading")
        self.layer = layers.prepare(
            self.job,
            self.ml,
            self.settings,
            signals=self.signals,
            checkpoint=self._check_stop,
            say=self.log.say,
        )
        if self.layer is not None:
            # For house-keeping, which keeps the layers of what runs.
            write_whole(self.folder / LAYER, self.layer.hash.encode(), durable=False)
        self.settings = layers.shown_with(self.settings, self.layer)
        return layers.added_to(command, self.layer)

    def _check_stop(self) -> None:
        """Raise if the attempt is to stop; called while nothing runs yet."""
        if (self.folder / STOP).exists():
            self.stopped = True
            raise _Stopped

    # -- while the process runs

    def _supervise(self, started: process.Process) -> None:
        """Follow the process until it ends: its output, its readiness, requests to stop, time limits."""
        limits = self.job.get("limits", {})
        now = time.monotonic()
        max_runtime = limits.get("max_runtime_s")
        out_of_time_at = now + max_runtime if max_runtime is not None else None
        kill_at: float | None = None
        measure_at = now + self.limits.every_s
        metrics_at: float | None = None
        poll = select.poll()
        for descriptor in (started.pidfd, started.output, self.signals, started.ready):
            poll.register(descriptor, select.POLLIN)
        self._on_signal(started)  # a request may have come before there was a process
        while True:
            if (self.stopped or self.timed_out) and kill_at is None:
                kill_at = time.monotonic() + limits.get("stop_grace_s", 120.0)
            waits = (out_of_time_at, kill_at, measure_at, metrics_at, self.log.due_at())
            wait_s = min(at for at in waits if at is not None) - time.monotonic()
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, wait_s) * 1000 + 1)}
            if started.output in ready and not self._read_output(started.output):
                poll.unregister(started.output)
            if started.pidfd in ready:
                return
            if started.ready in ready:
                poll.unregister(started.ready)
                if os.read(started.ready, 1):
                    self.phase = "ready"
                    self._tell_status("Serving")
            if self.signals in ready:
                self._on_signal(started)
            now = time.monotonic()
            if out_of_time_at is not None and now >= out_of_time_at:
                out_of_time_at = None
                if not self.stopped:
                    self.timed_out = True
                    self.log.say(f"the job reached its time limit of {max_runtime:g} s and is being stopped")
                    self._terminate(started)
            if kill_at is not None and now >= kill_at:
                self._kill(started)
                kill_at = float("inf")
            if now >= measure_at:
                if self.limits.measure():
                    self._kill(started)
                measure_at = time.monotonic() + self.limits.every_s
            due = self.log.due_at()
            if due is not None and now >= due:
                self.log.flush()
            if self.log.has_new_metrics and metrics_at is None:
                metrics_at = now + _METRICS_EVERY_S
            if metrics_at is not None and now >= metrics_at:
                metrics_at = None
                self.log.has_new_metrics = False
                wake.tell(self.settings.wake, self.job["key"])

    def _on_signal(self, started: process.Process) -> None:
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
            self._kill(started)
        elif self.stopped:
            self._terminate(started)

    def _terminate(self, started: process.Process) -> None:
        """Send SIGTERM to the job's process group."""
        if self.settings.sandbox != "bwrap":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGTERM)
            return
        for pid in tree.descendants(started.pid):  # bubblewrap leads the group, and its end would be that of the job
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == started.pid:
                    os.kill(pid, signal.SIGTERM)

    def _kill(self, started: process.Process) -> None:
        """Kill the whole tree but for the reaping, which is left to the usual way out."""
        self.killed = True
        for pid in (started.pid, *tree.descendants(os.getpid())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _read_output(self, descriptor: int) -> bool:
        """Take what the job printed; return False at its end."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        if data:
            self.log.feed(data)
        return bool(data)

    def _drain(self, descriptor: int) -> None:
        """Take the rest of the output; its writers are dead."""
        try:
            while data := os.read(descriptor, 1 << 16):
                self.log.feed(data)
        except BlockingIOError:
            self.log.say("the output is held open by a process that could not be killed")
        self.log.end()

    # -- after the process

    def _reason(self) -> str | None:
        assert self.exit_code is not None
        limits = self.job.get("limits", {})
        if self.limits.over_memory and self.exit_code != 0:
            return failure.over_memory(limits["memory_bytes"], self.limits.peak_bytes, list(self.log.tail))
        if self.limits.over_memory:
            self.log.say("the kernel killed a process of the job because its memory was used up; the job went on")
        if self.timed_out:
            grace = f" and was killed {limits.get('stop_grace_s', 120.0):g} s after SIGTERM" if self.killed else ""
            return f"The job ran longer than its limit of {limits['max_runtime_s']:g} s{grace}"
        if self.stopped:
            return "Stopped on request" + (" and killed" if self.killed else "")
        if self.exit_code == 0:
            return None
        reason = failure.failure_reason(self._failure_file(), self.exit_code, list(self.log.tail))
        return failure.on_full_disk(reason) if room_bytes(self.folder) < _ROOM_TO_END_BYTES else reason

    def _failure_file(self) -> str:
        name = self.job.get("failure_file")
        place = resolve_inside(self.ml, name) if name else None
        if place is None or not place.is_file():
            return ""
        with place.open("rb") as file:
            told = file.read(64 * 1024).decode("utf-8", "replace").strip()
        return self.redactor.text(told)  # before anybody shortens it in the middle of a secret

    def _stage(self, reason: str | None) -> list[StagedDocument]:
        """Stage the outputs that this end of the job allows.

        A training job that was asked to stop had its grace time to save its model, as on SageMaker; that is kept.
        """
        unwanted = self.job["kind"] == "transform" and (self.stopped or self.timed_out)  # as on SageMaker, again
        if self.exit_code is None or unwanted:
            return []
        saved = self.job["kind"] == "training" and (self.stopped or self.timed_out) and not self.killed
        wanted = [item for item in self.job.get("outputs", []) if reason is None or saved or item.get("on_failure")]
        if wanted:
            self._tell_status("Uploading")
        try:
            return outputs.stage(wanted, self.ml, self.folder / STAGING, self.log.say, self.continuous.known)
        except BaseException:
            remove_tree(self.folder / STAGING)  # all outputs are published or none
            raise

    def _finish(self, reason: str | None, staged: list[StagedDocument]) -> None:
        manifest: ManifestDocument = {
            "key": self.job["key"],
            "exit_code": self.exit_code,
            "reason": None if reason is None else self.redactor.text(reason),
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "started_at": self.started_at,
            "ended_at": moment(time.time()),
            "no_room": self.no_room,
            "download_s": self.download_s,
            "peak_memory_bytes": self.limits.peak_bytes or None,
            "outputs": staged,
            "sandbox": self.settings.sandbox,
            "memory_limit": self.limits.mechanism,
            "layer": None if self.layer is None else self.layer._asdict(),
        }
        if room_bytes(self.folder) < _ROOM_TO_END_BYTES:
            self._remove_work()
        # If there is no room for it in time, the attempt ends without a manifest, as one that was lost.
        with_room(lambda: self._write_manifest(manifest))
        wake.tell(self.settings.wake, self.job["key"])
        with contextlib.suppress(OSError):  # a leftover goes with the folder when it is forgotten
            remove_tree(self.folder / TMP)

    def _write_manifest(self, manifest: ManifestDocument) -> None:
        try:
            write_whole(self.folder / MANIFEST, json.dumps(manifest).encode(), durable=True)
        except OSError as error:
            if is_full(error):
                self._remove_work()
            raise

    def _remove_work(self) -> None:
        """Make room by what nobody needs any more: the outputs are staged by now, or lost."""
        for name in (TMP, ML):
            remove_tree(self.folder / name)

    def _tell_status(self, activity: str) -> None:
        status = {"phase": self.phase, "activity": activity, "started_at": self.started_at}
        try:
            write_whole(self.folder / STATUS, json.dumps(status).encode(), durable=False)
        except OSError as error:
            if not is_full(error):
                raise  # what is told here is for people to read; a job that needs no room goes on without
        wake.tell(self.settings.wake, self.job["key"])
