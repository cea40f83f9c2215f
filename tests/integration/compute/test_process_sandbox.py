"""What a job in a sandbox cannot do, tried by jobs."""

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.compute.process import ProcessBackend, SandboxMode, self_test
from towpath.jobs.model import Limits, Phase
from towpath.kernel.errors import Unavailable, Unsupported
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
attempt("home", lambda: sorted(os.listdir(os.environ["MASKED"])))
attempt("tmp", lambda: sorted(name for name in os.listdir("/tmp") if not name.startswith("pytest-of")))
attempt("other", lambda: os.listdir(f"/proc/{os.environ['OTHER']}/root/opt/ml"))
attempt("network", lambda: sorted(name for _, name in __import__("socket").if_nameindex()))
attempt("loopback", lambda: __import__("socket").create_server(("127.0.0.1", 0)).getsockname()[0])
attempt("capabilities", lambda: [l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapBnd"))])
attempt("pandas", lambda: __import__("json").__name__)
print(json.dumps(found))
"""


def modes() -> list[SandboxMode]:
    return ["namespace", "bwrap"]


@pytest.fixture(params=modes())
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessBackend]:
    mode: SandboxMode = request.param
    home = tmp_path / "home"
    home.mkdir()
    (home / "credentials").write_text("secret")
    try:
        self_test(home, mode)
    except Unavailable as reason:
        pytest.skip(str(reason))
    backend = ProcessBackend(home / "jobs", home=home, sandbox=mode)
    yield backend
    backend.close()
    backend.stop_host()
    backend.close()


def test_a_job_changes_and_sees_nothing_but_its_own(backend: ProcessBackend, tmp_path: Path) -> None:
    news = News()
    backend.watch(news)
    neighbour = script(
        "import os, signal; print(f'started={os.getpid()}', flush=True); signal.pause()", metrics=(STARTED,)
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
    job = script(
        ATTEMPTS,
        key="job-2",
        arguments=tuple(places),
        environment={"MASKED": str(home), "OTHER": str(other)},
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
    for act in ("remount", "bind", "unmount", "sysctl", "other"):
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
