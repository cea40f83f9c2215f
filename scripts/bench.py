"""Measures the platform against floors of the same machine and the same minute, and prints both.

    python scripts/bench.py [--only client server steps] [--repeat 15]

A figure by itself says more about the machine than about the code, so each stands beside what the machine needs for the
least that could do the work. Measured things alternate with their floors, and the median is taken: on a shared machine
single runs mean nothing.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: The least that answers HTTP with the same server library: it writes its port when it is ready.
BARE_SERVER = """
import asyncio, os, sys, uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
async def main():
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    os.write(int(sys.argv[1]), str(port).encode())
    await serving
asyncio.run(main())
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing and its floor."""

    what: str
    measured: float
    floor: float
    unit: str
    floor_is: str

    def __str__(self) -> str:
        measured, floor = (f"{value:.1f} {self.unit}" for value in (self.measured, self.floor))
        return f"| {self.what} | {measured} | {floor} | {self.measured / self.floor:.1f} | {self.floor_is} |"


def wall_ms(action: Callable[[], object]) -> float:
    """Return how long an action takes, in milliseconds."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def alternate(repeat: int, *actions: Callable[[], float]) -> list[float]:
    """Return the median of what each action measures, the actions taking turns."""
    rounds = [[action() for action in actions] for _ in range(repeat)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def python(code: str) -> Callable[[], float]:
    """Return an action that measures a fresh interpreter running some code."""
    return lambda: wall_ms(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def client(repeat: int) -> Iterator[Row]:
    """Measure what a user's script pays for importing the client."""
    floor, imported = alternate(repeat, python("pass"), python("from towpath import Client, Pipeline, Training"))
    yield Row(what="import the client", measured=imported, floor=floor, unit="ms", floor_is="`python -c pass`")


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


def resident_mb(pid: int) -> float:
    """Return how much memory a process holds, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def platform(home: str) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a server of ours on a free port."""
    command = [sys.executable, "-m", "towpath", "up", "--home", home, "--ready-fd", "{fd}"]
    return command, {**os.environ, "TOWPATH_PORT": "0"}


def server(repeat: int) -> Iterator[Row]:
    """Measure how soon a server answers, what memory it holds then, and how long its shortest answer takes."""
    bare = [sys.executable, "-c", BARE_SERVER, "{fd}"]
    memory: dict[str, list[float]] = {"bare": [], "ours": []}

    def measure(name: str, command: list[str], environment: dict[str, str]) -> float:
        with started(command, environment) as running:
            memory[name].append(resident_mb(running.pid))
        return running.ready_ms

    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as home:
        command, environment = platform(home)
        measure("ours", command, environment)  # the first start makes the home
        floor, ours = alternate(
            max(3, repeat // 3),
            lambda: measure("bare", bare, dict(os.environ)),
            lambda: measure("ours", command, environment),
        )
        with started(bare, dict(os.environ)) as least, started(command, environment):
            url = json.loads(Path(home, "server.json").read_text())["url"]
            least_ms, health_ms = alternate(100, get(f"http://127.0.0.1:{least.told}/health"), get(f"{url}/health"))
    floor_is = "uvicorn with an app of three lines"
    yield Row(what="server ready, home exists", measured=ours, floor=floor, unit="ms", floor_is=floor_is)
    held = {name: statistics.median(each) for name, each in memory.items()}
    yield Row(what="server, memory", measured=held["ours"], floor=held["bare"], unit="MB", floor_is=floor_is)
    yield Row(what="GET /health, new connection", measured=health_ms, floor=least_ms, unit="ms", floor_is=floor_is)


def get(url: str) -> Callable[[], float]:
    """Return an action that measures one GET over a new connection."""
    return lambda: wall_ms(lambda: urllib.request.urlopen(url).read())


def steps(repeat: int) -> Iterator[Row]:
    """Measure what a step costs that does nothing: a chain of them, each a durable job in its own sandbox."""
    from towpath import Client, Pipeline, Processing

    count = max(20, 2 * repeat)
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        home, project = Path(scratch, "home"), Path(scratch, "project")
        project.mkdir()
        project.joinpath("noop.py").write_text("pass\n")
        chain: list[Processing] = []
        for number in range(count):
            chain.append(Processing(f"Step{number}", script="noop.py", depends_on=chain[-1:]))
        command, environment = platform(str(home))
        with started(command, environment):
            client = Client(home=home)
            execution = client.run(Pipeline("bench", steps=chain, root=project))
            execution.wait(timeout_s=600)
            ran = execution.steps()
            begun = [step.started_at for step in ran if step.started_at]
            ended = [step.ended_at for step in ran if step.ended_at]
            if len(ended) != count:
                raise RuntimeError(f"{len(ended)} of {count} steps ended")
            each_ms = (max(ended) - min(begun)).total_seconds() * 1000 / count
            down = [sys.executable, "-m", "towpath", "down", "--all", "--home", str(home)]
            subprocess.run(down, check=True, capture_output=True)
    (floor,) = alternate(repeat, python("pass"))
    yield Row(
        what=f"step of a chain of {count} no-op jobs",
        measured=each_ms,
        floor=floor,
        unit="ms",
        floor_is="`python -c pass`",
    )


PARTS = {"client": client, "server": server, "steps": steps}


def main() -> None:
    """Print the table of the parts that the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the platform against its floors.")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--repeat", type=int, default=15)
    settings = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}\n")
    print("| what | measured | floor | ratio | the floor is |\n|---|---|---|---|---|")
    for name in settings.only:
        for row in PARTS[name](settings.repeat):
            print(row, flush=True)


if __name__ == "__main__":
    main()
