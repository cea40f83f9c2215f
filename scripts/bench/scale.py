"""Very many steps and very many executions: what each costs when there are ten thousand, and how much memory is held.

Two halves. The engine by itself, without any process, at growing sizes, each in an interpreter of its own: what a step
costs must not depend on how many there are. And a real server, asked by clients, with real jobs.
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from client_and_server import BARE
from engine import commit_ms, run
from measuring import (
    PASS,
    Row,
    Started,
    alternate,
    forget_most_resident,
    home_with_server,
    most_resident_mb,
    processor_s,
    started,
    two_at_a_time,
    wall_ms,
)

from towpath import Client
from towpath.aws import session
from towpath.testing.many_steps import ROLE, at_work, conditions, jobs

SIZES = (500, 1_000, 2_000, 4_000)  #: steps of the engine's part, which shows whether one costs more among many
MANY = 10_000  #: steps of one execution without jobs
EXECUTIONS = 1_000  #: at once
JOBS = 1_000  #: of one execution on a real server, unless the command line says otherwise
STARTERS = 8  #: threads that start executions
PAGE = 100
BUCKET = "bench"
WAIT_S = 3 * 3600


def scale(repeat: int, *, job_count: int = JOBS) -> Iterator[Row]:
    """Measure the engine at growing sizes, then a server with very many steps, executions and jobs."""
    yield from engine_at_sizes()
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch,
        home_with_server() as (home, server),
        started(BARE, dict(os.environ)) as bare,
    ):
        client = Client(home=home)
        session(home).client("s3").create_bucket(Bucket=BUCKET)
        create(home, "warm-up", jobs(1))
        wait(client, start(client, "warm-up"))  # the first job makes the bucket and the spare runner ready
        yield from many_steps(repeat, Path(scratch), home, client, server, int(bare.told))
        yield from many_executions(repeat, Path(scratch), home, client, server, int(bare.told))
        yield from many_jobs(home, client, server, job_count)


#: Pipelines of the engine's part, by name.
SHAPES = {"conditions": conditions, "chain": jobs, "side by side": partial(jobs, chained=False)}


def engine_at_sizes() -> Iterator[Row]:
    """Measure what the engine does for a step among few and among many, each size in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        floor = commit_ms(Path(scratch))
    for shape in SHAPES:
        for count in SIZES:
            told = in_a_process(shape, count, counting=False)
            counted = in_a_process(shape, min(count, SIZES[1]), counting=True) if count in (SIZES[0], SIZES[-1]) else {}
            statements = "".join(f", {counted[name]:.1f} {name}" for name in counted)
            yield Row(
                what=f"engine, {shape}, {count:,} steps: processor time of one",
                measured=told["processor_ms"],
                floor=floor,
                unit="ms",
                floor_is="one SQLite commit (WAL, FULL)",
                target="under 1 ms",
                beside=f"{told['wall_ms']:.2f} ms by the clock, at most {told['most_mb']:.0f} MB{statements}",
            )


def in_a_process(shape: str, count: int, *, counting: bool) -> dict[str, float]:
    """Return what `alone` prints in an interpreter that does nothing else."""
    asked = [sys.executable, __file__, shape, str(count), *(["--counting"] if counting else [])]
    told: dict[str, float] = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return told


def alone(shape: str, count: int, *, counting: bool) -> dict[str, float]:
    """Run a pipeline on the engine of this process; return what a step costs, or its statements and transactions."""
    seen = {"statements": 0, "transactions": 0}
    if counting:
        count_statements(seen)
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch, at_work(Path(scratch)) as platform:
        seen.update(statements=0, transactions=0)
        before = time.process_time()
        wall = run(platform, SHAPES[shape](count))
        took_s = time.process_time() - before
    if counting:
        return {name: number / count for name, number in seen.items()}
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"processor_ms": took_s * 1000 / count, "wall_ms": wall / count, "most_mb": most_mb}


def count_statements(seen: dict[str, int]) -> None:
    """Count all that SQLite is asked in this process from now on, reads included."""
    connect = sqlite3.connect

    def counted(statement: str) -> None:
        seen["statements"] += 1
        seen["transactions"] += statement == "BEGIN IMMEDIATE"  # of the writer

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(counted)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connected  # type: ignore[assignment] # the driver asks for it by name


@contextmanager
def watched(server: Started) -> Iterator[dict[str, float]]:
    """Fill in what the server needs inside the block: processor time in s, the most memory in MB."""
    told: dict[str, float] = {}
    forget_most_resident(server.pid)
    before = processor_s(server.pid)
    yield told
    told["processor_s"] = processor_s(server.pid) - before
    told["most_mb"] = most_resident_mb(server.pid)


def create(home: Path, name: str, text: str) -> float:
    """Create a pipeline by boto3 from S3, as a definition of more than 1 MiB has to be; return how long that took in
    milliseconds, without the upload."""
    aws = session(home)
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    s3.put_object(Bucket=BUCKET, Key=f"{name}.json", Body=text.encode())
    location = {"Bucket": BUCKET, "ObjectKey": f"{name}.json"}
    asked = {"PipelineName": name, "PipelineDefinitionS3Location": location, "RoleArn": ROLE}
    return wall_ms(lambda: sagemaker.create_pipeline(**asked))


def start(client: Client, name: str, number: int = 0) -> str:
    """Start an execution; return its ARN."""
    asked = {"PipelineName": name, "ClientRequestToken": f"{name}-{number}".ljust(32, "-")}
    return str(client.call("SageMaker.StartPipelineExecution", asked)["PipelineExecutionArn"])


def wait(client: Client, arn: str) -> float:
    """Wait until an execution has succeeded; return how long it took by its own clock, in milliseconds."""
    until = time.monotonic() + WAIT_S
    while True:
        shown = client.call("SageMaker.DescribePipelineExecution", {"PipelineExecutionArn": arn})
        if shown["PipelineExecutionStatus"] != "Executing":
            break
        if time.monotonic() > until:
            raise RuntimeError(f"{arn} goes on after {WAIT_S} s")
        time.sleep(1)
    if shown["PipelineExecutionStatus"] != "Succeeded":
        raise RuntimeError(f"the benchmark's pipeline ended {shown}")
    return (float(shown["LastModifiedTime"]) - float(shown["CreationTime"])) * 1000


class Bare:
    """The least that could answer: bare HTTP, and rows of bare SQLite."""

    def __init__(self, folder: Path, port: int, *, count: int) -> None:
        self._http = HTTPConnection("127.0.0.1", port)
        self._database = sqlite3.connect(folder / f"rows-{count}.db")
        self._database.execute("CREATE TABLE step (position INTEGER PRIMARY KEY, data TEXT)")
        rows = ((number, json.dumps({"StepName": f"s{number}"})) for number in range(count))
        self._database.executemany("INSERT INTO step VALUES (?, ?)", rows)
        self._database.commit()

    def page(self, after: int = 0) -> None:
        """Answer with a page of rows."""
        self._http.request("POST", "/", b"{}")
        self._http.getresponse().read()
        self._database.execute("SELECT * FROM step WHERE position > ? LIMIT ?", (after, PAGE)).fetchall()

    def close(self) -> None:
        """Let go of what is open."""
        self._http.close()
        self._database.close()


def many_steps(repeat: int, scratch: Path, home: Path, client: Client, server: Started, port: int) -> Iterator[Row]:
    """Measure one execution of ten thousand steps that start nothing, and what is asked about it."""
    text = conditions(MANY)
    yield Row(
        what=f"CreatePipeline of {MANY:,} steps from S3, by boto3",
        measured=create(home, "many", text),
        floor=alternate(repeat, lambda: wall_ms(lambda: json.dumps(json.loads(text))))[0],
        unit="ms",
        floor_is="reading and writing the JSON",
        beside=f"{len(text) / 1e6:.1f} MB",
    )
    with watched(server) as told:
        arn = start(client, "many")
        took_ms = wait(client, arn)
    yield Row(
        what=f"{MANY:,} conditions, one after the other: a step",
        measured=took_ms / MANY,
        floor=commit_ms(scratch),
        unit="ms",
        floor_is="one SQLite commit (WAL, FULL)",
        target="under 1 ms, 300 MB",
        beside=f"{told['processor_s'] * 1000 / MANY:.2f} ms of the server's processor time, "
        f"at most {told['most_mb']:.0f} MB",
    )
    with closing(Bare(scratch, port, count=MANY)) as bare:
        yield from asked_about(repeat, client, arn, bare)


def asked_about(repeat: int, client: Client, arn: str, bare: Bare) -> Iterator[Row]:
    """Measure the description of a long execution, and pages of its steps: the first, the middle and the last."""
    about = {"PipelineExecutionArn": arn}
    tokens: list[str | None] = [None]
    names: set[str] = set()
    while True:
        more = {} if tokens[-1] is None else {"NextToken": tokens[-1]}
        page = client.call("SageMaker.ListPipelineExecutionSteps", {**about, "MaxResults": PAGE, **more})
        names.update(step["StepName"] for step in page["PipelineExecutionSteps"])
        if "NextToken" not in page:
            break
        tokens.append(page["NextToken"])
    if len(names) != MANY or len(tokens) != MANY // PAGE:
        raise RuntimeError(f"{len(tokens)} pages hold {len(names)} of {MANY} steps")
    asked = {"description": ("SageMaker.DescribePipelineExecution", about)}
    for name, place in (("first", 0), ("middle", len(tokens) // 2), ("last", -1)):
        more = {} if tokens[place] is None else {"NextToken": tokens[place]}
        page = {**about, "MaxResults": PAGE, **more}
        asked[f"{name} page of {PAGE}"] = ("SageMaker.ListPipelineExecutionSteps", page)
    for name, (operation, members) in asked.items():
        measured, floor = alternate(
            repeat, lambda o=operation, m=members: wall_ms(lambda: client.call(o, m)), lambda: wall_ms(bare.page)
        )
        yield Row(
            what=f"execution of {MANY:,} steps: {name}",
            measured=measured,
            floor=floor,
            unit="ms",
            floor_is="bare HTTP + bare SQLite",
        )


def many_executions(
    repeat: int, scratch: Path, home: Path, client: Client, server: Started, port: int
) -> Iterator[Row]:
    """Measure a thousand executions of one no-op job each that are started at once, and their list meanwhile."""
    create(home, "one", jobs(1))
    floor = two_at_a_time(EXECUTIONS)
    began = time.perf_counter()
    with watched(server) as told:
        with ThreadPoolExecutor(STARTERS) as starters:
            arns = list(starters.map(partial(start, client, "one"), range(EXECUTIONS)))
        started_ms = (time.perf_counter() - began) * 1000
        asked = {"PipelineName": "one", "MaxResults": PAGE}
        with closing(Bare(scratch, port, count=EXECUTIONS)) as bare:
            listed, least = alternate(
                repeat,
                lambda: wall_ms(lambda: client.call("SageMaker.ListPipelineExecutions", asked)),
                lambda: wall_ms(bare.page),
            )
        for arn in arns:  # they end more or less in this order, so that each is asked about once or twice
            wait(client, arn)
        took_ms = (time.perf_counter() - began) * 1000
    yield Row(
        what=f"list of executions while {EXECUTIONS:,} go on: page of {PAGE}",
        measured=listed,
        floor=least,
        unit="ms",
        floor_is="bare HTTP + bare SQLite",
    )
    yield Row(
        what=f"{EXECUTIONS:,} executions at once, one no-op job each",
        measured=took_ms,
        floor=floor,
        unit="ms",
        floor_is=f"{EXECUTIONS} x {PASS}, two at a time",
        beside=f"started within {started_ms / 1000:.0f} s; a step {took_ms / EXECUTIONS:.0f} ms, "
        f"{told['processor_s'] * 1000 / EXECUTIONS:.1f} ms of the server's processor time; "
        f"at most {told['most_mb']:.0f} MB",
    )


def many_jobs(home: Path, client: Client, server: Started, count: int) -> Iterator[Row]:
    """Measure one execution of very many no-op jobs, side by side as far as the machine has room."""
    create(home, "jobs", jobs(count, chained=False))
    floor = two_at_a_time(count)
    with watched(server) as told:
        took_ms = wait(client, start(client, "jobs"))
    yield Row(
        what=f"{count:,} independent no-op jobs in one execution",
        measured=took_ms,
        floor=floor,
        unit="ms",
        floor_is=f"{count} x {PASS}, two at a time",
        beside=f"a step {took_ms / count:.0f} ms, {told['processor_s'] * 1000 / count:.1f} ms of the server's "
        f"processor time; at most {told['most_mb']:.0f} MB",
    )


if __name__ == "__main__":
    # One size of the engine's part, in a process of its own: its memory, and what it imports, are nobody else's.
    print(json.dumps(alone(sys.argv[1], int(sys.argv[2]), counting="--counting" in sys.argv[3:])))
