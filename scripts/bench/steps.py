"""What a step costs: no-op jobs, each a durable record, an interpreter of its own in a sandbox, outputs, lineage."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measuring import PASS, Row, alternate, home_with_server, python, two_at_a_time

from towpath import Client, Pipeline, Processing
from towpath.compute.process import ProcessBackend

#: Little to compute and much to import.
FIT = """
import numpy
import polars
from sklearn.linear_model import LogisticRegression

rows = numpy.random.default_rng(1).random((100, 4))
LogisticRegression().fit(rows, rows[:, 0] > 0.5)
"""


#: What scripts of the rows below import, and a zygote holds. Not polars: its import leaves threads.
HELD = "numpy, sklearn.linear_model"
#: Forks for each line that it reads, and tells how many milliseconds the fork has lived. A fork that is done ends at
#: once: that is the least there could be.
FORKS = """
import gc, os, sys, time
import {held}
code = compile(sys.argv[1], "script", "exec")
gc.collect()
gc.freeze()
for line in sys.stdin:
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        exec(code, {{"__name__": "__main__"}})
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print((time.perf_counter() - began) * 1000 if status == 0 else "failed", flush=True)
"""


def shapes(long: int) -> dict[str, tuple[list[Processing], bool]]:
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
        f"chain of {long:,}": (chain(long), False),
    }


def steps(repeat: int, *, long: int = 1000) -> Iterator[Row]:
    """Measure pipelines of no-op steps on a real server, each beside interpreters that do nothing."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as project, home_with_server() as (home, _):
        Path(project, "noop.py").write_text("pass\n")
        client = Client(home=home)
        for name, (members, wide) in shapes(long).items():
            pipeline = Pipeline("bench", steps=members, root=Path(project))
            if name == "one":
                run(client, pipeline)  # the first one makes code, bucket and spare runner ready
            times = 5 if len(members) < 100 else 1
            floor, measured = alternate(
                times, partial(floor_of, len(members), repeat, wide=wide), partial(run, client, pipeline)
            )
            count = len(members)
            yield Row(
                what=f"no-op steps: {name}",
                measured=measured,
                floor=floor,
                unit="ms",
                floor_is=f"{count} x {PASS}" + (", two at a time" if wide else ""),
                target="4 s" if count == 500 else "1.5",
                beside=f"{measured / count:.1f} ms a step",
            )


def importing_step(repeat: int) -> Iterator[Row]:
    """Measure a step that imports polars and scikit-learn and fits a small model, beside the same without the platform.

    This is what most steps of a classic pipeline cost before they have done anything.
    """
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as project, home_with_server() as (home, _):
        Path(project, "fit.py").write_text(FIT)
        client = Client(home=home)
        pipeline = Pipeline("bench-imports", steps=[Processing("Only", script="fit.py")], root=Path(project))
        run(client, pipeline)  # the first one makes code and bucket ready, and fills the page cache
        floor, measured = alternate(min(repeat, 5), python(FIT, sys.executable), partial(run, client, pipeline))
        yield Row(
            what="step that imports polars, sklearn",
            measured=measured,
            floor=floor,
            unit="ms",
            floor_is="the same script by itself",
            target="–",
        )


def warm_steps(repeat: int) -> Iterator[Row]:
    """Measure steps that begin from a zygote, beside bare forks of a process with the same imports, and cold steps."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as project:
        Path(project, "noop.py").write_text("pass\n")
        Path(project, "fit.py").write_text(FIT)
        with home_with_server(_with_zygote) as (warm_home, _), home_with_server() as (cold_home, _):
            warm, cold = Client(home=warm_home), Client(home=cold_home)
            for script in ("noop.py", "fit.py"):
                pipeline = Pipeline("bench-warm", steps=[Processing("Only", script=script)], root=Path(project))
                run(cold, pipeline)
                run(warm, pipeline)  # the first one has the zygote started
                jobs = ProcessBackend(warm_home / "jobs", home=warm_home)
                (zygote,) = jobs.zygotes(wait_s=60)
                jobs.close()
                if zygote.state != "ready" or zygote.left_out:
                    raise RuntimeError(f"the zygote of the benchmark is not as it should be: {zygote}")
                before = set((warm_home / "jobs").iterdir())
                with forking(Path(project, script).read_text()) as fork:
                    floor, measured, beside = alternate(
                        repeat, fork, partial(run, warm, pipeline), partial(run, cold, pipeline)
                    )
                for attempt in set((warm_home / "jobs").iterdir()) - before:
                    told = json.loads((attempt / "manifest.json").read_bytes())
                    if not told["warm"]:
                        raise RuntimeError(f"a job of the benchmark began cold: {told['cold_because']}")
                yield Row(
                    what=f"step from a zygote: {script}",
                    measured=measured,
                    floor=floor,
                    unit="ms",
                    floor_is="a bare fork with the same imports",
                    target="–",
                    beside=f"cold {beside:,.0f} ms",
                )


def _with_zygote(home: Path) -> None:
    home.mkdir()
    (home / "towpath.toml").write_text(f'warm_start = "always"\nwarm_imports = "{HELD}"\n')


@contextmanager
def forking(code: str) -> Iterator[Callable[[], float]]:
    """Keep a process with the imports; give an action that measures a fork of it which runs some code, in ms."""
    command = [sys.executable, "-c", FORKS.format(held=HELD), code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def fork() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        fork()  # the first one ends the threads of the imports
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
    for row in steps(5, long=int(sys.argv[1]) if len(sys.argv) > 1 else 100):
        print(row)
    print(f"{time.perf_counter() - began:.1f} s", subprocess.list2cmdline(sys.argv))
