"""What a job in a sandbox cannot do, tried by jobs."""

import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.warm import IMPORTS, assert_warm, prime

from towpath.compute.process import ProcessBackend, SandboxMode, self_test
from towpath.jobs.model import Limits, Phase
from towpath.kernel.errors import Unavailable, Unsupported
from towpath.runner import syscalls, tree
from towpath.testing.compute import STARTED, News, script

pytestmark = pytest.mark.slow

ATTEMPTS = """
import ctypes, json, os, subprocess, sys
found = {}

def attempt(name, act):
    try:
        found[name] = repr(act())
    except Exception as error:
        found[name] = type(error).__name__

libc = ctypes.CDLL(None, use_errno=True)

def mounted(*arguments):
    if libc.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "refused")

for place in sys.argv[1:]:
    attempt("write " + place, lambda: open(os.path.join(place, "written-by-a-job"), "w").close())
attempt("remount", lambda: mounted(None, b"/", None, 0x20 | 0x1000, None))
attempt("bind", lambda: mounted(b"/tmp", b"/etc", None, 0x1000, None))
attempt("unmount", lambda: [1 / 0 for _ in [libc.umount2(b"/opt/ml", 2)] if _ != 0])
attempt("sysctl", lambda: open("/proc/sys/kernel/core_pattern", "r+").close())
attempt("home", lambda: sorted(os.listdir(os.environ["SM_MASKED"])))
attempt("tmp", lambda: sorted(name for name in os.listdir("/tmp") if not name.startswith("pytest-of")))
attempt("other", lambda: os.listdir(f"/proc/{os.environ['SM_OTHER']}/root/opt/ml"))
attempt("neighbour's secrets", lambda: open(f"/proc/{os.environ['SM_OTHER']}/environ").read())
attempt("neighbour's memory", lambda: open(f"/proc/{os.environ['SM_OTHER']}/mem", "rb").close())
attempt("platform's secrets", lambda: open(f"/proc/{os.environ['SM_PLATFORM']}/environ").read())
pids = {"neighbour": os.environ["SM_OTHER"], "platform": os.environ["SM_PLATFORM"], "runner": os.getppid()}
for who, pid in pids.items():
    attempt("signal to the " + who, lambda: os.kill(int(pid), 0))
with subprocess.Popen(["sleep", "60"], start_new_session=True) as own:
    attempt("signal to its own", lambda: os.kill(own.pid, 9))
attempt("job file", lambda: open(os.environ["SM_MASKED"] + "/jobs/job-1/job.json").read())
groups = [f"/sys/fs/cgroup/{name}cgroup.procs" for name in ("", "memory/")]
attempt("limits", lambda: open(next(filter(os.path.exists, groups)), "r+").close())
attempt("devices", lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(8, 0)))
attempt("host's server", lambda: __import__("socket").create_connection(("127.0.0.1", int(os.environ["SM_PORT"])), 5))
attempt("network", lambda: sorted(name for _, name in __import__("socket").if_nameindex()))
attempt("loopback", lambda: __import__("socket").create_server(("127.0.0.1", 0)).getsockname()[0])
attempt("capabilities", lambda: [l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapBnd"))])
attempt("pandas", lambda: __import__("json").__name__)
print(json.dumps(found))
"""


def modes() -> list[str]:
    return ["namespace", "bwrap", "namespace, warm"]


def _skip(mode: str, reason: str) -> None:
    """Skip what this host cannot do; in CI only what CI says that it lacks."""
    required = os.environ.get("TOWPATH_CI_SANDBOXES", "namespace").split() if os.environ.get("CI") == "true" else []
    if mode in required:
        pytest.fail(f"CI has to try the sandbox {mode}: {reason}")
    pytest.skip(reason)


@pytest.fixture(params=modes())
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessBackend]:
    mode: SandboxMode = request.param.partition(",")[0]
    warm = request.param.endswith("warm")
    home = tmp_path / "home"
    home.mkdir()
    (home / "credentials").write_text("secret")
    try:
        self_test(home, mode)
    except Unavailable as reason:
        _skip(mode, str(reason))
    backend = ProcessBackend(home / "jobs", home=home, sandbox=mode, imports=IMPORTS if warm else None)
    if warm:
        prime(backend)
    yield backend
    backend.close()
    backend.stop_host()
    backend.close()
    if warm:
        assert_warm(home / "jobs")


def keeps_signals(request: pytest.FixtureRequest) -> bool:
    """Whether jobs may signal their own processes alone: by Landlock, which bubblewrap does not know."""
    return "bwrap" not in request.node.callspec.id and syscalls.can_keep_signals()


def test_a_job_changes_and_sees_nothing_but_its_own(
    request: pytest.FixtureRequest, backend: ProcessBackend, tmp_path: Path
) -> None:
    news = News()
    backend.watch(news)
    neighbour = script(
        "import os, signal; print(f'started={os.getpid()}', flush=True); signal.pause()",
        metrics=(STARTED,),
        environment={"SM_PASSWORD": "of the neighbour"},
    )
    backend.submit(neighbour)
    news.until(lambda: bool(backend.observe("job-1").metrics), "the neighbour runs")
    home = tmp_path / "home"
    other = int(backend.observe("job-1").metrics[0].value)
    places = [
        "/etc",
        "/usr",
        "/opt",
        "/var/tmp",
        str(Path.home()),
        str(Path(sys.prefix)),
        "/tmp",
        "/dev/shm",
        "/opt/ml",
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listener.close)
    job = script(
        ATTEMPTS,
        key="job-2",
        arguments=tuple(places),
        environment={
            "SM_MASKED": str(home),
            "SM_OTHER": str(other),
            "SM_PLATFORM": str(os.getpid()),
            "SM_PORT": str(listener.getsockname()[1]),
        },
        limits=Limits(network=False),
    )
    backend.submit(job)
    news.until(lambda: backend.observe("job-2").phase is Phase.FINISHED, "it ends")
    backend.stop("job-1", at_once=True)
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "the neighbour ends")
    manifest = backend.observe("job-2").manifest
    assert manifest is not None
    assert manifest.reason is None, [line.text for line in backend.log("job-2").lines]
    found = json.loads(backend.log("job-2").lines[-1].text)
    writable = {name for name, outcome in found.items() if name.startswith("write ") and outcome == "None"}
    assert writable == {"write /tmp", "write /dev/shm", "write /opt/ml"}
    refused = (
        "remount",
        "bind",
        "unmount",
        "sysctl",
        "other",
        "neighbour's secrets",
        "neighbour's memory",
        "platform's secrets",
        "job file",
        "limits",
        "devices",
        "host's server",
        *(f"signal to the {who}" for who in ("neighbour", "platform", "runner") if keeps_signals(request)),
    )
    assert found["signal to its own"] == "None"
    for act in refused:
        assert found[act].endswith(("Error",)), f"{act}: {found[act]}"
    # A home below /tmp is not even there in the job's own /tmp; elsewhere it is there and empty.
    assert found["home"] in ("FileNotFoundError", "[]")
    assert found["network"] == "['lo']"
    assert found["loopback"] == "'127.0.0.1'"
    assert found["capabilities"] == repr(["0" * 16] * 2)
    assert not Path("/opt/ml/written-by-a-job").exists()


def test_a_home_outside_of_tmp_appears_empty(request: pytest.FixtureRequest) -> None:
    """The home lies below the folder that a person would use, and the environment of the job below the home."""
    folder = Path("/var/tmp") / f"towpath-test-{os.getpid()}"
    home = folder / "home"
    home.mkdir(parents=True)
    request.addfinalizer(lambda: shutil.rmtree(folder))
    (home / "credentials").write_text("secret")
    kept = home / "environments/one/lib"
    kept.mkdir(parents=True)
    (kept / "module.py").write_text("name = 'still there'")
    needed = (sys.prefix, sys.base_prefix, str(home / "environments/one"))
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="auto", needed=needed), News()
    if backend.sandbox().chosen == "paths":
        pytest.skip(str(backend.sandbox().trials))
    backend.watch(news)
    code = f"""
import os, sys
sys.path.insert(0, {str(kept)!r})
import module
print(module.name, sorted(os.listdir({str(home)!r})))
try:
    open({str(kept / "x")!r}, "w")
except OSError as error:
    print(error.strerror)
"""
    backend.submit(script(code))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    assert [line.text for line in backend.log("job-1").lines] == [
        "still there ['environments']",
        "Read-only file system",
    ]
    backend.close()
    backend.stop_host()
    backend.close()


def test_the_self_test_says_what_works_and_why_the_rest_does_not(tmp_path: Path) -> None:
    tested = self_test(tmp_path)
    assert tested.chosen in ("namespace", "bwrap", "paths")
    assert tested.trials
    assert all(trial.detail for trial in tested.trials)
    assert tested.summary
    assert self_test(tmp_path, "paths").chosen == "paths"
    with pytest.raises(Unsupported):
        self_test(tmp_path, "chroot")  # type: ignore[arg-type]


def test_the_sockets_of_the_platform_are_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="paths"), News()
    backend.watch(news)
    backend.submit(script("pass"))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    for name in ("wake", "host"):
        assert stat.S_IMODE((home / "run" / name).stat().st_mode) == 0o600
    backend.close()
    backend.stop_host()
    backend.close()


def test_in_ci_jobs_get_the_best_sandbox_there_is(tmp_path: Path) -> None:
    """So that a change of the machine does not quietly turn all other tests into ones without isolation."""
    if os.environ.get("CI") != "true":
        pytest.skip("asserted in CI alone: elsewhere the host decides")
    home = tmp_path / "home"
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="auto"), News()
    backend.watch(news)
    backend.submit(script("pass"))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    manifest = backend.observe("job-1").manifest
    backend.close()
    backend.stop_host()
    backend.close()
    assert backend.sandbox().user_namespace, backend.sandbox().trials
    assert manifest is not None
    assert manifest.sandbox == "namespace"


def test_a_job_with_a_network_reaches_the_host(backend: ProcessBackend) -> None:
    """The other side of the job without one, which is refused above: the attempt itself can succeed."""
    news = News()
    backend.watch(news)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5).close()"
        backend.submit(script(code))
        news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.reason is None


def test_without_a_sandbox_a_job_that_must_have_no_network_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="paths"), News()
    backend.watch(news)
    backend.submit(script("print('ran')", limits=Limits(network=False)))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.exit_code is None
    assert manifest.reason is not None
    assert "EnableNetworkIsolation" in manifest.reason
    assert "ran" not in [line.text for line in backend.log("job-1").lines]
    backend.close()
    backend.stop_host()
    backend.close()


def test_a_killed_job_leaves_no_process_behind(backend: ProcessBackend, tmp_path: Path) -> None:
    news = News()
    backend.watch(news)
    code = """
import os, signal
heard, told = os.pipe()
for depth in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(told, b"x")
            while True:
                signal.pause()
        os._exit(0)
for depth in range(3):
    os.read(heard, 1)
print(f"started={os.getpid()}", flush=True)
signal.pause()
"""
    backend.submit(script(code, metrics=(STARTED,)))
    news.until(lambda: bool(backend.observe("job-1").metrics), "it runs")
    runner = backend.observe("job-1").pid
    assert runner is not None
    below = tree.descendants(runner)
    assert len(below) >= 4
    backend.stop("job-1", at_once=True)
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    assert [pid for pid in below if Path(f"/proc/{pid}").exists()] == []
