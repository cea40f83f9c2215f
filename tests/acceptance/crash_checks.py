"""What an execution of a drawn shape is held to: its rows, what they have started, and what that said and wrote."""

import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from botocore.exceptions import ClientError
from tests.acceptance.crash_outside import Outside
from tests.acceptance.crash_shapes import BECAUSE, BUCKET, ENDPOINT, GROUP, TRIED, Shape, answer_to
from tests.acceptance.test_crashes import Story

from towpath.kernel.resource import Resource
from towpath.pipelines.acting import EXECUTION_EVENT
from towpath.pipelines.model import Fact, StepStatus
from towpath.store import SqliteStore, SqlTransaction

FIRST_LENGTH_S = 4.0  #: of an execution, before any has been measured


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


def check(soak: Soak, played: Round) -> None:
    """Hold an execution to what its shape says, whatever was done to it."""
    story, shape = soak.story, played.shape
    store = SqliteStore(story.machine.home.database)
    try:
        again = store.read(lambda transaction: check_rows(transaction, soak, played))
    finally:
        store.close()

    s3 = story.aws["s3"]
    found = s3.list_object_versions(Bucket=BUCKET, Prefix=f"{played.execution}/")
    assert "DeleteMarkers" not in found
    versions = Counter(version["Key"].partition("/")[2] for version in found.get("Versions", ()))
    assert versions.keys() == shape.objects.keys()
    for key, number in versions.items():
        assert 1 <= number <= 1 + again[key.partition("/")[0]], (key, number, again)
    everything = {f"{played.execution}/{key}": text for key, text in shape.objects.items()} | shape.kept
    for key, text in everything.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == text, key

    if shape.serves:
        check_served(soak, played)
    soak.registered += shape.registers
    packages = story.aws["sagemaker"].list_model_packages(
        ModelPackageGroupName=GROUP, SortBy="CreationTime", SortOrder="Descending", MaxResults=2
    )["ModelPackageSummaryList"]
    numbers = [package["ModelPackageVersion"] for package in packages]
    assert numbers == [soak.registered, soak.registered - 1][: min(soak.registered, 2)]
    if shape.registers:
        newest = story.aws["sagemaker"].describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
        assert newest["CustomerMetadataProperties"] == {"execution": played.execution}


def check_rows(transaction: SqlTransaction, soak: Soak, played: Round) -> Counter[str]:
    """Look at the rows of an execution, at what its steps have started, and at what that said outside.

    Returns:
        How often a job of a Transform step has failed, by the step: what such a job had written whole is there, as
        always when one fails, and what the job in its place writes comes on top of it.
    """
    shape = played.shape
    execution = transaction.resources.find("PipelineExecution", played.execution)
    assert execution is not None
    rows = transaction.steps.of(execution.uid)
    ends = {name: row.status.value for name, row in rows.items()}
    killed = set()
    if played.hit == "job":  # a job that was to be stopped has failed when it was killed instead
        killed = {name for name in ends if name.startswith(("Halting", "Overdue")) and ends[name] == "Failed"}
    assert ends | dict.fromkeys(killed, "Stopped") == shape.rows
    for name in rows.keys() - killed:
        why = next((why for kind, why in BECAUSE.items() if name.startswith(kind)), None)
        assert why is None or (rows[name].failure_reason or "").startswith(why), rows[name]

    facts = [entry for entry in transaction.steps.history(execution.uid) if isinstance(entry, Fact)]
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
    again: Counter[str] = Counter()
    spare = 0  #: of what has failed or was stopped, and is not meant to
    for heading in transaction.resources.headings(execution.uid):
        child = transaction.resources.get(heading.uid)
        assert child is not None
        over = [
            event
            for event in transaction.events.of(child.uid)
            if child.status in event.detail.values() and event.at >= execution.created_at
        ]
        row = final.pop(child.uid, None)
        if child.kind == "Endpoint":  # each update that fails has it back in service as it was
            assert 1 <= len(over) <= (rows[row].attempt if row else 0), child.arn
        else:
            # What is part of an execution alone has no event of its own: that of the step tells of it.
            assert len(over) == (child.kind not in {"FunctionInvocation", "Callback", "EndpointConfig"}), child.arn
        name = child.spec.get("RequestId") or child.name
        began, finished = (
            sum(count for (word, _, job), count in said.items() if (word, job) == (wanted, name))
            for wanted in ("begin", "end")
        )
        assert finished <= began, child.arn
        if row is None:
            assert child.status in {"Failed", "Stopped"}, f"{child.arn} has {child.status} and is no step's"
            spare += 1
            if child.status == "Failed":
                again.update(row for row in shape.rows if row.startswith("Batch") and f"-{row}-" in name)
        elif row in shape.speaks and shape.rows[row] == "Succeeded":
            lost = shape.dooms.get(shape.speaks[row], 0) + (played.hit == "runner")
            hosts = shape.hosts.get(row, 1)
            assert hosts <= finished <= hosts * (1 + (played.hit == "runner")), child.arn
            assert began <= hosts * (1 + lost), child.arn
        if child.kind == "HyperParameterTuningJob":
            _check_tuned(transaction, child, played, said, succeeded=row is not None)
        for key in [key for key in said if key[2] == name]:
            del said[key]
    assert not final, "what the steps have started is there"
    assert not said, "nothing spoke that no step has started"
    policies = sum(times > 1 for times in shape.dooms.values())
    if not played.stop:
        # A retry begins anew what has ended badly by itself, where nothing had followed up on it yet.
        anew = played.retried * sum(end != "Succeeded" for end in shape.rows.values())
        assert spare <= policies + bool(played.hit) + anew, spare
    for name in shape.asks:
        resource = rows[name].resource
        assert resource is not None
        callback = transaction.resources.get(resource)
        assert callback is not None
        assert callback.state["Outputs"] == {"answer": answer_to(name)}
    return again


def _check_tuned(
    transaction: SqlTransaction,
    tuning: Resource,
    played: Round,
    said: Counter[tuple[str, str, str]],
    *,
    succeeded: bool,
) -> None:
    """Hold a tuning job to its training jobs: each rank was tried once, and each said its words once."""
    tried = []
    for heading in transaction.resources.headings(tuning.uid):
        job = transaction.resources.get(heading.uid)
        assert job is not None
        tried.append(job.spec["HyperParameters"]["rank"])
        began, finished = (
            said.pop((word, job.spec["HyperParameters"]["step"], job.name), 0) for word in ("begin", "end")
        )
        assert began <= 1 + (played.hit == "runner"), job.arn
        if job.status == "Completed":
            assert 1 <= finished <= began, job.arn
        else:
            assert not succeeded or played.hit == "job", f"{job.arn} is {job.status}"
    assert len(tried) == len(set(tried)), tried
    assert not succeeded or set(tried) == set(TRIED), tried


def check_served(soak: Soak, played: Round) -> None:
    """Hold the endpoint to the last execution that brought it up to date."""
    shown = soak.story.aws["sagemaker"].describe_endpoint(EndpointName=ENDPOINT)
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", f"{ENDPOINT}-{played.execution}")
    assert until_it_answers(soak, within_s=60 if played.hit else 0) == b"SAID"


def until_it_answers(soak: Soak, within_s: float) -> bytes:
    """Return what the endpoint answers; where its model server was killed, as soon as it is there again."""
    pause, deadline = threading.Event(), time.monotonic() + within_s
    while True:
        try:
            answer = soak.story.aws["sagemaker-runtime"].invoke_endpoint(
                EndpointName=ENDPOINT, ContentType="text/plain", Accept="text/plain", Body=b"said"
            )
        except ClientError as refused:
            if "it is being started again" not in str(refused) or time.monotonic() > deadline:
                raise
            pause.wait(0.1)  # the clients' way to wait is to ask again
        else:
            body: bytes = answer["Body"].read()
            return body
