"""Targets that are made beside each other: `scripts/beside`, which CI calls."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "scripts" / "beside"
#: Tells by a named pipe that it is there, and cleans up when it is interrupted.
LONG = """
import pathlib, signal
try:
    pathlib.Path("there").write_text("there")
    signal.pause()
except KeyboardInterrupt:
    pathlib.Path("cleaned").touch()
    raise SystemExit(1)
"""
MAKEFILE = f"""
one:
\t@echo begun one
\t@read word <a && echo $$word >b
two:
\t@echo begun two
\t@echo met >a && read word <b && echo $$word
long:
\t@{sys.executable} long.py
failing:
\t@read word <there || true
\t@echo went wrong; exit 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with some targets."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "long.py").write_text(LONG)
    for pipe in ("a", "b", "there"):
        os.mkfifo(tmp_path / pipe)
    return tmp_path


def beside(folder: Path, *targets: str, interrupts: str = "default") -> "subprocess.Popen[str]":
    """Run targets.

    Args:
        interrupts: what it inherits for SIGINT, `default` or `ignore`, whatever these tests themselves run under.
    """
    command = ["env", f"--{interrupts}-signal=INT", str(BESIDE), *targets]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_targets_run_at_the_same_time_and_are_printed_whole(folder: Path) -> None:
    """Each waits for the other."""
    process = beside(folder, "one", "two")
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "== make two\nbegun two\nmet\n== make two: passed after" in told
    assert "== make one\nbegun one\n== make one: passed after" in told


@pytest.mark.parametrize("interrupts", ["default", "ignore"])
def test_the_first_that_fails_ends_the_others_which_clean_up(folder: Path, interrupts: str) -> None:
    """In the background of a script, where the shell has interrupts ignored, as well."""
    process = beside(folder, "long", "failing", interrupts=interrupts)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 2, told
    assert "went wrong" in told
    assert "== make failing: FAILED (2) after" in told
    assert "== make long: ended after" in told
    assert (folder / "cleaned").exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_is_interrupted_ends_all(folder: Path, sent: signal.Signals, code: int) -> None:
    process = beside(folder, "long")
    assert (folder / "there").read_text() == "there"
    process.send_signal(sent)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert (folder / "cleaned").exists()


def test_without_targets_it_says_how_it_is_called(folder: Path) -> None:
    process = beside(folder)
    told, _ = process.communicate(timeout=60)
    assert (process.returncode, told) == (2, "beside: which targets? Usage: scripts/beside TARGET...\n")
