"""Dagster with its executor that begins a process for each step, two at a time, and its storage in SQLite."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster
from answering import answer, needs
from dagster import (
    DagsterInstance,
    DependencyDefinition,
    GraphDefinition,
    In,
    JobDefinition,
    MultiDependencyDefinition,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    execute_job,
    multiprocess_executor,
    reconstructable,
)

SHAPE = "TOWPATH_BENCH_SHAPE"  #: as each process of a step finds out what the job is


def job() -> JobDefinition:
    """Return the job of the shape that the environment names."""
    kind, size = os.environ[SHAPE].split()
    wanted = needs(kind, int(size))

    def op(number: int) -> OpDefinition:
        def compute(_context: OpExecutionContext, _inputs: object) -> Iterator[dagster.Output[None]]:
            yield dagster.Output(None)

        ins = {"after": In(Nothing)} if wanted[number] else {}
        return OpDefinition(name=f"step{number}", compute_fn=compute, ins=ins, outs={"result": Out(Nothing)})

    dependencies = {
        f"step{number}": {"after": MultiDependencyDefinition([DependencyDefinition(f"step{each}") for each in before])}
        for number, before in enumerate(wanted)
        if before
    }
    graph = GraphDefinition(
        name="bench", node_defs=[op(number) for number in range(len(wanted))], dependencies=dependencies
    )
    return graph.to_job(executor_def=multiprocess_executor.configured({"max_concurrent": 2}))


def run(kind: str, size: int) -> None:
    """Run a job; raise where it does not succeed."""
    os.environ[SHAPE] = f"{kind} {size}"
    with DagsterInstance.get() as instance:
        execute_job(reconstructable(job), instance=instance, raise_on_error=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as home:
        Path(home, "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        os.environ["DAGSTER_HOME"] = home
        answer(run, dagster.__version__)
