"""One host of an attempt's job: its folders, its log and its process. A job on one host is a job with one of them.

    ATTEMPT/ml, tmp, log, …             of the first host
    ATTEMPT/hosts/NAME/ml, tmp, log, …  of each other one

Values of metrics are the job's, whichever host prints them.
"""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from towpath.runner import process, tree
from towpath.runner.contents import resolve_inside
from towpath.runner.folder import HOSTS, METRICS, ML, OPT_ML, TMP, Settings, host_folder
from towpath.runner.job_log import JobLog
from towpath.runner.redaction import Redactor


class Host:
    """What is known of one host while its job runs."""

    def __init__(self, attempt: Path, job: dict[str, Any], settings: Settings, position: int) -> None:
        """`position`: of the host in the job's list; 0 for the one of a job that has none."""
        several: list[dict[str, Any]] = list(job.get("hosts") or ())
        part = several[position] if several else {}
        self.name: str = part.get("name", "")  #: empty for the one host of a job
        self.folder = host_folder(attempt, position, self.name)
        self.ml = self.folder / ML
        self.job = part_of(job, part)
        self.process: process.Process | None = None
        self.exit_code: int | None = None  #: None while it runs
        self.folder.mkdir(parents=True, exist_ok=True)
        self.redactor = Redactor(value for _, value in settings.secrets)
        ml = str(self.ml)
        self.log = JobLog(
            self.folder,
            lambda line: line.replace(ml, OPT_ML),
            self.redactor,
            limit_bytes=settings.log_bytes // max(1, len(several)),
            metrics=attempt / METRICS,
        )

    def make_folders(self) -> None:
        """Make what becomes /opt/ml and /tmp."""
        (self.folder / TMP).mkdir()
        self.ml.mkdir()

    @property
    def running(self) -> process.Process:
        """The process, which has been prepared."""
        assert self.process is not None
        return self.process

    def read_output(self) -> bool:
        """Take what the job printed; return False at its end."""
        try:
            data = os.read(self.running.output, 1 << 16)
        except BlockingIOError:
            return True
        if data:
            self.log.feed(data)
        return bool(data)

    def drain(self) -> None:
        """Take the rest of the output; its writers are dead."""
        try:
            while data := os.read(self.running.output, 1 << 16):
                self.log.feed(data)
        except BlockingIOError:
            self.log.say("the output is held open by a process that could not be killed")
        self.log.end()

    def terminate(self, sandbox: str) -> None:
        """Send SIGTERM to the process group of the job's process, if that has not ended."""
        if self.exit_code is not None:
            return
        leader = self.running.pid
        if sandbox != "bwrap":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader, signal.SIGTERM)
            return
        for pid in tree.descendants(leader):  # bubblewrap leads the group, and its end would be that of the job
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == leader:
                    os.kill(pid, signal.SIGTERM)

    def kill_group(self) -> None:
        """Kill what is left of the process group of a process that has ended and was not waited for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.running.pid, signal.SIGKILL)

    def failure_file(self) -> str:
        """Return what the job wrote to explain its failure, without secrets; empty if it wrote nothing."""
        name = self.job.get("failure_file")
        place = resolve_inside(self.ml, name) if name else None
        if place is None or not place.is_file():
            return ""
        with place.open("rb") as file:
            told = file.read(64 * 1024).decode("utf-8", "replace").strip()
        return self.redactor.text(told)  # before anybody shortens it in the middle of a secret


def of_job(attempt: Path, job: dict[str, Any], settings: Settings) -> list[Host]:
    """Return the hosts of a job, the first one being the one that speaks for it."""
    return [Host(attempt, job, settings, position) for position in range(max(1, len(job.get("hosts") or ())))]


def folders_in(attempt: Path) -> list[Path]:
    """Return the folders of all hosts that an attempt has had, that of the first one being the attempt's own."""
    others = attempt / HOSTS
    return [attempt, *(sorted(others.iterdir()) if others.is_dir() else [])]


def part_of(job: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a job as one of its hosts has to run it: with its own variables, files and inputs."""
    if not part:
        return job
    return {
        **job,
        "environment": {**job.get("environment", {}), **part.get("environment", {})},
        "files": {**job.get("files", {}), **part.get("files", {})},
        "inputs": [item for item in job.get("inputs", ()) if item.get("host", "") in ("", part["name"])],
    }
