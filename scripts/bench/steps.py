"""What a step costs: jobs, each a durable record, an interpreter of its own in a sandbox, outputs, lineage.

Each is measured in both ways to begin: in a fresh interpreter (cold), beside interpreters that do nothing, and in a
fork of a process that holds what the script names (warm), beside bare forks of a process that holds the same.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from measuring import PASS, Row, alternate, home_with_server, python, two_at_a_time

from towpath import Client, Pipeline, Processing
from towpath.compute.process import ProcessBackend


class Imports(NamedTuple):
    """A script with little to compute and much to import."""

    what: str
    script: str
    held: str  #: by the zygote: what it imports. Not polars, whose import leaves threads
    target: str

    @property
    def warm(self) -> str:
        """The settings of a home whose zygotes hold it."""
        return f'warm_imports = "{self.held}"\n'


SKLEARN = Imports(
    "polars, sklearn",
    """
import numpy
import polars
from sklearn.linear_model import LogisticRegression

rows = numpy.random.default_rng(1).random((100, 4))
LogisticRegression().fit(rows, rows[:, 0] > 0.5)
""",
    "numpy, sklearn.linear_model",
    "–",
)
TORCH = Imports("torch, transformers", "import torch, transformers\n", "torch, transformers", "100 ms")

COLD = 'warm_start = "off"\n'
#: For each line, two numbers, forks so many times with so many at a time, and tells how many milliseconds that took.
#: A fork that is done ends at once: that is the least there could be.
FORKS = """
import gc, os, sys, time
{imports}
code = compile(sys.argv[1], "script", "exec")
gc.collect()
gc.freeze()
def end():
    _, status = os.wait()
    if status: sys.exit("a fork failed")
for line in sys.stdin:
    count, together = map(int, line.split())
    began = time.perf_counter()
    for number in range(count):
        if number >= together: end()
        if os.fork() == 0:
            exec(code, {{"__name__": "__main__"}})
            os._exit(0)
    for _ in range(min(count, together)): end()
    print((time.perf_counter() - began) * 1000, flush=True)
"""


def shapes(longest: int) -> dict[str, tuple[list[Processing], bool]]:
    """Return the pipelines to run by name, each with whether most of its steps can run side by side."""

    def step(name: str, *after: Processing) -> Processing:
        return Processing(name, script="noop.py", depends_on=list(after))

    def chain(length: int) -> list[Processing]:
        steps = [step("Step0")]
        for number in range(1, length):
            steps.append(step(f"Step{number}", steps[-1]))
        return steps

    first = step("First")
    middle = [step(f"Middle{number}", first) for number in range(50)]
    return {
        "one": ([step("Only")], False),
        "chain of 10": (chain(10), False),
        "fan-out 1-50-1": ([first, *middle, step("Last", *middle)], True),
        "500 independent": ([step(f"Step{number}") for number in range(500)], True),
        f"chain of {longest:,}": (chain(longest), False),
    }


def steps(repeat: int, *, chain: int = 1000) -> Iterator[Row]:
    """Measure pipelines of no-op steps on two servers, one of which begins its jobs warm.

    Args:
        chain: length of the longest chain.
    """
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as project,
        home_with_server(partial(_home, COLD)) as (cold_home, _),
        home_with_server(partial(_home, SKLEARN.warm)) as (warm_home, _),
        forking("pass", "") as fork,
    ):
        Path(project, "noop.py").write_text("pass\n")
        cold, warm = Client(home=cold_home), Client(home=warm_home)
        for name, (members, wide) in shapes(chain).items():
            pipeline = Pipeline("bench", steps=members, root=Path(project))
            count = len(members)
            if name == "one":  # the first one makes code, bucket, spare runner and zygote ready
                run(cold, pipeline)
                run(warm, pipeline)
                _ready_zygote(warm_home)
            before = set((warm_home / "jobs").iterdir())
            floor, fork_floor, measured, measured_warm = alternate(
                5 if count < 100 else 1,
                partial(floor_of, count, repeat, wide=wide),
                partial(fork, count, 2 if wide else 1),
                partial(run, cold, pipeline),
                partial(run, warm, pipeline),
            )
            _assert_warm(set((warm_home / "jobs").iterdir()) - before)
            at_a_time = ", two at a time" if wide else ""
            yield Row(
                what=f"no-op steps: {name}",
                measured=measured,
                floor=floor,
                unit="ms",
                floor_is=f"{count} x {PASS}{at_a_time}",
                target="4 s" if count == 500 else "1.5",
                beside=f"{measured / count:.1f} ms a step",
            )
            yield Row(
                what=f"no-op steps, warm: {name}",
                measured=measured_warm,
                floor=floor,
                unit="ms",
                floor_is=f"the same; {count} bare forks{at_a_time}: {fork_floor:,.1f} ms",
                target="0.5",
                beside=f"{measured_warm / count:.1f} ms a step",
            )


def importing_step(repeat: int) -> Iterator[Row]:
    """Measure steps that import much, in both ways to begin: what most steps cost before they have done anything.

    Where PyTorch and transformers are not installed, a step that imports them is left out.
    """
    for imports in (SKLEARN, TORCH):
        if all(find_spec(name.strip().partition(".")[0]) for name in imports.held.split(",")):
            yield from _importing_step(imports, repeat)


def _importing_step(imports: Imports, repeat: int) -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as project,
        home_with_server(partial(_home, COLD)) as (cold_home, _),
        home_with_server(partial(_home, imports.warm)) as (warm_home, _),
        forking(imports.script, imports.held) as fork,
    ):
        Path(project, "importing.py").write_text(imports.script)
        only = Processing("Only", script="importing.py")
        pipeline = Pipeline("bench-imports", steps=[only], root=Path(project))
        cold, warm = Client(home=cold_home), Client(home=warm_home)
        run(cold, pipeline)  # the first one makes code and bucket ready, and fills the page cache
        run(warm, pipeline)
        _ready_zygote(warm_home)
        before = set((warm_home / "jobs").iterdir())
        alone, forked, measured, measured_warm = alternate(
            min(repeat, 9),
            python(imports.script, sys.executable),
            partial(fork, 1, 1),
            partial(run, cold, pipeline),
            partial(run, warm, pipeline),
        )
        _assert_warm(set((warm_home / "jobs").iterdir()) - before)
        what = f"step that imports {imports.what}"
        yield Row(
            what=what, measured=measured, floor=alone, unit="ms", floor_is="the same script by itself", target="–"
        )
        yield Row(
            what=f"{what}, warm",
            measured=measured_warm,
            floor=forked,
            unit="ms",
            floor_is=f"a bare fork with {imports.held} held",
            target=imports.target,
        )


def _home(settings: str, home: Path) -> None:
    home.mkdir()
    (home / "towpath.toml").write_text(settings)


def _ready_zygote(home: Path) -> None:
    """Wait until the zygote that the last job has asked for is ready."""
    jobs = ProcessBackend(home / "jobs", home=home)
    found = jobs.zygotes(wait_s=60)
    jobs.close()
    if len(found) != 1 or found[0].state != "ready" or found[0].left_out:
        raise RuntimeError(f"the zygote of the benchmark is not as it should be: {found}")


def _assert_warm(attempts: set[Path]) -> None:
    told = [json.loads((attempt / "manifest.json").read_bytes()) for attempt in attempts]
    cold = [each["cold_because"] for each in told if not each["warm"]]
    if len(cold) * 100 > len(told):  # a zygote is followed by another after a thousand forks
        raise RuntimeError(f"{len(cold)} of {len(told)} jobs of the benchmark began cold: {cold[0]}")


@contextmanager
def forking(code: str, held: str) -> Iterator[Callable[[int, int], float]]:
    """Keep a process with imports; give an action that measures how long so many forks of it take that run some code,
    so many at a time, in ms."""
    command = [sys.executable, "-c", FORKS.format(imports=f"import {held}" if held else ""), code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def fork(count: int, together: int) -> float:
            asked.write(f"{count} {together}\n")
            asked.flush()
            return float(told.readline())

        fork(1, 1)  # the first one ends the threads of the imports
        yield fork
        asked.close()


def floor_of(count: int, repeat: int, *, wide: bool) -> float:
    """Return what as many interpreters that do nothing take, in milliseconds."""
    if wide:
        return two_at_a_time(count)
    return alternate(min(repeat, 20), python("pass"))[0] * count


def run(client: Client, pipeline: Pipeline) -> float:
    """Run a pipeline to its end; return how long its execution took by its own clock, in milliseconds."""
    execution = client.run(pipeline)
    execution.wait(timeout_s=1800)
    shown = client.call("SageMaker.DescribePipelineExecution", {"PipelineExecutionArn": execution.arn})
    if shown["PipelineExecutionStatus"] != "Succeeded":
        raise RuntimeError(f"the benchmark's pipeline ended {shown['PipelineExecutionStatus']}: {shown}")
    return (float(shown["LastModifiedTime"]) - float(shown["CreationTime"])) * 1000


if __name__ == "__main__":
    # For profilers: one long chain and nothing else.
    began = time.perf_counter()
    for row in steps(5, chain=int(sys.argv[1]) if len(sys.argv) > 1 else 100):
        print(row)
    print(f"{time.perf_counter() - began:.1f} s", subprocess.list2cmdline(sys.argv))
