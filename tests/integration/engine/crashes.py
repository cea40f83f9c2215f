"""A platform in one thread whose process dies at any chosen write, over an outside world that lives on.

The parts are the real ones: store, blobs in a folder, controllers of pipelines and jobs, registry. Only the back end is
in memory, so that its jobs take no time, and the clock is virtual.
"""

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.acceptance.crash_pipeline import BUCKET, PIPELINE

from towpath.app import KINDS, OperationShapes
from towpath.callers import Role
from towpath.engine import Engine
from towpath.gateway import ServiceModels
from towpath.hosting import served_model
from towpath.jobs.contract import Surroundings
from towpath.jobs.controller import JobController
from towpath.jobs.images import ImageMap, Interpreter
from towpath.jobs.model import (
    Capabilities,
    JobObservation,
    JobSpec,
    LogPage,
    Manifest,
    MetricPoint,
    OutputMode,
    Phase,
    StagedFile,
)
from towpath.jobs.service import Jobs
from towpath.jobs.strategies import PROCESSING, TRAINING
from towpath.kernel.arns import Home
from towpath.kernel.clock import VirtualClock
from towpath.kernel.decisions import Controller
from towpath.kernel.errors import StaleRevision
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Query
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Uid
from towpath.objects.documents import StoredDocuments
from towpath.objects.folder import FolderObjects
from towpath.pipelines.controller import ExecutionController
from towpath.pipelines.service import operations as pipeline_operations
from towpath.registry import operations as registry_operations
from towpath.store import SqliteStore, SqlTransaction
from towpath.testing.crashes import Crash
from towpath.testing.replay import Replayed, replay_all

R = TypeVar("R")
ADA = Caller("ada", "request-1", roles=frozenset({Role.ADMINISTRATOR}))
HOME = Home("000000000000", "us-east-1")
MODELS = ServiceModels()
SHAPES = OperationShapes(MODELS)
IMAGES = ImageMap(Interpreter(python="/opt/towpath/bin/python", version="3.11.7", packages={"numpy": "2.4.0"}), {})
RUNS_ON = "runs on"  #: until it is stopped
IS_LOST = "is lost"  #: its runner vanishes
_COMPLETES = "completes"
_IS_STOPPED = "is stopped"
_LIVE = {Phase.STARTING, Phase.RUNNING}
#: Members that tell when something happened, or what was seen on the way.
_TIMES = ("_at", "Time", "TimeInSeconds", "Timestamp", "SecondaryStatusTransitions")


class _Undone(Exception):
    """Undoes a transaction that was about to be committed."""


class DyingStore:
    """A store whose process dies around one of its commits.

    Before a commit means: all of the transaction's function has run, its files are linked and whatever else it does
    to the outside is done, and nothing of it is written.
    """

    def __init__(self, store: SqliteStore, *, at: int | None, after: bool = False) -> None:
        self.commits = 0
        self._store = store
        self._at = at
        self._after = after
        self.read = store.read
        self.on_commit = store.on_commit

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        """Commit, unless this is where the process dies."""
        return self.write(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        """Commit, unless this is where the process dies."""
        self.commits += 1
        if self.commits != self._at:
            return self._store.write(work)
        if self._after:
            self._store.write(work)
            raise Crash

        def undone(transaction: SqlTransaction) -> None:
            work(transaction)
            raise _Undone

        try:
            self._store.write(undone)
        except _Undone:
            raise Crash from None
        raise AssertionError("the transaction was undone")


class SleepingStore:
    """A store whose process is stopped before one of its commits, and goes on with that very commit afterwards."""

    def __init__(self, store: SqliteStore, *, at: int, meanwhile: Callable[[], None]) -> None:
        self.refused = 0  #: commits that lost because somebody else had taken over
        self._store = store
        self._left = at
        self._meanwhile = meanwhile
        self.read = store.read
        self.on_commit = store.on_commit

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        """Commit, after having slept if this is the moment."""
        return self.write(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        """Commit, after having slept if this is the moment."""
        self._left -= 1
        if self._left == 0:
            self._meanwhile()
        try:
            return self._store.write(work)
        except StaleRevision:
            self.refused += 1
            raise


class Backend:
    """Implements `ComputeBackend`. Its attempts go on when the test lets them, whether or not a platform lives.

    `outcomes` says how the attempts of a step end, one after the other: RUNS_ON, IS_LOST, or why the script fails;
    those that are not named complete. The last line of a job's output is its step; before it stands what it read.
    """

    capabilities = Capabilities()

    def __init__(self, folder: Path, clock: VirtualClock, outcomes: Mapping[str, Sequence[str]]) -> None:
        self.jobs: dict[str, JobSpec] = {}
        self.completed: list[str] = []  #: keys of attempts that ran to their end
        self._seen: dict[str, JobObservation] = {}
        self._folder = folder
        self._clock = clock
        self._outcomes = {step: list(outcomes) for step, outcomes in outcomes.items()}
        self._ends: dict[str, str] = {}

    def submit(self, job: JobSpec) -> None:
        if job.key not in self.jobs:
            self.jobs[job.key] = job
            self._seen[job.key] = JobObservation(phase=Phase.STARTING)
            left = self._outcomes.get(step_of(job), [])
            self._ends[job.key] = left.pop(0) if left else _COMPLETES

    def observe(self, key: str) -> JobObservation:
        return self._seen.get(key, JobObservation(phase=Phase.ABSENT))

    def stop(self, key: str, *, at_once: bool = False) -> None:
        if key in self._ends and self._seen[key].phase in _LIVE:
            self._ends[key] = _IS_STOPPED

    def advance(self) -> list[str]:
        """Let every attempt take its next step; return which did."""
        moved = [
            key
            for key, seen in self._seen.items()
            if seen.phase is Phase.STARTING or (seen.phase is Phase.RUNNING and self._ends[key] != RUNS_ON)
        ]
        for key in moved:
            if self._seen[key].phase is Phase.STARTING:
                metric = MetricPoint(name="loss", value=0.25, at=self._clock.now())
                self._seen[key] = JobObservation(phase=Phase.RUNNING, activity="Training", metrics=(metric,))
            else:
                self._seen[key] = self._end(key)
        return moved

    def log(self, key: str, *, start: int = 0, limit: int = 10_000) -> LogPage:
        return LogPage(lines=[], start=0, end=0)

    def metrics(self, key: str) -> list[MetricPoint]:
        return list(self._seen[key].metrics)

    def drop(self, key: str, *, until: int) -> None:
        """Nothing is staged while its jobs run."""

    def address(self, key: str) -> str:
        return key

    def tidy(self, key: str) -> None:
        shutil.rmtree(self._folder / key, ignore_errors=True)

    def is_tidy(self, key: str) -> bool:
        return not (self._folder / key).exists()

    def forget(self, key: str) -> None:
        self.tidy(key)
        self._seen.pop(key, None)

    def watch(self, wake: Callable[[str], None]) -> None:
        """The world wakes the engine itself."""

    def close(self) -> None:
        """Nothing is open."""

    def _end(self, key: str) -> JobObservation:
        how = self._ends[key]
        if how == IS_LOST:
            return JobObservation(phase=Phase.LOST)
        now = self._clock.now()
        fails = {_COMPLETES: None, _IS_STOPPED: "Stopped on request"}.get(how, how)
        manifest = Manifest(
            key=key,
            exit_code=0 if fails is None else 1,
            reason=fails,
            stopped=how == _IS_STOPPED,
            started_at=now - timedelta(seconds=1),
            ended_at=now,
            outputs=tuple(self._staged(self.jobs[key])) if fails is None else (),
        )
        self.completed += [key] if fails is None else []
        return JobObservation(phase=Phase.FINISHED, metrics=self._seen[key].metrics, manifest=manifest)

    def _staged(self, job: JobSpec) -> Iterable[StagedFile]:
        step = step_of(job)
        read = "".join(
            Path(item.source).read_text()
            for item in sorted(job.inputs, key=lambda item: item.path)
            if item.unpack is False
        )
        for output in job.outputs:
            files = {f"{output.key}/{step}.txt": f"{read}{step}\n"}
            if output.mode is not OutputMode.FILES:
                files = {output.key: f"{read}{step}\n"}
            elif step == "Evaluate":
                files[f"{output.key}/evaluation.json"] = json.dumps({"accuracy": 0.9})
            for key, text in files.items():
                path = self._folder / job.key / hashlib.sha256(key.encode()).hexdigest()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                data = text.encode()
                yield StagedFile(
                    output=output.name,
                    bucket=output.bucket,
                    key=key,
                    path=str(path),
                    size=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
                )


def step_of(job: JobSpec) -> str:
    """Return the step that a job belongs to."""
    return next(word for word in job.argv if word in {"Prepare", "Profile", "Train", "Evaluate"})


class World:
    """A home that outlives its platforms, and what is outside of them."""

    def __init__(self, folder: Path, outcomes: Mapping[str, Sequence[str]]) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.store = SqliteStore(folder / "store.db", home=HOME, clock=self.clock)
        self.backend = Backend(folder / "staged", self.clock, outcomes)
        self.rounds = 0  #: how often the outside world went on

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def call(self, operation: str, **members: Any) -> Document:
        """Carry out an operation as the API does."""
        request = Request(operation=operation, input=members, caller=ADA)
        found = self.operations(FolderObjects(self.folder / "objects"))[operation]
        return self.store.write(lambda transaction: found.function(transaction, request))

    def put(self, key: str, data: bytes) -> None:
        """Put an object into the bucket."""
        blob = FolderObjects(self.folder / "objects").write([data])
        version = ObjectVersion(
            bucket=BUCKET,
            key=key,
            version_id=blob.blob,
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=self.clock.now(),
            created_by="ada",
        )

        def write(transaction: SqlTransaction) -> None:
            transaction.objects.create_bucket(BUCKET, transaction.now)
            transaction.objects.put(version)

        self.store.write(write)

    def operations(self, objects: FolderObjects) -> Mapping[str, Operation]:
        """Return the operations that steps stand for, and those of pipelines."""
        jobs = Jobs(IMAGES, served_model)
        found = [
            *jobs.operations(),
            *registry_operations(IMAGES.resolve),
            *pipeline_operations(
                check_arguments=lambda step: jobs.check_step_arguments(step.type, step.arguments), shapes=SHAPES
            ),
        ]
        return {operation.name: operation for operation in found}

    def start(self, store: Any) -> Engine:
        """Start a platform as the server does: sweep, take over leases, look at every attempt on the back end."""
        objects = FolderObjects(self.folder / "objects")
        objects.sweep(lambda names: store.read(lambda transaction: transaction.objects.known_blobs(names)))
        store.write(lambda transaction: transaction.work.release_all())
        engine = self.engine(store, objects)
        for key in self.backend.jobs:
            engine.wake(Uid(key.partition("-")[0]))
        return engine

    def engine(self, store: Any, objects: FolderObjects) -> Engine:
        """Return an engine that works on the home, beside others perhaps."""
        jobs: dict[str, Any] = {
            "store": store,
            "objects": objects,
            "backend": self.backend,
            "images": IMAGES,
            "surroundings": Surroundings(home=HOME, host_cores=2, toolkit_source=""),
        }
        controllers: list[Controller[Any]] = [
            JobController(PROCESSING, **jobs),
            JobController(TRAINING, **jobs),
            ExecutionController(
                store=store,
                operations=self.operations(objects),
                kinds=KINDS,
                documents=StoredDocuments(store, objects),
                shapes=SHAPES,
            ),
        ]
        return Engine(store, {controller.kind: controller for controller in controllers}, clock=self.clock, kinds=KINDS)

    def live(self, engine: Engine, *, meddle: Callable[[], None] = lambda: None) -> None:
        """Let time pass until nothing happens any more.

        Args:
            meddle: called before each round of the outside world.
        """
        while True:
            engine.run_until_idle()
            meddle()
            engine.run_until_idle()
            moved = self.backend.advance()
            self.rounds += 1
            for key in moved:
                engine.wake(Uid(key.partition("-")[0]))
            if moved:
                self.clock.advance(1)
                continue
            due = engine.next_due()
            if due is None:
                return
            self.clock.advance(max(0.0, (due - self.clock.now()).total_seconds()))

    def stop_execution(self) -> None:
        """Ask the execution to stop, as somebody does through the API."""
        found = self.store.read(lambda transaction: transaction.resources.query(Query(kind="PipelineExecution")))
        (execution,) = found.items
        self.call("StopPipelineExecution", PipelineExecutionArn=execution.arn, ClientRequestToken="s" * 32)

    def decided_again(self) -> Replayed:
        """Decide what has been decided again."""
        documents = StoredDocuments(self.store, FolderObjects(self.folder / "objects"))
        return replay_all(self.store, documents, SHAPES)

    def completed(self) -> dict[str, int]:
        """Return how many attempts ran to their end, by step."""
        return dict(Counter(step_of(self.backend.jobs[key]) for key in self.backend.completed))


def begin(folder: Path, definition: Document) -> None:
    """Make a home with the pipeline, and an execution of it that has been asked for."""
    folder.mkdir()
    world = World(folder, {})
    world.put("code/step.py", b"code\n")
    world.call(
        "CreatePipeline",
        PipelineName=PIPELINE,
        PipelineDefinition=json.dumps(definition),
        RoleArn="arn:aws:iam::000000000000:role/r",
    )
    world.call("StartPipelineExecution", PipelineName=PIPELINE, ClientRequestToken="t" * 32)
    world.close()


def read_home(folder: Path, *, in_order: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Return all that a home holds, table by table, in words that do not depend on chance or on who wrote how often.

    Names that a chance made are replaced by what they name; rows keep the order of their writing within a subject.

    Args:
        in_order: tell also when things happened, and what came first.
    """
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")]
            for name in tables
            if name not in _NOT_COMPARED and not name.startswith("sqlite_")
        }
    names = {row["uid"]: f"<{row['kind']} {row['name']}>" for row in rows["resource"]}
    names |= {row["blob"]: f"<blob of {row['key']}>" for row in rows["object_version"]}

    def told(value: Any) -> Any:
        text = value.decode() if isinstance(value, bytes) else value
        if isinstance(text, str):
            for name, meaning in names.items():
                text = text.replace(name, meaning)
        if isinstance(value, bytes):
            text = json.loads(text)
            if isinstance(text, dict):
                text.pop("Turn", None)
        return text

    # The names of entities are made of the ids of their nodes, and so of names that a chance made.
    names |= {row["entity"]: f"<entity of {told(row['id'])}>" for row in rows["lineage_node"] if row["entity"]}
    shown = {
        name: [{key: told(value) for key, value in row.items() if key not in {"seq", "revision"}} for row in found]
        for name, found in rows.items()
    }
    if not in_order:
        return {name: sorted(_without_times(found), key=str) for name, found in shown.items()}
    return {name: sorted(found, key=_subject) for name, found in shown.items()}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: None if name == "at" or name.endswith(_TIMES) else _without_times(found)
            for name, found in value.items()
        }
    return [_without_times(item) for item in value] if isinstance(value, list) else value


#: Who leased what, who asked for what: how often things were tried may differ.
_NOT_COMPARED = {"work", "meta", "access_key", "alembic_version"}


def _subject(row: Mapping[str, Any]) -> str:
    members = (
        "uid",
        "member",
        "subject",
        "execution",
        "name",
        "id",
        "source",
        "destination",
        "association",
        "bucket",
        "key",
    )
    return json.dumps([row.get(member) for member in members])


def ways(first: int, commits: int) -> Iterable[tuple[int, bool]]:
    """Return every place from commit `first` on where a life of this many commits can end."""
    return ((at, after) for at in range(first, commits + 1) for after in (False, True))
