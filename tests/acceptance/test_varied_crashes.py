"""kill -9 at any moment of executions with a step of each kind: loops, calls, questions, transforms, caches, triggers.

Each round draws what is killed and when, whether a step fails as its author foresaw, whether somebody stops the
execution and retries it, and how long a question waits for its answer, which also comes while the server is down.
"""

import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import BUCKET, GROUP, recording
from tests.acceptance.test_crashes import OTHERS, SEED, SOAK, Count, Story, kill_and_wait, killed_at, other_killed_at
from tests.acceptance.varied_pipeline import (
    ALWAYS,
    ITEMS,
    PIPELINE,
    QUEUE,
    TELLERS,
    WORD,
    expected_objects,
    make_varied,
)

from towpath.store import SqliteStore, SqlTransaction

ROUNDS = int(os.environ.get("TOWPATH_TEST_ROUNDS", "14"))
COUNT = str(Path(SOAK).with_stem(f"{Path(SOAK).stem}-varied")) if SOAK else ""
NO_SERVER = (NoConnection, HTTPClientError)
pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(0 if SOAK else 1800)]


@contextmanager
def answering(story: Story, pause_s: float) -> Iterator[None]:
    """Answer what the Callback steps ask, once this long has passed; a server that is down is asked again."""
    ends = threading.Event()
    failed: list[BaseException] = []

    def answer() -> None:
        ends.wait(pause_s)  # how long a person takes: drawn
        while not ends.is_set():
            try:
                answer_one(story)
            except NO_SERVER:
                ends.wait(0.05)  # it is down, and will be back
            except ClientError as error:
                # While it was down, a server of somebody else took its port.
                if error.response["Error"]["Code"] != "UnrecognizedClientException":
                    failed.append(error)
                    return
            except BaseException as error:  # noqa: BLE001 - it belongs to the test
                failed.append(error)
                return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
    assert failed == []


def answer_one(story: Story) -> None:
    """Take a message from the queue, answer what it asks, and delete it."""
    import json

    sqs = story.aws["sqs"]
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", ()):
        body = json.loads(message["Body"])
        if body["status"] == "Executing":
            try:
                story.aws["sagemaker"].send_pipeline_execution_step_success(
                    CallbackToken=body["token"],
                    OutputParameters=[{"Name": "word", "Value": WORD}],
                    ClientRequestToken=(body["token"] * 32)[:64],  # the same each time that the message comes
                )
            except ClientError as refused:
                # Whoever stopped the execution has made the question void.
                assert "topped" in str(refused), refused
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def varied(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home with the pipeline, in which a job that lost its runner is tried again by its retry policy alone."""
    machine.home.path.mkdir(parents=True)
    machine.home.settings_file.write_text("lost_runner_restarts = 0\n")
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_varied(aws, recorder)
        yield Story(machine, recorder, server, aws)


class Round:
    """What one round draws, and how its execution went."""

    def __init__(self, chance: random.Random, length_s: float) -> None:
        self.fails = chance.random() < 0.3
        self.kill_s = chance.uniform(0, length_s)
        self.other, self.other_s = chance.choice(OTHERS), chance.uniform(0, length_s)
        self.answer_s = chance.uniform(0, length_s / 2)
        self.stop_s = chance.uniform(0, length_s / 2) if chance.random() < 0.25 else None  # after the restart
        self.hit = False
        self.stopped = False
        self.retried = 0

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in vars(self).items())

    @property
    def is_disturbed(self) -> bool:
        """Whether steps may have been begun more than once: something of a job was killed, or somebody stopped them."""
        return self.hit or self.stopped


def listed(story: Story, arn: str) -> dict[str, dict[str, Any]]:
    """Return the steps of an execution by name, those of rounds with their item."""
    pages = story.aws["sagemaker"].get_paginator("list_pipeline_execution_steps")
    steps = [step for page in pages.paginate(PipelineExecutionArn=arn) for step in page["PipelineExecutionSteps"]]
    return {
        f"{step['StepName']}-{step['IterationContext']['Item']}"
        if "IterationContext" in step
        else step["StepName"]: step
        for step in steps
    }


def brought_to_its_end(story: Story, arn: str, drawn: Round) -> str:
    """Wait for the end of an execution, retried where somebody stopped it or a job was killed; return its status."""
    while True:
        status = str(story.until_ended(arn)["PipelineExecutionStatus"])
        steps = listed(story, arn)
        if status == "Stopped":
            assert drawn.stopped, steps
        elif status == "Failed":
            reasons = {n: step.get("FailureReason", "") for n, step in steps.items() if step["StepStatus"] == "Failed"}
            assert drawn.hit, reasons
            if drawn.other == "job":
                assert any("illed" in reason or "signal 9" in reason for reason in reasons.values()), reasons
            else:  # a Lambda step has no retry policies
                assert "vanished" in reasons["Call"], reasons
        else:
            return status
        drawn.retried += 1
        assert drawn.retried <= 2, steps
        story.aws["sagemaker"].retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid4().hex)


def check_what_came_of_it(story: Story, arn: str, drawn: Round) -> None:
    """Hold an execution to what it does when nothing is killed: outside the platform, in registry and objects."""
    execution = arn.rpartition("/")[2]
    status, steps = brought_to_its_end(story, arn, drawn), listed(story, arn)
    # A job that was killed has failed as one does that fails by itself: what follows up on that runs.
    failed = steps["Fragile"]["StepStatus"] == "Failed"
    assert failed == drawn.fails or (drawn.hit and drawn.other == "job"), steps["Fragile"]
    assert status == ("CompletedWithFailures" if failed else "Succeeded"), steps
    expected = dict.fromkeys([*ALWAYS, *(f"Part-{item}" for item in ITEMS)], "Succeeded")
    expected |= {"Fragile": "Failed", "Repair": "Succeeded"} if failed else {}
    assert {name: step["StepStatus"] for name, step in steps.items()} == expected

    told = Counter(story.recorder.told(execution))
    for name in TELLERS:
        ends = {job: count for (word, step, job), count in told.items() if (word, step) == ("end", name)}
        begins = {job: count for (word, step, job), count in told.items() if (word, step) == ("begin", name)}
        assert ends or (name == "Fragile" and failed), f"{name} has run to its end: {told}"
        if not drawn.is_disturbed:
            assert (list(ends.values()), list(begins.values())) == ([1], [1]), (name, told)
        # A call is begun again under its own name; whatever else begins again is another job.
        assert max(begins.values(), default=0) <= (2 if name == "Call" and drawn.hit else 1), (name, told)

    s3 = story.aws["s3"]
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{execution}/")
    assert "DeleteMarkers" not in versions
    found = Counter(version["Key"] for version in versions["Versions"])
    assert set(found) == set(expected_objects(execution))
    assert drawn.is_disturbed or set(found.values()) == {1}, found
    for key, text in expected_objects(execution).items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == text

    story.executions.append(execution)
    packages = story.aws["sagemaker"].list_model_packages(
        ModelPackageGroupName=GROUP, SortBy="CreationTime", SortOrder="Descending", MaxResults=2
    )["ModelPackageSummaryList"]
    number = len(story.executions)
    assert [package["ModelPackageVersion"] for package in packages] == [number, number - 1][: len(packages)]
    assert packages[0]["ModelPackageDescription"] == execution


def check_the_home(story: Story) -> None:
    """Look behind the API: the cache was used, each resource ended once, and no bytes lie there that nobody names."""
    store = SqliteStore(story.machine.home.database)
    try:
        blobs = [path.name for path in (story.machine.home.objects / "blobs").glob("*/*")]
        assert set(blobs) == store.read(lambda transaction: transaction.objects.known_blobs(blobs))
        for execution in story.executions:
            store.read(lambda transaction: check_ends(transaction, execution))  # noqa: B023 - read at once
    finally:
        store.close()


def check_ends(transaction: SqlTransaction, execution: str) -> None:
    """See that each job that an execution has started has told of its end once."""
    resource = transaction.resources.find("PipelineExecution", execution)
    assert resource is not None
    for child in transaction.resources.headings(resource.uid):
        told = transaction.events.of(child.uid)
        ends = [event for event in told if child.status in event.detail.values()]
        assert len(ends) == 1 or not child.kind.endswith("Job"), (child.arn, [event.type for event in told])


def one_round(story: Story, count: Count, length_s: float) -> None:
    """Start an execution and disturb it as is drawn; it ends as it would have."""
    drawn = Round(random.Random(f"varied/{count.seed}/{count.passed}"), length_s)
    token, running, killed = uuid4().hex, list[list[str]](), list[str]()
    asked = {"pipeline": PIPELINE, "Fails": "yes" if drawn.fails else "no"}
    killers = [killed_at(story, drawn.kill_s, running)]
    if drawn.other:
        killers.append(other_killed_at(story, drawn.other, drawn.other_s, killed))
    try:
        with answering(story, drawn.answer_s):
            unanswered, arn = False, ""
            try:
                arn = story.start(token, **asked)
            except NO_SERVER:
                unanswered = True
            killers[0].join()
            story.up()
            begun = story.start(token, **asked)
            assert arn in {"", begun}
            if drawn.stop_s is not None:
                threading.Event().wait(drawn.stop_s)  # drawn
                drawn.stopped = stopped(story, begun)
            for killer in killers[1:]:
                killer.join()
            drawn.hit = bool(killed)
            check_what_came_of_it(story, begun, drawn)
    except BaseException:
        sys.stderr.write(f"\nround {count.passed + 1}: {drawn}\nrepeat it with TOWPATH_TEST_SEED={count.seed}\n")
        raise
    count.passed += 1
    count.while_running += bool(running[0])
    count.unanswered += unanswered
    for what in (*killed, *(["stop"] if drawn.stopped else [])):
        count.others[what] = count.others.get(what, 0) + 1
    count.retried += bool(drawn.retried)


def stopped(story: Story, arn: str) -> bool:
    """Stop an execution; return whether it had not ended before."""
    try:
        story.aws["sagemaker"].stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid4().hex)
    except ClientError as refused:
        assert refused.response["Error"]["Code"] == "ConflictException", refused
        return False
    return True


def test_executions_with_steps_of_each_kind_end_as_they_would_have(
    varied: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    count = Count.of(COUNT)
    before = count.passed
    tell(f"\n{ROUNDS} varied rounds, {before} of them passed before, drawn with TOWPATH_TEST_SEED={count.seed or SEED}")
    lengths = []
    for fails in ("no", "yes", "no"):
        undisturbed = Round(random.Random(0), 0)
        undisturbed.fails = fails == "yes"
        began = time.monotonic()
        with answering(varied, 0):
            arn = varied.start(uuid4().hex, PIPELINE, Fails=fails)
            varied.until_ended(arn)
            lengths.append(time.monotonic() - began)
            check_what_came_of_it(varied, arn, undisturbed)
    try:
        while count.passed < ROUNDS:
            one_round(varied, count, statistics.median(lengths))
            count.keep(COUNT)
            if count.passed % 10 == 0:
                tell(f"  {count.passed} of {ROUNDS} varied rounds")
    finally:
        tell(str(count))
    constants = varied.aws["s3"].list_object_versions(Bucket=BUCKET, Prefix="constant/")["Versions"]
    assert len(constants) == 1, "the first execution made it, and all others took it over"
    kill_and_wait(varied.server.pid)
    varied.up()
    check_the_home(varied)
