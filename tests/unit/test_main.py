"""How the command begins."""

import signal
import subprocess
import sys

import pytest

import towpath

INTERRUPTED = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *rest):
        if name == "towpath.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["towpath", "--version"]
from towpath.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("handler", "code", "printed"),
    [
        # Said, since a shell ignores Ctrl-C for what it runs in the background, perhaps for these tests.
        ("signal.default_int_handler", -signal.SIGINT, ""),
        ("signal.SIG_IGN", 0, f"towpath {towpath.__version__}\n"),
    ],
)
def test_ctrl_c_while_the_command_loads_ends_it_without_a_traceback(handler: str, code: int, printed: str) -> None:
    before = f"import signal; signal.signal(signal.SIGINT, {handler})"
    done = subprocess.run([sys.executable, "-c", f"{before}\n{INTERRUPTED}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, printed, "")


def test_a_command_that_has_begun_gets_ctrl_c_as_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    from towpath import __main__
    from towpath.cli import main as cli

    found = []
    monkeypatch.setattr(cli, "main", lambda: found.append(signal.getsignal(signal.SIGINT)))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        __main__.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [signal.default_int_handler]
