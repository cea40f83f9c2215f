"""How a peer's program talks with the benchmark: it is asked for shapes of pipelines, and answers how long each took.

A line `KIND SIZE` on standard input asks for one run. The answer is a line with its seconds, or with `!` and the error.
Whatever the peer itself prints goes to standard error.
"""

import os
import sys
import time
from collections.abc import Callable


def answer(run: Callable[[str, int], object], version: str) -> None:
    """Answer what standard input asks for until it ends.

    Args:
        run: carries out a pipeline of no-op steps to its end and raises if that was no success. Kinds: `chain` of SIZE
            steps, `fan` (one, then SIZE side by side, then one), `wide` (SIZE that need nothing).
        version: of the peer, told before anything else.
    """
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        print(version, file=told, flush=True)
        for line in sys.stdin:
            kind, size = line.split()
            began = time.perf_counter()
            try:
                run(kind, int(size))
            except Exception as error:  # noqa: BLE001 - whatever a peer raises belongs to the row that it was asked for
                print(f"! {type(error).__name__}: {error}".replace("\n", " "), file=told, flush=True)
            else:
                print(time.perf_counter() - began, file=told, flush=True)


def needs(kind: str, size: int) -> list[list[int]]:
    """Return for each step of a shape the steps that have to end before it."""
    if kind == "chain":
        return [[number - 1] if number else [] for number in range(size)]
    if kind == "fan":
        return [[], *([0] for _ in range(size)), list(range(1, size + 1))]
    return [[] for _ in range(size)]
