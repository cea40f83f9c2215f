"""The machine's clock is put back and forth under a real server: all ends as it should, nothing twice and in order."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import BUCKET, GROUP, PIPELINE, STEPS, definition, make_pipeline, recording
from tests.acceptance.test_crashes import Story, deploy, kill_and_wait
from tests.acceptance.test_killed_parts import begin_train, check_succeeded, runner_of, until

from towpath.home import HomeFolder
from towpath.pipelines.model import Fact
from towpath.store import SqliteStore, SqlTransaction

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]

#: Seconds by which the server's clock is off, this way or the other; a request may be off by 15 minutes. A jump is
#: twice as long, which is far more than anything of these tests is waited for.
OFF_S = 400.0
WAIT_S = 20  #: before a step that failed is tried again
#: Found by every Python of the platform that looks for site packages. What it shifts is the one source of its times.
SHIFTED = """
import os, time

def _shift():
    with open(os.environ["SHIFTED_CLOCK"]) as file:
        return float(file.read())

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + int(_shift() * 1e9)
"""


@dataclass(frozen=True)
class MachineClock:
    """What the clock of a machine says, as far as its platform can tell."""

    file: Path

    def set(self, off_s: float) -> None:
        """Put it to a time that is so far off."""
        new = self.file.with_suffix(".new")
        new.write_text(str(off_s))
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> MachineClock:
    """Return a clock that is ahead."""
    clock = MachineClock(tmp_path / "clock")
    clock.set(OFF_S)
    return clock


@pytest.fixture
def machine(tmp_path: Path, clock: MachineClock) -> Iterator[Machine]:
    """Return a new home of a platform that reads this clock, where a vanished runner is a failure at once."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIFTED)
    environment = {
        "PYTHONPATH": str(folder),
        "SHIFTED_CLOCK": str(clock.file),
        "TOWPATH_LOST_RUNNER_RESTARTS": "0",
    }
    machine = Machine(HomeFolder(tmp_path / "home"), environment)
    yield machine
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture
def story(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home with the pipeline, whose training is tried again after a while."""
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_pipeline(aws, recorder)
        again = {
            "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"],
            "IntervalSeconds": WAIT_S,
            "BackoffRate": 1.0,
            "MaxAttempts": 3,
        }
        document = json.dumps(definition(recorder.port, retries=[again]))
        aws["sagemaker"].update_pipeline(PipelineName=PIPELINE, PipelineDefinition=document)
        yield Story(machine, recorder, server, aws)


def now_of(story: Story) -> float:
    """Return what the server takes for the time: that of a version that is made now."""
    story.aws["s3"].put_object(Bucket=BUCKET, Key="clock", Body=b"")
    return float(story.aws["s3"].head_object(Bucket=BUCKET, Key="clock")["LastModified"].timestamp())


def test_executions_end_as_they_should_whenever_the_clock_jumps(story: Story, clock: MachineClock) -> None:
    began = time.time()
    assert now_of(story) >= int(began + OFF_S), "the server reads the clock of this test"

    arns = []
    for begun, off_s in enumerate((-OFF_S, OFF_S), 1):  # while a job runs: back, and forth again
        arn = begin_train(story)
        story.recorder.until_begun("Train", begun)
        clock.set(off_s)
        story.recorder.release("Train")
        check_succeeded(story, arn, train_begun=1)
        arns.append(arn)

    arn = begin_train(story)  # while a step waits for its next attempt, which is then due by a clock that is gone
    story.recorder.until_begun("Train", 3)
    kill_and_wait(runner_of(story))
    until(lambda: story.steps(arn)["Train"]["StepStatus"] == "Starting")
    clock.set(-OFF_S)
    story.recorder.until_begun("Train", 4)
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=2)
    arns.append(arn)
    assert "the clock went back by" in story.machine.home.server_log.read_text()
    assert now_of(story) < time.time()

    check_orders(story, arns)


def check_orders(story: Story, arns: list[str]) -> None:
    """Hold what is listed to the order in which it happened, or to the times that it bears, each thing once."""
    s3, sagemaker = story.aws["s3"], story.aws["sagemaker"]
    s3.put_object(Bucket=BUCKET, Key="clock", Body=b"last")
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="clock")["Versions"]
    assert [version["IsLatest"] for version in versions] == [True, False, False]
    assert versions[0]["LastModified"] < versions[2]["LastModified"], "the times go back, the order does not"
    assert s3.get_object(Bucket=BUCKET, Key="clock")["Body"].read() == b"last"

    for order, sign in (("Ascending", 1), ("Descending", -1)):
        pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
            PipelineName=PIPELINE, SortBy="CreationTime", SortOrder=order, PaginationConfig={"PageSize": 1}
        )
        listed = [item for page in pages for item in page["PipelineExecutionSummaries"]]
        assert sorted(item["PipelineExecutionArn"] for item in listed) == sorted(arns)
        times = [sign * item["StartTime"].timestamp() for item in listed]
        assert times == sorted(times)
    packages = sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert sorted(package["ModelPackageVersion"] for package in packages) == [1, 2, 3]

    store = SqliteStore(story.machine.home.database)
    try:
        for arn in arns:
            told = store.read(lambda transaction, arn=arn: _ends_of_steps(transaction, arn))  # type: ignore[misc]
            assert told.index("Prepare") < told.index("Train") < told.index("Evaluate") < told.index("Register")
            assert set(told) == set(STEPS)
    finally:
        store.close()


def _ends_of_steps(transaction: SqlTransaction, arn: str) -> list[str]:
    """Return the names of an execution's steps in the order in which history has their attempts end."""
    resource = transaction.resources.find("PipelineExecution", arn.rpartition("/")[2])
    assert resource is not None
    return [fact.row.name for fact in transaction.steps.history(resource.uid) if isinstance(fact, Fact)]


def test_an_endpoint_answers_on_and_is_mended_when_the_clock_jumps(story: Story, clock: MachineClock) -> None:
    deploy(story)
    for off_s in (-OFF_S, OFF_S):
        clock.set(off_s)
        assert story.ask_endpoint() == story.model_server
    kill_and_wait(runner_of(story))  # it is begun anew after a moment, which the clock makes long ago
    clock.set(-OFF_S)
    until(lambda: answering(story) not in {None, story.model_server})
    clock.set(OFF_S)
    assert story.ask_endpoint() == answering(story)


def answering(story: Story) -> int | None:
    """Return the process that answers for the endpoint, None where none does."""
    try:
        return story.ask_endpoint()
    except ClientError:
        return None
