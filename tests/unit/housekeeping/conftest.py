"""A small lake with a registry on the real store, and a collector of its garbage."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from towpath.hosting import operations as hosting_operations
from towpath.hosting.kinds import KINDS as HOSTING_KINDS
from towpath.housekeeping import Attempt, Collector, Layer, Retention
from towpath.housekeeping import operations as housekeeping_operations
from towpath.jobs.images import ImageMap, Interpreter
from towpath.jobs.kinds import KINDS as JOB_KINDS
from towpath.jobs.kinds import PROCESSING_JOB
from towpath.kernel.clock import VirtualClock
from towpath.kernel.generic import create, operations_of
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import JobFacts, artifact, job_graph, record
from towpath.objects import FolderObjects
from towpath.objects.datasets import create_default_bucket
from towpath.objects.datasets import operations as dataset_operations
from towpath.objects.kinds import KINDS as DATASET_KINDS
from towpath.registry import operations as registry_operations
from towpath.registry.kinds import KINDS as REGISTRY_KINDS
from towpath.store import SqliteStore, SqlTransaction

IMAGES = ImageMap(Interpreter(python="/opt/python", version="3.11.7", packages={"numpy": "2.4.6"}), {})
KINDS = {kind.noun: kind for kind in (*JOB_KINDS, *HOSTING_KINDS, *REGISTRY_KINDS, *DATASET_KINDS)}
BUCKET = "sagemaker-us-east-1-000000000000"


@dataclass
class MemoryAttempts:
    """Implements `housekeeping.ports.Attempts` in memory."""

    kept: dict[str, Attempt] = field(default_factory=dict)

    def all(self) -> list[Attempt]:
        return list(self.kept.values())

    def trim(self, key: str) -> None:
        attempt = self.kept[key]
        self.kept[key] = Attempt(key=key, ended_at=attempt.ended_at, log_bytes=attempt.log_bytes)

    def forget(self, key: str) -> None:
        del self.kept[key]


@dataclass
class MemoryLayers:
    """Implements `housekeeping.ports.Layers` in memory."""

    kept: dict[str, Layer] = field(default_factory=dict)

    def all(self) -> list[Layer]:
        return list(self.kept.values())

    def remove(self, name: str) -> None:
        del self.kept[name]


class Lake:
    """A home without a server."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.retention = retention
        self.clock = VirtualClock()
        self.attempts = MemoryAttempts()
        self.layers = MemoryLayers()
        self._contents = count()
        self.open()
        self.store.write(create_default_bucket)

    def open(self) -> None:
        """Begin as a process does."""
        self.store = SqliteStore(self.folder / "store.db", clock=self.clock)
        self.objects = FolderObjects(self.folder / "objects")
        self.collector = Collector(
            store=self.store,
            blobs=self.objects,
            attempts=self.attempts,
            layers=self.layers,
            retention=self.retention,
            clock=self.clock,
        )
        found = [
            *registry_operations(IMAGES.resolve),
            *hosting_operations(IMAGES.resolve),
            *dataset_operations(),
            *operations_of(PROCESSING_JOB),
            *housekeeping_operations(KINDS, self.collector),
        ]
        self.table = {operation.name: operation for operation in found}

    def sweep(self) -> int:
        """Remove blobs without a row, as each start does."""
        objects = FolderObjects(self.folder / "objects")
        return objects.sweep(lambda names: self.store.read(lambda transaction: transaction.objects.known_blobs(names)))

    def call(self, operation: str, *, by: str = "ada", **members: Any) -> Document:
        """Carry out an operation."""
        request = Request(operation=operation, input=members, caller=Caller(by, "r-1"))
        found = self.table[operation]
        run: Callable[[Callable[[SqlTransaction], Document]], Document] = (
            self.store.write if found.writes else self.store.read
        )
        return run(lambda transaction: found.function(transaction, request))

    def put(self, key: str, body: bytes | None = None) -> ObjectVersion:
        """Make a new content the latest version of a key."""
        blob = self.objects.write([body if body is not None else f"content {next(self._contents)}".encode()])
        version = ObjectVersion(
            bucket=BUCKET,
            key=key,
            version_id=uuid4().hex,
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=self.clock.now(),
            created_by="ada",
        )
        self.store.write(lambda transaction: transaction.objects.put(version))
        return version

    def mark_deleted(self, key: str) -> ObjectVersion:
        """Put a delete marker on a key."""
        marker = ObjectVersion(
            bucket=BUCKET,
            key=key,
            version_id=uuid4().hex,
            size=0,
            sha256="",
            etag="",
            blob=None,
            created_at=self.clock.now(),
            created_by="ada",
            is_delete_marker=True,
        )
        self.store.write(lambda transaction: transaction.objects.put(marker))
        return marker

    def latest(self, key: str) -> ObjectVersion | None:
        """Return what a reader of the key gets."""
        found = self.store.read(lambda transaction: transaction.objects.get(ObjectRef(BUCKET, key)))
        return None if found is None or found.is_delete_marker else found

    def job(self, name: str, inputs: list[ObjectVersion], outputs: list[ObjectVersion]) -> Resource:
        """Record a processing job that has ended."""

        def write(transaction: SqlTransaction) -> Resource:
            request = Request(operation="CreateProcessingJob", input={"ProcessingJobName": name}, caller=Caller("ada"))
            made = create(transaction, PROCESSING_JOB, request, status="Completed")
            facts = JobFacts(uid=made.uid, arn=made.arn, kind=made.kind, name=name, status="Completed")
            graph = job_graph(
                facts,
                inputs=[artifact(version) for version in inputs],
                outputs=[artifact(version) for version in outputs],
                environment_id=None,
                code=None,
            )
            record(transaction, graph)
            return made

        return self.store.write(write)

    def register(self, key: str, group: str = "reviews") -> Resource:
        """Register what lies at a key as the next version of a group, approved."""
        if self.find("ModelPackageGroup", group) is None:
            self.call("CreateModelPackageGroup", ModelPackageGroupName=group)
        container = {"Image": "towpath/sklearn", "ModelDataUrl": f"s3://{BUCKET}/{key}"}
        arn = self.call(
            "CreateModelPackage",
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            InferenceSpecification={"Containers": [container]},
        )["ModelPackageArn"]
        found = self.store.read(lambda transaction: transaction.resources.by_arn(arn))
        assert found is not None
        return found

    def find(self, kind: str, name: str) -> Resource | None:
        """Return the live resource of that name."""
        return self.store.read(lambda transaction: transaction.resources.find(kind, name))

    def get(self, uid: Uid) -> Resource | None:
        """Return a resource, tombstones included."""
        return self.store.read(lambda transaction: transaction.resources.get(uid))

    def is_readable(self, version: ObjectVersion) -> bool:
        """Return whether an exact version is still there with its content; a digest that differs is an error."""
        found = self.store.read(lambda transaction: transaction.objects.get(version.ref))
        if found is None:
            return False
        content = b"".join(self.objects.read(found))
        assert hashlib.sha256(content).hexdigest() == version.sha256
        return True

    def blobs(self) -> set[str]:
        """Return the names of all blobs on disk."""
        return {path.name for path in (self.folder / "objects" / "blobs").glob("*/*")}

    def pass_days(self, days: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(days=days).total_seconds())

    def close(self) -> None:
        """End as a process does."""
        self.store.close()


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Return an empty lake that keeps things for 30 days."""
    made = Lake(tmp_path / "lake", Retention(versions_days=30, deleted_days=30))
    yield made
    made.close()


@pytest.fixture
def make_lake() -> type[Lake]:
    """Return how lakes are made."""
    return Lake
