"""kill -9 of the server at any moment: executions end as they would have, nothing is lost, nothing happens twice."""

import io
import json
import os
import random
import select
import signal
import statistics
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import (
    BUCKET,
    GROUP,
    JOBS,
    PIPELINE,
    STEPS,
    Recorder,
    expected_objects,
    make_pipeline,
    recording,
    text_of,
)

from towpath.home import Server
from towpath.pipelines.controller import EXECUTION_EVENT
from towpath.store import SqliteStore, SqlTransaction

pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("TOWPATH_TEST_ROUNDS", "50"))
SEED = int(os.environ.get("TOWPATH_TEST_SEED", random.SystemRandom().randrange(10**6)))
ENDPOINT = "crashes"
HANDLER = """
import os
def model_fn(model_dir):
    return None
def predict_fn(data, model):
    return os.getpid()
"""


@dataclass
class Story:
    """A home that lives through many crashes."""

    machine: Machine
    recorder: Recorder
    server: Server
    aws: dict[str, Any]
    model_server: int = 0  #: process id, as the endpoint answers
    executions: list[str] = field(default_factory=list)  #: ids, in the order in which they ended

    def up(self) -> None:
        """Start the server again."""
        before, self.server = self.server, self.machine.up()
        if self.server.url != before.url:
            self.aws = clients(self.machine)

    def start(self, token: str) -> str:
        """Start an execution; return its ARN. The same token means the same execution."""
        answer = self.aws["sagemaker"].start_pipeline_execution(PipelineName=PIPELINE, ClientRequestToken=token)
        return str(answer["PipelineExecutionArn"])

    def until_ended(self, arn: str) -> dict[str, Any]:
        """Ask until an execution has ended; return how it ended."""
        pause, deadline = threading.Event(), time.monotonic() + 120
        while True:
            shown: dict[str, Any] = self.aws["sagemaker"].describe_pipeline_execution(PipelineExecutionArn=arn)
            if shown["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
                return shown
            if time.monotonic() > deadline:
                log = self.machine.home.server_log.read_text()[-8000:]
                pytest.fail(f"{arn} has not ended: {self.steps(arn)}\n{log}")
            pause.wait(0.02)  # the clients' way to wait is to ask again

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """Return the steps of an execution by name."""
        listed = self.aws["sagemaker"].list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def ask_endpoint(self) -> int:
        """Return the process that answers for the endpoint."""
        answer = self.aws["sagemaker-runtime"].invoke_endpoint(
            EndpointName=ENDPOINT, ContentType="application/json", Body=b"{}"
        )
        return int(json.loads(answer["Body"].read()))


@pytest.fixture
def story(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home with the pipeline, and an endpoint in service."""
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_pipeline(aws, recorder)
        story = Story(machine, recorder, server, aws)
        deploy(story)
        yield story


def deploy(story: Story, handler: str = HANDLER, *, wait: bool = True) -> None:
    """Put an endpoint into service, by default one that answers with its process id."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(handler.encode())
        tar.addfile(member, io.BytesIO(handler.encode()))
    story.aws["s3"].put_object(Bucket=BUCKET, Key="served/model.tar.gz", Body=stream.getvalue())
    sagemaker = story.aws["sagemaker"]
    container = {"Image": "towpath", "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}
    sagemaker.create_model(
        ModelName=ENDPOINT, PrimaryContainer=container, ExecutionRoleArn="arn:aws:iam::000000000000:role/anything"
    )
    variant = {
        "VariantName": "only",
        "ModelName": ENDPOINT,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    if wait:
        until_in_service(story)
        story.model_server = story.ask_endpoint()


def until_in_service(story: Story, *, within_s: int = 60) -> None:
    """Wait until the endpoint is in service."""
    story.aws["sagemaker"].get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": within_s}
    )


def kill_and_wait(pid: int) -> None:
    """Kill a process and wait until it is gone."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        assert select.select([process], [], [], 60)[0], "a killed process ends"
    finally:
        os.close(process)


def killed_at(story: Story, moment_s: float, running: list[list[str]]) -> threading.Thread:
    """Kill the server this long from now; note which steps ran right before."""

    def kill() -> None:
        # The moment was drawn; waiting for it is no wait for anything that the test should see happen instead.
        threading.Event().wait(moment_s)
        running.append(story.recorder.running())
        kill_and_wait(story.server.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def check_one_life(story: Story, arn: str) -> None:
    """Hold an execution to what it does when nothing is killed: outside the platform, in registry and objects."""
    execution = arn.rpartition("/")[2]
    shown, steps = story.until_ended(arn), story.steps(arn)
    assert shown["PipelineExecutionStatus"] == "Succeeded", (shown, steps)
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(STEPS, "Succeeded")
    assert {name: step.get("AttemptCount", 1) for name, step in steps.items()} == dict.fromkeys(STEPS, 1)

    jobs = {
        name: next(iter(step["Metadata"].values()))["Arn"].rpartition("/")[2]
        for name, step in steps.items()
        if name in JOBS
    }
    told = story.recorder.told(execution)
    assert Counter(told) == Counter((word, step, jobs[step]) for step in JOBS for word in ("begin", "end"))

    s3 = story.aws["s3"]
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{execution}/")
    assert "DeleteMarkers" not in versions
    expected = expected_objects(execution, jobs["Train"])
    assert Counter(version["Key"] for version in versions["Versions"]) == Counter(expected.keys())
    for key, text in expected.items():
        assert text_of(key, s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) == text

    story.executions.append(execution)
    packages = story.aws["sagemaker"].list_model_packages(
        ModelPackageGroupName=GROUP, SortBy="CreationTime", SortOrder="Descending", MaxResults=2
    )["ModelPackageSummaryList"]
    number = len(story.executions)
    assert [package["ModelPackageVersion"] for package in packages] == [number, number - 1][: len(packages)]
    newest = story.aws["sagemaker"].describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
    (container,) = newest["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == f"s3://{BUCKET}/{execution}/models/{jobs['Train']}/output/model.tar.gz"
    assert steps["Register"]["Metadata"]["RegisterModel"]["Arn"] == newest["ModelPackageArn"]


def check_the_home(story: Story) -> None:
    """Look behind the API: the attempts that were made, the events that were told, the bytes that lie there."""
    home = story.machine.home
    attempts = [path.name for path in home.jobs.iterdir() if path.name[0] != "."]
    assert {name.rpartition("-")[2] for name in attempts} == {"1"}, "no job had a second attempt"
    assert len(attempts) == len(story.executions) * len(JOBS) + 1, "the endpoint has one more"
    store = SqliteStore(home.database)
    try:
        blobs = [path.name for path in (home.objects / "blobs").glob("*/*")]
        known = store.read(lambda transaction: transaction.objects.known_blobs(blobs))
        assert set(blobs) == known, "after a start nothing lies there that no row names"
        for execution in story.executions:
            store.read(lambda transaction, execution=execution: _check_events(transaction, execution))  # type: ignore[misc]
    finally:
        store.close()


def _check_events(transaction: SqlTransaction, execution: str) -> None:
    resource = transaction.resources.find("PipelineExecution", execution)
    assert resource is not None
    facts = transaction.steps.history(resource.uid)
    assert sorted(fact.row.name for fact in facts) == sorted(STEPS)
    events = transaction.events.of(resource.uid)
    assert sum(event.type == EXECUTION_EVENT for event in events) == 1
    children = transaction.resources.headings(resource.uid)
    assert len(children) == len(JOBS) + 1
    for child in children:
        ends = [event for event in transaction.events.of(child.uid) if child.status in event.detail.values()]
        assert len(ends) == 1, (child.arn, [event.type for event in transaction.events.of(child.uid)])


def test_an_execution_ends_as_it_would_have_whenever_the_server_is_killed(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{ROUNDS} kills at moments drawn with TOWPATH_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    lengths = []
    for _ in range(3):
        began = time.monotonic()
        arn = story.start(uuid4().hex)
        story.until_ended(arn)
        lengths.append(time.monotonic() - began)
        check_one_life(story, arn)
    length_s = statistics.median(lengths)

    hit: list[list[str]] = []  # the steps that ran at each kill
    unanswered = number = 0
    # On a busy machine little of an execution's length is a job's: the rounds go on until enough have hit one.
    while number < ROUNDS or (sum(map(bool, hit)) < ROUNDS // 5 and number < 3 * ROUNDS):
        number += 1
        moment_s = chance.uniform(0, length_s)
        token = uuid4().hex
        killer = killed_at(story, moment_s, hit)
        try:
            arn = story.start(token)
        except (NoConnection, HTTPClientError):
            unanswered += 1
            arn = ""
        killer.join()
        story.up()
        try:
            assert story.ask_endpoint() == story.model_server, "the endpoint was adopted"
            # What was answered is there; what was not is begun now, or was begun then: the token keeps it to one.
            assert arn in {"", story.start(token)}
            check_one_life(story, story.start(token))
        except BaseException:
            sys.stderr.write(f"round {number}, killed after {moment_s:.4f} s of {length_s:.4f} s while {hit[-1]}\n")
            sys.stderr.write(f"repeat it with TOWPATH_TEST_SEED={SEED}\n")
            raise

    listed = story.aws["sagemaker"].list_pipeline_executions(PipelineName=PIPELINE, MaxResults=100)
    assert len(listed["PipelineExecutionSummaries"]) == min(100, number + len(lengths))
    kill_and_wait(story.server.pid)
    story.up()
    check_the_home(story)
    while_running = sum(bool(steps) for steps in hit)
    with capsys.disabled():
        print(
            f"\n{number} kills within {length_s:.2f} s, {while_running} while a job ran, {unanswered} before the "
            f"answer to StartPipelineExecution; TOWPATH_TEST_SEED={SEED}"
        )
    assert while_running >= ROUNDS // 5, f"with TOWPATH_TEST_SEED={SEED}"
