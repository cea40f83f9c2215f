"""A server that cannot be started says why in one sentence, whoever started it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow


def test_a_setting_that_is_unknown_is_named(shell: Shell) -> None:
    (shell.home / "towpath.toml").write_text("porrt = 3\n")
    (shell.home / "server.log").write_text("a line of an earlier server\n")
    told = shell("up", "--background", code=3)
    assert told == (
        f"Error: The server did not start. {shell.home}/towpath.toml: there is no setting 'porrt' "
        "(did you mean 'port'?); see docs/operations.md for the settings\n"
    )


def test_a_misspelt_variable_is_told_to_whoever_starts_the_server_and_in_its_log(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {**shell.environment, "TOWPATH_OBJECTS_SECRETKEY": "hush"}
    monkeypatch.setattr(type(shell), "environment", property(lambda _: here))
    command = shell.argv("up", "--background")
    done = subprocess.run(command, cwd=shell.folder, env=here, capture_output=True, text=True, timeout=60, check=True)
    told = "TOWPATH_OBJECTS_SECRETKEY is set and changes nothing: there is no such setting (did you mean "
    assert f"Warning: {told}TOWPATH_OBJECTS_SECRET_KEY? see" in done.stderr
    log = (shell.home / "server.log").read_text()
    assert f"WARNING towpath.cli.server: {told}" in log
    assert "hush" not in done.stderr + log


def test_a_port_that_is_taken_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = shell("up", "--background", "--port", str(port), code=3)
    assert told.startswith(f"Error: The server did not start. Port {port} on 127.0.0.1 cannot be used")
    assert told.endswith("Choose another with --port.\n")


def test_a_server_that_answers_elsewhere_than_the_one_before_says_so(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "127.0.0.8"  # of its own: on the one that all use, somebody else may take the port meanwhile
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    here = {**shell.environment, "TOWPATH_HOST": address, "TOWPATH_PORT": str(port)}
    monkeypatch.setattr(type(shell), "environment", property(lambda _: here))
    url = f"http://{address}:{port}"
    assert "before" not in shell("up", "--background")
    shell("down")
    with socket.create_server((address, port)):
        done = subprocess.run(
            shell.argv("up", "--background"), cwd=shell.folder, env=here, capture_output=True, text=True, timeout=60
        )
        assert f"It answered at {url} before." in done.stderr
        stale = {**here, "TOWPATH_ENDPOINT": "http://127.0.0.1:1", "TOWPATH_TOKEN": "t"}
        monkeypatch.setattr(type(shell), "environment", property(lambda _: stale))
        told = shell("ps", code=3)
        monkeypatch.setattr(type(shell), "environment", property(lambda _: here))
    assert f"the server of {shell.home} answers at http://{address}:" in told
    assert url not in told


def test_what_nobody_foresaw_comes_with_the_end_of_the_log_of_this_start_alone(shell: Shell) -> None:
    (shell.home / "server.log").write_text("a line of an earlier server\n")
    Path(shell.home, "objects").write_text("a file where a folder belongs")
    told = shell("up", "--background", code=3)
    assert told.startswith(f"Error: The server did not start. The end of {shell.home}/server.log:\n")
    assert "a line of an earlier server" not in told
    assert "objects" in told


def test_the_first_dataset_starts_a_server_and_what_cannot_be_put_does_not(shell: Shell) -> None:
    (shell.folder / "words.txt").write_text("ant bee cow")
    assert "there is no file or folder 'nothing.txt'" in shell("data", "put", "words", "nothing.txt", code=2)
    assert "is not a dataset name" in shell("data", "put", "my words", "words.txt", code=2)
    assert not (shell.home / "server.json").exists()
    assert shell("data", "put", "words", "words.txt") == "words/1: 1 file, 11 B\n"
    assert "words" in shell("data", "ls")


def test_commands_that_start_a_server_at_the_same_time_share_one(shell: Shell) -> None:
    (shell.folder / "words.txt").write_text("ant bee cow")
    started = [
        subprocess.Popen(
            shell.argv("data", "put", name, "words.txt"),
            cwd=shell.folder,
            env=shell.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two", "three")
    ]
    told = [process.communicate(timeout=90) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], told
    assert [out for out, _ in told] == [f"{name}/1: 1 file, 11 B\n" for name in ("one", "two", "three")]
