"""What a no-op step costs other orchestrators, beside ours and the same floors, in the same minutes."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from measuring import PASS, Row, alternate, home_with_server, python, two_at_a_time
from steps import run as run_ours

from towpath import Client, Pipeline, Processing

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "peer_programs"
#: Name of the environment -> its program, and how it runs steps.
PEERS = {
    "kfp": ("kfp_local.py", "a process a step, one at a time"),
    "metaflow": ("metaflow_flow.py", "a process a step, and one for the run"),
    "dagster": ("dagster_job.py", "a process a step"),
    "prefect": ("prefect_flow.py", "threads of one process"),
}
#: What is said of a shape -> its kind, size, and number of steps.
SHAPES = {
    "chain of 2": ("chain", 2, 2),  # the least that Metaflow can do
    "chain of 10": ("chain", 10, 10),
    "fan-out 1-50-1": ("fan", 50, 52),
    "500 independent": ("wide", 500, 500),
}
#: A peer whose steps of the fan-out took longer is not asked for 500.
SLOWEST_S = 0.2
#: Whoever would talk to the outside meets nobody.
NOWHERE = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}


class PeerFailed(RuntimeError):
    """A peer could not carry out a shape; the message says what it said."""


@dataclass(frozen=True)
class Peer:
    """A running program of `peer_programs`."""

    name: str
    version: str
    process: subprocess.Popen[str]
    said: Path

    def measure(self, kind: str, size: int) -> float:
        """Return how long the peer takes for a shape, in milliseconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{kind} {size}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        if not told or told.startswith("!"):
            last = self.said.read_text(errors="replace")[-1500:]
            raise PeerFailed(f"{self.name} failed at {kind} {size}: {told.strip('! ') or 'it ended'}\n{last}")
        return float(told) * 1000


@contextmanager
def running(name: str, scratch: Path) -> Iterator[Peer]:
    """Run a peer's program in its own environment; all that it has started is ended with it."""
    interpreter = ROOT / ".venv-peers" / name / "bin" / "python"
    if not interpreter.exists():
        raise PeerFailed(f"{interpreter} is not there; make it by: scripts/environments peers {name}")
    said = scratch / f"{name}.log"
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [interpreter, PROGRAMS / PEERS[name][0]],
            env={**kept, **NOWHERE, "TMPDIR": str(scratch)},  # KFP leaves a folder behind for each step
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        version = process.stdout.readline().strip()
        if not version:
            raise PeerFailed(f"{name} did not start:\n{said.read_text(errors='replace')[-1500:]}")
        yield Peer(name, version, process, said)
    finally:
        _end(process, process.stdin)


def _end(process: subprocess.Popen[str], stdin: IO[str] | None) -> None:
    """Let a program end by itself, and end what is left of it and of its children."""
    with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
        if stdin is not None:
            stdin.close()
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):  # nothing is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def peers(repeat: int) -> Iterator[Row]:
    """Measure the same shapes by every peer and by us, taking turns, each beside interpreters that do nothing."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as folder, ExitStack() as stack:
        home, _ = stack.enter_context(home_with_server())
        ours = our_pipelines(Path(folder), Client(home=home))
        others = {name: stack.enter_context(running(name, Path(folder))) for name in PEERS}
        cost: dict[str, float] = {}
        for said, (kind, size, count) in SHAPES.items():
            asked: dict[str, Callable[[], float]] = {"ours": ours[said]}
            for name, peer in others.items():
                if size < 500 or cost[name] / 1000 <= SLOWEST_S:
                    asked[name] = partial(peer.measure, kind, size)
            if kind == "chain" and size == 2:
                for warm_up in asked.values():  # makes databases, servers and byte code ready
                    warm_up()
            times = max(1, min(repeat, 5) if count < 500 else 1)
            floor, *measured = alternate(times, partial(floor_of, kind, count), *asked.values())
            for name, each in zip(asked, measured, strict=True):
                cost[name] = each / count
                what, how = (
                    ("Towpath", "a process in a sandbox a step")
                    if name == "ours"
                    else (f"{name} {others[name].version}", PEERS[name][1])
                )
                yield Row(
                    what=f"{said}: {what} ({how})",
                    measured=each,
                    floor=floor,
                    unit="ms",
                    floor_is=f"{count} x {PASS}" + ("" if kind == "chain" else ", two at a time"),
                    beside=f"{each / count:.1f} ms a step",
                )


def floor_of(kind: str, count: int) -> float:
    """Return what as many interpreters that do nothing take, in milliseconds."""
    return alternate(5, python("pass"))[0] * count if kind == "chain" else two_at_a_time(count)


def our_pipelines(folder: Path, client: Client) -> dict[str, Callable[[], float]]:
    """Return for each shape what runs it on a server of ours and returns how long it took, in milliseconds."""
    sys.path.insert(0, str(PROGRAMS))
    from answering import needs

    (folder / "noop.py").write_text("pass\n")
    found: dict[str, Callable[[], float]] = {}
    for said, (kind, size, _) in SHAPES.items():
        steps: list[Processing] = []
        for number, wanted in enumerate(needs(kind, size)):
            after = [steps[each] for each in wanted]
            steps.append(Processing(f"Step{number}", script="noop.py", depends_on=after))
        found[said] = partial(run_ours, client, Pipeline("bench", steps=steps, root=folder))
    return found
