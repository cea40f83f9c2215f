"""A home that cannot be used is refused in one sentence, and left as it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Shell

from towpath.store import migrations

pytestmark = pytest.mark.slow

START = [("up", 1), ("up --background", 3)]
#: As root, a process without the right to pass over the modes of files.
BOUND_BY_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that a server has run on and left."""
    folder = tmp_path_factory.mktemp("left")
    shell = Shell(folder, folder / "home")
    shell("up", "--background")
    shell("down")
    return shell.home


def used_home(shell: Shell, left: Path) -> Path:
    """Make the home of a shell a copy of one that a server has run on and left; return it."""

    def sockets(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name).is_socket()]  # nobody listens at them any more

    shutil.copytree(left, shell.home, symlinks=True, ignore=sockets, dirs_exist_ok=True)
    return shell.home


def content(home: Path) -> dict[str, bytes]:
    """Return the files of a home, but for the log of its servers."""
    files = {str(path.relative_to(home)): path for path in home.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in {"server.log", "lock"}}


def bound_by_modes(shell: Shell, *arguments: str) -> tuple[int, str]:
    """Run a command as somebody whom read-only files and folders stop; return exit code and what it printed."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        tried = shutil.which("setpriv") and subprocess.run([*BOUND_BY_MODES, "true"], capture_output=True)
        if not tried or tried.returncode:
            assert os.environ.get("CI") != "true", "in CI this has to be tried"
            pytest.skip(
                "root is not stopped by modes, and setpriv, which would take that right away, does not work here"
            )
        prefix = BOUND_BY_MODES
    done = subprocess.run(
        [*prefix, *shell.argv(*arguments)],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("command", "code"), [*START, ("gc", 2), ("backup ../kept.tar", 2)])
def test_a_home_of_a_newer_release_is_refused_and_left_as_it_is(
    shell: Shell, left: Path, command: str, code: int
) -> None:
    home = used_home(shell, left)
    with closing(sqlite3.connect(home / "towpath.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    before = content(home)
    told = shell(*command.split(), code=code)
    assert f"stands at schema 9999, which this release (schema {migrations.HEAD}) does not know" in told
    assert "it was written by a newer release. Use that release, or restore a backup." in told
    assert len(told.splitlines()) == 1, told
    assert content(home) == before
    assert not (shell.folder / "kept.tar").exists()


def whole_home(home: Path) -> Path:
    return home


def store(home: Path) -> Path:
    return home / "towpath.db"


def objects(home: Path) -> Path:
    return home / "objects"


def jobs(home: Path) -> Path:
    return home / "jobs"


@pytest.mark.parametrize("part", [whole_home, store, objects, jobs])
def test_a_home_with_a_part_that_cannot_be_written_is_refused_by_its_name(
    shell: Shell, left: Path, part: Callable[[Path], Path]
) -> None:
    home = used_home(shell, left)
    before = content(home)
    mode = part(home).stat().st_mode
    part(home).chmod(mode & ~0o222)
    try:
        for command, code in [*START, ("gc", 2)]:
            ended, told = bound_by_modes(shell, *command.split())
            assert ended == code, told
            assert f"The home {home} cannot be used: user {os.geteuid()} may not write {part(home)}. Give it" in told
            assert len(told.splitlines()) == 1, told
        ended, told = bound_by_modes(shell, "doctor")
        assert ended == 1
        assert f"{part(home)} is not writable" in told
    finally:
        part(home).chmod(mode)
    assert content(home) == before
    shell("up", "--background")


@pytest.mark.parametrize(("command", "code"), START)
def test_a_home_that_cannot_be_made_is_refused(shell: Shell, command: str, code: int) -> None:
    closed = shell.folder / "closed"
    closed.mkdir(mode=0o555)
    ended, told = bound_by_modes(shell, *command.split(), "--home", str(closed / "home"))
    assert (ended, told) == (
        code,
        f"Error: The home {closed}/home cannot be used: Permission denied. Choose another with --home or "
        "TOWPATH_HOME.\n",
    )


@pytest.mark.parametrize(("command", "code"), START)
def test_a_file_in_the_place_of_the_home_is_refused(shell: Shell, command: str, code: int) -> None:
    file = shell.folder / "file"
    file.write_text("mine")
    told = shell(*command.split(), "--home", str(file), code=code)
    assert f"The home {file} cannot be used: " in told
    assert "Choose another with --home or TOWPATH_HOME." in told
    assert file.read_text() == "mine"


def test_a_second_server_is_refused_by_the_first_one_s_name_and_does_no_harm(shell: Shell) -> None:
    shell("up", "--background")
    (shell.folder / "words.txt").write_text("ant bee cow")
    told = shell("up", code=1)
    assert "is in use by process " in told
    assert "Use that server, end it with `towpath down`, or choose another home with --home." in told
    assert shell("data", "put", "words", "words.txt") == "words/1: 1 file, 11 B\n"


def test_what_runs_is_ended_though_the_settings_cannot_be_read(shell: Shell, left: Path) -> None:
    used_home(shell, left)
    (shell.home / "towpath.toml").write_text("[images\n")
    done = subprocess.run(
        shell.argv("down", "--all"), env=shell.environment, capture_output=True, text=True, timeout=110, check=True
    )
    assert "Nothing else was running." in done.stdout
    assert "Warning: " in done.stderr and "towpath.toml" in done.stderr
    assert "towpath.toml" in shell("gc", code=2), "what goes depends on the settings, and nothing may go by others"


def test_clients_are_told_the_region_of_the_server_that_runs(shell: Shell) -> None:
    environment = {**shell.environment, "TOWPATH_REGION": "eu-central-1"}
    subprocess.run(shell.argv("up", "--background"), env=environment, capture_output=True, timeout=110, check=True)
    assert "export AWS_DEFAULT_REGION=eu-central-1" in shell("env").splitlines()
