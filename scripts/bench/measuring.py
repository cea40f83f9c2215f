"""How things are measured: beside a floor, taking turns with it, by the median.

A figure by itself says more about the machine than about the code, so each stands beside what the machine needs for the
least that could do the work. On a shared machine single runs mean nothing.
"""

import contextlib
import functools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASS = "`python -c pass`"  #: in an environment that nothing is installed in


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing and its floor."""

    what: str
    measured: float
    floor: float
    unit: str
    floor_is: str
    target: str = ""  #: what the design aims at, in words
    beside: str = ""  #: a second figure, for people

    @property
    def ratio(self) -> float:
        """How many floors it costs."""
        return self.measured / self.floor


def wall_ms(action: Callable[[], object]) -> float:
    """Return how long an action takes, in milliseconds."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def alternate(repeat: int, *actions: Callable[[], float]) -> list[float]:
    """Return the median of what each action measures, the actions taking turns."""
    rounds = [[action() for action in actions] for _ in range(repeat)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


_scratch = tempfile.TemporaryDirectory(prefix="towpath-bench-")


@functools.cache
def bare_python() -> str:
    """Return the interpreter of an environment that nothing is installed in: `.pth` files cost each start a millisecond
    and more, and belong to what is measured, not to the floor."""
    venv.create(_scratch.name, symlinks=True)
    return str(Path(_scratch.name, "bin", "python"))


def python(code: str, interpreter: str | None = None) -> Callable[[], float]:
    """Return an action that measures a fresh interpreter running some code.

    Args:
        interpreter: None: that of an environment that nothing is installed in.
    """
    return lambda: wall_ms(lambda: subprocess.run([interpreter or bare_python(), "-c", code], check=True))


def two_at_a_time(count: int) -> float:
    """Return how long `count` fresh interpreters take in all when two run at any time, in milliseconds."""

    def run() -> None:
        running: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            if len(running) == 2:
                running.pop(0).wait()
            running.append(subprocess.Popen([bare_python(), "-c", "pass"]))
        for process in running:
            process.wait()

    return wall_ms(run)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A server that is ready."""

    pid: int
    ready_ms: float  #: since its process was started
    told: str  #: what it wrote when it was ready


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[Started]:
    """Run a server that writes to the descriptor it is given when it is ready; it is ended afterwards."""
    read, write = os.pipe()
    with tempfile.TemporaryFile() as said:  # shown only when the server does not come up
        began = time.perf_counter()
        process = subprocess.Popen(
            [each.replace("{fd}", str(write)) for each in command],
            pass_fds=[write],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        os.close(write)
        try:
            told = os.read(read, 64)
            ready_ms = (time.perf_counter() - began) * 1000
            if not told:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended before it was ready:\n{said.read().decode()}")
            yield Started(pid=process.pid, ready_ms=ready_ms, told=told.decode())
        finally:
            os.close(read)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def platform(home: Path) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a server of ours on a free port."""
    command = [sys.executable, "-m", "towpath", "up", "--home", str(home), "--ready-fd", "{fd}"]
    return command, {**os.environ, "TOWPATH_PORT": "0"}


@contextmanager
def home_with_server(prepare: Callable[[Path], None] = lambda home: None) -> Iterator[tuple[Path, Started]]:
    """Run a server of ours in a new home; everything that it started is ended afterwards.

    Args:
        prepare: is given the path of the home before the server starts.
    """
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        home = Path(scratch, "home")
        prepare(home)
        command, environment = platform(home)
        with started(command, environment) as running:
            yield home, running
        down = [sys.executable, "-m", "towpath", "down", "--all", "--home", str(home)]
        subprocess.run(down, check=True, capture_output=True)


def most_resident_mb(pid: int) -> float:
    """Return how much memory a process has held at most, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def resident_mb(pid: int) -> float:
    """Return how much memory a process holds, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def forget_most_resident(pid: int) -> None:
    """Let `most_resident_mb` begin anew. Source: proc_pid_clear_refs(5), the value 5."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used, in seconds. Source: proc_pid_stat(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
