"""How long everybody else waits while the very many outputs of one job become objects."""

import hashlib
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from measuring import Row, wall_ms

from towpath.app import Platform
from towpath.home import HomeFolder
from towpath.jobs.model import JobObservation, JobSpec, Manifest, Phase, StagedFile
from towpath.store import SqlTransaction
from towpath.testing.instant import InstantBackend
from towpath.testing.many_steps import ask, at_work, processing

FILES = 100_000
BUCKET = "bench"
TOGETHER = 1000  #: of the floor: rows of each table in one transaction
EMPTY = {"size": 0, "sha256": hashlib.sha256().hexdigest(), "md5": hashlib.md5(usedforsecurity=False).hexdigest()}


class ManyFiles(InstantBackend):
    """Runs nothing: every job has ended at once and left the same files."""

    def __init__(self, home: HomeFolder, count: int) -> None:
        super().__init__(home)
        staging = home.path / "left"
        staging.mkdir()
        self.outputs = []
        for number in range(count):
            path = staging / f"{number:06}"
            path.touch()
            self.outputs.append(
                StagedFile(output="out", bucket=BUCKET, key=f"out/{number:06}", path=str(path), **EMPTY)
            )

    def submit(self, job: JobSpec) -> None:
        now = datetime.now(UTC)
        manifest = Manifest(
            key=job.key, exit_code=0, reason=None, started_at=now, ended_at=now, outputs=tuple(self.outputs)
        )
        self.ended[job.key] = JobObservation(phase=Phase.FINISHED, started_at=now, manifest=manifest)


def outputs(_: int, *, count: int = FILES) -> Iterator[Row]:
    """Measure the longest wait of a writer of one small row while a job's outputs become objects."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        with at_work(Path(scratch), lambda home: ManyFiles(home, count)) as platform:
            longest_ms, all_s = waits(platform)
        floor = max(bare_ms(Path(scratch, "floor.db"), count))
    yield Row(
        what=f"longest wait of another writer while {count:,} outputs of a job become objects",
        measured=longest_ms,
        floor=floor,
        unit="ms",
        floor_is=f"the longest transaction of bare SQLite that writes them, {TOGETHER:,} at a time",
        target="300 ms",
        beside=f"{all_s:.0f} s in all",
    )


def waits(platform: Platform) -> tuple[float, float]:
    """Run the job; return the longest wait of a small write meanwhile in milliseconds, and how long all took in s."""

    def small(transaction: SqlTransaction) -> None:
        transaction.resources.next_number("bench")

    done = threading.Event()
    longest = [0.0]

    def write() -> None:
        while not done.is_set():
            longest[0] = max(longest[0], wall_ms(lambda: platform.store.write(small)))

    writer = threading.Thread(target=write)
    began = time.perf_counter()
    ask(platform, "CreateProcessingJob", ProcessingJobName="many", **processing())
    writer.start()
    while (status := status_of(platform)) == "InProgress":
        time.sleep(0.05)
    took_s = time.perf_counter() - began
    done.set()
    writer.join()
    assert status == "Completed", status
    return longest[0], took_s


def status_of(platform: Platform) -> str | None:
    """Return how the job stands."""
    job = platform.store.read(lambda transaction: transaction.resources.find("ProcessingJob", "many"))
    assert job is not None
    return job.status


def bare_ms(path: Path, count: int) -> Iterator[float]:
    """Yield what each transaction takes that writes rows like those of the outputs with nothing around them."""
    digest = EMPTY["sha256"]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *TABLES):
            connection.execute(statement)
        for start in range(0, count, TOGETHER):
            names = [f"{number:06}" for number in range(start, min(start + TOGETHER, count))]
            ids = [(hashlib.sha256(name.encode()).hexdigest()[:32], f"out/{name}") for name in names]

            def write(ids: list[tuple[str, str]] = ids) -> None:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    f"INSERT INTO version (id, key, sha256, etag) VALUES (?, ?, '{digest}', '{EMPTY['md5']}')", ids
                )
                connection.executemany(
                    "INSERT INTO node (id, entity, uri, properties) "
                    f"VALUES ('artifact:s3://{BUCKET}/' || ?2 || '#' || ?1, ?1, ?2, '{digest * 3}')",
                    ids,
                )
                connection.executemany(
                    f"INSERT INTO edge (source, node) VALUES ('job:{digest[:32]}', "
                    f"'artifact:s3://{BUCKET}/' || ?2 || '#' || ?1)",
                    ids,
                )
                connection.execute("COMMIT")

            yield wall_ms(write)


#: As the store has them: an index by key and one by blob, nodes by entity and place, edges in both directions.
TABLES = (
    "CREATE TABLE version (seq INTEGER PRIMARY KEY, id TEXT, key TEXT, sha256 TEXT, etag TEXT)",
    "CREATE UNIQUE INDEX version_key ON version (key, id)",
    "CREATE UNIQUE INDEX version_latest ON version (key)",
    "CREATE INDEX version_blob ON version (id)",
    "CREATE TABLE node (id TEXT PRIMARY KEY, entity TEXT, uri TEXT, properties BLOB)",
    "CREATE INDEX node_entity ON node (entity)",
    "CREATE INDEX node_uri ON node (uri)",
    "CREATE INDEX node_created ON node (id)",
    "CREATE TABLE edge (source TEXT, node TEXT, PRIMARY KEY (source, node))",
    "CREATE INDEX edge_node ON edge (node)",
)
