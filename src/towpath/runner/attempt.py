"""Runs one attempt from claim to manifest: the whole life of a runner."""

import contextlib
import json
import os
import signal
import time
import traceback
from pathlib import Path
from typing import Any

from towpath.runner import claim, failure, hosts, layers, layout, network, outputs, process, syscalls, tree, wake, warm
from towpath.runner.command import Command, SecretMissing, command_of, with_secrets
from towpath.runner.continuous import ContinuousOutputs
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
from towpath.runner.supervision import Supervision

_ACTIVITIES = {"training": "Training", "processing": "Processing", "serving": "Loading", "transform": "Transforming"}
#: With less than this the disk counts as full: writing down how a job ended takes some of it, here and in the store.
_ROOM_TO_END_BYTES = 4 << 20


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
        self.no_room = False  #: what we wrote for the job, or kept of it, found no room
        self.exit_code: int | None = None  #: of the host that failed first, 0 if none did
        self.started_at: str | None = None
        self.download_s = 0.0
        self.began = warm.Began(False, settings.cold)
        self.limits = Limits(self.job, by_kernel=settings.groups)
        self.layer: layers.Layer | None = None  #: packages that were added to the environment
        self.phase = "running"
        self._told: dict[str, Any] | None = None  #: the status that was told last
        self._clear()
        self.hosts = hosts.of_job(folder, self.job, settings)
        self.hosts[0].process = waiting
        self.log = self.hosts[0].log  #: where the platform says what concerns all of them
        self.places = [(host.name, host.ml) for host in self.hosts]
        self.supervision = Supervision(
            folder,
            self.job,
            self.hosts,
            limits=self.limits,
            sandbox=settings.sandbox,
            signals=signals,
            on_ready=self._tell_ready,
            on_metrics=self._wake,
        )
        self.continuous = ContinuousOutputs(self.job, folder, self._wake, [host.ml for host in self.hosts])

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
            self.supervision.follow()
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
        if self.supervision.was_asked_to_stop():
            raise _Stopped

    # -- after the process

    def _reason(self) -> str | None:
        codes = [host.exit_code for host in (*self.supervision.failed[:1], *self.hosts)]
        self.exit_code = next((code for code in codes if code), 0)
        tail = list((self.supervision.failed or self.hosts)[0].log.tail)
        if self.limits.over_memory and self.exit_code != 0:
            return failure.over_memory(self.job["limits"]["memory_bytes"], self.limits.peak_bytes, tail)
        if self.limits.over_memory:
            self.log.say("the kernel killed a process of the job because its memory was used up; the job went on")
        if self.supervision.timed_out:
            grace = (
                f" and was killed {self.supervision.stop_grace_s:g} s after SIGTERM" if self.supervision.killed else ""
            )
            return f"The job ran longer than its limit of {self.supervision.max_runtime_s:g} s{grace}"
        if self.supervision.stopped:
            return "Stopped on request" + (" and killed" if self.supervision.killed else "")
        if not self.supervision.failed:
            return None
        reason, *others = (
            failure.failure_reason(host.failure_file(), host.exit_code or 0, list(host.log.tail))
            for host in self.supervision.failed
        )
        if others:
            told = [f"{host.name}: {text}" for host, text in zip(self.supervision.failed[1:], others, strict=True)]
            reason = failure.shared(reason, told)
        return failure.on_full_disk(reason) if room_bytes(self.folder) < _ROOM_TO_END_BYTES else reason

    def _stage(self, reason: str | None) -> list[StagedDocument]:
        """Stage the outputs that this end of the job allows.

        A training job that was asked to stop had its grace time to save its model, as on SageMaker; that is kept.
        """
        cut_short = self.supervision.cut_short
        unwanted = self.job["kind"] == APART and cut_short  # as on SageMaker, again
        if self.exit_code is None or unwanted:
            return []
        saved = self.job["kind"] == "training" and cut_short and not self.supervision.killed
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
            "host": self.supervision.failed[0].name or None if self.supervision.failed else None,
            "reason": None if reason is None else self.hosts[0].redactor.text(reason),
            "stopped": self.supervision.stopped,
            "timed_out": self.supervision.timed_out,
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
        self._wake()
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

    def _tell_ready(self) -> None:
        self.phase = "ready"
        self._tell_status("Serving")

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
        self._wake()

    def _wake(self) -> None:
        """Have the platform look at the attempt."""
        wake.tell(self.settings.wake, self.job["key"])
