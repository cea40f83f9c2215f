"""What the engine and the store need for a step, without any process: jobs end at the moment they are started."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import Row, resident_mb, wall_ms
from sqlalchemy import create_engine, text

from towpath.app import Platform
from towpath.kernel.ports import Heading
from towpath.kernel.resource import Uid
from towpath.testing.many_steps import ROLE, ask, at_work, jobs


def commit_ms(folder: Path, count: int = 500) -> float:
    """Return what SQLite needs for one durable row, in milliseconds, with the settings of the store."""
    engine = create_engine(f"sqlite:///{folder / 'floor.db'}")
    with engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
        connection.execute(text("PRAGMA synchronous=FULL"))
        connection.execute(text("CREATE TABLE row (id INTEGER PRIMARY KEY, data TEXT)"))
        connection.commit()

        def insert() -> None:
            for _ in range(count):
                connection.execute(text("INSERT INTO row (data) VALUES ('x')"))
                connection.commit()

        return wall_ms(insert) / count


def engine(_: int, *, count: int = 1000) -> Iterator[Row]:
    """Measure a chain of steps whose jobs end at once."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        floor = commit_ms(Path(scratch))
        with at_work(Path(scratch)) as platform:
            each_ms = run(platform, jobs(count)) / count
        memory = resident_mb(os.getpid())
    yield Row(
        what=f"engine work for a step, chain of {count:,}",
        measured=each_ms,
        floor=floor,
        unit="ms",
        floor_is="one SQLite commit (WAL, FULL)",
        target="under 1 ms",
        beside=f"{memory:.0f} MB",
    )


def run(platform: Platform, pipeline: str) -> float:
    """Run a pipeline to its end; return the milliseconds that its execution took."""
    ask(platform, "CreatePipeline", PipelineName="bench", PipelineDefinition=pipeline, RoleArn=ROLE)
    began = time.perf_counter()
    told = ask(platform, "StartPipelineExecution", PipelineName="bench", ClientRequestToken="x" * 32)
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(told["PipelineExecutionArn"]))
    assert execution is not None
    # By its heading, which is all that a wait has to read.
    while (status := heading(platform, execution.uid).status) == "Executing":
        time.sleep(0.05)
    took_ms = (time.perf_counter() - began) * 1000
    if status != "Succeeded":
        raise RuntimeError(f"the benchmark's pipeline ended {status}")
    return took_ms


def heading(platform: Platform, uid: Uid) -> Heading:
    """Return the heading of a resource that is there."""
    found = platform.store.read(lambda transaction: transaction.resources.heading(uid))
    assert found is not None
    return found
