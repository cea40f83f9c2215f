"""Real clients of AWS, each in its own environment, against a real server: see `scripts/environments lanes`."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.acceptance.conftest import EXAMPLE, ROOT, Machine, clean_environment, wait_for_execution

import towpath.aws
from towpath.home import HomeFolder

PROGRAMS = ROOT / "examples" / "aws"
OBSERVER = Path(__file__).with_name("observer")
PATIENCE_S = 600  #: against programs that hang; some ask only every half minute how a job is


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended, and what it said."""

    code: int
    out: str
    error: str
    foreign: tuple[str, ...]  #: hosts outside this machine that it turned to, one entry a try

    @property
    def told(self) -> str:
        """All that it said, for messages."""
        return f"exit code {self.code}\n{self.out}\n{self.error}"


@dataclass(frozen=True)
class Lane:
    """The environment of one client, and a server for it."""

    name: str
    machine: Machine
    scratch: Path
    variables: Mapping[str, str] = field(default_factory=dict)  #: of its programs, beside the home's

    @property
    def bin(self) -> Path:
        """The folder of its commands."""
        return ROOT / ".venv-lanes" / self.name / "bin"

    def run(
        self, *command: object, code: int = 0, through: tuple[str, ...] = (), patience_s: float = PATIENCE_S
    ) -> Outcome:
        """Run a program of the lane with `towpath exec`, and check its exit code and that it stayed on this machine.

        Args:
            command: a Python file with its arguments, or a command of the environment with its own.
            through: a command to run all of it with.
            patience_s: after so long it is taken to hang.
        """
        first, *rest = (str(part) for part in command)
        program = [str(self.bin / "python"), first] if first.endswith(".py") else [str(self.bin / first)]
        notes = self.scratch / "foreign-hosts"
        notes.write_text("")
        done = subprocess.run(
            [*through, sys.executable, "-m", "towpath", "exec", "--", *program, *rest],
            env=clean_environment(
                TOWPATH_HOME=str(self.machine.home.path),
                PYTHONPATH=str(OBSERVER),
                LANE_FOREIGN_HOSTS=str(notes),
                HOME=str(self.scratch),  # nobody's own ~/.aws takes part
                NO_COLOR="1",
                **self.variables,
            ),
            cwd=self.scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        foreign = tuple(notes.read_text(encoding="utf-8").splitlines())
        outcome = Outcome(code=done.returncode, out=done.stdout, error=done.stderr, foreign=foreign)
        assert outcome.code == code, outcome.told
        assert outcome.foreign == (), outcome.told
        assert not (self.scratch / ".aws").exists(), "the client's own folder was written to"
        return outcome


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a home whose server runs, for all lanes."""
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("lanes") / "home"))
    machine.up()
    yield machine
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture
def lane(server: Machine, tmp_path: Path) -> Callable[[str], Lane]:
    """Return a function that gives the lane of a name, for this test."""
    return lambda name: made_lane(name, server, tmp_path)


def made_lane(name: str, server: Machine, scratch: Path) -> Lane:
    """Return the lane of a name, whose environment is made where it does not stand yet."""
    made = subprocess.run(
        [ROOT / "scripts" / "environments", "lanes", name], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return Lane(name, server, scratch)


@pytest.fixture(scope="session")
def raw_reviews() -> Path:
    """Return the folder of raw reviews, fetched by the example's own program unless they lie there already."""
    subprocess.run([sys.executable, "data.py", "--model", "baseline"], cwd=EXAMPLE, check=True, capture_output=True)
    return EXAMPLE / ".data" / "reviews"


def steps(outcome: Outcome) -> dict[str, str]:
    """Return name and status of the steps that an example printed."""
    lines = (line.split() for line in outcome.out.splitlines() if line.startswith("step "))
    return {name: status for _, name, status, *_ in lines}


def why_refused(lane: Lane, pipeline: str) -> str:
    """Run a pipeline again with a threshold that no model reaches, and return why it failed: by its fail step."""
    client = towpath.aws.session(lane.machine.home.path).client("sagemaker")
    newest = client.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"][0]
    given = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=newest["PipelineExecutionArn"])
    parameters = {each["Name"]: each["Value"] for each in given["PipelineParameters"]} | {"MinAccuracy": "0.99"}
    started = client.start_pipeline_execution(
        PipelineName=pipeline,
        PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
    )
    ended = wait_for_execution(client, started["PipelineExecutionArn"])
    assert ended["PipelineExecutionStatus"] == "Failed"
    return str(ended["FailureReason"])
