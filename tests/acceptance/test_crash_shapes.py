"""kill -9 at any moment in executions of every shape, stopped and retried meanwhile: nothing is lost, nothing twice.

Each round draws a shape (see `crash_shapes`), runs it once, and kills the server in it; in some rounds the runner of a
job, the host of all runners or a job as well; some executions are asked to stop, and are retried. Somebody outside
answers what Callback steps ask, and stops the jobs that are there to be stopped, whether or not the server lives.
What comes of it is read in the recorder's file, in the objects, in the registry and in the store's rows.
"""

import json
import os
import random
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import recording
from tests.acceptance.crash_shapes import BUCKET, GROUP, PIPELINE, Shape, answer_to, drawn, prepare
from tests.acceptance.test_crashes import (
    OTHERS,
    SEED,
    SOAK,
    Count,
    Story,
    kill_and_wait,
    killed_at,
    other_killed_at,
)

from towpath.pipelines.controller import EXECUTION_EVENT
from towpath.pipelines.model import StepStatus
from towpath.store import SqliteStore, SqlTransaction

ROUNDS = int(os.environ.get("TOWPATH_TEST_ROUNDS", "16"))
KEPT = str(Path(SOAK).with_stem(f"{Path(SOAK).stem}-shapes")) if SOAK else ""
FIRST_LENGTH_S = 4.0  #: of an execution, before any has been measured
PATIENCE_S = 2.0  #: for a job that can be killed
MOST_RETRIES = 4  #: of one execution: it is stopped once, and one job of it killed
pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(0 if SOAK else 1800)]


class Outside(threading.Thread):
    """Answers what is asked in the queue, and stops the jobs that wait to be stopped, through all deaths of the server.

    A message is deleted when its answer was taken; until then it comes back. What was answered once may be answered
    again, since an answer that was taken may not have been heard of.
    """

    def __init__(self, story: Story, queue: str) -> None:
        super().__init__()
        self.refused: list[str] = []  #: why answers were not taken
        self.failure: Exception | None = None
        self._story = story
        self._queue = queue
        self._stopped: set[str] = set()
        self._over = threading.Event()

    def run(self) -> None:
        """Go on until it is told to end."""
        while not self._over.is_set():
            try:
                self._stop_jobs()
                self._answer()
            except (NoConnection, HTTPClientError):
                self._over.wait(0.02)  # the server is down; there is nobody else to ask when it is back
            except Exception as error:  # noqa: BLE001 - raised where it is ended
                self.failure = error
                return

    def end(self) -> None:
        """End it."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _stop_jobs(self) -> None:
        for who in self._story.recorder.running():
            _, step, job = who.split()
            if step.startswith("Halting") and job not in self._stopped:
                self._story.aws["sagemaker"].stop_processing_job(ProcessingJobName=job)
                self._stopped.add(job)

    def _answer(self) -> None:
        sqs, sagemaker = self._story.aws["sqs"], self._story.aws["sagemaker"]
        got = sqs.receive_message(QueueUrl=self._queue, VisibilityTimeout=1, MaxNumberOfMessages=10)
        if not got.get("Messages"):
            self._over.wait(0.05)
        for message in got.get("Messages", ()):
            asked = json.loads(message["Body"])
            if asked["status"] == "Executing":
                token = asked["token"]
                answer = {"Name": "answer", "Value": answer_to(asked["arguments"]["step"])}
                try:
                    sagemaker.send_pipeline_execution_step_success(
                        CallbackToken=token, OutputParameters=[answer], ClientRequestToken=token.ljust(32, "0")
                    )
                except ClientError as error:
                    self.refused.append(str(error))
            sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])


@dataclass
class Soak:
    """A home that lives through all rounds, and what has come of them."""

    story: Story
    queue: str
    outside: Outside
    salts: set[str] = field(default_factory=set)  #: that the cache has a result of
    registered: int = 0
    lengths: list[float] = field(default_factory=list)  #: seconds, of the rounds so far
    drawn: Counter[str] = field(default_factory=Counter)  #: blocks
    stopped: int = 0
    executions: int = 0

    @property
    def length_s(self) -> float:
        """How long an execution takes."""
        return statistics.median(self.lengths) if self.lengths else FIRST_LENGTH_S


@pytest.fixture
def soak(machine: Machine, tmp_path: Path) -> Iterator[Soak]:
    """Return a home with what the shapes use, and somebody outside who answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # On a port of its own nobody else's server takes its place, and answers for it, while it is down.
    machine = replace(machine, environment={"TOWPATH_PORT": str(port)})
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        queue = prepare(aws, recorder)
        story = Story(machine, recorder, server, aws)
        outside = Outside(story, queue)
        outside.start()
        try:
            yield Soak(story, queue, outside)
        finally:
            outside.end()


@dataclass
class Round:
    """One execution, and what was done to it."""

    shape: Shape
    arn: str
    hit: str = ""  #: what was killed beside the server
    stop: bool = False  #: whether it was asked to stop, and had not ended yet
    ended: str = ""  #: how it had ended when it was not retried any more
    retried: int = 0

    @property
    def execution(self) -> str:
        """The id."""
        return self.arn.rpartition("/")[2]


def stop(story: Story, arn: str, token: str) -> bool:
    """Ask an execution to stop; return whether it had not ended."""
    try:
        story.aws["sagemaker"].stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    except ClientError as refused:
        assert "has ended" in str(refused) or "cannot be stopped" in str(refused), refused
        return False
    return True


def until_it_is_whole(story: Story, played: Round) -> dict[str, Any]:
    """Wait for the end, and retry what was stopped, or failed since a part of it was killed; return how it ended."""
    for _ in range(MOST_RETRIES):
        shown = story.until_ended(played.arn)
        played.ended = shown["PipelineExecutionStatus"]
        if played.ended == played.shape.status:
            return shown
        why = (shown, story.steps(played.arn))
        assert played.ended in {"Stopped", "Failed"}, why
        assert played.ended != "Stopped" or played.stop, why
        assert played.ended != "Failed" or played.hit or played.stop, why
        played.retried += 1
        story.aws["sagemaker"].retry_pipeline_execution(PipelineExecutionArn=played.arn, ClientRequestToken=uuid4().hex)
    pytest.fail(f"it has been retried {MOST_RETRIES} times: {played.ended}")


def check(soak: Soak, played: Round) -> None:
    """Hold an execution to what its shape says, whatever was done to it."""
    story, shape = soak.story, played.shape
    store = SqliteStore(story.machine.home.database)
    try:
        store.read(lambda transaction: check_rows(transaction, soak, played))
    finally:
        store.close()

    s3 = story.aws["s3"]
    found = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{played.execution}/")
    assert "DeleteMarkers" not in found
    versions = Counter(version["Key"].partition("/")[2] for version in found.get("Versions", ()))
    assert versions.keys() == shape.objects.keys()
    for key, number in versions.items():
        assert number == 1, (key, number)
    everything = {f"{played.execution}/{key}": text for key, text in shape.objects.items()} | shape.kept
    for key, text in everything.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == text, key

    soak.registered += shape.registers
    packages = story.aws["sagemaker"].list_model_packages(
        ModelPackageGroupName=GROUP, SortBy="CreationTime", SortOrder="Descending", MaxResults=2
    )["ModelPackageSummaryList"]
    numbers = [package["ModelPackageVersion"] for package in packages]
    assert numbers == [soak.registered, soak.registered - 1][: min(soak.registered, 2)]
    if shape.registers:
        newest = story.aws["sagemaker"].describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
        assert newest["CustomerMetadataProperties"] == {"execution": played.execution}


def check_rows(transaction: SqlTransaction, soak: Soak, played: Round) -> None:
    """Look at the rows of an execution, at what its steps have started, and at what that said outside."""
    shape = played.shape
    execution = transaction.resources.find("PipelineExecution", played.execution)
    assert execution is not None
    rows = transaction.steps.of(execution.uid)
    ends = {name: row.status.value for name, row in rows.items()}
    if played.hit == "job":  # a job that was to be stopped has failed when it was killed instead
        ends |= {name: "Stopped" for name in ends if name.startswith("Halting") and ends[name] == "Failed"}
    assert ends == shape.rows

    facts = transaction.steps.history(execution.uid)
    settled = Counter(fact.row.name for fact in facts if fact.row.status is StepStatus.SUCCEEDED)
    assert settled == Counter(name for name, end in shape.rows.items() if end == "Succeeded")
    told = [event for event in transaction.events.of(execution.uid) if event.type == EXECUTION_EVENT]
    ended = [event for event in told if event.detail["currentPipelineExecutionStatus"] not in {"Executing", "Stopping"}]
    assert len(ended) == 1 + played.retried

    hits = {name for name, row in rows.items() if row.cache is not None and row.cache.source is not None}
    expected = {name for name, salt in shape.cached.items() if salt in soak.salts}
    assert hits == expected, {name: rows[name].cache for name in shape.cached}
    soak.salts |= set(shape.cached.values())

    final = {row.resource: name for name, row in rows.items() if row.resource is not None and name not in hits}
    said = Counter(soak.story.recorder.told(played.execution))
    spare = 0  #: of what has failed or was stopped, and is not meant to
    for heading in transaction.resources.headings(execution.uid):
        child = transaction.resources.get(heading.uid)
        assert child is not None
        over = [event for event in transaction.events.of(child.uid) if child.status in event.detail.values()]
        # What is part of an execution alone has no event of its own: that of the step tells of it.
        assert len(over) == (child.kind not in {"FunctionInvocation", "Callback"}), child.arn
        row = final.pop(child.uid, None)
        name = child.spec.get("RequestId") or child.name
        began, finished = (
            sum(count for (word, _, job), count in said.items() if (word, job) == (wanted, name))
            for wanted in ("begin", "end")
        )
        assert finished <= began, child.arn
        if row is None:
            assert child.status in {"Failed", "Stopped"}, f"{child.arn} has {child.status} and is no step's"
            spare += 1
        elif row in shape.speaks and shape.rows[row] == "Succeeded":
            lost = shape.dooms.get(shape.speaks[row], 0) + (played.hit == "runner")
            assert 1 <= finished <= 1 + (played.hit == "runner"), child.arn
            assert began <= 1 + lost, child.arn
        for key in [key for key in said if key[2] == name]:
            del said[key]
    assert not final, "what the steps have started is there"
    assert not said, "nothing spoke that no step has started"
    policies = sum(times > 1 for times in shape.dooms.values())
    if not played.stop:
        assert spare <= policies + bool(played.hit), spare
    for name in shape.asks:
        resource = rows[name].resource
        assert resource is not None
        callback = transaction.resources.get(resource)
        assert callback is not None
        assert callback.state["Outputs"] == {"answer": answer_to(name)}


def one_round(soak: Soak, count: Count) -> None:
    """Run a shape, kill the server in it and perhaps something else, stop it perhaps; it ends as it would have."""
    story = soak.story
    chance = random.Random(f"shapes/{count.seed}/{count.passed}")
    tag = f"{count.seed}x{count.passed}x{uuid4().hex[:4]}"
    shape = drawn(chance, tag=tag, port=story.recorder.port, queue=soak.queue)
    moment_s, other_s, stop_s = (chance.uniform(0, soak.length_s) for _ in range(3))
    other, stops = chance.choice(OTHERS), chance.random() < 0.25
    for name, times in shape.dooms.items():
        story.recorder.doom(name, times)
    story.aws["sagemaker"].update_pipeline(PipelineName=PIPELINE, PipelineDefinition=shape.definition)
    token, stop_token = uuid4().hex, uuid4().hex
    running: list[list[str]] = []
    killed: list[str] = []
    began = time.monotonic()
    killers = [killed_at(story, moment_s, running)]
    if other:
        killers.append(other_killed_at(story, other, other_s, killed, patience_s=PATIENCE_S))
    played: Round | None = None
    unanswered = False
    try:
        try:
            played = Round(shape, story.start(token, PIPELINE))
            if stops and stop_s < moment_s:
                threading.Event().wait(max(0.0, began + stop_s - time.monotonic()))  # the moment was drawn
                stop(story, played.arn, stop_token)
        except (NoConnection, HTTPClientError):
            unanswered = played is None
        killers[0].join()
        down_at = datetime.now(UTC)
        story.up()
        down_for_s = (datetime.now(UTC) - down_at).total_seconds()
        arn = story.start(token, PIPELINE)
        assert played is None or played.arn == arn
        played = played or Round(shape, arn)
        if stops:
            threading.Event().wait(max(0.0, began + stop_s - time.monotonic()))
            stop(story, arn, stop_token)
            played.stop = True  # that it has ended before is told by how it ends
        for killer in killers[1:]:
            killer.join()
        played.hit = killed[0] if killed else ""
        shown = until_it_is_whole(story, played)
        length_s = (shown["LastModifiedTime"] - shown["CreationTime"]).total_seconds()
        soak.lengths.append(length_s - (down_for_s if down_at < shown["LastModifiedTime"] else 0.0))
        check(soak, played)
    except BaseException:
        did = f"server killed after {moment_s:.4f} s of {soak.length_s:.4f} s while {running}"
        did += f", {other} after {other_s:.4f} s ({'hit' if killed else 'none there'})" if other else ""
        did += f", stopped after {stop_s:.4f} s" if stops else ""
        sys.stderr.write(
            f"\nround {count.passed + 1}, {shape.blocks}, {did}\n{played}\nwas {shape.definition}\n"
            f"repeat it with TOWPATH_TEST_SEED={count.seed}\n"
        )
        raise
    soak.executions += 1
    soak.drawn.update(shape.blocks)
    soak.stopped += played.stop and played.retried > 0
    count.passed += 1
    count.while_running += bool(running[0])
    count.unanswered += unanswered
    for what in killed:
        count.others[what] = count.others.get(what, 0) + 1
    count.retried += played.retried > 0


def test_an_execution_of_any_shape_ends_as_it_would_have(soak: Soak, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    count = Count.of(KEPT)
    tell(f"\n{ROUNDS} rounds of drawn shapes, {count.passed} of them passed before, TOWPATH_TEST_SEED={count.seed}")
    wanted = ROUNDS // 8
    try:
        while count.passed < ROUNDS or (count.while_running < wanted and count.passed < 3 * ROUNDS):
            one_round(soak, count)
            count.keep(KEPT)
            if count.passed % 10 == 0:
                tell(f"  {count.passed} of {ROUNDS} rounds")
    finally:
        blocks = ", ".join(f"{number} {kind}" for kind, number in sorted(soak.drawn.items()))
        tell(f"{count}; {soak.stopped} stopped and retried; in this run {blocks}; {soak.length_s:.1f} s each")
    story = soak.story
    kill_and_wait(story.server.pid)
    story.up()
    assert soak.stopped or not soak.outside.refused, "only of a step that was stopped nobody takes an answer"
    assert count.while_running >= wanted, f"with TOWPATH_TEST_SEED={SEED}"
