"""Jobs as processes of this host: everything that is known of an attempt lies in its folder, nothing in memory."""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from towpath.compute.process.address import address_of, forget_address
from towpath.compute.process.host_link import HostLink
from towpath.compute.process.placement import lay_apart
from towpath.compute.process.reading import MetricsReader, drop_increments, read_increments, read_log, read_status
from towpath.compute.process.records import Manifests, is_recorded, record, recorded
from towpath.compute.process.selftest import SandboxMode, SelfTest, self_test
from towpath.compute.process.telling import Telling
from towpath.compute.process.warm import Imports, Wish, ZygoteStanding, wish_of
from towpath.compute.process.watcher import Watcher
from towpath.jobs.model import Capabilities, JobObservation, JobSpec, LogPage, MetricPoint, Phase
from towpath.kernel.errors import InUse, Invalid, Unavailable, noticing_full_disk
from towpath.kernel.resource import view
from towpath.runner import claim
from towpath.runner.folder import (
    INCREMENTS,
    JOB,
    MANIFEST,
    ML,
    NOT_ASKED,
    STAGING,
    STOP,
    STOP_AT_ONCE,
    STOP_GRACEFULLY,
    TMP,
    Settings,
    host_folder,
    write_whole,
)
from towpath.runner.hosts import folders_in
from towpath.runner.removal import remove_tree

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
#: Attempts that are being removed; the name is no valid key.
_FORGOTTEN = ".forgotten-"
#: What nobody reads once the outputs of an attempt have been adopted.
_WORKED_ON = (STAGING, INCREMENTS, ML)


class ProcessBackend:
    """Runs each job as a process of this host under a runner of its own. Implements `ComputeBackend`.

    Everything is found again by reading the attempts' folders, so this object may be thrown away at any time, and
    several may look at the same folder; wake-ups go to the one that called `watch` last.
    """

    def __init__(
        self,
        jobs: Path,
        *,
        home: Path,
        sandbox: SandboxMode = "auto",
        needed: Iterable[str] | None = None,
        groups: bool = True,
        log_bytes: int = 256 << 20,
        secrets: Callable[[Iterable[str]], Mapping[str, str]] = lambda names: {},
        session: Callable[[JobSpec], Mapping[str, str]] = lambda job: {},
        imports: Imports | None = None,
        warm_python: str = sys.executable,
    ) -> None:
        """
        Args:
            jobs: folder of the attempts, on one file system with nothing else in it.
            home: the platform's folder, hidden from jobs; its `run` folder holds the sockets.
            sandbox: kind of isolation, see `self_test`.
            needed: folders that jobs must be able to read although they lie below /tmp or the home; by default those of
                this interpreter. Those of a job's own interpreter are always added.
            groups: let the kernel hold jobs to their limits where it can; else runners watch their memory.
            log_bytes: what the log of one attempt may take; of a larger one the middle is dropped.
            secrets: gives the values of those secrets, by name, that are set.
            session: makes keys of its own for a job that names them; gives them by the names of secrets.
            imports: what is imported before jobs that can begin warm; None: every job begins cold.
            warm_python: the interpreter whose jobs can.
        """
        self.capabilities = Capabilities(serving=True, isolation=sandbox, layers=True, secrets=True, hosts=True)
        self._jobs = jobs.absolute()
        self._home = home.resolve()
        self._run = self._home / "run"
        self._wanted = sandbox
        self._telling = Telling(
            self._home, needed=needed, groups=groups, log_bytes=log_bytes, secrets=secrets, session=session
        )
        self._imports = imports
        self._warm_python = warm_python
        # Private: a job's environment may hold what is not for other users of the host.
        self._jobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        lay_apart(self._jobs)
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._host = HostLink(self._run)
        self._watcher: Watcher | None = None
        self._metrics: dict[str, MetricsReader] = {}
        self._manifests = Manifests()
        self._lock = threading.Lock()  #: guards what is found out once: the sandbox and the metric readers
        self._tested: SelfTest | None = None

    def sandbox(self) -> SelfTest:
        """Return which sandbox jobs get here and why; found out once.

        Raises:
            Unavailable: the one that was asked for does not work.
        """
        with self._lock:
            if self._tested is None:
                self._tested = self_test(self._home, self._wanted)
            return self._tested

    def submit(self, job: JobSpec) -> None:
        """Start the job unless its key was submitted before. Durable before anything runs.

        An attempt that was recorded but claimed by no runner, because the platform died in between, is handed over
        again.

        Raises:
            Invalid: the key cannot name a folder.
            Unavailable: the runner host cannot be started.
            DiskFull: there is no room for what an attempt begins with.
        """
        folder = self._folder(job.key)
        if claim.look(folder).claimed or (folder / MANIFEST).exists():
            return
        if not is_recorded(folder):
            with noticing_full_disk():
                folder.mkdir(exist_ok=True)
                record(folder, job)
        settings = self._telling.settings(job, self.sandbox())
        zygote, cold = self._zygote(job, settings)
        runner = self._host.start_runner(folder, job.key, settings._replace(cold=cold), zygote)
        if self._watcher is not None:
            self._watcher.follow(job.key, runner)

    def observe(self, key: str) -> JobObservation:
        """Return how the attempt stands, from what is on disk and from the claim's lock."""
        folder = self._folder(key)
        manifest = self._manifests.read(key, folder)
        if manifest is None:
            state = claim.look(folder)
            if state.holder is not None:
                return self._running(key, folder, state.holder)
            manifest = self._manifests.read(key, folder)  # written between the two looks, perhaps
        if manifest is not None:
            return JobObservation(
                phase=Phase.FINISHED,
                started_at=manifest.started_at,
                activity="Stopped" if manifest.stopped else "Failed" if manifest.reason else "Completed",
                metrics=self._reader(key, folder).latest(),
                increments=read_increments(folder),
                manifest=manifest,
            )
        if state.claimed:
            status = read_status(folder)
            return JobObservation(
                phase=Phase.LOST,
                started_at=status.started_at if status else None,
                activity="Lost",
                metrics=self._reader(key, folder).latest(),
                increments=read_increments(folder),
            )
        runner = self._host.runner_of(key) if (folder / JOB).exists() else None
        if runner is not None:
            return JobObservation(phase=Phase.STARTING, pid=runner, activity="Starting")
        # Either never recorded, or recorded and never handed over; the same question once more, since a runner may have
        # claimed the attempt, or even ended, while the host was being asked.
        if (folder / MANIFEST).exists() or claim.look(folder).claimed:
            return self.observe(key)
        return JobObservation(phase=Phase.ABSENT)

    def stop(self, key: str, *, at_once: bool = False) -> None:
        """Ask the attempt to stop; one that has ended or never began is left as it is.

        The request lies on disk before the runner is told, so one that has not claimed the attempt yet finds it.
        """
        folder = self._folder(key)
        if not (folder / JOB).exists() or (folder / MANIFEST).exists():
            return
        asked = STOP_AT_ONCE if at_once else STOP_GRACEFULLY
        with contextlib.suppress(FileNotFoundError):
            if (folder / STOP).read_text() == STOP_AT_ONCE:
                asked = STOP_AT_ONCE  # a stricter request is never taken back
        with noticing_full_disk():
            write_whole(folder / STOP, asked.encode(), durable=True)
        _signal_runner(folder, signal.SIGTERM)

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        """Return lines of the output from a byte offset on; a negative `start` counts from the end of the file."""
        if host and not _KEY.fullmatch(host):
            raise Invalid(f"{host!r} is no name of a host")
        folder = self._folder(key)
        return read_log(host_folder(folder, 1 if host else 0, host), start=start, limit=limit)

    def metrics(self, key: str) -> list[MetricPoint]:
        """Return every metric value read so far, oldest first."""
        return list(self._reader(key, self._folder(key)).refresh())

    def drop(self, key: str, *, until: int) -> None:
        """Remove the increments up to this number, which have been adopted; a repeat does nothing."""
        drop_increments(self._folder(key), until=until)

    def address(self, key: str) -> str:
        """Return the path of the Unix socket on which a serving job answers HTTP."""
        return address_of(self._folder(key))

    def tidy(self, key: str) -> None:
        """Remove what an ended attempt worked on and staged; log, metrics and manifest stay. A repeat does nothing.

        Raises:
            InUse: its runner still lives and has written no manifest.
        """
        folder = self._folder(key)
        holder = claim.look(folder).holder
        if holder is not None and not (folder / MANIFEST).exists():
            raise InUse(f"Attempt {key} is still running; stop it first")
        self._manifests.forget(key)
        # A runner removes the job's /tmp itself as its last act; a killed one could not.
        names = _WORKED_ON if holder is not None else (*_WORKED_ON, TMP)
        for place in folders_in(folder):
            for name in names:
                remove_tree(place / name)

    def is_tidy(self, key: str) -> bool:
        """Return whether there is nothing that `tidy` would remove."""
        return not any((place / name).exists() for place in folders_in(self._folder(key)) for name in _WORKED_ON)

    def forget(self, key: str) -> None:
        """Remove the attempt's folder; forgetting one that is not there does nothing.

        Raises:
            InUse: its runner still lives and has written no manifest.
        """
        folder = self._folder(key)
        if not folder.exists():
            return
        if claim.look(folder).holder is not None and not (folder / MANIFEST).exists():
            raise InUse(f"Attempt {key} is still running; stop it first")
        with self._lock:
            self._metrics.pop(key, None)
            self._manifests.forget(key)
        forget_address(folder)
        # Renamed first: a half-removed folder must never look like an attempt.
        gone = self._jobs / f"{_FORGOTTEN}{key}"
        remove_tree(gone)
        folder.rename(gone)
        remove_tree(gone)

    def watch(self, wake: Callable[[str], None]) -> None:
        """Call `wake(key)`, in a thread of this object, when an attempt may have news, and now for each on disk."""
        if self._watcher is not None:
            self._watcher.close()
        for gone in self._jobs.glob(f"{_FORGOTTEN}*"):
            try:
                remove_tree(gone)
            except OSError:  # what cannot be removed keeps nobody from working
                _log.exception("the leftovers %s could not be removed", gone)
        self._watcher = Watcher(self._jobs, self._run, wake)
        for folder in sorted(self._jobs.iterdir()):
            if (folder / JOB).exists():
                self._watcher.follow(folder.name)

    def live(self) -> list[JobSpec]:
        """Return the jobs whose attempt has begun and not ended.

        While the runner host does not answer, one that no runner has claimed yet counts as not begun.
        """
        keys = sorted(folder.name for folder in self._jobs.iterdir() if (folder / JOB).exists())
        return [recorded(self._jobs / key) for key in keys if self._has_begun(key)]

    def _has_begun(self, key: str) -> bool:
        try:
            return self.observe(key).phase in {Phase.STARTING, Phase.RUNNING, Phase.READY}
        except Unavailable:
            return False

    def zygotes(self, *, wait_s: float = 0.0) -> list[ZygoteStanding]:
        """Return the processes that hold imports for jobs, nothing where the runner host does not run.

        Args:
            wait_s: how long to wait until each is ready or has failed.
        Raises:
            Unavailable: the host does not answer, or not all are ready by then.
        """
        return _zygotes(self._host, wait_s)

    def close(self) -> None:
        """Stop watching; jobs and their host go on."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._host.close()

    def stop_host(self) -> list[str]:
        """End the runner host if it has no jobs; return the keys of the jobs that keep it, none once it has ended.

        One that does not answer is killed.
        """
        return self._host.end()

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise Invalid(f"{key!r} cannot be an attempt's key: letters, digits, '.', '_' and '-' only, at most 200")
        return self._jobs / key

    def _zygote(self, job: JobSpec, settings: Settings) -> tuple[Wish | None, str]:
        if self._imports is None:
            return None, NOT_ASKED
        return wish_of(
            job,
            self._imports,
            sandbox=settings.sandbox,
            python_folder=settings.python_folder,
            python=self._warm_python,
        )

    def _reader(self, key: str, folder: Path) -> MetricsReader:
        with self._lock:
            return self._metrics.setdefault(key, MetricsReader(folder))

    def _running(self, key: str, folder: Path, runner: int) -> JobObservation:
        status = read_status(folder)
        return JobObservation(
            phase=Phase.READY if status is not None and status.phase == "ready" else Phase.RUNNING,
            pid=runner,
            started_at=status.started_at if status else None,
            activity=status.activity if status else "Starting",
            metrics=self._reader(key, folder).latest(),
            increments=read_increments(folder),
        )


def zygotes_of(home: Path) -> list[ZygoteStanding]:
    """Return the processes that hold imports for the jobs of a home, nothing where no runner host runs.

    Raises:
        Unavailable: the host does not answer.
    """
    if not (home / "run").is_dir():
        return []
    link = HostLink(home / "run")
    try:
        return _zygotes(link, 0.0)
    finally:
        link.close()


def _zygotes(host: HostLink, wait_s: float) -> list[ZygoteStanding]:
    return [view(ZygoteStanding, each) for each in host.zygotes(wait_s=wait_s)]


def _signal_runner(folder: Path, number: signal.Signals) -> None:
    """Send a signal to the runner that holds the claim, and to no other process that may get its number."""
    holder = claim.look(folder).holder
    if holder is None:
        return
    try:
        descriptor = os.pidfd_open(holder)
    except ProcessLookupError:
        return  # it has just ended
    try:
        if claim.look(folder).holder == holder:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass  # it ended between the look and the signal: what it had to say is in its manifest
    finally:
        os.close(descriptor)
