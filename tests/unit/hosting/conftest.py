"""Hosting on the real store and engine, with a back end in memory whose attempts do what a test says."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath import hosting, registry
from towpath.engine import Engine
from towpath.hosting import EndpointController, Routes
from towpath.jobs.admission import Ledger
from towpath.jobs.contract import Surroundings
from towpath.jobs.images import ImageMap, Interpreter
from towpath.jobs.instances import GIB, Capacity
from towpath.jobs.model import Capabilities, JobObservation, JobSpec, LogPage, Manifest, MetricPoint, Phase
from towpath.kernel.arns import Home
from towpath.kernel.clock import VirtualClock
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.store import SqliteStore, SqlTransaction

IMAGES = ImageMap(Interpreter(python="/opt/python", version="3.11.7"), {})


class MemoryBackend:
    """Keeps attempts in a dictionary. A submitted attempt is STARTING until the test moves it on."""

    capabilities = Capabilities(serving=True)

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._wake: Callable[[str], None] = lambda key: None
        self.jobs: dict[str, JobSpec] = {}
        self.seen: dict[str, JobObservation] = {}
        self.stopped: list[str] = []
        self.killed: list[str] = []
        self.forgotten: list[str] = []
        self.tidied: list[str] = []

    def submit(self, job: JobSpec) -> None:
        if job.key not in self.seen:
            self.jobs[job.key] = job
            self.seen[job.key] = JobObservation(phase=Phase.STARTING)

    def observe(self, key: str) -> JobObservation:
        return self.seen.get(key, JobObservation(phase=Phase.ABSENT))

    def stop(self, key: str, *, at_once: bool = False) -> None:
        (self.killed if at_once else self.stopped).append(key)
        self.end(key, stopped=True)

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        return LogPage(lines=[], start=0, end=0)

    def metrics(self, key: str) -> list[MetricPoint]:
        return []

    def drop(self, key: str, *, until: int) -> None:
        """Nothing is staged while its jobs run."""

    def address(self, key: str) -> str:
        return f"/run/{key}.sock"

    def tidy(self, key: str) -> None:
        self.tidied.append(key)

    def is_tidy(self, key: str) -> bool:
        return key in self.tidied

    def forget(self, key: str) -> None:
        self.forgotten.append(key)
        self.seen.pop(key, None)

    def watch(self, wake: Callable[[str], None]) -> None:
        self._wake = wake

    def close(self) -> None:
        self._wake = lambda key: None

    # -- what the test makes happen

    def ready(self, key: str) -> None:
        self.seen[key] = JobObservation(phase=Phase.READY)
        self._wake(key)

    def end(self, key: str, *, reason: str | None = None, stopped: bool = False) -> None:
        manifest = Manifest(key=key, exit_code=1, reason=reason, stopped=stopped, ended_at=self._clock.now())
        self.seen[key] = JobObservation(phase=Phase.FINISHED, manifest=manifest)
        self._wake(key)

    def lose(self, key: str) -> None:
        self.seen[key] = JobObservation(phase=Phase.LOST)
        self._wake(key)

    def running(self) -> list[str]:
        return [key for key, seen in self.seen.items() if seen.phase in {Phase.STARTING, Phase.RUNNING, Phase.READY}]


class World:
    """A store, an engine and a back end, and the calls of a test."""

    def __init__(self, folder: Path) -> None:
        self.surroundings = Surroundings(home=Home(), host_cores=2, host_memory_bytes=8 * GIB, toolkit_source="")
        self.clock = VirtualClock()
        self.store = SqliteStore(folder / "store.db", clock=self.clock)
        self.backend = MemoryBackend(self.clock)
        self.dead: set[str] = set()  #: sockets that do not answer a ping
        self._operations = {
            operation.name: operation
            for operation in (*hosting.operations(IMAGES.resolve), *registry.operations(IMAGES.resolve))
        }
        self.start()

    def start(self) -> None:
        """Begin with empty routes, as a server that has just started."""
        self.routes = Routes(drained=lambda uid: self.engine.wake(uid), now_s=lambda: self.clock.now().timestamp())
        self.queue = Ledger(Capacity(cores=2.0, memory_bytes=8 * GIB), wake=lambda uid: self.engine.wake(uid))
        self.controller = EndpointController(
            store=self.store,
            path_of=lambda version: f"/blobs/{version.blob}",
            backend=self.backend,
            routes=self.routes,
            resolve=IMAGES.resolve,
            ping=lambda address: address not in self.dead,
            surroundings=self.surroundings,
            admission=self.queue,
        )
        kinds = {kind.noun: kind for kind in (*hosting.KINDS, *registry.KINDS)}
        self.engine = Engine(self.store, {"Endpoint": self.controller}, clock=self.clock, kinds=kinds)
        self.backend.watch(lambda key: self.engine.wake(Uid(key.partition("-")[0])))

    def call(self, operation: str, *, parent: Uid | None = None, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=Caller("ada", "r-1"), parent=parent)
        found = self._operations[operation]
        if found.writes:
            return self.store.write(lambda transaction: found.function(transaction, request))
        return self.store.read(lambda transaction: found.function(transaction, request))

    def put(self, key: str, body: bytes = b"model") -> None:
        def write(transaction: SqlTransaction) -> None:
            transaction.objects.create_bucket("lake", transaction.now)
            version_id = f"v{len(transaction.objects.versions('lake', key)) + 1}"
            transaction.objects.put(
                ObjectVersion(
                    bucket="lake",
                    key=key,
                    version_id=version_id,
                    size=len(body),
                    sha256=hashlib.sha256(body).hexdigest(),
                    etag="e",
                    blob=f"{key}-{version_id}",
                    created_at=transaction.now,
                    created_by="ada",
                )
            )

        self.store.write(write)

    def model(self, name: str = "m", **container: Any) -> Document:
        self.put("model.tar.gz")
        members = {"Image": "towpath", "ModelDataUrl": "s3://lake/model.tar.gz", **container}
        return self.call("CreateModel", ModelName=name, PrimaryContainer=members)

    def config(self, name: str = "c", *, model: str = "m", instances: int = 1, **variant: Any) -> Document:
        members = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InitialInstanceCount": instances,
            "InstanceType": "ml.m5.large",
            **variant,
        }
        return self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[members])

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass and the engine work."""
        self.clock.advance(seconds)
        self.engine.run_until_idle()

    def bring_up(self) -> None:
        """Let every attempt that was started become ready."""
        for key in self.backend.running():
            self.backend.ready(key)
        self.run()

    def endpoint(self, name: str = "e") -> Resource:
        found = self.store.read(lambda transaction: transaction.resources.find("Endpoint", name))
        assert found is not None
        return found

    def describe(self, name: str = "e") -> Document:
        return self.call("DescribeEndpoint", EndpointName=name)

    def routed(self, name: str = "e") -> list[str]:
        entry = self.routes.entry(name)
        return [target.key for target in entry.targets] if entry else []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()
