"""A small world for jobs: a real store on a file, blobs in memory, and a back end whose attempts the test moves on."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from msgspec.structs import replace

from towpath.engine import Engine
from towpath.jobs import (
    KINDS,
    STRATEGIES,
    ImageMap,
    Interpreter,
    JobController,
    Jobs,
    Surroundings,
)
from towpath.jobs.admission import Ledger
from towpath.jobs.model import (
    Capabilities,
    JobObservation,
    JobSpec,
    LogPage,
    Manifest,
    MetricPoint,
    Phase,
    StagedFile,
)
from towpath.jobs.served import ServedModel
from towpath.kernel.arns import Home
from towpath.kernel.clock import VirtualClock
from towpath.kernel.objects import ObjectRef, ObjectVersion, StoredBlob
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.store import SqliteStore

GOLDEN = Path(__file__).parents[2] / "golden" / "definitions"
BUCKET = "sagemaker-us-east-1-000000000000"
HOME = Home("000000000000", "us-east-1")
PLATFORM_PYTHON = Interpreter(
    python="/opt/towpath/bin/python", version="3.11.7", packages={"numpy": "2.4.0", "scikit-learn": "1.9.1"}
)
SURROUNDINGS = Surroundings(home=HOME, host_cores=2, toolkit_source="# toolkit")
CALLER = Caller("ada", "request-1")


class MemoryBackend:
    """Implements `jobs.ports.ComputeBackend`; a test says how attempts go on."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.jobs: dict[str, JobSpec] = {}
        self.seen: dict[str, JobObservation] = {}
        self.submits: list[str] = []
        self.stops: list[str] = []
        self.untidy: set[str] = set()  #: attempts whose working copy is still there
        self.tidied: list[str] = []
        self.dropped: list[tuple[str, int]] = []  #: attempt, number of its last increment that was adopted

    def submit(self, job: JobSpec) -> None:
        self.submits.append(job.key)
        if job.key not in self.jobs:
            self.jobs[job.key] = job
            self.untidy.add(job.key)
            self.seen[job.key] = JobObservation(phase=Phase.STARTING)

    def observe(self, key: str) -> JobObservation:
        return self.seen.get(key, JobObservation(phase=Phase.ABSENT))

    def stop(self, key: str, *, at_once: bool = False) -> None:
        self.stops.append(key)

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        return LogPage(lines=[], start=0, end=0)

    def metrics(self, key: str) -> list[MetricPoint]:
        return list(self.seen[key].metrics)

    def drop(self, key: str, *, until: int) -> None:
        self.dropped.append((key, until))
        seen = self.seen[key]
        self.seen[key] = replace(seen, increments=tuple(item for item in seen.increments if item.number > until))

    def address(self, key: str) -> str:
        return key

    def tidy(self, key: str) -> None:
        self.tidied.append(key)
        self.untidy.discard(key)

    def is_tidy(self, key: str) -> bool:
        return key not in self.untidy

    def forget(self, key: str) -> None:
        del self.seen[key]

    def watch(self, wake: Callable[[str], None]) -> None:
        """Tests wake the engine themselves."""

    def close(self) -> None:
        """Nothing is open."""


class MemoryObjects:
    """Implements `kernel.objects.ObjectStore` without files."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.staged: dict[str, bytes] = {}
        self.is_far = False  #: bytes travel to it

    def write(self, chunks: Iterable[bytes]) -> StoredBlob:
        data = b"".join(chunks)
        name = self.new_blob_name()
        self.blobs[name] = data
        return StoredBlob(blob=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), etag=_md5(data))

    def adopt(self, path: str, blob: StoredBlob) -> None:
        if blob.blob not in self.blobs:
            self.blobs[blob.blob] = self.staged.pop(path)

    def adopt_all(self, files: Sequence[tuple[str, StoredBlob]]) -> None:
        for path, blob in files:
            self.adopt(path, blob)

    def new_blob_name(self) -> str:
        return f"blob-{len(self.blobs)}"

    def open(self, version: ObjectVersion) -> IO[bytes]:
        raise NotImplementedError("jobs read through `read`")

    def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        assert version.blob is not None
        yield self.blobs[version.blob][start:end]

    def path(self, version: ObjectVersion) -> str:
        return f"/blobs/{version.blob}"

    def must_fetch(self, versions: Iterable[ObjectVersion]) -> bool:
        return self.is_far

    def discard(self, blob: str) -> None:
        self.blobs.pop(blob, None)


@dataclass(frozen=True)
class Use:
    """A dataset version, and the inputs that belong to it."""

    name: str
    refs: tuple[ObjectRef, ...]


class World:
    """Everything a job needs, and short words for what tests do."""

    def __init__(self, store: SqliteStore, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self.objects = MemoryObjects()
        self.backend = MemoryBackend()
        self.images: Any = ImageMap(PLATFORM_PYTHON, {})
        self.model = ServedModel(uid=Uid("wine"), image="towpath")  #: of all transform jobs
        self.jobs = Jobs(self.images, lambda *_: self.model, self.what_for)
        self.operations = {operation.name: operation for operation in self.jobs.operations()}
        self.datasets: dict[ObjectRef, str] = {}
        self.check_outs: list[tuple[str, str, str]] = []  #: dataset, who, what
        self.controllers: dict[str, JobController] = {}
        self.surroundings = SURROUNDINGS
        self.admission: Ledger | None = None
        self.engine = self.new_engine()

    def what_for(self, key: str) -> str | None:
        """Return what a job waits for now."""
        return None if self.admission is None else self.admission.what_for(key)

    def new_engine(self, store: Any = None) -> Engine:
        """Return an engine as a restarted platform would have it, on `store` in place of the world's own."""
        store = store or self.store
        controllers = [
            JobController(
                strategy,
                store=store,
                objects=self.objects,
                backend=self.backend,
                images=self.images,
                surroundings=self.surroundings,
                check_out=self.check_out,
                admission=self.admission,
            )
            for strategy in STRATEGIES
        ]
        self.controllers = {controller.kind: controller for controller in controllers}
        return Engine(
            store,
            self.controllers,
            clock=self.clock,
            kinds={kind.noun: kind for kind in KINDS},
        )

    def check_out(
        self, transaction: Transaction, refs: Iterable[ObjectRef], *, principal: str, reader: str
    ) -> list[Use]:
        """Implements `jobs.ports.CheckOut` from what the test said belongs to datasets."""
        uses = [Use(self.datasets[ref], (ref,)) for ref in refs if ref in self.datasets]
        self.check_outs += [(use.name, principal, reader) for use in uses]
        return uses

    def put(self, uri: str, data: bytes) -> ObjectVersion:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        blob = self.objects.write([data])
        version = ObjectVersion(
            bucket=bucket,
            key=key,
            version_id=f"v-{blob.blob}",
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=self.clock.now(),
            created_by="ada",
        )

        def write(transaction: Any) -> None:
            transaction.objects.create_bucket(bucket, transaction.now)
            transaction.objects.put(version)

        self.store.write(write)
        return version

    def call(self, operation: str, document: Document, *, parent: Uid | None = None) -> Document:
        request = Request(operation=operation, input=document, caller=CALLER, parent=parent)
        found = self.operations[operation]
        if found.writes:
            return self.store.write(lambda transaction: found.function(transaction, request))
        return self.store.read(lambda transaction: found.function(transaction, request))

    def resource(self, kind: str, name: str) -> Resource:
        found = self.store.read(lambda transaction: transaction.resources.find(kind, name))
        assert found is not None
        return found

    def run(self) -> int:
        return self.engine.run_until_idle()

    def move(self, kind: str, name: str, observation: JobObservation) -> str:
        """Let the running attempt stand like this, and the engine notice. Returns the attempt's key."""
        uid = self.resource(kind, name).uid
        key = next(key for key in reversed(self.backend.jobs) if key.startswith(uid))
        self.backend.seen[key] = observation
        self.engine.wake(uid)
        self.run()
        return key

    def stage(self, output: str, uri: str, data: bytes) -> StagedFile:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = f"/staging/{len(self.objects.staged)}"
        self.objects.staged[path] = data
        sha256 = hashlib.sha256(data).hexdigest()
        return StagedFile(
            output=output, bucket=bucket, key=key, path=path, size=len(data), sha256=sha256, md5=_md5(data)
        )

    def finished(self, *outputs: StagedFile, **changes: Any) -> JobObservation:
        """Return how an attempt stands that ended now after ten seconds."""
        now = self.clock.now()
        manifest = Manifest(
            key="", exit_code=0, reason=None, started_at=now - timedelta(seconds=10), ended_at=now, outputs=outputs
        )
        metrics = changes.pop("metrics", ())
        return JobObservation(phase=Phase.FINISHED, metrics=metrics, manifest=replace(manifest, **changes))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = VirtualClock()
    store = SqliteStore(tmp_path / "store.db", home=HOME, clock=clock)
    yield World(store, clock)
    store.close()


def _step_arguments(definition: str, step: str, **values: Any) -> Document:
    """Return the resolved arguments of a step of a golden definition.

    Args:
        values: what parameters and references give, by the last member of their path; the default else.
    """
    document = json.loads((GOLDEN / definition).read_text(encoding="utf-8"))
    parameters = {item["Name"]: item.get("DefaultValue") for item in document["Parameters"]} | values

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Get"}:
            last = value["Get"].rpartition(".")[2]
            return str(parameters[last]) if isinstance(parameters.get(last), bool | float) else parameters[last]
        if set(value) == {"Std:Join"}:
            join = value["Std:Join"]
            return join["On"].join(str(resolved(item)) for item in join["Values"])
        return {name: resolved(item) for name, item in value.items()}

    def steps(items: list[Document]) -> Iterator[Document]:
        for item in items:
            yield item
            for branch in ("IfSteps", "ElseSteps"):
                yield from steps(item["Arguments"].get(branch) or [])

    found = next(item for item in steps(document["Steps"]) if item["Name"] == step)
    arguments: Document = resolved(found["Arguments"])
    return arguments


@pytest.fixture
def step_arguments() -> Callable[..., Document]:
    """Resolved arguments of a step of a golden definition: (file, step, **values of references)."""
    return _step_arguments
