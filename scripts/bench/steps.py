"""What a step costs: no-op jobs, each a durable record, an interpreter of its own in a sandbox, outputs, lineage."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from measuring import PASS, Row, alternate, home_with_server, python, two_at_a_time

from towpath import Client, Pipeline, Processing

#: Little to compute and much to import.
FIT = """
import numpy
import polars
from sklearn.linear_model import LogisticRegression

rows = numpy.random.default_rng(1).random((100, 4))
LogisticRegression().fit(rows, rows[:, 0] > 0.5)
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
