"""Measures the platform against floors of the same machine and the same minute, and prints both.

    python scripts/bench [--only client server steps engine registry invocations …] [--repeat 15] [--chain 10000]

The result is kept in `.bench/last.json`, and the next run shows how each ratio has changed since.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from client_and_server import client, server
from engine import engine
from invocations import invocations
from measuring import Row
from objects import lists, objects
from outputs import outputs
from peers import peers
from registry import registry
from scale import JOBS, scale
from steps import importing_step, steps
from transform import transform

PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "client": client,
    "server": server,
    "steps": steps,
    "imports": importing_step,
    "engine": engine,
    "registry": registry,
    "invocations": invocations,
    "transform": transform,
    "objects": objects,
    "lists": lists,
    "outputs": outputs,
    "peers": peers,
    "scale": scale,
}
#: Parts that take long, or environments of their own, run where they are asked for by name.
BY_NAME = {"peers", "scale"}
LAST = Path(".bench/last.json")


def main() -> None:
    """Print the table of the parts that the command line asks for."""
    # As an exception it runs what cleans up: servers that were started, and folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="bench", description="Measure the platform against its floors.")
    parser.add_argument(
        "--only", nargs="+", choices=list(PARTS), default=[name for name in PARTS if name not in BY_NAME]
    )
    parser.add_argument("--repeat", type=int, default=15, help="how often short things are measured (default 15)")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"jobs in one execution of `scale` (default {JOBS:,})")
    parser.add_argument(
        "--chain", type=int, default=1000, help="length of the longest chain of `steps` (default 1,000)"
    )
    settings = parser.parse_args()
    parts = {**PARTS, "scale": partial(scale, job_count=settings.jobs), "steps": partial(steps, chain=settings.chain)}
    before = json.loads(LAST.read_text()) if LAST.exists() else {}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}\n")
    print("| what | measured | floor | ratio | since last | target | the floor is |\n|---|---|---|---|---|---|---|")
    for name in settings.only:
        for row in parts[name](settings.repeat):
            print(shown(row, before.get(row.what)), flush=True)
            before[row.what] = row.ratio
            LAST.parent.mkdir(exist_ok=True)
            LAST.write_text(json.dumps(before, indent=1))


def shown(row: Row, before: float | None) -> str:
    """Return a row of the table."""
    measured, floor = (f"{value:,.{1 if value >= 1 else 2}f} {row.unit}" for value in (row.measured, row.floor))
    since = "" if before is None else f"{(row.ratio / before - 1) * 100:+.0f} %"
    beside = f" ({row.beside})" if row.beside else ""
    cells = (row.what, measured + beside, floor, f"{row.ratio:.1f}", since, row.target, row.floor_is)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
