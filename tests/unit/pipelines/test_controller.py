"""Whole executions on a real store and virtual time; jobs are resources that the test ends."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from towpath.callers import Role
from towpath.engine import Engine
from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import (
    Absent,
    Conflict,
    InProgress,
    Invalid,
    NotFound,
    TowpathError,
    Unavailable,
    Unsupported,
)
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Heading
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.acting import EXECUTION_EVENT, STEP_EVENT
from towpath.pipelines.caching import Asked, Found, Lookup
from towpath.pipelines.controller import _LOOKS, ExecutionController
from towpath.pipelines.definition import Step
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.graph import Node
from towpath.pipelines.kinds import KINDS
from towpath.pipelines.model import Fact, Parallelism, StepRow
from towpath.pipelines.ports import EarlierResults, NoResults, Shapes
from towpath.pipelines.service import operations
from towpath.store import SqliteStore, SqlTransaction
from towpath.store.resources import ResourceTable
from towpath.testing.crashes import Crash, CrashingStore
from towpath.testing.replay import Replayed, replay_all

Golden = Callable[[str], Any]
ANN = Caller("ann", "request-1", roles=frozenset({Role.ADMINISTRATOR}))


def job_kind(noun: str, arn_type: str) -> Kind:
    return Kind(
        noun=noun,
        arn_type=arn_type,
        name_member=f"{noun}Name",
        arn_member=f"{noun}Arn",
        status_member=f"{noun}Status",
    )


PROCESSING_JOB = job_kind("ProcessingJob", "processing-job")
TRAINING_JOB = job_kind("TrainingJob", "training-job")
MODEL = Kind(noun="Model", arn_type="model", name_member="ModelName", arn_member="ModelArn")
PACKAGE = job_kind("ModelPackage", "model-package")
ENDPOINT = job_kind("Endpoint", "endpoint")
ALL_KINDS = {kind.noun: kind for kind in (PROCESSING_JOB, TRAINING_JOB, MODEL, PACKAGE, ENDPOINT, *KINDS)}


def creating(kind: Kind, status: str | None, *, refuse: list[TowpathError]) -> Callable[[Any, Request], Document]:
    def create(transaction: SqlTransaction, request: Request) -> Document:
        name = request.input.get(kind.name_member) or f"group/{transaction.resources.next_number('version')}"
        made = generic.create(transaction, kind, request, name=name, status=status)
        if refuse:
            raise refuse.pop()  # what was written just now must be undone
        return {kind.arn_member: made.arn}

    return create


def stopping(kind: Kind) -> Callable[[Any, Request], Document]:
    def stop(transaction: SqlTransaction, request: Request) -> Document:
        job = generic.find(transaction, kind, request.input[kind.name_member])
        if job.status != "InProgress":
            raise Conflict(f"{job.name} has ended")
        transaction.resources.replace(job, status="Stopping")
        return {}

    return stop


def update_endpoint(transaction: SqlTransaction, request: Request) -> Document:
    endpoint = generic.find(transaction, ENDPOINT, request.input["EndpointName"])
    if endpoint.status != "InService":
        raise InProgress(f"{endpoint.name} is {endpoint.status}")
    return {"EndpointArn": transaction.resources.replace(endpoint, spec=request.input, status="Updating").arn}


class Reports:
    """JSON documents in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.writers: dict[str, Uid | None] = {}  #: whose version was asked for last

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        self.writers[uri] = written_by
        if uri not in self.documents:
            raise Absent(f"There is no object {uri}")
        return self.documents[uri]


class Texts:
    """Definitions in memory."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def read(self, bucket: str, key: str, version_id: str | None) -> str:
        return self.texts[bucket, key]


class Platform:
    """A store, an engine and everything that can be asked of pipelines."""

    def __init__(self, path: Path, shapes: Shapes) -> None:
        self.clock = VirtualClock()
        self.store = SqliteStore(path / "store.db", clock=self.clock)
        self.reports = Reports()
        self.texts = Texts()
        self.results: EarlierResults = NoResults()
        self.refusals: list[TowpathError] = []
        self.unknown_images: set[str] = set()
        found = [
            *operations(definitions=self.texts, check_arguments=self.check_image, shapes=shapes),
            Operation(
                name="CreateProcessingJob",
                function=creating(PROCESSING_JOB, "InProgress", refuse=self.refusals),
            ),
            Operation(name="CreateTrainingJob", function=creating(TRAINING_JOB, "InProgress", refuse=[])),
            Operation(name="CreateModel", function=creating(MODEL, None, refuse=[])),
            Operation(name="CreateModelPackage", function=creating(PACKAGE, "Completed", refuse=[])),
            Operation(name="CreateEndpoint", function=creating(ENDPOINT, "Creating", refuse=[])),
            Operation(name="UpdateEndpoint", function=update_endpoint),
            Operation(name="StopProcessingJob", function=stopping(PROCESSING_JOB)),
            Operation(name="StopTrainingJob", function=stopping(TRAINING_JOB)),
        ]
        self.operations: Mapping[str, Operation] = {operation.name: operation for operation in found}
        self.shapes = shapes
        self.engine = self.new_engine()

    def new_engine(self, store: SqliteStore | None = None) -> Engine:
        self.controller = controller = ExecutionController(
            store=self.store,
            operations=self.operations,
            kinds=ALL_KINDS,
            documents=self.reports,
            results=self.results,
            shapes=self.shapes,
        )
        return Engine(store or self.store, {controller.kind: controller}, clock=self.clock, kinds=ALL_KINDS)

    def check_image(self, step: Step) -> None:
        image = step.arguments.get("AppSpecification", {}).get("ImageUri")
        if image in self.unknown_images:
            raise Invalid(f"The image {image} is not known; map it in the settings")

    def call(self, operation: str, caller: Caller = ANN, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=caller)
        found = self.operations[operation]
        if found.writes:
            return self.store.write(lambda transaction: found.function(transaction, request))
        return self.store.read(lambda transaction: found.function(transaction, request))

    def create(self, definition: Any, name: str = "reviews") -> Document:
        text = definition if isinstance(definition, str) else json.dumps(definition)
        return self.call("CreatePipeline", PipelineName=name, PipelineDefinition=text, RoleArn="arn:aws:iam::1:role/r")

    def start(self, **members: Any) -> str:
        """Start an execution of the pipeline and let it go as far as it goes."""
        given = members.pop("parameters", {})
        parameters = [{"Name": name, "Value": value} for name, value in given.items()]
        answer = self.call("StartPipelineExecution", PipelineName="reviews", PipelineParameters=parameters, **members)
        self.engine.run_until_idle()
        return str(answer["PipelineExecutionArn"])

    def execution(self, arn: str) -> Document:
        return self.call("DescribePipelineExecution", PipelineExecutionArn=arn)

    def steps(self, arn: str) -> dict[str, Document]:
        listed = self.call("ListPipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending")
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def statuses(self, arn: str) -> dict[str, str]:
        return {name: step["StepStatus"] for name, step in self.steps(arn).items()}

    def child(self, arn: str, step: str) -> Resource:
        (metadata,) = self.steps(arn)[step]["Metadata"].values()
        found = self.store.read(lambda transaction: transaction.resources.by_arn(metadata["Arn"]))
        assert found is not None
        return found

    def end(self, arn: str, step: str, status: str = "Completed", **state: Any) -> None:
        """End the job of a step, and let the execution go on."""
        job = self.child(arn, step)
        self.store.write(
            lambda transaction: transaction.resources.replace(job, status=status, state={**job.state, **state})
        )
        self.engine.run_until_idle()


@pytest.fixture
def platform(tmp_path: Path, shapes: Shapes) -> Iterator[Platform]:
    opened = Platform(tmp_path, shapes)
    yield opened
    again = replay_all(opened.store, opened.reports, shapes)
    assert (again.left_out, again.complaints) == ((), ())
    opened.store.close()


REPORT = "s3://sagemaker-us-east-1-000000000000/o/metrics/evaluation.json"
MODEL_DATA = {"S3ModelArtifacts": "s3://b/model.tar.gz"}


def run_to_the_condition(platform: Platform, golden: Golden, accuracy: float) -> str:
    """Run the real document as far as its condition."""
    platform.create(golden("v3_bert"))
    arn = platform.start(parameters={"MinAccuracy": "0.6", "Epochs": "2"})
    assert platform.statuses(arn) == {"Processing": "Executing"}
    platform.end(arn, "Processing")
    assert platform.child(arn, "Train").spec["HyperParameters"]["epochs"] == "2"
    platform.end(arn, "Train", ModelArtifacts=MODEL_DATA)
    assert platform.statuses(arn)["Evaluation"] == "Executing"
    platform.reports.documents[REPORT] = {"metrics": {"accuracy": {"value": accuracy}}}
    platform.end(arn, "Evaluation")
    return arn


def test_a_good_model_is_registered_and_created(platform: Platform, golden: Golden) -> None:
    arn = run_to_the_condition(platform, golden, 0.8)
    repack = "CreateIt-RepackModel-model-5912e176"
    assert platform.statuses(arn)["Accuracy"] == "Succeeded"
    assert platform.statuses(arn)["Register"] == "Succeeded"
    platform.end(arn, repack, ModelArtifacts=MODEL_DATA)
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = platform.steps(arn)
    assert set(platform.statuses(arn).values()) == {"Succeeded"}
    assert "Fail" not in steps
    assert steps["Accuracy"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    assert steps["Register"]["Metadata"]["RegisterModel"]["Arn"].endswith(":model-package/group/1")
    assert ":model/pipelines-" in steps["CreateIt"]["Metadata"]["Model"]["Arn"]
    assert steps["Train"]["Metadata"]["TrainingJob"]["Arn"] == platform.child(arn, "Train").arn
    assert (
        platform.child(arn, "Register").spec["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        == (MODEL_DATA["S3ModelArtifacts"])
    )


def test_a_bad_model_ends_the_execution_with_the_message_of_the_fail_step(platform: Platform, golden: Golden) -> None:
    arn = run_to_the_condition(platform, golden, 0.5)
    repack = "CreateIt-RepackModel-model-5912e176"
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Executing"  # the repack job still runs
    platform.end(arn, repack, ModelArtifacts=MODEL_DATA)
    shown = platform.execution(arn)
    assert shown["PipelineExecutionStatus"] == "Failed"
    assert shown["FailureReason"] == platform.steps(arn)["Fail"]["FailureReason"]
    assert platform.steps(arn)["Fail"]["Metadata"] == {"Fail": {"ErrorMessage": shown["FailureReason"]}}
    assert "Register" not in platform.steps(arn)


def test_a_report_that_was_not_written_is_named_with_the_place_that_reads_it(
    platform: Platform, golden: Golden
) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.end(arn, "Processing")
    platform.end(arn, "Train", ModelArtifacts=MODEL_DATA)
    platform.end(arn, "CreateIt-RepackModel-model-5912e176")
    platform.end(arn, "Evaluation")
    assert platform.execution(arn)["FailureReason"] == (
        "Step 'Accuracy' failed: Steps[3].Arguments.Conditions[0].LeftValue.Std:JsonGet: There is no object " + REPORT
    )


def test_a_property_file_is_read_as_the_job_of_its_step_wrote_it(platform: Platform, golden: Golden) -> None:
    arn = run_to_the_condition(platform, golden, 0.8)
    assert platform.reports.writers == {REPORT: platform.child(arn, "Evaluation").uid}


def test_what_a_step_yielded_is_frozen_when_it_ends(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.end(arn, "Processing")
    platform.end(arn, "Train", ModelArtifacts=MODEL_DATA)
    job = platform.child(arn, "Train")
    changed = {"ModelArtifacts": {"S3ModelArtifacts": "s3://other"}}
    platform.store.write(lambda transaction: transaction.resources.replace(job, state=changed))
    platform.reports.documents[REPORT] = {"metrics": {"accuracy": {"value": 1}}}
    platform.end(arn, "Evaluation")
    containers = platform.child(arn, "Register").spec["InferenceSpecification"]["Containers"]
    assert containers[0]["ModelDataUrl"] == "s3://b/model.tar.gz"


def test_a_job_that_was_deleted_fails_its_step(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    job = platform.child(arn, "Processing")

    def delete(transaction: SqlTransaction) -> None:
        transaction.resources.replace(job, status="Stopped", deleted_at=transaction.now)

    platform.store.write(delete)
    platform.engine.run_until_idle()
    assert platform.execution(arn)["FailureReason"] == (
        f"Step 'Processing' failed: {job.arn} was deleted while the step ran"
    )


def test_jobs_belong_to_the_execution_and_to_whoever_started_it(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    job = platform.child(arn, "Processing")
    assert execution is not None
    assert job.parent == execution.uid
    assert job.created_by == "ann"
    assert job.name.startswith(f"pipelines-{execution.name}-Processing-")


def test_a_refused_create_fails_its_step_and_leaves_nothing_behind(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    platform.refusals.append(Invalid("Nothing maps the image"))
    arn = platform.start()
    assert platform.statuses(arn) == {"Processing": "Failed"}
    assert platform.execution(arn)["FailureReason"] == "Step 'Processing' failed: Nothing maps the image"
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert execution is not None
    assert platform.store.read(lambda transaction: transaction.resources.headings(execution.uid)) == []


def test_a_create_that_may_work_later_is_tried_again(platform: Platform, golden: Golden) -> None:
    document = golden("v2_bert")
    document["Steps"] = document["Steps"][:1]  # its policy: SERVICE_FAULT, 5 s, doubling, 3 times
    platform.create(document)
    platform.refusals += [Unavailable("Busy"), Unavailable("Busy")]
    arn = platform.start()
    assert platform.statuses(arn) == {"Processing": "Starting"}
    platform.clock.advance(5)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {"Processing": "Starting"}
    platform.clock.advance(10)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {"Processing": "Executing"}
    assert platform.steps(arn)["Processing"]["AttemptCount"] == 3
    platform.end(arn, "Processing")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_stopping_an_execution_stops_its_jobs(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopping"
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {"Processing": "Stopping"}
    assert platform.child(arn, "Processing").status == "Stopping"
    platform.end(arn, "Processing", "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    with pytest.raises(Conflict, match="has ended already: Stopped"):
        platform.call("StopPipelineExecution", PipelineExecutionArn=arn)


def test_a_failed_execution_can_be_retried_from_where_it_failed(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.end(arn, "Processing")
    platform.end(arn, "Train", "Failed", FailureReason="AlgorithmError: exit code 1")
    assert platform.execution(arn)["FailureReason"] == "Step 'Train' failed: AlgorithmError: exit code 1"
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    steps = platform.steps(arn)
    assert steps["Train"]["StepStatus"] == "Executing"
    assert steps["Train"]["AttemptCount"] == 2
    assert steps["Processing"]["AttemptCount"] == 1
    assert "FailureReason" not in platform.execution(arn)


@pytest.mark.parametrize("begun", [False, True], ids=["before anything began", "when everything had succeeded"])
def test_a_retry_that_begins_no_step_anew_goes_on_and_is_decided_alike(
    platform: Platform, golden: Golden, *, begun: bool
) -> None:
    """Such a retry leaves no fact of a step; the history of events tells of it. The fixture replays the execution."""
    document = golden("v2_function")
    document["Steps"] = [{**document["Steps"][2], "Name": name} for name in ("a", "b")]
    platform.create(document)
    arn = str(platform.call("StartPipelineExecution", PipelineName="reviews")["PipelineExecutionArn"])
    if begun:
        platform.engine.run_until_idle()
        platform.end(arn, "a")
        job = platform.child(arn, "b")
        platform.store.write(lambda transaction: transaction.resources.replace(job, status="Completed"))
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    assert set(platform.statuses(arn).values()) <= {"Succeeded"}
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    if not begun:
        assert platform.statuses(arn) == {"a": "Executing", "b": "Executing"}
        platform.end(arn, "a")
        platform.end(arn, "b")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_a_step_that_is_stopped_in_its_second_attempt_is_decided_alike(platform: Platform, golden: Golden) -> None:
    """That the attempt began is no fact. The fixture replays the execution."""
    document = golden("v2_function")
    again = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 5, "MaxAttempts": 3}
    document["Steps"] = [{**document["Steps"][2], "Name": "a", "RetryPolicies": [again]}]
    platform.create(document)
    arn = platform.start()
    platform.end(arn, "a", "Failed", FailureReason="InternalServerError: the runner vanished")
    platform.clock.advance(5)
    platform.engine.run_until_idle()
    assert platform.steps(arn)["a"]["AttemptCount"] == 2
    platform.clock.advance(1)
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    platform.end(arn, "a", "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"


def test_a_step_that_is_tried_again_later_says_when(platform: Platform, golden: Golden) -> None:
    document = golden("v2_function")
    again = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 600, "MaxAttempts": 3}
    document["Steps"] = [{**document["Steps"][2], "Name": "a", "RetryPolicies": [again]}]
    platform.create(document)
    arn = platform.start()
    platform.end(arn, "a", "Failed", FailureReason="InternalServerError: the runner vanished")
    due_at = platform.clock.now() + timedelta(seconds=600)
    shown = platform.steps(arn)["a"]
    told = shown["StepDescription"].partition("\n")[0]
    assert (shown["StepStatus"], told) == ("Starting", f"Waiting for {due_at:%Y-%m-%dT%H:%M:%SZ} to begin attempt 2")
    platform.clock.advance(600)
    platform.engine.run_until_idle()
    assert "Waiting" not in platform.steps(arn)["a"].get("StepDescription", "")


def test_only_as_many_steps_run_as_may(platform: Platform, golden: Golden) -> None:
    document = golden("v2_function")
    pre = document["Steps"][2]
    document["Steps"] = [{**pre, "Name": name} for name in ("a", "b", "c")]
    platform.create(document)
    arn = platform.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 2})
    assert platform.statuses(arn) == {"a": "Executing", "b": "Executing", "c": "Starting"}
    platform.end(arn, "b")
    assert platform.statuses(arn) == {"a": "Executing", "b": "Succeeded", "c": "Executing"}


def test_steps_that_wait_for_a_slot_are_listed_with_what_they_wait_for(platform: Platform, golden: Golden) -> None:
    document = golden("v2_function")
    pre = document["Steps"][2]
    document["Steps"] = [{**pre, "Name": name} for name in "abcde"]
    document["Steps"].append({**pre, "Name": "last", "DependsOn": ["e"]})
    platform.create(document)
    arn = platform.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 2})
    shown = platform.steps(arn)
    assert list(shown) == list("abcde"), "the last one waits for a step, and no slot would help it"
    assert "StartTime" not in shown["d"]
    assert shown["d"]["AttemptCount"] == 0
    told = shown["d"]["StepDescription"].partition("\n")[0]
    assert told == "Waiting for one of 2 slots (MaxParallelExecutionSteps), in use by a, b; 1 is before it"
    for order in ("Ascending", "Descending"):
        for size in range(1, 6):
            paged = pages(platform, arn, order, size)
            assert paged == (list("abcde") if order == "Ascending" else list("edcba")), (order, size)
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="t" * 32)
    stopping = platform.steps(arn)
    assert list(stopping) == list("abcde"), "what was listed stays"
    assert [step["StepStatus"] for step in stopping.values()] == [*["Executing"] * 2, *["Stopped"] * 3]
    platform.engine.run_until_idle()
    for name in "ab":
        platform.end(arn, name, "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    stopped = platform.steps(arn)
    assert platform.statuses(arn) == dict.fromkeys("abcde", "Stopped")
    assert stopped["d"]["FailureReason"] == "Stopped before it started"
    assert not {"StartTime", "EndTime"} & set(stopped["d"])
    assert "Waiting" not in stopped["d"].get("StepDescription", "")
    for order in ("Ascending", "Descending"):
        assert pages(platform, arn, order, 2) == (list("abcde") if order == "Ascending" else list("edcba"))
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {**dict.fromkeys("ab", "Executing"), **dict.fromkeys("cde", "Starting")}


def test_rounds_that_wait_for_others_are_listed_with_what_they_wait_for(platform: Platform, golden: Golden) -> None:
    document = golden("v2_function")
    pre = document["Steps"][2]
    body = [{**pre, "Name": "Fit"}, {**pre, "Name": "Score", "DependsOn": ["Fit"]}, {**pre, "Name": "Draw"}]
    loop = {"IterableItems": list("uvwxyz"), "MaxConcurrency": 2, "ForEachBody": body}
    document["Steps"] = [{"Name": "Each", "Type": "ForEach", "Arguments": loop}, {**pre, "Name": "Beside"}]
    platform.create(document)
    arn = platform.start()
    begun = ["Each", "Beside", *(f"{name}[{number}]" for number in (0, 1) for name in ("Fit", "Draw"))]
    waiting = [f"{name}[{number}]" for number in (2, 3, 4, 5) for name in ("Fit", "Draw")]
    shown = of_rounds(platform, arn)
    assert sorted(shown) == sorted(begun + waiting), "steps that wait for others of their round are no news"
    assert shown["Fit[4]"]["StepStatus"] == "Starting"
    assert "StartTime" not in shown["Fit[4]"]
    assert shown["Fit[4]"]["AttemptCount"] == 0
    assert shown["Fit[4]"]["IterationContext"] == {"ParentStepName": "Each", "Index": 4, "Item": "y"}
    told = shown["Fit[4]"]["StepDescription"].partition("\n")[0]
    assert told == "Waiting for one of the rounds 0, 1 to end (MaxConcurrency 2 of Each); 2 are before it"
    for size in (1, 3, 5):
        names = [name.partition("[")[0] for name in waiting]
        assert pages(platform, arn, "Ascending", size)[-len(waiting) :] == names
        assert pages(platform, arn, "Descending", size)[: len(waiting)] == names[::-1]
    for name in ("Fit[0]", "Draw[0]", "Score[0]"):
        end_in_round(platform, arn, name)
    shown = of_rounds(platform, arn)
    assert shown["Fit[2]"]["StepStatus"] == "Executing"
    told = shown["Draw[3]"]["StepDescription"].partition("\n")[0]
    assert told == "Waiting for one of the rounds 1, 2 to end (MaxConcurrency 2 of Each)"
    end_in_round(platform, arn, "Fit[1]", status="Failed", FailureReason="no")
    assert not [name for name, step in of_rounds(platform, arn).items() if step["StepStatus"] == "Starting"], (
        "after a failure no round begins"
    )


def test_slots_and_rounds_are_waited_for_one_behind_the_other(platform: Platform, golden: Golden) -> None:
    document = golden("v2_function")
    pre = document["Steps"][2]
    loop = {"IterableItems": list("uvw"), "MaxConcurrency": 1, "ForEachBody": [{**pre, "Name": "Fit"}]}
    document["Steps"] = [
        {**pre, "Name": "First"},
        {"Name": "Each", "Type": "ForEach", "Arguments": loop},
        {**pre, "Name": "Last"},
    ]
    platform.create(document)
    arn = platform.start(ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    told = {
        name: step["StepDescription"].partition("\n")[0]
        for name, step in of_rounds(platform, arn).items()
        if step["StepStatus"] == "Starting"
    }
    slot = "Waiting for the only slot (MaxParallelExecutionSteps), in use by First"
    turn = "Waiting for round 0 to end (MaxConcurrency 1 of Each)"
    assert told == {
        "Fit[0]": slot,
        "Last": f"{slot}; 1 is before it",
        "Fit[1]": turn,
        "Fit[2]": f"{turn}; 1 is before it",
    }
    before = set(of_rounds(platform, arn))
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="t" * 32)
    platform.engine.run_until_idle()
    platform.end(arn, "First", "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    shown = of_rounds(platform, arn)
    assert set(shown) == before
    assert {step["StepStatus"] for step in shown.values()} == {"Stopped"}


def of_rounds(platform: Platform, arn: str) -> dict[str, Document]:
    """Return the steps by name, those of rounds with the number of the round."""
    listed = platform.call("ListPipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending")
    return {
        f"{step['StepName']}[{step['IterationContext']['Index']}]"
        if "IterationContext" in step
        else step["StepName"]: step
        for step in listed["PipelineExecutionSteps"]
    }


def end_in_round(platform: Platform, arn: str, step: str, status: str = "Completed", **state: Any) -> None:
    """End the job of a step of a round, and let the execution go on."""
    (metadata,) = of_rounds(platform, arn)[step]["Metadata"].values()
    job = platform.store.read(lambda transaction: transaction.resources.by_arn(metadata["Arn"]))
    assert job is not None
    platform.store.write(
        lambda transaction: transaction.resources.replace(job, status=status, state={**job.state, **state})
    )
    platform.engine.run_until_idle()


def pages(platform: Platform, arn: str, order: str, size: int) -> list[str]:
    """Return the names of the steps in pages of this size."""
    names, token = [], None
    while True:
        asked: dict[str, Any] = {"PipelineExecutionArn": arn, "SortOrder": order, "MaxResults": size}
        page = platform.call("ListPipelineExecutionSteps", **asked, **({"NextToken": token} if token else {}))
        assert len(page["PipelineExecutionSteps"]) <= size
        names += [step["StepName"] for step in page["PipelineExecutionSteps"]]
        token = page.get("NextToken")
        if token is None:
            return names


def test_many_steps_begin_and_stop_in_portions(platform: Platform, golden: Golden) -> None:
    """A decision that started all of a wide pipeline held up everybody else who writes."""
    document = golden("v2_function")
    document["Steps"] = [{**document["Steps"][2], "Name": f"s{number:03}"} for number in range(230)]
    platform.create(document)
    started: list[int] = []
    apply = platform.controller.apply

    def counted(transaction: SqlTransaction, resource: Resource, decision: Any) -> None:
        started.append(len(decision.facts))
        apply(transaction, resource, decision)

    platform.controller.apply = counted  # type: ignore[method-assign, assignment]
    arn = platform.start()
    assert started == [50, 50, 50, 50, 30]
    started.clear()
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="t" * 32)
    platform.engine.run_until_idle()
    assert started == [50, 50, 50, 50, 30]


def test_an_end_is_noticed_without_looking_at_what_runs_beside_it(
    platform: Platform, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = golden("v2_function")
    document["Steps"] = [{**document["Steps"][2], "Name": f"s{number:03}"} for number in range(100)]
    platform.create(document)
    arn = platform.start()
    read: list[int] = []
    headings, heading = ResourceTable.headings, ResourceTable.heading

    def counted_all(table: ResourceTable, parent: Uid) -> list[Heading]:
        found = headings(table, parent)
        read.append(len(found))
        return found

    def counted_one(table: ResourceTable, uid: Uid) -> Heading | None:
        read.append(1)
        return heading(table, uid)

    monkeypatch.setattr(ResourceTable, "headings", counted_all)
    monkeypatch.setattr(ResourceTable, "heading", counted_one)
    for name in ("s042", "s007", "s008"):
        platform.end(arn, name)
        assert platform.statuses(arn)[name] == "Succeeded"
    assert sum(read) <= 6, read


def test_another_engine_takes_over_where_the_first_left_off(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.engine = platform.new_engine()
    platform.end(arn, "Processing")
    assert platform.statuses(arn)["Train"] == "Executing"


def test_what_the_controller_remembers_is_what_was_written(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v2_bert"))
    platform.refusals.append(Unavailable("Busy"))
    arn = platform.start()
    platform.clock.advance(5)
    platform.engine.run_until_idle()

    def look(transaction: SqlTransaction) -> tuple[Resource, dict[str, StepRow]]:
        execution = transaction.resources.by_arn(arn)
        assert execution is not None
        return execution, transaction.steps.of(execution.uid)

    for _ in range(20):
        execution, written = platform.store.read(look)
        seen = platform.controller.observe(execution)
        assert seen.standings.rows == written
        running = [row.name for row in seen.standings.running()]
        if not running:
            break
        platform.end(arn, running[0], ModelArtifacts=MODEL_DATA)
    assert platform.execution(arn)["PipelineExecutionStatus"] != "Executing"


def end_of_life(platform: Platform, arn: str) -> list[tuple[str, str, int]]:
    """End jobs until the execution has ended; return what steps there were and what they left behind."""
    platform.reports.documents[REPORT] = {"metrics": {"accuracy": {"value": 1}}}
    platform.engine.run_until_idle()
    while platform.execution(arn)["PipelineExecutionStatus"] == "Executing":
        running = [name for name, status in platform.statuses(arn).items() if status == "Executing"]
        platform.end(arn, running[0], ModelArtifacts=MODEL_DATA)
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert execution is not None
    children = platform.store.read(lambda transaction: transaction.resources.headings(execution.uid))
    kinds = sorted(child.kind for child in children)
    assert kinds == ["Model", "ModelPackage", "ProcessingJob", "ProcessingJob", "TrainingJob", "TrainingJob"]
    history = platform.store.read(lambda transaction: transaction.steps.history(execution.uid))
    facts = [entry for entry in history if isinstance(entry, Fact)]
    assert len({fact.row.name for fact in facts}) == len(facts)
    return [(name, step["StepStatus"], step["AttemptCount"]) for name, step in platform.steps(arn).items()]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13])
def test_a_crash_at_any_write_changes_nothing_about_the_end(
    platform: Platform, golden: Golden, at: int, after: bool
) -> None:
    platform.create(golden("v3_bert"))
    answer = platform.call("StartPipelineExecution", PipelineName="reviews", PipelineParameters=[])
    arn = str(answer["PipelineExecutionArn"])
    crashing: Any = CrashingStore(platform.store, at, after=after)
    platform.engine = platform.new_engine(crashing)
    with pytest.raises(Crash):
        end_of_life(platform, arn)
        raise Crash  # the life has fewer writes than `at`
    platform.store.write(lambda transaction: transaction.work.release_all())
    platform.engine = platform.new_engine()
    steps = end_of_life(platform, arn)
    assert {status for _, status, _ in steps} == {"Succeeded"}
    assert {attempt for _, _, attempt in steps} == {1}
    assert len(steps) == 7


def test_every_end_of_a_step_is_in_the_history_and_told_as_an_event(platform: Platform, golden: Golden) -> None:
    arn = run_to_the_condition(platform, golden, 0.8)
    platform.end(arn, "CreateIt-RepackModel-model-5912e176", ModelArtifacts=MODEL_DATA)

    def look(transaction: SqlTransaction) -> tuple[list[Any], list[Any]]:
        execution = transaction.resources.by_arn(arn)
        assert execution is not None
        return transaction.steps.history(execution.uid), transaction.events.of(execution.uid)

    facts, events = platform.store.read(look)
    assert sorted(fact.row.name for fact in facts) == sorted(platform.steps(arn))
    assert all(fact.row.status == "Succeeded" for fact in facts)
    told = [event.detail["stepName"] for event in events if event.type == STEP_EVENT]
    assert told.count("Train") == 2  # begun and ended
    (ended,) = [event for event in events if event.type == EXECUTION_EVENT]
    assert ended.detail["currentPipelineExecutionStatus"] == "Succeeded"
    assert events[-1] is ended, "nothing is told of an execution behind its end"


def test_a_name_that_is_taken_is_refused_in_words_that_clients_look_for(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    with pytest.raises(Conflict, match="already exists") as caught:
        platform.create(golden("v3_bert"))
    assert caught.value.code == "ValidationException"


def test_a_definition_is_checked_whole_when_its_pipeline_is_created(platform: Platform, golden: Golden) -> None:
    document = golden("v3_bert")
    document["Steps"][1]["DependsOn"] = ["Nobody"]
    with pytest.raises(Invalid, match=r"Steps\[1\].DependsOn\[0\]: there is no step 'Nobody'"):
        platform.create(document)
    with pytest.raises(Unsupported, match="is of type EMR"):
        platform.create(golden("v2_emr"))
    with pytest.raises(NotFound):
        platform.call("DescribePipeline", PipelineName="reviews")


def test_an_image_that_is_known_to_be_unknown_is_refused_with_its_step(platform: Platform, golden: Golden) -> None:
    document = golden("v3_bert")
    platform.unknown_images.add(document["Steps"][0]["Arguments"]["AppSpecification"]["ImageUri"])
    with pytest.raises(Invalid, match=r"^Step 'Processing' \(Steps\[0\]\): The image .* is not known"):
        platform.create(document)


def test_a_definition_may_stand_in_s3(platform: Platform, golden: Golden) -> None:
    platform.texts.texts["bucket", "definition.json"] = json.dumps(golden("v3_bert"))
    location = {"Bucket": "bucket", "ObjectKey": "definition.json"}
    platform.call("CreatePipeline", PipelineName="reviews", PipelineDefinitionS3Location=location, RoleArn="r")
    shown = platform.call("DescribePipeline", PipelineName="reviews")
    assert json.loads(shown["PipelineDefinition"]) == golden("v3_bert")


def test_a_token_makes_one_pipeline_and_no_other(platform: Platform, golden: Golden) -> None:
    asked: Any = {"PipelineName": "reviews", "RoleArn": "r", "ClientRequestToken": "c" * 32}
    first, other = (json.dumps(golden(name)) for name in ("v3_bert", "v2_callback"))
    made = platform.call("CreatePipeline", **asked, PipelineDefinition=first)
    platform.call("UpdatePipeline", PipelineName="reviews", PipelineDescription="changed meanwhile")
    assert platform.call("CreatePipeline", **asked, PipelineDefinition=first) == made
    told = r"The ClientRequestToken 'c+' came with another request before, about .*pipeline/reviews; nothing was done"
    with pytest.raises(Conflict, match=told) as caught:
        platform.call("CreatePipeline", **asked, PipelineDefinition=other)
    assert caught.value.code == "ConflictException"
    shown = platform.call("DescribePipeline", PipelineName="reviews")
    assert shown["PipelineDefinition"] == first
    assert not {"ClientRequestToken", "ClientRequestDigest"} & set(shown)


def test_a_token_that_another_start_came_with_is_refused(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    first = platform.start(ClientRequestToken="t" * 32, parameters={"Epochs": "1"})
    with pytest.raises(Conflict, match=f"came with another request before, about {first};"):
        platform.start(ClientRequestToken="t" * 32, parameters={"Epochs": "2"})
    assert len(platform.call("ListPipelineExecutions", PipelineName="reviews")["PipelineExecutionSummaries"]) == 1
    assert "StartDigest" not in platform.execution(first)


def test_what_an_earlier_release_started_is_taken_for_the_same(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    first = platform.start(ClientRequestToken="t" * 32)

    def forget(transaction: Any) -> None:
        execution = transaction.resources.by_arn(first)
        spec = {name: value for name, value in execution.spec.items() if name != "StartDigest"}
        transaction.resources.replace(execution, spec=spec)

    platform.store.write(forget)
    assert platform.start(ClientRequestToken="t" * 32, PipelineExecutionDisplayName="again") == first


def test_a_repeated_token_starts_one_execution(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    first = platform.start(ClientRequestToken="t" * 32)
    assert platform.start(ClientRequestToken="t" * 32) == first
    assert platform.start(ClientRequestToken="u" * 32) != first
    listed = platform.call("ListPipelineExecutions", PipelineName="reviews")["PipelineExecutionSummaries"]
    assert len(listed) == 2
    assert first in {summary["PipelineExecutionArn"] for summary in listed}
    account, name = first.split(":")[4], first.split("/")[-1]
    assert first == f"arn:aws:sagemaker:us-east-1:{account}:pipeline/reviews/execution/{name}"
    assert len(name) == 12
    assert name.isalnum()
    assert name == name.lower()


def test_parameters_are_checked_before_anything_starts(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    with pytest.raises(Invalid, match="parameter 'Epochs': the text 'many' is not an Integer"):
        platform.start(parameters={"Epochs": "many"})
    assert platform.call("ListPipelineExecutions", PipelineName="reviews")["PipelineExecutionSummaries"] == []


def test_the_parameters_of_an_execution_are_listed_with_their_values(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start(parameters={"Epochs": "3"})
    listed = platform.call("ListPipelineParametersForExecution", PipelineExecutionArn=arn)["PipelineParameters"]
    values = {parameter["Name"]: parameter["Value"] for parameter in listed}
    assert values["Epochs"] == "3"
    assert values["MinAccuracy"] == "0.2"
    for token in ("x", "-1", "²", "9" * 5000):
        with pytest.raises(Invalid, match="token"):
            platform.call("ListPipelineParametersForExecution", PipelineExecutionArn=arn, NextToken=token)


SERVE = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Config", "Type": "String"}],
    "Steps": [
        {
            "Name": "Serve",
            "Type": "Endpoint",
            "Arguments": {"EndpointName": "e", "EndpointConfigName": {"Get": "Parameters.Config"}},
        }
    ],
}


def test_an_endpoint_that_somebody_changes_by_hand_is_waited_for(platform: Platform) -> None:
    platform.create(SERVE)
    first = platform.start(parameters={"Config": "one"})
    platform.end(first, "Serve", "InService", EndpointConfigName="one")
    platform.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="by hand")
    second = platform.start(parameters={"Config": "two"})
    shown = platform.steps(second)["Serve"]
    assert (shown["StepStatus"], shown["FailureReason"]) == ("Starting", "e is Updating")
    platform.end(first, "Serve", "InService", EndpointConfigName="by hand")
    platform.clock.advance(2)
    platform.engine.run_until_idle()
    assert platform.statuses(second) == {"Serve": "Executing"}
    platform.end(second, "Serve", "InService", EndpointConfigName="two")
    assert platform.execution(second)["PipelineExecutionStatus"] == "Succeeded"


def test_an_endpoint_is_not_taken_from_an_execution_that_has_not_seen_it_in_service(platform: Platform) -> None:
    platform.create(SERVE)
    first, second = (platform.start(parameters={"Config": config}) for config in ("one", "two"))
    endpoint = platform.child(first, "Serve")

    def in_service_unnoticed(transaction: SqlTransaction) -> None:
        ready = {"status": "InService", "state": {"EndpointConfigName": "one"}}
        # Who has no parent wakes nobody by its change.
        alone = transaction.resources.replace(endpoint, **ready, parent=None)
        transaction.resources.replace(alone, parent=endpoint.parent)

    platform.store.write(in_service_unnoticed)
    platform.clock.advance(2)
    platform.engine.run_until_idle()
    shown = platform.steps(second)["Serve"]
    assert (shown["StepStatus"], shown["AttemptCount"]) == ("Starting", 2)
    assert f"{endpoint.arn} is being changed by {first}" in shown["FailureReason"]

    execution = Uid(endpoint.parent or "")
    platform.store.write(
        lambda transaction: transaction.work.schedule(execution, transaction.now, because=endpoint.uid)
    )
    platform.engine.run_until_idle()
    assert platform.execution(first)["PipelineExecutionStatus"] == "Succeeded"
    platform.clock.advance(4)
    platform.engine.run_until_idle()
    assert platform.statuses(second) == {"Serve": "Executing"}
    platform.end(second, "Serve", "InService", EndpointConfigName="two")
    assert platform.execution(second)["PipelineExecutionStatus"] == "Succeeded"


def test_an_execution_that_waits_for_an_endpoint_can_be_stopped(platform: Platform) -> None:
    platform.create(SERVE)
    platform.start(parameters={"Config": "one"})
    second = platform.start(parameters={"Config": "two"})
    platform.call("StopPipelineExecution", PipelineExecutionArn=second, ClientRequestToken="t" * 32)
    platform.engine.run_until_idle()
    assert platform.execution(second)["PipelineExecutionStatus"] == "Stopped"


def test_an_update_leaves_running_executions_alone(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    shorter = golden("v3_bert")
    shorter["Steps"] = shorter["Steps"][:1]
    platform.call("UpdatePipeline", PipelineName="reviews", PipelineDefinition=json.dumps(shorter))
    kept = platform.call("DescribePipelineDefinitionForExecution", PipelineExecutionArn=arn)
    assert json.loads(kept["PipelineDefinition"]) == golden("v3_bert")
    platform.end(arn, "Processing")
    assert platform.statuses(arn)["Train"] == "Executing"


def test_a_pipeline_with_a_running_execution_is_not_deleted(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    with pytest.raises(Conflict, match="cannot be deleted while an execution runs"):
        platform.call("DeletePipeline", PipelineName="reviews")
    platform.end(arn, "Processing", "Failed")
    platform.call("DeletePipeline", PipelineName="reviews")
    with pytest.raises(NotFound) as caught:
        platform.call("DescribePipeline", PipelineName="reviews")
    assert caught.value.code == "ResourceNotFound"


def test_pipelines_are_listed_by_the_beginning_of_their_names(platform: Platform, golden: Golden) -> None:
    for name in ("reviews", "review", "sales", "re"):
        platform.create(golden("v3_bert"), name)
    listed = platform.call("ListPipelines", PipelineNamePrefix="rev", SortBy="Name", SortOrder="Ascending")
    assert [summary["PipelineName"] for summary in listed["PipelineSummaries"]] == ["review", "reviews"]


def test_steps_are_listed_in_pages_latest_first(platform: Platform, golden: Golden) -> None:
    arn = run_to_the_condition(platform, golden, 0.8)
    names = list(platform.steps(arn))[::-1]
    first = platform.call("ListPipelineExecutionSteps", PipelineExecutionArn=arn, MaxResults=4)
    assert [step["StepName"] for step in first["PipelineExecutionSteps"]] == names[:4]
    rest = platform.call("ListPipelineExecutionSteps", PipelineExecutionArn=arn, NextToken=first["NextToken"])
    assert [step["StepName"] for step in rest["PipelineExecutionSteps"]] == names[4:]
    assert "NextToken" not in rest


def test_an_execution_names_its_experiment_and_who_started_it(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start(PipelineExecutionDisplayName="try-1")
    shown = platform.execution(arn)
    assert shown["PipelineExperimentConfig"] == {"ExperimentName": "reviews", "TrialName": arn.split("/")[-1]}
    assert shown["PipelineExecutionDisplayName"] == "try-1"
    assert shown["CreatedBy"]["UserProfileName"] == "ann"
    assert shown["PipelineArn"] == arn.split("/execution/")[0]


def selecting(source: str | None, *steps: str) -> Document:
    config: Document = {"SelectedSteps": [{"StepName": step} for step in steps]}
    return config if source is None else {**config, "SourcePipelineExecutionArn": source}


def test_selected_steps_run_with_what_others_yielded_in_the_source(platform: Platform, golden: Golden) -> None:
    source = run_to_the_condition(platform, golden, 0.5)
    platform.end(source, "CreateIt-RepackModel-model-5912e176", ModelArtifacts=MODEL_DATA)
    assert platform.execution(source)["PipelineExecutionStatus"] == "Failed"
    arn = platform.start(SelectiveExecutionConfig=selecting(source, "Evaluation", "Accuracy"))
    steps = platform.steps(arn)
    assert {name: step["StepStatus"] for name, step in steps.items()} == {
        "Train": "Succeeded",
        "Evaluation": "Executing",
    }
    assert steps["Train"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": source}
    assert "SelectiveExecutionResult" not in steps["Evaluation"]
    model = platform.child(arn, "Evaluation").spec["ProcessingInputs"]
    assert MODEL_DATA["S3ModelArtifacts"] in json.dumps(model)
    platform.end(arn, "Evaluation")
    shown = platform.execution(arn)
    assert shown["PipelineExecutionStatus"] == "Succeeded", "the branch of the condition was not selected"
    assert shown["SelectiveExecutionConfig"]["SourcePipelineExecutionArn"] == source
    # The parameters are those of the source, but for those that are given.
    listed = platform.call("ListPipelineParametersForExecution", PipelineExecutionArn=arn)["PipelineParameters"]
    assert {"Name": "Epochs", "Value": "2"} in listed


def test_what_selected_steps_read_must_have_succeeded_in_the_source(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    source = platform.start()
    with pytest.raises(Conflict, match="is Executing; results are taken from one that has ended"):
        platform.start(SelectiveExecutionConfig=selecting(source, "Train"))
    platform.end(source, "Processing")
    platform.end(source, "Train", "Failed", FailureReason="AlgorithmError: exit code 1")
    with pytest.raises(Invalid, match="'Train' yields, and that is Failed in the source execution"):
        platform.start(SelectiveExecutionConfig=selecting(source, "Evaluation"))
    with pytest.raises(Invalid, match="give SourcePipelineExecutionArn"):
        platform.start(SelectiveExecutionConfig=selecting(None, "Train"))
    platform.create(golden("v3_bert"), name="other")
    with pytest.raises(Invalid, match="is not an execution of the pipeline 'other'"):
        config = selecting(source, "Train")
        platform.call("StartPipelineExecution", PipelineName="other", SelectiveExecutionConfig=config)


def test_a_repeated_token_retries_once(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.end(arn, "Processing", "Failed", FailureReason="AlgorithmError: exit code 1")
    for _ in range(2):
        platform.call("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="t" * 32)
    platform.engine.run_until_idle()
    assert platform.steps(arn)["Processing"]["AttemptCount"] == 2
    with pytest.raises(Conflict, match="only a Failed or Stopped one can be retried"):
        platform.call("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="u" * 32)


def test_a_token_that_another_retry_came_with_is_refused(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))
    arn = platform.start()
    platform.end(arn, "Processing", "Failed", FailureReason="AlgorithmError: exit code 1")
    asked: Any = {"PipelineExecutionArn": arn, "ClientRequestToken": "t" * 32}
    platform.call("RetryPipelineExecution", **asked)
    with pytest.raises(Conflict, match="came with another request before"):
        platform.call("RetryPipelineExecution", **asked, ParallelismConfiguration={"MaxParallelExecutionSteps": 1})


def test_a_retry_leaves_alone_what_was_followed_up(platform: Platform, golden: Golden) -> None:
    document = golden("v3_bert")
    step = document["Steps"][0]
    document["Steps"] = [
        {**step, "Name": "Broken"},
        {**step, "Name": "Report", "DependsOn": [{"Step": "Broken", "Trigger": "Failed"}]},
    ]
    platform.create(document)
    arn = platform.start()
    for name in ("Broken", "Report"):
        platform.end(arn, name, "Failed", FailureReason="AlgorithmError: exit code 1")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Failed"
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {"Broken": "Failed", "Report": "Executing"}
    platform.end(arn, "Report")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "CompletedWithFailures"


def test_a_retry_goes_on_with_what_a_stop_has_kept_from_beginning(
    tmp_path: Path, shapes: Shapes, golden: Golden
) -> None:
    platform = Platform(tmp_path, shapes)
    step = golden("v3_bert")["Steps"][0]
    platform.create({**golden("v3_bert"), "Steps": [step, {**step, "Name": "After", "DependsOn": [step["Name"]]}]})
    arn = platform.start()
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    platform.end(arn, step["Name"])
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {step["Name"]: "Succeeded", "After": "Executing"}
    platform.end(arn, "After")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert replay_all(platform.store, platform.reports, shapes) == Replayed(executions=1)
    platform.store.close()


def test_a_history_that_is_decided_otherwise_today_is_noticed(tmp_path: Path, shapes: Shapes, golden: Golden) -> None:
    platform = Platform(tmp_path, shapes)
    arn = run_to_the_condition(platform, golden, 0.9)
    assert replay_all(platform.store, platform.reports, shapes) == Replayed(executions=1)
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert execution is not None
    row = platform.store.read(lambda transaction: transaction.steps.of(execution.uid)["Accuracy"])
    changed = msgspec.structs.replace(row, outcome=False)
    platform.store.write(lambda transaction: transaction.steps.put(execution.uid, [changed]))
    complaints = replay_all(platform.store, platform.reports, shapes).complaints
    assert any("Accuracy: " in complaint for complaint in complaints)
    platform.store.close()


def test_a_history_whose_document_is_gone_is_left_out_by_name(tmp_path: Path, shapes: Shapes, golden: Golden) -> None:
    platform = Platform(tmp_path, shapes)
    arn = run_to_the_condition(platform, golden, 0.9)
    del platform.reports.documents[REPORT]
    again = replay_all(platform.store, platform.reports, shapes)
    assert again == Replayed(left_out=((arn, f"There is no object {REPORT}"),))
    platform.store.close()


THREE = ("a", "b", "c")


def three_side_by_side(platform: Platform, golden: Golden, **more: Any) -> str:
    document = golden("v2_function")
    document["Steps"] = [{**document["Steps"][2], "Name": name} for name in THREE]
    platform.create(document)
    return platform.start(**more)


def at_most(count: int) -> Document:
    return {"ParallelismConfiguration": {"MaxParallelExecutionSteps": count}}


def noted(platform: Platform, arn: str) -> list[tuple[int | None, int | None]]:
    """Return what the history tells of how many steps might run at one time."""

    def look(transaction: SqlTransaction) -> list[Any]:
        execution = transaction.resources.by_arn(arn)
        assert execution is not None
        return transaction.steps.history(execution.uid)

    history = platform.store.read(look)
    return [(entry.before, entry.max_parallel) for entry in history if isinstance(entry, Parallelism)]


def test_an_execution_whose_parallelism_was_changed_is_decided_alike(platform: Platform, golden: Golden) -> None:
    """With the number that stands in the end, steps would have begun that did not. The fixture replays it."""
    arn = three_side_by_side(platform, golden, **at_most(1))
    assert list(platform.statuses(arn).values()).count("Executing") == 1
    platform.clock.advance(1)
    platform.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **at_most(2))
    platform.engine.run_until_idle()
    assert list(platform.statuses(arn).values()).count("Executing") == 2
    assert noted(platform, arn) == [(1, 1), (1, 2)]
    platform.end(arn, "b", "Failed", FailureReason="AlgorithmError: exit code 1")
    platform.end(arn, "a")
    assert platform.statuses(arn) == {"a": "Succeeded", "b": "Failed"}
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn, **at_most(3))
    platform.engine.run_until_idle()
    assert list(platform.statuses(arn).values()).count("Executing") == 2
    assert noted(platform, arn) == [(1, 1), (1, 2), (2, 3)]


def test_a_parallelism_that_is_lifted_is_noted_once(platform: Platform, golden: Golden) -> None:
    arn = three_side_by_side(platform, golden, **at_most(1))
    platform.call("UpdatePipelineExecution", PipelineExecutionArn=arn, ParallelismConfiguration={})
    platform.engine.run_until_idle()
    assert list(platform.statuses(arn).values()).count("Executing") == 3
    for step in THREE:
        platform.end(arn, step)
    assert noted(platform, arn) == [(1, 1), (1, None)]


@pytest.mark.parametrize("also_lost", [False, True])
def test_a_parallelism_that_comes_with_a_failure_counts_before_it(
    platform: Platform, golden: Golden, also_lost: bool
) -> None:
    """Both are seen in one turn, and the history has to tell what came first."""
    arn = three_side_by_side(platform, golden, **at_most(1))
    platform.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **at_most(2))
    if also_lost:
        platform.engine = platform.new_engine()
    platform.end(arn, "a", "Failed", FailureReason="AlgorithmError: exit code 1")
    assert platform.statuses(arn) == {"a": "Failed", "b": "Executing"}
    platform.end(arn, "b")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Failed"


def test_a_parallelism_that_is_changed_before_the_first_turn_holds_from_the_first(
    platform: Platform, golden: Golden
) -> None:
    document = golden("v2_function")
    document["Steps"] = [{**document["Steps"][2], "Name": name} for name in THREE]
    platform.create(document)
    arn = platform.call("StartPipelineExecution", PipelineName="reviews")["PipelineExecutionArn"]
    platform.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **at_most(1))
    platform.engine.run_until_idle()
    assert noted(platform, arn) == [(1, 1)]
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken="s" * 32)
    platform.engine.run_until_idle()
    platform.end(arn, "a", "Stopped")
    platform.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **at_most(3))
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    assert list(platform.statuses(arn).values()).count("Executing") == 3
    assert noted(platform, arn) == [(1, 1), (1, 3)]


def test_an_execution_has_the_priority_of_its_pipeline_or_is_refused(platform: Platform, golden: Golden) -> None:
    platform.create(golden("v3_bert"))

    def tag(value: str) -> None:
        def work(transaction: SqlTransaction) -> None:
            pipeline = transaction.resources.find("Pipeline", "reviews")
            assert pipeline is not None
            transaction.resources.set_tags(pipeline.uid, {"towpath:priority": value})

        platform.store.write(work)

    tag("7")
    arn = platform.start()
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert execution is not None
    assert execution.spec["Priority"] == 7
    assert "Priority" not in platform.execution(arn)
    tag("high")
    with pytest.raises(Invalid, match="The tag towpath:priority is 'high'; expected an integer from -100 to 100"):
        platform.start()


class KnownResults(NoResults):
    """Has a result for every step."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.taken: list[str] = []

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        self.asked.append(node.name)
        found = Found(
            execution_arn="arn:source",
            ended_at=execution.created_at,
            job=Uid("a-job"),
            job_arn="arn:job",
            metadata={"ProcessingJob": {"Arn": "arn:job"}},
            yielded=StepYield(document={"FailureReason": f"by {node.name}"}),
        )
        return Lookup(asked=asked, key="k", found=found)

    def take_over(self, transaction: Any, execution: Resource, row: StepRow, displaced: Any) -> None:
        self.taken.append(row.name)


def chain(length: int) -> Document:
    """Return a pipeline of steps that each read from the one before, and all ask for the cache."""
    resources = {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}}
    steps = []
    for number in range(length):
        read = {"Get": f"Steps.S{number - 1}.FailureReason"} if number else "nothing"
        arguments = {
            "AppSpecification": {"ImageUri": "towpath"},
            "ProcessingResources": resources,
            "RoleArn": "arn:aws:iam::000000000000:role/any",
            "Environment": {"READ": read},
        }
        steps.append(
            {"Name": f"S{number}", "Type": "Processing", "Arguments": arguments, "CacheConfig": {"Enabled": True}}
        )
    return {"Version": "2020-12-01", "Steps": steps}


def test_a_long_chain_of_earlier_results_is_taken_over_with_a_look_for_each(platform: Platform) -> None:
    platform.results = known = KnownResults()
    platform.engine = platform.new_engine()
    platform.create(chain(2 * _LOOKS + 20))
    arn = platform.start()
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    names = [f"S{number}" for number in range(2 * _LOOKS + 20)]
    assert known.asked == names
    assert known.taken == names
    assert platform.steps(arn)["S0"]["CacheHitResult"] == {"SourcePipelineExecutionArn": "arn:source"}
    execution = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert execution is not None
    told = [event for event in platform.store.read(lambda t: t.events.of(execution.uid)) if event.type == STEP_EVENT]
    assert told[0].detail["cacheHitResult"] == {"pipelineExecutionArn": "arn:source"}


def test_who_may_not_run_a_step_may_not_have_its_result(platform: Platform) -> None:
    platform.results = known = KnownResults()
    platform.engine = platform.new_engine()
    platform.create(chain(1))
    arn = platform.call("StartPipelineExecution", PipelineName="reviews")["PipelineExecutionArn"]

    def take_rights(transaction: SqlTransaction) -> None:
        execution = transaction.resources.by_arn(arn)
        assert execution is not None
        transaction.resources.replace(execution, spec={**execution.spec, "AuthorRoles": ["viewer"]})

    platform.store.write(take_rights)
    platform.engine.run_until_idle()
    assert platform.statuses(arn) == {"S0": "Failed"}
    assert known.asked == []


def test_a_pipeline_its_versions_and_its_executions_hold_one_long_definition_between_them(platform: Platform) -> None:
    definition = chain(1)
    definition["Steps"][0]["Description"] = "x" * 2000
    definition["Metadata"] = {"long": "x" * 20_000}
    platform.create(definition)
    arns = [platform.start() for _ in range(3)]

    def counts(transaction: SqlTransaction) -> tuple[int, int]:
        run = transaction.connection.exec_driver_sql
        texts = run("SELECT count(*) FROM long_text").scalar_one()
        return texts, run("SELECT count(*) FROM long_spec_text").scalar_one()

    assert platform.store.read(counts) == (1, 5)
    shown = [platform.call("DescribePipelineDefinitionForExecution", PipelineExecutionArn=arn) for arn in arns]
    assert {each["PipelineDefinition"] for each in shown} == {json.dumps(definition)}
