"""How a peer's program talks with the benchmark: it is asked for shapes of pipelines, and answers how long each took.

A line `KIND SIZE` on standard input asks for one run. The answer is a line with its seconds, or with `!` and the error.
Whatever the peer itself prints goes to standard error. Each step leaves a mark: a run that has not as many as it has
steps did something else than it was asked for, and is an error.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

MARKS = "TOWPATH_BENCH_MARKS"  #: variable that names the file to which each step appends a byte


def mark() -> None:
    """Leave the mark of one step."""
    with Path(os.environ[MARKS]).open("ab", buffering=0) as file:
        file.write(b".")


def answer(run: Callable[[str, int], object], version: str, *, more: Mapping[str, int] = MappingProxyType({})) -> None:
    """Answer what standard input asks for until it ends.

    Args:
        run: carries out a pipeline of no-op steps to its end and raises if that was no success. Kinds: `chain` of SIZE
            steps, `fan` (one, then SIZE side by side, then one), `wide` (SIZE that need nothing).
        version: of the peer, told before anything else.
        more: by kind, how many steps the peer cannot do without beside those of the shape.
    """
    with os.fdopen(os.dup(1), "w") as told, tempfile.NamedTemporaryFile() as marks:
        os.environ[MARKS] = marks.name
        os.dup2(2, 1)
        print(version, file=told, flush=True)
        for line in sys.stdin:
            kind, size = line.split()
            expected = len(needs(kind, int(size))) + more.get(kind, 0)
            os.truncate(marks.name, 0)
            began = time.perf_counter()
            try:
                run(kind, int(size))
                took_s = time.perf_counter() - began
                if (ran := Path(marks.name).stat().st_size) != expected:
                    raise RuntimeError(f"{ran} steps ran, not {expected}")
            except Exception as error:  # noqa: BLE001 - whatever a peer raises belongs to the row that it was asked for
                print(f"! {type(error).__name__}: {error}".replace("\n", " "), file=told, flush=True)
            else:
                print(took_s, file=told, flush=True)


def needs(kind: str, size: int) -> list[list[int]]:
    """Return for each step of a shape the steps that have to end before it."""
    if kind == "chain":
        return [[number - 1] if number else [] for number in range(size)]
    if kind == "fan":
        return [[], *([0] for _ in range(size)), list(range(1, size + 1))]
    return [[] for _ in range(size)]
