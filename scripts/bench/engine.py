"""What the engine and the store need for a step, without any process: jobs end at the moment they are started."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Row, resident_mb, wall_ms
from sqlalchemy import create_engine, text

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.kernel.operations import Request
from towpath.kernel.ports import Heading
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document, Uid
from towpath.settings import Settings
from towpath.testing.instant import InstantBackend

ROLE = "arn:aws:iam::000000000000:role/bench"


def definition(count: int, *, chained: bool = True) -> str:
    """Return processing steps, one after the other or side by side."""
    cluster = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {"ImageUri": "towpath", "ContainerEntrypoint": ["python", "-c", "pass"]},
    }
    steps = [
        {
            "Name": f"s{number}",
            "Type": "Processing",
            "Arguments": arguments,
            **({"DependsOn": [f"s{number - 1}"]} if number and chained else {}),
        }
        for number in range(count)
    ]
    return json.dumps({"Version": "2020-12-01", "Steps": steps})


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
        home = HomeFolder(Path(scratch, "home"))
        home.path.mkdir()
        floor = commit_ms(Path(scratch))
        platform = Platform.open(home, Settings(), url="http://127.0.0.1:0", backend=InstantBackend(home))
        try:
            platform.start()
            each_ms = run(platform, definition(count)) / count
        finally:
            platform.close()
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

    def call(name: str, **members: Any) -> Document:
        operation = platform.operations[name]
        request = Request(operation=name, input=members, caller=PLATFORM)
        return platform.store.write(lambda transaction: operation.function(transaction, request))

    call("CreatePipeline", PipelineName="bench", PipelineDefinition=pipeline, RoleArn=ROLE)
    began = time.perf_counter()
    arn = call("StartPipelineExecution", PipelineName="bench", ClientRequestToken="x" * 32)["PipelineExecutionArn"]
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
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
