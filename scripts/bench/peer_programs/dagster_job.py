"""Dagster with its executor that begins a process for each step, two at a time, and its storage in SQLite."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster
from answering import answer, mark, needs
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
    build_reconstructable_job,
    execute_job,
    multiprocess_executor,
)


def job(kind: str, size: int) -> JobDefinition:
    """Return the job of a shape; each process of a step makes it anew."""
    wanted = needs(kind, size)

    def op(number: int) -> OpDefinition:
        def compute(_context: OpExecutionContext, _inputs: object) -> Iterator[dagster.Output[None]]:
            mark()
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
    # The shape is part of the name by which Dagster remembers a job: by one name it would run the first one each time.
    shaped = build_reconstructable_job(
        "dagster_job",
        "job",
        reconstructable_args=(kind, size),
        reconstructor_working_directory=str(Path(__file__).parent),
    )
    with DagsterInstance.get() as instance:
        execute_job(shaped, instance=instance, raise_on_error=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as home:
        Path(home, "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        os.environ["DAGSTER_HOME"] = home
        answer(run, dagster.__version__)
