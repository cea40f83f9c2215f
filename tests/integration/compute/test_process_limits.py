"""A job is held to its memory and its cores: by the kernel where it lets us, its memory else by its runner."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.warm import IMPORTS, assert_warm, prime

from towpath.compute.process import ProcessBackend
from towpath.jobs.model import JobSpec, Limits, Manifest, Phase
from towpath.runner import groups
from towpath.testing.compute import STARTED, News, script

pytestmark = pytest.mark.slow

MIB = 1 << 20
#: Groups of the kernel are named after it, and other tests of this host have theirs beside it.
KEY = f"limited-{uuid4().hex[:12]}"
GREEDY = """
held = []
while True:
    held.append(bytearray(b"x") * (8 << 20))
"""
SHARED = """
import os, time
data = bytearray(b"x") * (80 << 20)
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.6)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
print("done")
"""


def opened(tmp_path: Path, *, by_groups: bool, warm: bool = False) -> Iterator[ProcessBackend]:
    home = tmp_path / "home"
    backend = ProcessBackend(home / "jobs", home=home, groups=by_groups, imports=IMPORTS if warm else None)
    if warm:
        if backend.sandbox().chosen != "namespace":
            pytest.skip("only jobs in namespaces begin warm")
        prime(backend)
    yield backend
    backend.close()
    backend.stop_host()
    backend.close()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[ProcessBackend]:
    yield from opened(tmp_path, by_groups=True)


@pytest.fixture(params=["cgroup", "watch", "cgroup, warm", "watch, warm"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ProcessBackend, str]]:
    how, _, warm = request.param.partition(", ")
    if how == "cgroup":
        skip_without_groups()
    for backend in opened(tmp_path, by_groups=how == "cgroup", warm=bool(warm)):
        yield backend, how
    if warm:
        assert_warm(tmp_path / "home" / "jobs")


def skip_without_groups() -> None:
    trial = groups.try_out()
    if "memory" not in trial.controllers:
        pytest.skip(trial.detail)


def job(code: str, **members: Any) -> JobSpec:
    return script(code, key=KEY, **members)


def run(backend: ProcessBackend, job: JobSpec) -> Manifest:
    news = News()
    backend.watch(news)
    backend.submit(job)
    news.until(lambda: backend.observe(job.key).phase is Phase.FINISHED, "it ends")
    manifest = backend.observe(job.key).manifest
    assert manifest is not None
    return manifest


def left_behind(key: str) -> list[str]:
    return [
        str(parent / f"towpath-{key}")
        for hierarchy in groups.here()
        for parent in hierarchy.parents
        if (parent / f"towpath-{key}").exists()
    ]


def test_a_job_over_its_memory_ends_and_says_limit_and_peak(limited: tuple[ProcessBackend, str]) -> None:
    backend, mechanism = limited
    manifest = run(backend, job(GREEDY, limits=Limits(memory_bytes=120 * MIB)))
    assert manifest.memory_limit == mechanism
    assert manifest.exit_code in (-9, 137)
    assert manifest.reason is not None
    assert manifest.reason.startswith("Killed: the job needed more memory than its limit of 120 MB; it used ")
    assert manifest.peak_memory_bytes is not None
    assert manifest.peak_memory_bytes > 100 * MIB
    assert left_behind(KEY) == []


def test_the_memory_of_the_whole_tree_counts(limited: tuple[ProcessBackend, str]) -> None:
    backend, _ = limited
    code = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {GREEDY!r}]))"
    manifest = run(backend, job(code, limits=Limits(memory_bytes=120 * MIB)))
    assert manifest.reason is not None
    assert "limit of 120 MB" in manifest.reason


def test_pages_that_processes_share_count_once(limited: tuple[ProcessBackend, str]) -> None:
    backend, _ = limited
    manifest = run(backend, job(SHARED, limits=Limits(memory_bytes=200 * MIB)))
    assert manifest.reason is None
    assert manifest.exit_code == 0


def test_a_job_within_its_memory_is_left_alone(limited: tuple[ProcessBackend, str]) -> None:
    backend, mechanism = limited
    manifest = run(backend, job("x = bytearray(b'x') * (40 << 20)", limits=Limits(memory_bytes=200 * MIB)))
    assert (manifest.reason, manifest.memory_limit) == (None, mechanism)
    assert left_behind(KEY) == []


def test_a_job_without_a_limit_has_no_group(backend: ProcessBackend) -> None:
    manifest = run(backend, job("print(open('/proc/self/cgroup').read())"))
    assert manifest.memory_limit is None
    assert not any(f"towpath-{KEY}" in line.text for line in backend.log(KEY).lines)


def test_the_group_of_a_killed_runner_is_removed(backend: ProcessBackend) -> None:
    skip_without_groups()
    news = News()
    backend.watch(news)
    code = "import signal; print('started=1', flush=True); signal.pause()"
    backend.submit(job(code, metrics=(STARTED,), limits=Limits(memory_bytes=200 * MIB)))
    news.until(lambda: bool(backend.observe(KEY).metrics), "it runs")
    assert left_behind(KEY)
    runner = backend.observe(KEY).pid
    assert runner is not None
    os.kill(runner, 9)
    news.until(lambda: backend.observe(KEY).phase is Phase.LOST, "the runner is gone")
    backend.stop_host()  # answers when it has seen to all that its runners left
    assert left_behind(KEY) == []


def test_a_job_gets_the_time_of_its_cores_and_no_more(backend: ProcessBackend) -> None:
    trial = groups.try_out()
    if "cpu" not in trial.controllers:
        pytest.skip(trial.detail)
    code = """
import os, time
end = time.monotonic() + 1.0
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        while time.monotonic() < end:
            pass
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
used = os.times()
print(used.children_user + used.children_system)
"""
    begun = time.monotonic()
    manifest = run(backend, job(code, limits=Limits(cores=1, hold_cores=True)))
    took = time.monotonic() - begun
    assert manifest.reason is None
    used = float(backend.log(KEY).lines[-1].text)
    assert used <= 1.25 * max(1.0, took), "two busy processes got the time of one core"
