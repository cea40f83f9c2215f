"""Endpoints on real processes: deployed, invoked, updated under load, killed, adopted and deleted."""

import asyncio
import io
import json
import os
import select
import signal
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from towpath import hosting
from towpath.compute.process import ProcessBackend
from towpath.engine import Engine
from towpath.gateway.invocations import Answer, Failed, Invocations
from towpath.gateway.model_client import ping
from towpath.hosting import EndpointController, Routes, instances, routing
from towpath.hosting import endpoint as rules
from towpath.hosting.kinds import serving_fleet, state_of
from towpath.hosting.model import attempt_key
from towpath.jobs.contract import Surroundings
from towpath.jobs.images import ImageMap, Interpreter
from towpath.kernel.arns import Home
from towpath.kernel.clock import SystemClock
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.objects.folder import FolderObjects
from towpath.store import SqliteStore, SqlTransaction

pytestmark = pytest.mark.slow

IMAGES = ImageMap(Interpreter(python=sys.executable, version="3.11"), {})

HANDLER = """
import json, os, time
def model_fn(model_dir):
    with open(os.path.join(model_dir, "weights.json")) as file:
        return json.load(file)
def predict_fn(data, model):
    if data == "fail":
        raise ValueError("no such review")
    return {"model": model["name"], "doubled": [2 * x for x in data], "pid": os.getpid()}
"""

#: Keeps its request for many times as long as the platform takes between two pings.
BUSY = """
import select
def model_fn(model_dir):
    return None
def predict_fn(data, model):
    select.select([], [], [], 4)
    return {"done": True}
"""


def archive(name: str, handler: str = HANDLER) -> bytes:
    """Return a model archive with its handler script."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, text in (("weights.json", json.dumps({"name": name})), ("code/inference.py", handler)):
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


class Platform:
    """What a server holds for hosting, over a home that outlives it."""

    def __init__(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.store = SqliteStore(home / "store.db")
        self.objects = FolderObjects(home / "objects")
        self.backend = ProcessBackend(home / "jobs", home=home)
        self.routes = Routes(drained=lambda uid: self.engine.wake(uid))
        self.controller = EndpointController(
            store=self.store,
            path_of=self.objects.path,
            backend=self.backend,
            routes=self.routes,
            resolve=IMAGES.resolve,
            ping=ping,
            surroundings=Surroundings(home=Home(), host_cores=2, toolkit_source=""),
        )
        kinds = {kind.noun: kind for kind in hosting.KINDS}
        self.engine = Engine(self.store, {"Endpoint": self.controller}, clock=SystemClock(), kinds=kinds)
        self._operations = {operation.name: operation for operation in hosting.operations(IMAGES.resolve)}
        self.controller.restore_routes()
        self.engine.start()
        self.backend.watch(lambda key: self.engine.wake(Uid(key.partition("-")[0])))

    def close(self) -> None:
        """Go away as a server does that leaves its endpoints running."""
        self.engine.stop()
        self.backend.close()
        self.store.close()

    def call(self, operation: str, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=Caller("ada", "r"))
        found = self._operations[operation]
        return self.store.write(lambda transaction: found.function(transaction, request))

    def deploy(self, name: str, body: bytes, *, instances: int = 1) -> None:
        """Make a model and an endpoint config, both called `name`."""
        blob = self.objects.write([body])

        def put(transaction: SqlTransaction) -> None:
            transaction.objects.create_bucket("lake", transaction.now)
            transaction.objects.put(
                ObjectVersion(
                    bucket="lake",
                    key=f"{name}/model.tar.gz",
                    version_id=uuid4().hex,
                    size=blob.size,
                    sha256=blob.sha256,
                    etag=blob.etag,
                    blob=blob.blob,
                    created_at=transaction.now,
                    created_by="ada",
                )
            )

        self.store.write(put)
        container = {"Image": "towpath", "ModelDataUrl": f"s3://lake/{name}/model.tar.gz"}
        self.call("CreateModel", ModelName=name, PrimaryContainer=container)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": instances}
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])

    def endpoint(self) -> Resource | None:
        return self.store.read(lambda transaction: transaction.resources.find("Endpoint", "e"))

    def describe(self) -> Document:
        return self.call("DescribeEndpoint", EndpointName="e")

    def until(self, reached: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """Wait until something holds."""
        pause = threading.Event()
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline, f"not reached within {within_s} s: {self.describe()}"
            pause.wait(0.02)

    def until_settled(self) -> Document:
        self.until(lambda: self.describe()["EndpointStatus"] not in {"Creating", "Updating"})
        return self.describe()

    def log(self) -> str:
        """Return what the model servers have printed so far."""
        return "\n".join(line.text for key in self.attempts() for line in self.backend.log(key).lines)

    def attempts(self) -> list[str]:
        endpoint = self.endpoint()
        assert endpoint is not None
        fleet = serving_fleet(state_of(endpoint))
        assert fleet is not None
        return [attempt_key(endpoint.uid, fleet, instance) for instance in fleet.instances]


async def invoke(invocations: Invocations, data: Any) -> Answer:
    headers = [(b"content-type", b"application/json"), (b"accept", b"application/json")]
    return await invocations.invoke("e", headers, json.dumps(data).encode())


def ask(platform: Platform, data: Any) -> Document:
    """Invoke the endpoint once."""

    async def once() -> Document:
        invocations = Invocations(platform.routes, Home())
        try:
            found: Document = json.loads((await invoke(invocations, data)).body)
            return found
        finally:
            invocations.close()

    return asyncio.run(once())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def platform(home: Path) -> Iterator[Platform]:
    made = Platform(home)
    yield made
    endpoint = made.endpoint()
    if endpoint is not None:
        made.call("DeleteEndpoint", EndpointName="e")
        made.until(lambda: made.endpoint() is None)
    assert made.backend.live() == []
    made.backend.stop_host()
    made.close()


@pytest.mark.shows("sagemaker", "DeleteEndpoint", how="executes")
def test_a_model_is_deployed_answers_fails_in_its_own_words_and_goes(platform: Platform) -> None:
    platform.deploy("m1", archive("m1"), instances=2)
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    assert platform.until_settled()["EndpointStatus"] == "InService", platform.describe()
    answers = [ask(platform, [1, 2, 3]) for _ in range(4)]
    assert all(answer["model"] == "m1" and answer["doubled"] == [2, 4, 6] for answer in answers)
    assert len({answer["pid"] for answer in answers}) == 2, "both instances answer"
    with pytest.raises(Failed) as failed:
        ask(platform, "fail")
    assert failed.value.code == "ModelError"
    assert failed.value.members["OriginalMessage"] == "ValueError: no such review"
    # The answer and the log go different ways; the log may be a moment behind.
    platform.until(lambda: "Traceback (most recent call last)" in platform.log())
    platform.call("DeleteEndpoint", EndpointName="e")
    platform.until(lambda: platform.endpoint() is None)
    assert platform.backend.live() == []


def test_a_script_that_cannot_load_its_model_fails_the_endpoint_with_its_traceback(platform: Platform) -> None:
    platform.deploy("bad", archive("bad", "def model_fn(model_dir):\n    raise KeyError('weights')\n"))
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="bad")
    shown = platform.until_settled()
    assert shown["EndpointStatus"] == "Failed"
    assert "KeyError: 'weights' (inference.py line 2)" in shown["FailureReason"]


@pytest.mark.shows("sagemaker", "UpdateEndpoint", how="executes")
def test_an_update_under_load_fails_no_request(platform: Platform) -> None:
    platform.deploy("m1", archive("m1"))
    platform.deploy("m2", archive("m2"))
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    assert platform.until_settled()["EndpointStatus"] == "InService", platform.describe()
    old = platform.attempts()
    done = threading.Event()

    async def load() -> list[str]:
        invocations = Invocations(platform.routes, Home())
        served: list[str] = []

        async def caller() -> None:
            while not done.is_set():
                served.append(json.loads((await invoke(invocations, [1])).body)["model"])

        await asyncio.gather(*(caller() for _ in range(4)))
        invocations.close()
        return served

    served: list[list[str]] = []
    thread = threading.Thread(target=lambda: served.append(asyncio.run(load())))
    thread.start()
    platform.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="m2")
    assert platform.until_settled()["EndpointConfigName"] == "m2"
    platform.until(lambda: all(platform.backend.observe(key).phase == "absent" for key in old))
    done.set()
    thread.join()
    (models,) = served
    assert set(models) == {"m1", "m2"}
    assert models[-1] == "m2"
    assert len(models) > 100


def test_an_update_that_cannot_start_leaves_the_old_model_serving(platform: Platform) -> None:
    platform.deploy("m1", archive("m1"))
    platform.deploy("bad", archive("bad", "import no_such_package\n"))
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    platform.until_settled()
    platform.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="bad")
    shown = platform.until_settled()
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "m1")
    assert "No module named 'no_such_package'" in shown["FailureReason"]
    assert ask(platform, [1])["model"] == "m1"


def test_a_killed_model_server_is_started_again(platform: Platform) -> None:
    platform.deploy("m1", archive("m1"))
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    platform.until_settled()
    (runner,) = [platform.backend.observe(key).pid for key in platform.attempts()]
    assert runner is not None
    (first,) = platform.attempts()
    os.kill(runner, signal.SIGKILL)  # the model server dies with its runner

    platform.until(lambda: platform.attempts() != [first])
    platform.until(lambda: (entry := platform.routes.entry("e")) is not None and bool(entry.targets))
    assert ask(platform, [1])["model"] == "m1"
    assert platform.describe()["EndpointStatus"] == "InService"


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the platform ping often, so that it gives up a silent model server within seconds."""
    monkeypatch.setattr(rules, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(instances, "MISSED_AGAIN_S", 0.2)
    monkeypatch.setattr(routing, "LATELY_S", 0.1)


def test_a_model_server_that_hangs_is_killed_and_replaced(watchful: None, platform: Platform) -> None:
    platform.deploy("m1", archive("m1"), instances=2)
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    assert platform.until_settled()["EndpointStatus"] == "InService", platform.describe()
    before = platform.attempts()
    hung = ask(platform, [1])["pid"]
    watched = os.pidfd_open(hung)
    os.kill(hung, signal.SIGSTOP)
    platform.until(lambda: bool(select.select([watched], [], [], 0)[0]))
    os.close(watched)
    assert platform.describe()["EndpointStatus"] == "InService"
    assert hung not in {ask(platform, [1])["pid"] for _ in range(4)}, "the other one answers"
    platform.until(lambda: len(platform.routes.entry("e").targets) == 2)  # type: ignore[union-attr]
    assert len(set(platform.attempts()) - set(before)) == 1
    assert len({ask(platform, [1])["pid"] for _ in range(4)} - {hung}) == 2


def test_a_model_server_that_is_busy_for_long_is_left_alone(watchful: None, platform: Platform) -> None:
    platform.deploy("m1", archive("m1", BUSY))
    platform.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    assert platform.until_settled()["EndpointStatus"] == "InService", platform.describe()
    before = platform.attempts()
    assert ask(platform, [1]) == {"done": True}
    assert platform.attempts() == before


def test_endpoints_answer_at_once_after_the_server_was_started_again(home: Path) -> None:
    first = Platform(home)
    first.deploy("m1", archive("m1"))
    first.call("CreateEndpoint", EndpointName="e", EndpointConfigName="m1")
    first.until_settled()
    pid = ask(first, [1])["pid"]
    first.close()

    second = Platform(home)
    try:
        assert ask(second, [1])["pid"] == pid
    finally:
        second.call("DeleteEndpoint", EndpointName="e")
        second.until(lambda: second.endpoint() is None)
        second.backend.stop_host()
        second.close()
