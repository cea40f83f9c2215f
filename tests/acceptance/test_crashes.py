"""kill -9 of the server at any moment, and of what runs beside it: nothing is lost, nothing happens twice.

`make soak` is this test with more rounds, kept count of in a file.
"""

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
from dataclasses import asdict, dataclass, field
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
from towpath.pipelines.acting import EXECUTION_EVENT
from towpath.pipelines.model import Fact, StepStatus
from towpath.runner import claim, tree
from towpath.store import SqliteStore, SqlTransaction

ROUNDS = int(os.environ.get("TOWPATH_TEST_ROUNDS", "50"))
SEED = int(os.environ.get("TOWPATH_TEST_SEED", random.SystemRandom().randrange(10**6)))
SOAK = os.environ.get("TOWPATH_SOAK_FILE", "")  #: keeps count of the rounds, so that a run can be taken up again
#: What else is killed in a round, at a moment of its own: nothing, the runner of a job, the host of all runners, a job.
OTHERS = ("", "", "runner", "host", "job")
pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(0 if SOAK else 1800)]

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
    hits: dict[str, str] = field(default_factory=dict)  #: id of an execution -> what was killed beside the server
    retried: dict[str, str] = field(default_factory=dict)  #: id of an execution -> the step whose job was killed

    def up(self) -> None:
        """Start the server again."""
        before, self.server = self.server, self.machine.up()
        if self.server.url != before.url:
            self.aws = clients(self.machine)

    def start(self, token: str, pipeline: str = PIPELINE, **parameters: str) -> str:
        """Start an execution; return its ARN. The same token means the same execution."""
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        answer = self.aws["sagemaker"].start_pipeline_execution(
            PipelineName=pipeline, ClientRequestToken=token, PipelineParameters=given
        )
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


def other_killed_at(
    story: Story, what: str, moment_s: float, killed: list[str], *, patience_s: float = 0.0
) -> threading.Thread:
    """Kill something of the jobs that begin from now on, this long from now, if there is such a thing then.

    Args:
        patience_s: where there is none, the first that comes within this time is killed.
    """
    jobs = story.machine.home.jobs
    before = set(jobs.iterdir())

    def kill_one() -> bool:
        for attempt in sorted(set(jobs.iterdir()) - before):
            runner = claim.look(attempt).holder
            victim = None if runner is None else relative(runner, what)
            if victim is not None:
                try:
                    kill_and_wait(victim)
                except ProcessLookupError:
                    continue  # it ended while it was looked for
                killed.append(what)
                return True
        return False

    def kill() -> None:
        threading.Event().wait(moment_s)  # as for the server: the moment was drawn
        deadline = time.monotonic() + patience_s
        while not kill_one() and time.monotonic() < deadline:
            threading.Event().wait(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def relative(runner: int, what: str) -> int | None:
    """Return the process that is meant, seen from a runner; None where it has gone or not come yet."""
    if what == "runner":
        return runner
    try:
        if what == "job":
            return next(iter(tree.children(runner)), None)
        parent = int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
        return parent if b"towpath" in Path(f"/proc/{parent}/cmdline").read_bytes() else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def job_of(step: dict[str, Any]) -> str:
    """Return the name of the job of a step as it is listed."""
    arn: str = next(iter(step["Metadata"].values()))["Arn"]
    return arn.rpartition("/")[2]


def retry_after_a_killed_job(story: Story, arn: str) -> None:
    """Where a killed job has failed its execution, see that it says so, and retry it."""
    shown, steps = story.until_ended(arn), story.steps(arn)
    if shown["PipelineExecutionStatus"] != "Failed":
        return  # the job had done all that it had to
    (failed,) = [name for name, step in steps.items() if step["StepStatus"] == "Failed"]
    reason = steps[failed]["FailureReason"]
    assert reason.startswith("AlgorithmError: Killed by SIGKILL (signal 9)"), reason
    story.retried[arn.rpartition("/")[2]] = failed
    story.aws["sagemaker"].retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid4().hex)


def check_one_life(story: Story, arn: str) -> None:
    """Hold an execution to what it does when nothing is killed: outside the platform, in registry and objects."""
    execution = arn.rpartition("/")[2]
    hit = story.hits.get(execution, "")
    if hit == "job":
        retry_after_a_killed_job(story, arn)
    retried = story.retried.get(execution)
    shown, steps = story.until_ended(arn), story.steps(arn)
    assert shown["PipelineExecutionStatus"] == "Succeeded", (shown, steps)
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(STEPS, "Succeeded")
    attempts = {name: step.get("AttemptCount", 1) for name, step in steps.items()}
    assert attempts == {name: 2 if name == retried else 1 for name in STEPS}

    jobs = {name: job_of(step) for name, step in steps.items() if name in JOBS}
    told = Counter(story.recorder.told(execution))
    once = Counter((word, step, jobs[step]) for step in JOBS for word in ("begin", "end"))
    assert once <= told, "every step has run to its end"
    # What was killed may have said its words before: of one attempt of one step, and nothing of it was published.
    more = told - once
    assert len({(step, job) for _, step, job in more}) <= (1 if hit else 0), (hit, more)
    assert all(count == 1 for count in more.values()), (hit, more)

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
    attempts = Counter(path.name.rpartition("-")[2] for path in home.jobs.iterdir() if path.name[0] != ".")
    lost = sum(hit in {"runner", "host"} for hit in story.hits.values())
    assert attempts["1"] == len(story.executions) * len(JOBS) + len(story.retried) + 1, "the endpoint has one more"
    assert attempts["2"] <= lost, "only who lost its runner had a second attempt"
    assert set(attempts) <= {"1", "2"}
    store = SqliteStore(home.database)
    try:
        blobs = [path.name for path in (home.objects / "blobs").glob("*/*")]
        known = store.read(lambda transaction: transaction.objects.known_blobs(blobs))
        assert set(blobs) == known, "after a start nothing lies there that no row names"
        for execution in story.executions:
            retried = story.retried.get(execution)
            store.read(lambda transaction: _check_events(transaction, execution, retried))  # noqa: B023 - read at once
    finally:
        store.close()


def _check_events(transaction: SqlTransaction, execution: str, retried: str | None) -> None:
    resource = transaction.resources.find("PipelineExecution", execution)
    assert resource is not None
    facts = [entry for entry in transaction.steps.history(resource.uid) if isinstance(entry, Fact)]
    again = 0 if retried is None else 1
    assert sorted(fact.row.name for fact in facts if fact.row.status is StepStatus.SUCCEEDED) == sorted(STEPS)
    assert {fact.row.name for fact in facts if fact.row.status is not StepStatus.SUCCEEDED} == {retried} - {None}
    events = transaction.events.of(resource.uid)
    assert sum(event.type == EXECUTION_EVENT for event in events) == 1 + again
    children = transaction.resources.headings(resource.uid)
    assert len(children) == len(JOBS) + 1 + again
    for child in children:
        ends = [event for event in transaction.events.of(child.uid) if child.status in event.detail.values()]
        assert len(ends) == 1, (child.arn, [event.type for event in transaction.events.of(child.uid)])


@dataclass
class Count:
    """How far the rounds have come; kept in a file where one is named."""

    seed: int
    passed: int = 0
    while_running: int = 0  #: server kills while a job ran
    unanswered: int = 0  #: server kills before StartPipelineExecution was answered
    others: dict[str, int] = field(default_factory=dict)  #: what else was killed -> how often
    retried: int = 0

    @classmethod
    def of(cls, file: str) -> "Count":
        """Return the count that was kept, if it is about the same seed, else a new one."""
        if file and Path(file).exists():
            kept = json.loads(Path(file).read_text())
            if "TOWPATH_TEST_SEED" not in os.environ or kept["seed"] == SEED:
                return cls(**kept)
        return cls(SEED)

    def keep(self, file: str) -> None:
        """Write it down."""
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(json.dumps(asdict(self)))

    def __str__(self) -> str:
        others = ", ".join(f"{number} of a {what}" for what, number in sorted(self.others.items())) or "none"
        return (
            f"{self.passed} rounds passed: {self.while_running} kills of the server while a job ran, {self.unanswered} "
            f"before the answer to StartPipelineExecution; beside it {others}; {self.retried} executions retried; "
            f"TOWPATH_TEST_SEED={self.seed}"
        )


def one_round(story: Story, count: Count, length_s: float) -> None:
    """Start an execution, kill the server in it, and in some rounds something else; it ends as it would have."""
    chance = random.Random(f"{count.seed}/{count.passed}")
    moment_s, other_s, other = chance.uniform(0, length_s), chance.uniform(0, length_s), chance.choice(OTHERS)
    token = uuid4().hex
    running: list[list[str]] = []
    killed: list[str] = []
    killers = [killed_at(story, moment_s, running)]
    if other:
        killers.append(other_killed_at(story, other, other_s, killed))
    unanswered = False
    try:
        arn = story.start(token)
    except (NoConnection, HTTPClientError):
        unanswered, arn = True, ""
    killers[0].join()
    try:
        story.up()
        assert story.ask_endpoint() == story.model_server, "the endpoint was adopted"
        # What was answered is there; what was not is begun now, or was begun then: the token keeps it to one.
        begun = story.start(token)
        assert arn in {"", begun}
        for killer in killers[1:]:
            killer.join()
        execution = begun.rpartition("/")[2]
        if killed:
            story.hits[execution] = killed[0]
        check_one_life(story, begun)
    except BaseException:
        said = f", {other} after {other_s:.4f} s ({'hit' if killed else 'none there'})" if other else ""
        sys.stderr.write(
            f"\nround {count.passed + 1}, server killed after {moment_s:.4f} s of {length_s:.4f} s "
            f"while {running}{said}\n"
            f"repeat it with TOWPATH_TEST_SEED={count.seed}\n"
        )
        raise
    count.passed += 1
    count.while_running += bool(running[0])
    count.unanswered += unanswered
    for what in killed:
        count.others[what] = count.others.get(what, 0) + 1
    count.retried += execution in story.retried


def test_an_execution_ends_as_it_would_have_whatever_is_killed_whenever(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    count = Count.of(SOAK)
    before = count.passed
    tell(f"\n{ROUNDS} rounds, {before} of them passed before, drawn with TOWPATH_TEST_SEED={count.seed}")
    lengths = []
    for _ in range(3):
        began = time.monotonic()
        arn = story.start(uuid4().hex)
        story.until_ended(arn)
        lengths.append(time.monotonic() - began)
        check_one_life(story, arn)
    length_s = statistics.median(lengths)

    # On a busy machine little of an execution's length is a job's: the rounds go on until enough have hit one.
    wanted = ROUNDS // 5
    try:
        while count.passed < ROUNDS or (count.while_running < wanted and count.passed < 3 * ROUNDS):
            one_round(story, count, length_s)
            count.keep(SOAK)
            if count.passed % 10 == 0:
                tell(f"  {count.passed} of {ROUNDS} rounds")
    finally:
        tell(str(count))

    listed = story.aws["sagemaker"].list_pipeline_executions(PipelineName=PIPELINE, MaxResults=100)
    number = count.passed - before + len(lengths)
    assert len(listed["PipelineExecutionSummaries"]) == min(100, number)
    kill_and_wait(story.server.pid)
    story.up()
    check_the_home(story)
    assert count.while_running >= wanted, f"with TOWPATH_TEST_SEED={count.seed}"
