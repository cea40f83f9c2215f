"""`towpath env` and `towpath exec`: a command gets what AWS clients need, and is otherwise left to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine, clean_environment

from towpath.aws import HOOK
from towpath.home import HomeFolder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("clients") / "home"))
    machine.up()
    yield machine
    machine.towpath("down", "--all")


def start(machine: Machine, *command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "towpath", "exec", "--", *command],
        env=clean_environment(TOWPATH_HOME=str(machine.home.path), **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(machine: Machine, *command: str, **variables: str) -> tuple[int, str, str]:
    process = start(machine, *command, **variables)
    out, error = process.communicate(timeout=90)
    return process.returncode, out, error


def test_the_exit_code_and_the_words_are_those_of_the_command(machine: Machine) -> None:
    assert run(machine, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert run(machine, "printf", "%s", "--home", "-h")[:2] == (0, "--home-h")


def test_a_signal_reaches_the_command_itself(machine: Machine) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('on', flush=True)"
    process = start(machine, sys.executable, "-c", f"{code}; signal.pause()")
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode == 5


def test_ctrl_c_ends_the_command_as_without_us(machine: Machine) -> None:
    process = start(machine, "sh", "-c", "echo on; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == -signal.SIGINT


def test_a_closed_pipe_ends_the_command_as_without_us(machine: Machine) -> None:
    # Python ignores SIGPIPE, and a command that inherited that would write on and on.
    code, _, error = run(machine, "bash", "-o", "pipefail", "-c", "yes | head -1")
    assert code == 128 + signal.SIGPIPE, error


def test_what_leads_elsewhere_is_taken_away_and_the_path_is_kept(machine: Machine) -> None:
    show = "import os; e = os.environ.get; print(e('AWS_PROFILE'), e('AWS_ENDPOINT_URL_S3'), e('PYTHONPATH'))"
    elsewhere = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_S3": "https://elsewhere.example", "PYTHONPATH": "/mine"}
    assert run(machine, sys.executable, "-c", show, **elsewhere) == (0, f"None None {HOOK}:/mine\n", "")


def test_a_command_that_cannot_be_run_is_named(machine: Machine, tmp_path: Path) -> None:
    code, _, error = run(machine, "no-such-command")
    assert (code, "no-such-command" in error) == (127, True)
    (tmp_path / "data").write_text("")
    assert run(machine, str(tmp_path / "data"))[0] == 126


def test_without_a_server_none_is_started(tmp_path: Path) -> None:
    home = Machine(HomeFolder(tmp_path / "home"))
    code, out, error = run(home, "echo", "ran")
    assert (code, out) == (3, "")
    assert "towpath up" in error
    assert not (tmp_path / "home").exists()


def test_the_shell_loses_what_leads_elsewhere(machine: Machine) -> None:
    script = (
        f'export AWS_SESSION_TOKEN=old; eval "$({sys.executable} -m towpath env)"; '
        'echo "${AWS_SESSION_TOKEN-none} $AWS_REGION"; cat "$SAGEMAKER_USER_CONFIG_OVERRIDE"'
    )
    environment = clean_environment(TOWPATH_HOME=str(machine.home.path))
    told = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert told.startswith("none us-east-1\n")
    assert 'DefaultS3Bucket: "sagemaker-us-east-1-000000000000"' in told
