"""The life of a server: found, ended, interrupted, replaced; what it started goes on or ends as the user wants."""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.acceptance.conftest import ROOT, Machine, clean_environment, clients, wait_for_execution

from towpath.server import PORTS_TRIED
from towpath.settings import Settings

pytestmark = pytest.mark.acceptance

PIPELINE = """
from towpath import Pipeline, Processing
pipeline = Pipeline("waiting", steps=[Processing("Wait", script="wait.py")])
"""
#: Rings up the test, and ends when it is told something.
WAIT = """
import socket
with socket.create_connection(("127.0.0.1", {port})) as line:
    print("told", line.recv(100).decode(), flush=True)
"""


@dataclass(frozen=True)
class Waiting:
    """A project whose one step rings up and waits for a word."""

    file: Path
    listener: socket.socket

    def answer(self) -> socket.socket:
        """Return the line to the step, which runs from then on until it is told something or the line is cut."""
        line, _ = self.listener.accept()
        line.settimeout(60)
        return line


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    """Return the project and the line."""
    project = tmp_path / "project"
    project.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        (project / "pipeline.py").write_text(PIPELINE)
        (project / "wait.py").write_text(WAIT.format(port=listener.getsockname()[1]))
        yield Waiting(project / "pipeline.py", listener)


def started(machine: Machine, file: Path) -> str:
    """Start the waiting pipeline without following it; return the execution's ARN once its job runs."""
    return str(machine.json("run", str(file), "--detach")["PipelineExecutionArn"])


def test_health_answers_and_files_tell_where_the_server_is(machine: Machine) -> None:
    server = machine.up()
    with urllib.request.urlopen(f"{server.url}/health", timeout=60) as answer:
        health = json.load(answer)
    assert health["status"] == "ok"
    assert health["pid"] == server.pid
    assert machine.up() == server, "a second `up` finds the first server"


def open_to_others(folder: Path) -> set[str]:
    """Return the files below a folder that another user of the host could read, had he come as far as the folder."""
    found = set()
    for path in folder.iterdir():
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_dir() and mode & 0o011:
            found |= {f"{path.name}/{name}" for name in open_to_others(path)}
        elif not path.is_dir() and mode & 0o044:
            found.add(path.name)
    return found


@pytest.mark.parametrize("before", ["no home yet", "a home that all may read"])
def test_a_home_is_for_its_owner_alone_whatever_the_umask(machine: Machine, before: str) -> None:
    (machine.home.path.parent / "words.txt").write_text("ant")
    umask = os.umask(0o022)
    try:
        machine.home.path.mkdir(mode=0o755)
        machine.towpath("data", "put", "words", str(machine.home.path.parent / "words.txt"))
        if before == "a home that all may read":
            machine.towpath("down")
            for path in [machine.home.path, *machine.home.path.rglob("*")]:
                if not path.is_symlink() and path != machine.home.credentials_file:
                    path.chmod(0o755 if path.is_dir() else 0o644)
            machine.up()
    finally:
        os.umask(umask)
    assert open_to_others(machine.home.path) <= {"server.json", "lock"}  # address and process id
    assert stat.S_IMODE(machine.home.credentials_file.stat().st_mode) == 0o600


def test_a_wrong_or_missing_key_is_refused(machine: Machine) -> None:
    server = machine.up()
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        request = urllib.request.Request(
            server.url, data=b"{}", headers={**headers, "X-Amz-Target": "SageMaker.ListPipelines"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 403
        refused.value.close()


def test_two_servers_cannot_use_one_home(machine: Machine) -> None:
    server = machine.up()
    told = machine.towpath("up", code=1)
    assert f"in use by process {server.pid}" in told
    assert server.url in told


def test_a_port_that_is_taken_is_refused_when_asked_for_exactly(machine: Machine, tmp_path: Path) -> None:
    from towpath.home import HomeFolder

    server = machine.up()
    port = server.url.rpartition(":")[2]
    other = Machine(HomeFolder(tmp_path / "other"))
    assert "--port" in other.towpath("up", "--port", port, code=1)


def test_a_configured_port_that_is_taken_gives_way_to_the_next_free_one(machine: Machine) -> None:
    assert Settings().port == 7400
    machine.home.path.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        machine.home.settings_file.write_text(f"port = {first}\n")
        server = machine.up()
        port = int(server.url.rpartition(":")[2])
        # Others on this host may have the ports behind it; none of those that it passed by is free.
        assert first < port <= first + PORTS_TRIED
        assert port == first + 1 or all(in_use(passed) for passed in range(first + 1, port))
    with urllib.request.urlopen(f"{server.url}/health", timeout=60) as answer:
        assert json.load(answer)["pid"] == server.pid


def in_use(port: int) -> bool:
    """Return whether nobody can listen on a port now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_without_a_server_a_command_says_so_with_its_own_exit_code(machine: Machine) -> None:
    assert "towpath up" in machine.towpath("ps", code=3)


def test_a_job_outlives_its_server_and_is_adopted(machine: Machine, waiting: Waiting) -> None:
    server = machine.up()
    arn = started(machine, waiting.file)
    with waiting.answer() as line:
        os.kill(server.pid, signal.SIGKILL)
        line.sendall(b"go")
    machine.up()
    ended = wait_for_execution(clients(machine)["sagemaker"], arn)
    assert ended["PipelineExecutionStatus"] == "Succeeded", ended
    assert "told go" in machine.towpath("logs", "waiting/" + arn.rpartition("/")[2])


def test_down_leaves_jobs_and_down_all_ends_them(machine: Machine, waiting: Waiting) -> None:
    machine.up()
    arn = started(machine, waiting.file)
    with waiting.answer():
        told = machine.towpath("down")
        assert re.search(r"Still running, and adopted at the next start: pipelines-\S+-Wait-", told), told
        assert "End them too: towpath down --all\n" in told
        assert machine.home.running_server() is None
        assert machine.processes(), "the job goes on without a server"
        told = machine.towpath("down", "--all")
        assert "Stopped 1" in told
        assert machine.processes() == []
    machine.up()
    ended = wait_for_execution(clients(machine)["sagemaker"], arn)
    assert ended["PipelineExecutionStatus"] in {"Failed", "Stopped"}


def terminal(machine: Machine, *arguments: str) -> tuple[int, int]:
    """Start a command on a terminal of its own; return its process id and the terminal."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        environment = clean_environment(
            **machine.environment, TOWPATH_HOME=str(machine.home.path), TERM="xterm-256color", COLUMNS="120"
        )
        os.execve(sys.executable, [sys.executable, "-m", "towpath", *arguments], environment)
    return pid, descriptor


def read_until(descriptor: int, pattern: str, *, seconds: float = 60) -> str:
    """Return what a terminal showed up to `pattern`; fail when it does not come."""
    shown = ""
    while not re.search(pattern, shown):
        ready, _, _ = select.select([descriptor], [], [], seconds)
        assert ready, f"{pattern!r} did not come:\n{shown}"
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # how a terminal tells that nobody writes any more
            data = b""
        assert data, f"ended without {pattern!r}:\n{shown}"
        shown += data.decode(errors="replace")
    return shown


def test_ctrl_c_leaves_jobs_running_and_a_second_one_ends_them(machine: Machine, waiting: Waiting) -> None:
    # An address of its own: on the one that all use, the server of another test takes a port as soon as it is free.
    machine = replace(machine, environment={"TOWPATH_HOST": "127.0.0.9"})
    pid, screen = terminal(machine, "up")
    read_until(screen, r"answers at http")
    started(machine, waiting.file)
    running = machine.home.running_server()
    assert running is not None
    url = running.url
    with waiting.answer():
        os.write(screen, b"\x03")
        told = read_until(screen, r"Press Ctrl-C again")
        assert "Still running" in told
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(f"{url}/health", timeout=60)
        os.write(screen, b"\x03")
        read_until(screen, r"stopped too")
        assert os.waitpid(pid, 0)[1] == 0
    os.close(screen)
    assert machine.processes() == []


def test_ctrl_c_in_run_detaches_and_says_how_to_go_on(machine: Machine, waiting: Waiting) -> None:
    machine.up()
    pid, screen = terminal(machine, "run", str(waiting.file))
    with waiting.answer() as line:
        read_until(screen, r"Executing")
        os.write(screen, b"\x03")
        told = read_until(screen, r"towpath stop \S+")
        os.waitpid(pid, 0)
        os.close(screen)
        assert "towpath logs" in told
        execution = re.search(r"towpath stop (waiting/\w+)", told)
        assert execution is not None
        line.sendall(b"go")
    shown = machine.json("describe", execution[1])
    ended = wait_for_execution(clients(machine)["sagemaker"], shown["PipelineExecutionArn"])
    assert ended["PipelineExecutionStatus"] == "Succeeded"


def test_run_starts_a_server_when_none_runs_and_says_how_to_end_it(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(
        "from towpath import Pipeline, Processing\npipeline = Pipeline('one', steps=[Processing('P', script='p.py')])\n"
    )
    (tmp_path / "p.py").write_text("print('done')\n")
    assert "towpath down" in machine.towpath("run", str(tmp_path / "pipeline.py"))
    assert machine.home.running_server() is not None


def test_independent_steps_run_side_by_side(machine: Machine, tmp_path: Path) -> None:
    """Two steps that each wait for the other's file: one after the other, neither could end."""
    (tmp_path / "pipeline.py").write_text(
        "from towpath import Pipeline, Processing\n"
        "pipeline = Pipeline('pair', steps=[\n"
        "    Processing('Left', script='meet.py', arguments={'me': 'left', 'other': 'right'}),\n"
        "    Processing('Right', script='meet.py', arguments={'me': 'right', 'other': 'left'}),\n"
        "])\n"
    )
    (tmp_path / "meet.py").write_text(
        "import pathlib, sys, time\n"
        f"shared, me, other = pathlib.Path({str(tmp_path)!r}), sys.argv[2], sys.argv[4]\n"
        "(shared / me).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not (shared / other).exists():\n"
        "    assert time.monotonic() < end, 'the other step never came'\n"
        "    time.sleep(0.01)\n"
    )
    # Without a sandbox jobs can write outside of their folder, which is how these two meet.
    machine.home.path.mkdir()
    machine.home.settings_file.write_text('sandbox = "paths"\n')
    machine.towpath("run", str(tmp_path / "pipeline.py"))
