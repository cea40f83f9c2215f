"""Two hosts of one job find each other in every sandbox, whoever runs the platform: a runner by itself, started as root
and as an ordinary user, and without a sandbox on a machine whose /etc/hosts names them."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import towpath.runner
from towpath.testing.compute.several import EXCHANGE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")]

#: An interpreter that every user of this machine may read.
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
NOBODY = 65534
RUN = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from towpath.runner import attempt, process, syscalls
from towpath.runner.folder import Settings
folder, settings = Path(sys.argv[2]), json.loads(sys.argv[3])
syscalls.become_subreaper()
attempt.run(folder, Settings(**{**settings, "needed": tuple(settings["needed"])}), process.prepare())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that belongs to nobody and that everybody can reach, with the runner's code."""
    if (
        not PYTHON
        or subprocess.run([PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False).returncode
    ):
        pytest.skip("no Python 3.11 that ordinary users may read")
    folder = Path(tempfile.mkdtemp(prefix="towpath-hosts-"))
    folder.chmod(0o755)
    package = folder / "code/towpath"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copytree(Path(next(iter(towpath.runner.__path__))), package / "runner")
    (folder / "home/job-1").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def run(place: Path, sandbox: str, *, network: bool, user_namespace: bool, through: list[str]) -> tuple[str, list[str]]:
    """Run a job on two hosts that talk to each other; return why it failed, and what the hosts printed."""
    attempt = place / "home/job-1"
    job = {
        "key": "job-1",
        "kind": "training",
        "name": "exchange",
        "argv": ["{python}", "/opt/ml/exchange.py"],
        "python": PYTHON,
        "files": {"exchange.py": EXCHANGE},
        "limits": {"network": network, "max_runtime_s": 30, "stop_grace_s": 3},
        "hosts": [{"name": name, "environment": {"CURRENT_HOST": name}} for name in ("algo-1", "algo-2")],
    }
    (attempt / "job.json").write_text(json.dumps(job))
    settings = {
        "home": str(place / "home"),
        "wake": str(place / "home"),
        "sandbox": sandbox,
        "user_namespace": user_namespace,
        "bwrap": shutil.which("bwrap") or "",
        "needed": [],
        "python_folder": str(Path(PYTHON).parent),
        "groups": False,
    }
    for path in (place / "home", attempt, attempt / "job.json"):
        os.chown(path, NOBODY if "setpriv" in through else 0, -1)
    command = [*through, PYTHON, "-c", RUN, str(place / "code"), str(attempt), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((attempt / "manifest.json").read_text())
    logs = [(folder / "log").read_text() for folder in (attempt, attempt / "hosts/algo-2")]
    return manifest["reason"] or "", [line.partition("\t")[2] for log in logs for line in log.splitlines()]


@pytest.mark.parametrize("network", [True, False], ids=["network", "isolated"])
@pytest.mark.parametrize(
    ("sandbox", "user"),
    [("namespace", NOBODY), ("bwrap", NOBODY), ("namespace", 0), ("namespace-root", 0), ("bwrap", 0)],
)
def test_hosts_talk_in_every_sandbox_as_root_and_as_an_ordinary_user(
    place: Path, sandbox: str, user: int, network: bool
) -> None:
    if sandbox == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if user else []
    reason, told = run(
        place,
        sandbox.partition("-")[0],
        network=network,
        user_namespace=sandbox == "namespace",
        through=other,
    )
    assert (reason, told) == (
        "",
        ["heard from algo-2", "addresses 2", "called algo-1", "heard from algo-1", "addresses 2", "called algo-2"],
    )


@pytest.mark.parametrize("named", [True, False])
def test_without_a_sandbox_hosts_talk_where_the_machine_names_them(place: Path, named: bool) -> None:
    names = place / "names"
    names.write_text("127.0.0.1 localhost\n" + ("127.0.0.2 algo-1\n127.0.0.3 algo-2\n" if named else ""))
    through = ["unshare", "--mount", "sh", "-c", f'mount --bind {names} /etc/hosts && exec "$0" "$@"']
    reason, told = run(place, "paths", network=True, user_namespace=False, through=through)
    if named:
        assert reason == ""
        assert [line for line in told if line.startswith(("heard", "addresses"))] == [
            *("heard from algo-2", "addresses 2"),
            *("heard from algo-1", "addresses 2"),
        ]
    else:
        assert reason.startswith("The job asked for 2 hosts. Without a sandbox nothing can give algo-1 to algo-2")
        assert "add to /etc/hosts '127.0.0.2 algo-1', '127.0.0.3 algo-2'" in reason
