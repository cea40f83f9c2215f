"""What a person sees at a terminal: the live table, colours, and what Ctrl-C does."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


class Terminal:
    """A terminal with a command in it."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self.written = ""

    @property
    def text(self) -> str:
        """What was written so far, without control sequences."""
        return CONTROL.sub("", self.written).replace("\r", "")

    def read_until(self, pattern: str, *, seconds: float = 90.0) -> str:
        """Read on until the text holds `pattern`, or to the end where it is empty; return the text."""
        give_up = time.monotonic() + seconds
        while not (pattern and re.search(pattern, self.text)):
            ready, _, _ = select.select([self._screen], [], [], max(0.0, give_up - time.monotonic()))
            assert ready, f"no {pattern!r} within {seconds} s in:\n{self.text}"
            try:
                read = os.read(self._screen, 65536)
            except OSError as fault:  # what Linux says when the other end is closed
                assert fault.errno == errno.EIO
                read = b""
            if not read:
                assert not pattern, f"it ended without {pattern!r}:\n{self.text}"
                break
            self.written += read.decode(errors="replace")
        return self.text

    def press_ctrl_c(self) -> None:
        """Send the key to the command."""
        os.write(self._screen, b"\x03")


@contextmanager
def terminal(shell: Shell, *arguments: str, **variables: str) -> Iterator[Terminal]:
    """Run a command in a terminal of 120 columns."""
    screen, side = pty.openpty()
    process = subprocess.Popen(
        shell.argv(*arguments),
        cwd=shell.folder,
        env={**shell.environment, "LINES": "40", **variables},
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(side)
    try:
        yield Terminal(process, screen)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=90)
        os.close(screen)


def _take_terminal() -> None:
    """Make standard input the terminal that controls the process, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_progress_shows_step_state_time_and_the_last_metric_live(towpath: Shell) -> None:
    train = r"Train +Executing +"
    door = socket.create_server(("127.0.0.1", 0))
    with door, terminal(towpath, "run", "pipeline.py", "-p", f"Door={door.getsockname()[1]}") as screen:
        screen.read_until(rf"{train}[0-9.]+ s +validation:accuracy 0\.75")
        assert re.search(r"Register +waiting", screen.text)
        # The table is drawn over itself rather than once at the end, its times going on.
        screen.read_until(rf"(?s){train}(\S+) s.*{train}(?!\1 )(\S+) s.*{train}(?!\1 |\2 )\S+ s")
        door.close()
        text = screen.read_until("")
        assert screen.process.wait(timeout=90) == 0
    last = text[text.rindex("step ") :]
    for step in ("Prepare", "Train", "Evaluate", "Gate", "Register", "CreateModel"):
        assert re.search(rf"{step} +Succeeded +[0-9.]+ s", last), step
    assert re.search(r"TooLow +not run", last)
    assert COLOUR.search(screen.written)


def test_no_color_is_respected(towpath: Shell) -> None:
    with terminal(towpath, "run", "pipeline.py", NO_COLOR="1") as screen:
        screen.read_until("")
        assert screen.process.wait(timeout=90) == 0
    assert not COLOUR.search(screen.written)


def test_ctrl_c_detaches_and_says_how_to_go_on(towpath: Shell) -> None:
    with terminal(towpath, "run", "pipeline.py", "-p", "Wait=600") as screen:
        screen.read_until(r"Train +Executing")
        screen.press_ctrl_c()
        text = screen.read_until("")
        assert screen.process.wait(timeout=90) == 0
    name = re.findall(r"towpath stop (words/\w+)", text)[-1]
    assert f"towpath logs {name} --follow" in text
    assert "Traceback" not in text
    assert "Executing" in towpath("describe", name)
    towpath("stop", name)


@pytest.mark.parametrize("colours", [True, False])
def test_an_execution_is_followed_with_all_its_steps_side_by_side(towpath: Shell, colours: bool) -> None:
    variables = {} if colours else {"NO_COLOR": "1"}
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(90)
        port = door.getsockname()[1]
        arn = json.loads(towpath("run", "beside.py", "-p", f"Door={port}", "--detach", "--json"))[
            "PipelineExecutionArn"
        ]
        name = f"beside/{arn.rpartition('/')[2]}"
        with terminal(towpath, "logs", "-f", name, **variables) as screen:
            screen.read_until(r"(?s)(Left: here.*Right: here|Right: here.*Left: here)")  # and both still run
            (one, _), (other, _) = door.accept(), door.accept()
            with one, other:
                one.sendall(b".")
                screen.read_until(r"(Left|Right): let in")
                other.sendall(b"x")
                text = screen.read_until("")
            assert screen.process.wait(timeout=90) == 1
    failed = "Right" if "Left: let in" in text else "Left"
    shown = text[
        text.index(f"{name} Failed: step {failed} failed: AlgorithmError: ExitCode 1: ValueError: shut out") :
    ].splitlines()
    assert f"The last lines of {failed}:" in shown
    assert "  ValueError: shut out" in shown
    assert f"All of them: towpath logs {name}/{failed}" in shown
    assert re.fullmatch(r"Log stream:  /aws/sagemaker/TrainingJobs/\S+/algo-1-\d+", shown[-1])
    found = [set(re.findall(rf"(\x1b\[[0-9;]*m){step}:", screen.written)) for step in ("Left", "Right")]
    assert [len(each) for each in found] == [colours, colours]
    assert found[0] != found[1] or not colours
    followed = towpath("logs", "-f", f"{name}/{failed}", code=1)
    assert f"{name}/{failed} Failed: AlgorithmError: ExitCode 1: ValueError: shut out" in followed
    assert "let in" in towpath("logs", "-f", f"{name}/{'Left' if failed == 'Right' else 'Right'}")


def test_lists_are_tables_in_colour(towpath: Shell) -> None:
    with terminal(towpath, "data", "ls") as screen:
        text = screen.read_until("")
        assert screen.process.wait(timeout=90) == 0
    assert re.search(r"dataset +newest +changed", text)
    assert "words" in text
