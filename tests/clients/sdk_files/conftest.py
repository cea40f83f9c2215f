"""The SDKs' own files, fetched by version and hash, and a home on this host that runs jobs for real."""

import ast
import importlib.resources
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from towpath.compute.interpreters import own_interpreter, probe
from towpath.compute.process import ProcessBackend
from towpath.engine import Engine
from towpath.hosting import served_model
from towpath.jobs import (
    KINDS,
    STRATEGIES,
    ImageMap,
    Interpreter,
    JobController,
    Jobs,
    Surroundings,
    attempt_keys,
    is_terminal,
    uid_of,
)
from towpath.kernel.clock import SystemClock
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Uid
from towpath.objects.folder import FolderObjects
from towpath.store import SqliteStore, SqlTransaction

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PATIENCE_S = 60.0

R = TypeVar("R")


class SdkFiles:
    """The folders of the installed SDKs. They are read, and run by jobs; their dependencies are not there."""

    def __init__(self, folder: Path) -> None:
        self.v2 = folder / "v2" / "sagemaker"
        self.v3 = folder / "v3" / "sagemaker"

    @staticmethod
    def constant(module: Path, name: str) -> str:
        """Return a text constant of a module without importing it."""
        for statement in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == name for target in statement.targets
            ):
                return str(ast.literal_eval(statement.value))
        raise LookupError(f"{module} has no constant {name}")


def missing(what: str) -> NoReturn:
    """Skip a test for want of something, or fail it where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def sdk_files(tmp_path_factory: pytest.TempPathFactory) -> SdkFiles:
    """The SDKs' files, from uv's cache or the package index; without either the tests are skipped, but not in CI."""
    folder = tmp_path_factory.mktemp("sdks")
    uv = find_uv()
    pins = _pins(REQUIREMENTS.read_text(encoding="utf-8"))
    problem = "uv is not installed"
    if uv is not None:
        for name, packages in {"v2": ("sagemaker",), "v3": ("sagemaker-core", "sagemaker-train")}.items():
            chosen = folder / f"{name}.txt"
            chosen.write_text("\n".join(pins[package] for package in packages), encoding="utf-8")
            command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
            command += ["--python", own_interpreter().python, "--target", str(folder / name), "-r", str(chosen)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            problem = done.stderr.strip()
            if done.returncode != 0:
                break
        else:
            return SdkFiles(folder)
    missing(f"the SDKs' files cannot be fetched: {problem}")


def find_uv() -> str | None:
    """Return the program uv, of the path or of this environment."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(own_interpreter().python).parent))


def _pins(text: str) -> dict[str, str]:
    """Return each requirement with its hashes, by the package's name."""
    joined = text.replace("\\\n", " ").splitlines()
    return {line.partition("==")[0]: line for line in joined if line and not line.startswith("#")}


class WatchedStore:
    """A store that lets a test wait for the next commit."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.home = store.home
        self.changed = threading.Condition()

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        return self._store.read(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        answer = self._store.write(work)
        with self.changed:
            self.changed.notify_all()
        return answer

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
        self._store.on_commit(listener)

    def close(self) -> None:
        self._store.close()


class RunningHome:
    """A home whose engine runs and whose jobs are processes of this host."""

    def __init__(self, folder: Path, mapped: Mapping[str, Interpreter] | None = None) -> None:
        folder.mkdir()
        clock = SystemClock()
        self.store = WatchedStore(SqliteStore(folder / "towpath.db", clock=clock))
        self.objects = FolderObjects(folder / "objects")
        self.backend = ProcessBackend(folder / "jobs", home=folder)
        images = ImageMap(own_interpreter(), mapped or {})
        self._operations = {operation.name: operation for operation in Jobs(images, served_model).operations()}
        surroundings = Surroundings(
            home=self.store.home,
            host_cores=2,
            toolkit_source=importlib.resources.files("towpath.runner").joinpath("toolkit.py").read_text("utf-8"),
        )
        controllers = [
            JobController(
                strategy,
                store=self.store,
                objects=self.objects,
                backend=self.backend,
                images=images,
                surroundings=surroundings,
            )
            for strategy in STRATEGIES
        ]
        self._engine = Engine(
            self.store,
            {controller.kind: controller for controller in controllers},
            clock=clock,
            kinds={kind.noun: kind for kind in KINDS},
            threads=2,
        )
        self._engine.start()
        self.backend.watch(lambda key: self._engine.wake(uid_of(key)))

    def close(self) -> None:
        """Stop everything that was started."""
        self._engine.stop()
        self.backend.close()
        self.backend.stop_host()
        self.backend.close()
        self.store.close()

    def put(self, uri: str, data: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        blob = self.objects.write([data])

        def write(transaction: Any) -> None:
            transaction.objects.create_bucket(bucket, transaction.now)
            transaction.objects.put(
                ObjectVersion(
                    bucket=bucket,
                    key=key,
                    version_id=blob.blob,
                    size=blob.size,
                    sha256=blob.sha256,
                    etag=blob.etag,
                    blob=blob.blob,
                    created_at=transaction.now,
                    created_by="ada",
                )
            )

        self.store.write(write)

    def put_folder(self, uri: str, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            self.put(f"{uri}/{name}", data)

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        version = self.store.read(lambda transaction: transaction.objects.get(ObjectRef(bucket, key)))
        assert version is not None, f"there is no {uri}"
        return b"".join(self.objects.read(version))

    def call(self, operation: str, document: Document) -> Document:
        request = Request(operation=operation, input=document, caller=Caller("ada"))
        found = self._operations[operation]
        run = self.store.write if found.writes else self.store.read
        return run(lambda transaction: found.function(transaction, request))

    def ended(self, name: str) -> Document:
        """Wait until a training job has ended and return its description, with the log as `Log`."""
        deadline = time.monotonic() + PATIENCE_S

        def look() -> Any:
            return self.store.read(lambda transaction: transaction.resources.find("TrainingJob", name))

        with self.store.changed:
            while not is_terminal(look().status):
                assert self.store.changed.wait(deadline - time.monotonic()), (
                    f"not within {PATIENCE_S:g} s: {look().state}"
                )
        key = attempt_keys(look())[-1]
        log = "\n".join(line.text for line in self.backend.log(key).lines)
        return self.call("DescribeTrainingJob", {"TrainingJobName": name}) | {"Log": log}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[RunningHome]:
    running = RunningHome(tmp_path / "home")
    yield running
    running.close()


@pytest.fixture
def home_with_pip(tmp_path: Path) -> Iterator[RunningHome]:
    """A home in which AWS's PyTorch image stands for an environment that holds pip and nothing else."""
    uv = find_uv()
    if uv is None:
        missing("uv is not installed")
    environment = tmp_path / "environment"
    command = [uv, "venv", "--quiet", "--seed", "--python", own_interpreter().python, str(environment)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"no environment with pip can be made: {done.stderr.strip()}")
    running = RunningHome(tmp_path / "home", {"*/pytorch-training": probe(str(environment / "bin" / "python"))})
    yield running
    running.close()
