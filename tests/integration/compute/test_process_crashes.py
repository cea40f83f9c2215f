"""Runners, hosts and platforms that die at bad moments."""

import contextlib
import hashlib
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from towpath.compute.process import ProcessBackend
from towpath.jobs.model import InputFile, JobObservation, JobSpec, Limits, Output, Phase
from towpath.kernel.errors import InUse, Invalid, Unavailable
from towpath.runner import tree
from towpath.testing.compute import PATIENCE_S, STARTED, News, script

pytestmark = pytest.mark.slow

WAITING = "import signal; print('started=1', flush=True); signal.pause()"
#: Leaves a grandchild in a session of its own, with another parent, that ignores polite requests.
FLEEING = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.close(1), os.close(2)
        open("/opt/ml/grandchild.new", "w").write(str(os.getpid()))
        os.rename("/opt/ml/grandchild.new", "/opt/ml/grandchild")
        while True:
            signal.pause()
    os._exit(0)
os.wait()
while not os.path.exists("/opt/ml/grandchild"):
    os.sched_yield()
print("started=1", flush=True)
if sys.argv[1] == "wait":
    signal.pause()
"""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[ProcessBackend]:
    home = tmp_path / "home"
    backend = ProcessBackend(home / "jobs", home=home, sandbox="paths")
    yield backend
    backend.close()
    backend.stop_host()
    backend.close()


@pytest.fixture
def news(backend: ProcessBackend) -> News:
    news = News()
    backend.watch(news)
    return news


def start(backend: ProcessBackend, news: News, job: JobSpec) -> int:
    """Start a job, wait until its code runs, return the process id of its runner."""
    backend.submit(job)
    news.until(lambda: bool(backend.observe(job.key).metrics), "the job runs its code")
    runner = backend.observe(job.key).pid
    assert runner is not None
    return runner


def ended(backend: ProcessBackend, key: str) -> Callable[[], bool]:
    return lambda: backend.observe(key).phase in (Phase.FINISHED, Phase.LOST)


def host_of(tmp_path: Path) -> int:
    """Return the process id of the one runner host of the home: the holder of its lock."""
    import fcntl
    import struct

    with (tmp_path / "home/run/host.lock").open("rb+") as lock:
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    kind, _, _, _, holder = struct.unpack("hhqqi4x", answer)
    assert kind != fcntl.F_UNLCK, "no host holds the lock"
    return int(holder)


def kill_and_wait(pid: int) -> None:
    watched = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(watched)


def wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(PATIENCE_S * 1000), "the process has not ended"
    os.close(pidfd)


def test_a_killed_runner_is_noticed_and_its_job_dies_with_it(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    job = script(
        FLEEING, arguments=("wait",), metrics=(STARTED,), outputs=(Output(name="o", path="", bucket="b", key="k"),)
    )
    runner = start(backend, news, job)
    grandchild = os.pidfd_open(int((tmp_path / "home/jobs/job-1/ml/grandchild").read_text()))
    os.kill(runner, signal.SIGKILL)
    news.until(ended(backend, "job-1"), "the loss is noticed")
    observed = backend.observe("job-1")
    assert observed.phase is Phase.LOST
    assert observed.manifest is None
    assert observed.started_at is not None
    wait_for_end(grandchild)
    backend.submit(job)
    assert backend.observe("job-1").phase is Phase.LOST, "an attempt is never run twice"


def test_nothing_survives_the_end_of_a_job(backend: ProcessBackend, news: News, tmp_path: Path) -> None:
    backend.submit(script(FLEEING, arguments=("leave",)))
    news.until(ended(backend, "job-1"), "it ends although its grandchild does not")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.reason is None
    grandchild = int((tmp_path / "home/jobs/job-1/ml/grandchild").read_text())
    assert not Path(f"/proc/{grandchild}").exists()


def test_runners_outlive_their_host_and_a_new_host_takes_new_jobs(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    start(backend, news, script(WAITING, metrics=(STARTED,)))
    first = host_of(tmp_path)
    kill_and_wait(first)
    assert backend.observe("job-1").phase is Phase.RUNNING
    backend.submit(script("pass", key="job-2"))
    news.until(ended(backend, "job-2"), "the new host runs the new job")
    assert host_of(tmp_path) != first
    assert backend.observe("job-1").phase is Phase.RUNNING
    backend.stop("job-1")
    news.until(ended(backend, "job-1"), "the old runner still listens")
    assert backend.observe("job-1").phase is Phase.FINISHED


def test_a_job_recorded_but_never_handed_over_runs_when_it_is_submitted_again(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    job = script("print('ran')")
    folder = tmp_path / "home/jobs/job-1"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(job))  # and here the platform died
    assert backend.observe("job-1").phase is Phase.ABSENT
    backend.submit(job)
    news.until(ended(backend, "job-1"), "it runs")
    assert [line.text for line in backend.log("job-1").lines] == ["ran"]


def test_a_job_torn_by_a_power_cut_is_written_again(backend: ProcessBackend, news: News, tmp_path: Path) -> None:
    folder = tmp_path / "home/jobs/job-1"
    folder.mkdir()
    (folder / "job.json").write_bytes(b'{"key":"jo')
    backend.submit(script("pass"))
    news.until(ended(backend, "job-1"), "it runs")
    assert backend.observe("job-1").phase is Phase.FINISHED


def test_a_claim_from_before_the_machine_was_restarted_is_lost(backend: ProcessBackend, tmp_path: Path) -> None:
    folder = tmp_path / "home/jobs/job-1"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(script("pass")))
    (folder / "claim").write_text(json.dumps({"pid": os.getpid(), "start": 1, "boot_id": "of another life"}))
    assert backend.observe("job-1").phase is Phase.LOST


@pytest.mark.parametrize("torn", [b'{"pid": 12, "sta', b"\0" * 60, b"7"])
def test_files_torn_by_a_power_cut_leave_an_attempt_lost_and_readable(
    backend: ProcessBackend, tmp_path: Path, torn: bytes
) -> None:
    folder = tmp_path / "home/jobs/job-1"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(script("pass")))
    point = b'{"name":"started","value":1.0,"at":"2026-01-01T00:00:00Z"}\n'
    (folder / "metrics.jsonl").write_bytes(point + torn + b"\n" + point)
    for name in ("claim", "status.json", "log"):
        (folder / name).write_bytes(torn)
    assert backend.observe("job-1").phase is Phase.LOST
    assert len(backend.metrics("job-1")) == 2
    assert backend.log("job-1").lines == []
    assert backend.live() == []
    backend.submit(script("pass"))
    assert backend.observe("job-1").phase is Phase.LOST, "an attempt is never run twice"


def test_an_attempt_whose_claim_a_power_cut_took_begins_with_nothing_of_what_it_had_done(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    """A claim is not synced, so that jobs start quickly; what its runner wrote after it may be there without it."""
    source = tmp_path / "blob"
    source.write_bytes(b"rows")
    row = InputFile(
        path="input/rows", source=str(source), size=4, sha256=hashlib.sha256(b"rows").hexdigest(), uri="s3://b/rows",
        version_id="1",
    )  # fmt: skip
    job = script(
        "import os; print(sorted(os.listdir('/opt/ml/out'))); open('/opt/ml/out/new', 'w').close()",
        inputs=(row,),
        folders=("out",),
        outputs=(Output(name="o", path="out", bucket="b", key="k"),),
    )
    folder = tmp_path / "home/jobs/job-1"
    for place, text in (("ml/input/rows", "rows"), ("ml/out/old", "old"), ("staging/0", "old"), ("tmp/old", "old")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    (folder / "log").write_text("1767225600000\tof the life before\n")
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    backend.submit(job)
    news.until(ended(backend, "job-1"), "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.reason is None
    assert [file.key for file in manifest.outputs] == ["k/new"]
    assert [line.text for line in backend.log("job-1").lines] == ["[]"]


def test_a_request_to_stop_before_the_runner_claims_is_kept(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    job = script("print('ran')")
    folder = tmp_path / "home/jobs/job-1"
    folder.mkdir()
    (folder / "job.json").write_bytes(msgspec.json.encode(job))
    backend.stop("job-1")
    backend.submit(job)
    news.until(ended(backend, "job-1"), "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.stopped
    assert manifest.exit_code is None
    assert backend.log("job-1").lines == []


def test_many_platforms_that_start_at_once_share_one_host(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    home = tmp_path / "home"
    backends = [ProcessBackend(home / "jobs", home=home, sandbox="paths") for _ in range(6)]
    news = News()
    backends[0].watch(news)
    with ThreadPoolExecutor(6) as pool:
        for done in [
            pool.submit(backend.submit, script("pass", key=f"job-{number}")) for number, backend in enumerate(backends)
        ]:
            done.result()
    for number in range(6):
        news.until(ended(backends[0], f"job-{number}"), "it ends")
        assert backends[0].observe(f"job-{number}").phase is Phase.FINISHED
    assert host_of(tmp_path)
    for backend in backends:
        backend.close()
    assert backends[0].stop_host() == []


def test_the_host_ends_only_without_jobs(backend: ProcessBackend, news: News, tmp_path: Path) -> None:
    start(backend, news, script(WAITING, metrics=(STARTED,)))
    assert backend.stop_host() == ["job-1"]
    watched = os.pidfd_open(host_of(tmp_path))
    spare = tree.descendants(host_of(tmp_path))
    backend.stop("job-1", at_once=True)
    news.until(ended(backend, "job-1"), "it ends")
    assert backend.stop_host() == []
    assert not [pid for pid in spare if Path(f"/proc/{pid}").exists()]
    wait_for_end(watched)
    assert backend.stop_host() == [], "ending what is not there is no error"


def test_while_the_host_is_stopped_nobody_waits_long_and_each_job_runs_once_when_it_goes_on(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    backend.submit(script("pass", key="before"))
    news.until(ended(backend, "before"), "it ends")
    jobs = [script("print('ran')", key=f"job-{number}") for number in range(4)]
    host = host_of(tmp_path)
    os.kill(host, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            refused = [threads.submit(backend.submit, job) for job in jobs]
            for submitted in refused:
                assert isinstance(submitted.exception(), Unavailable)
        assert time.monotonic() - began < 15, "one after the other would have waited for its own answer"
        assert backend.live() == []
    finally:
        os.kill(host, signal.SIGCONT)
    for job in jobs:
        until(partial(is_submitted, backend, job))
        until(ended(backend, job.key))
        assert [line.text for line in backend.log(job.key).lines] == ["ran"]
    assert host_of(tmp_path) == host


def until(reached: Callable[[], bool]) -> None:
    """Ask again until something holds that nobody tells of."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        pause.wait(0.05)


def is_submitted(backend: ProcessBackend, job: JobSpec) -> bool:
    """Submit a job as the engine does, which tries again later."""
    try:
        backend.submit(job)
    except Unavailable:
        return False
    return True


def test_a_host_that_does_not_answer_keeps_nobody_from_ending_it(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    start(backend, news, script(WAITING, metrics=(STARTED,)))
    host = host_of(tmp_path)
    watched, spare = os.pidfd_open(host), set(tree.children(host)) - {backend.observe("job-1").pid}
    os.kill(host, signal.SIGSTOP)
    backend.stop("job-1", at_once=True)
    news.until(ended(backend, "job-1"), "it ends without the host")
    assert backend.stop_host() == []
    wait_for_end(watched)
    assert spare
    for pid in spare:
        with contextlib.suppress(ProcessLookupError):
            wait_for_end(os.pidfd_open(pid))
    backend.submit(script("pass", key="job-2"))
    news.until(ended(backend, "job-2"), "it runs below another host")


def test_a_running_job_is_not_forgotten(backend: ProcessBackend, news: News) -> None:
    start(backend, news, script(WAITING, metrics=(STARTED,)))
    with pytest.raises(InUse):
        backend.forget("job-1")
    backend.stop("job-1", at_once=True)
    news.until(ended(backend, "job-1"), "it ends")


@pytest.mark.parametrize("key", ["", "../other", "a/b", ".hidden"])
def test_a_key_that_is_no_name_is_refused(backend: ProcessBackend, key: str) -> None:
    with pytest.raises(Invalid):
        backend.submit(script("pass", key=key))


def test_a_home_in_a_deep_folder_works(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 20) / ("deeper" * 20) / "home"
    home.mkdir(parents=True)
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="auto"), News()
    backend.watch(news)
    backend.submit(script("print('ran')", limits=Limits(network=False)))
    news.until(ended(backend, "job-1"), "it ends")
    assert [line.text for line in backend.log("job-1").lines] == ["ran"]
    address = Path(backend.address("job-1"))
    assert len(os.fsencode(address)) <= 107
    assert address.parent.readlink() == home / "jobs/job-1/ml/run"
    backend.forget("job-1")
    assert not address.parent.is_symlink()
    backend.close()
    backend.stop_host()
    backend.close()


def test_the_host_starts_without_our_package(backend: ProcessBackend, news: News, tmp_path: Path) -> None:
    backend.submit(script("pass"))
    news.until(ended(backend, "job-1"), "it ends")
    maps = Path(f"/proc/{host_of(tmp_path)}/maps").read_text()
    assert "site-packages" not in maps, "compiled packages have no business in the host"
    assert sys.executable.encode() in Path(f"/proc/{host_of(tmp_path)}/cmdline").read_bytes()


def test_a_killed_spare_runner_is_replaced(backend: ProcessBackend, news: News, tmp_path: Path) -> None:
    backend.submit(script("pass"))
    news.until(ended(backend, "job-1"), "it ends")
    host = host_of(tmp_path)
    for pid in tree.children(host):
        with contextlib.suppress(ProcessLookupError):  # the runner of the job may just be ending
            kill_and_wait(pid)
    backend.submit(script("pass", key="job-2"))
    news.until(ended(backend, "job-2"), "another runner takes the job")
    assert backend.observe("job-2").phase is Phase.FINISHED
    assert host_of(tmp_path) == host


def spare_of(tmp_path: Path) -> tuple[int, int]:
    """Return the process ids of the spare runner and of the process that waits with it for a job."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:  # nothing tells of a spare runner, it is nobody's business
        for pid in tree.children(host_of(tmp_path)):
            for waiting in tree.children(pid):
                return pid, waiting
        os.sched_yield()
    pytest.fail("there is no spare runner")


def test_a_job_runs_although_its_waiting_process_was_killed(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    backend.submit(script("pass"))
    news.until(ended(backend, "job-1"), "it ends")
    kill_and_wait(spare_of(tmp_path)[1])
    backend.submit(script("print('ran')", key="job-2"))
    news.until(ended(backend, "job-2"), "it ends")
    assert [line.text for line in backend.log("job-2").lines] == ["ran"]


def test_a_runner_that_dies_before_its_claim_is_noticed_and_the_job_can_be_submitted_again(
    backend: ProcessBackend, news: News, tmp_path: Path
) -> None:
    backend.submit(script("pass"))
    news.until(ended(backend, "job-1"), "it ends")
    runner, _ = spare_of(tmp_path)
    os.kill(runner, signal.SIGSTOP)
    job = script("print('ran')", key="job-2")
    backend.submit(job)
    assert backend.observe("job-2") == JobObservation(phase=Phase.STARTING, pid=runner, activity="Starting")
    backend.submit(job)
    assert backend.observe("job-2").pid == runner, "the runner that has the job is left alone"
    told = news.keys.count("job-2")
    os.kill(runner, signal.SIGKILL)
    news.until(lambda: news.keys.count("job-2") > told and backend.observe("job-2").phase is Phase.ABSENT, "its death")
    backend.submit(job)
    news.until(ended(backend, "job-2"), "it ends")
    assert [line.text for line in backend.log("job-2").lines] == ["ran"]
