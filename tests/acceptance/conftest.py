"""Real servers: each started as a user starts it, in a home of its own, and ended with everything it started."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from towpath import settings
from towpath.app import stop_everything
from towpath.cli.server import stop_server
from towpath.home import HomeFolder, Server
from towpath.server import held

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "reviews"


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what would point a command elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TOWPATH_", "PYTEST_", "COV_"))
    }
    return {**kept, **more}


@dataclass(frozen=True)
class Machine:
    """A home, and the command line on it."""

    home: HomeFolder
    environment: Mapping[str, str] = field(default_factory=dict)  #: of every command, beside the usual

    def towpath(self, *arguments: str, code: int = 0, cwd: Path = ROOT) -> str:
        """Run a command, check its exit code, and return what it printed."""
        return "".join(self._run(arguments, code, cwd))

    def json(self, *arguments: str) -> Any:
        """Run a command with --json and return what it printed."""
        return json.loads(self._run((*arguments, "--json"), 0, ROOT)[0])

    def _run(self, arguments: tuple[str, ...], code: int, cwd: Path) -> tuple[str, str]:
        done = self.start(*arguments, cwd=cwd)
        out, error = done.communicate(timeout=300)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{out}\n{error}"
        return out, error

    def start(self, *arguments: str, cwd: Path = ROOT, **options: Any) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "towpath", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=clean_environment(TOWPATH_HOME=str(self.home.path), NO_COLOR="1", **self.environment),
            **options,
        )

    def up(self) -> Server:
        """Start a server in the background."""
        self.towpath("up", "--background")
        server = self.home.running_server()
        assert server is not None
        return server

    def processes(self) -> list[int]:
        """Return the processes that name this home in their command line or work in it."""
        found = []
        wanted = str(self.home.path).encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                told += os.fsencode((folder / "cwd").readlink())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or it is somebody else's
            if wanted in told:
                found.append(int(folder.name))
        return found


def end_everything(home: HomeFolder) -> None:
    """Do what `towpath down --all` does, without a process that would take a second of computing to begin with."""
    stop_server(home)
    if home.path.is_dir():
        with held(home):
            stop_everything(home, settings.load(home.settings_file), say=print)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Return a new home; whatever runs in it is stopped in the end, and nothing may be left."""
    machine = Machine(HomeFolder(tmp_path / "home"))
    yield machine
    end_everything(machine.home)
    assert machine.processes() == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a fresh clone of this checkout, uncommitted changes included."""
    folder = tmp_path_factory.mktemp("clone") / "towpath"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yield folder
    machine = Machine(HomeFolder(folder / ".towpath"))
    machine.towpath("down", "--all")


def make(folder: Path, *arguments: str, **environment: str) -> str:
    """Run make in the clone and return what it printed."""
    kept = {name: value for name, value in clean_environment().items() if name not in {"CI", "VIRTUAL_ENV"}}
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,  # against hangs alone: the full demo beside other tests has taken more than 800 s
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def clients(machine: Machine) -> dict[str, Any]:
    """Return boto3 clients of the services, configured as `towpath env` says."""
    import boto3
    import botocore.session
    from botocore.config import Config

    told = machine.json("env")
    models = botocore.session.Session()
    models.set_config_variable("data_path", told["AWS_DATA_PATH"])
    session = boto3.Session(
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        region_name=told["AWS_REGION"],
        botocore_session=models,
    )
    config = Config(retries={"max_attempts": 0}, read_timeout=60)
    names = (
        "sagemaker",
        "sagemaker-runtime",
        "s3",
        "logs",
        "sts",
        "iam",
        "towpath",
        "events",
        "scheduler",
        "sqs",
        "lambda",
        "cloudwatch",
    )
    return {name: session.client(name, endpoint_url=told["AWS_ENDPOINT_URL"], config=config) for name in names}


@pytest.fixture(scope="session")
def reviews() -> Path:
    """Return the raw reviews, fetched by the example's own program unless they lie there already."""
    subprocess.run([sys.executable, "data.py", "--model", "baseline"], cwd=EXAMPLE, check=True, capture_output=True)
    return EXAMPLE / ".data" / "reviews" / "reviews.parquet"


def wait_for_execution(sagemaker: Any, arn: str) -> dict[str, Any]:
    """Wait as the SageMaker SDK does, by a waiter of botocore, until an execution has ended; return how it ended."""
    _wait(sagemaker, "DescribePipelineExecution", "PipelineExecutionStatus", "Succeeded", PipelineExecutionArn=arn)
    found: dict[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    return found


def wait_for_tuning(sagemaker: Any, name: str) -> dict[str, Any]:
    """Wait until a tuning job has ended; return how it ended."""
    asked = {"HyperParameterTuningJobName": name}
    _wait(sagemaker, "DescribeHyperParameterTuningJob", "HyperParameterTuningJobStatus", "Completed", **asked)
    found: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(**asked)
    return found


def _wait(sagemaker: Any, operation: str, member: str, good_end: str, **asked: str) -> None:
    from botocore.waiter import WaiterModel, create_waiter_with_client

    ends = [
        {"expected": status, "matcher": "path", "state": "success", "argument": member}
        for status in (good_end, "Failed", "Stopped", "CompletedWithFailures")
    ]
    waiter = {"operation": operation, "delay": 0.2, "maxAttempts": 1200, "acceptors": ends}
    model = WaiterModel({"version": 2, "waiters": {"Ended": waiter}})
    create_waiter_with_client("Ended", model, sagemaker).wait(**asked)
