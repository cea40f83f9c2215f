"""The process of a job that waits for its orders, and what becomes of it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from towpath.runner import process
from towpath.runner.command import Command
from towpath.runner.folder import Settings


def begun(folder: Path, running: process.Process, *argv: str) -> int:
    """Give a process its orders, and return how it has ended."""
    settings = Settings("", "", "paths", user_namespace=False, bwrap="", needed=(), python_folder="")
    command = Command(list(argv), {"PATH": os.environ["PATH"]}, str(folder), str(folder), str)
    process.start(running, {}, command, folder, settings)
    code = process.wait(running).exit_code
    for descriptor in (running.pidfd, running.output, running.ready):
        os.close(descriptor)
    return code


def test_a_process_becomes_the_program_that_it_is_ordered_to_run(tmp_path: Path) -> None:
    assert begun(tmp_path, process.prepare(), sys.executable, "-c", "raise SystemExit(3)") == 3


def test_a_program_that_there_is_not_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(process.NotStarted, match="The program '/no/program' could not be started"):
        begun(tmp_path, process.prepare(), "/no/program")


def test_one_that_is_killed_while_it_waits_has_ended_by_that_signal(tmp_path: Path) -> None:
    waiting = process.prepare()
    os.kill(waiting.pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, waiting.pidfd, os.WEXITED | os.WNOWAIT)
    assert begun(tmp_path, waiting, sys.executable, "-c", "pass") == -signal.SIGKILL
