"""Jobs to try a back end with, and how a test waits for what becomes of them."""

import hashlib
import io
import socket
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.jobs.model import (
    InputFile,
    JobObservation,
    JobSpec,
    Limits,
    Manifest,
    MetricDefinition,
    Phase,
)
from towpath.jobs.ports import ComputeBackend

#: How long a test waits for something that should take a moment.
PATIENCE_S = 30.0
#: Tells of a job's own start: a metric is the one thing that a job can say which wakes the platform at once.
STARTED = MetricDefinition(name="started", regex="started=([0-9]+)")
#: Exit codes of a killed process: its own, or what a container or a shell around it makes of it.
KILLED = (-9, 137)
#: The secrets that a back end under test is given.
SECRETS = {"TOKEN": "s3cr3t-Pa55/w=rd", "OTHER": "an0ther-s3cret"}


class News:
    """Receives the wake-ups of a back end and lets a test wait for what they bring."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, key: str) -> None:
        with self._changed:
            self.keys.append(key)
            self._changed.notify_all()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return when a condition holds; it is looked at after each wake-up and never in between."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while not holds():
                if not self._changed.wait(deadline - time.monotonic()):
                    pytest.fail(f"not within {PATIENCE_S:g} s of the last wake-up: {what}")


def script(code: str, *, key: str = "job-1", **members: Any) -> JobSpec:
    """Return a job that runs Python code from /opt/ml/code/script.py."""
    members.setdefault("kind", "processing")
    files = {"code/script.py": code, **members.pop("files", {})}
    argv = ("{python}", "/opt/ml/code/script.py", *members.pop("arguments", ()))
    members.setdefault("argv", argv)
    members.setdefault("limits", Limits(stop_grace_s=10.0))
    return JobSpec(key=key, name=key, python=sys.executable, files=files, **members)


def blob(folder: Path, path: str, content: bytes, **members: Any) -> InputFile:
    """Store bytes as a blob and return the input that lays them out at `path`."""
    digest = hashlib.sha256(content).hexdigest()
    source = folder / digest
    source.write_bytes(content)
    facts = {"size": len(content), "sha256": digest, "uri": f"s3://bucket/{path}", "version_id": "v1", **members}
    return InputFile(path=path, source=str(source), **facts)


class Trials:
    """What every group of promises needs: a back end, and jobs that are run on it to their end."""

    @pytest.fixture
    def open_backend(self) -> Callable[[], ComputeBackend]:
        """Return a function that opens a back end; each call opens another one on the same jobs."""
        raise NotImplementedError("override the fixture open_backend")

    @pytest.fixture
    def backend(self, open_backend: Callable[[], ComputeBackend]) -> ComputeBackend:
        return open_backend()

    @pytest.fixture
    def news(self, backend: ComputeBackend) -> Iterator[News]:
        news = News()
        backend.watch(news)
        yield news
        backend.close()

    def finish(self, backend: ComputeBackend, news: News, key: str = "job-1") -> Manifest:
        """Wait until an attempt has ended and return its manifest."""
        news.until(lambda: backend.observe(key).phase in (Phase.FINISHED, Phase.LOST), f"{key} has ended")
        manifest = backend.observe(key).manifest
        assert manifest is not None, "the attempt was lost"
        return manifest

    def run(self, backend: ComputeBackend, news: News, job: JobSpec) -> Manifest:
        """Run a job to its end."""
        backend.submit(job)
        return self.finish(backend, news, job.key)

    def start(self, backend: ComputeBackend, news: News, job: JobSpec) -> JobObservation:
        """Start a job whose metric `started` says that its code runs; return when it does."""
        backend.submit(job)
        news.until(lambda: bool(backend.observe(job.key).metrics), f"{job.key} runs its code")
        return backend.observe(job.key)

    def text(self, backend: ComputeBackend, key: str = "job-1") -> list[str]:
        return [line.text for line in backend.log(key).lines]


def ask(address: str) -> bytes:
    """Return what a Unix socket says to whoever connects."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(address)
        return client.recv(100)


#: The script of a job that takes no notice of being asked to stop.
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started=1", flush=True)
while True:
    signal.pause()
"""


def dedent(code: str) -> str:
    """Return code without the indentation that its place in a test gives it."""
    return textwrap.dedent(code)


def tar(members: dict[str, bytes]) -> bytes:
    """Return a compressed archive with these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
