"""The client: which server it talks to, what it sends, and how it follows executions, versions and endpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from towpath.home import Credentials, HomeFolder, Server
from towpath.sdk import (
    Client,
    Conflict,
    DefinitionError,
    Denied,
    EndpointFailed,
    ExecutionFailed,
    NoServer,
    NotFound,
    Pipeline,
    Processing,
)
from towpath.sdk import executions as executions_module
from towpath.sdk import hosting as hosting_module
from towpath.sdk.errors import ServerFault
from towpath.sdk.log_sources import log_lines
from towpath.sdk.registry import split_version

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Asked, Scripted

Serve = Callable[[Callable[["Asked"], Any]], "Scripted"]
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package"
EXECUTION = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/reviews/execution/abc123"


class Api:
    """A script that answers operations by name; a list of documents is answered one after the other, the last for ever.

    S3 requests find everything there.
    """

    def __init__(self, told: Any, **operations: Any) -> None:
        self.told = told
        self.operations = operations

    def __call__(self, asked: Asked) -> Any:
        name = asked.operation.rpartition(".")[2]
        if not name:
            return self.told()
        answer = self.operations[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, tuple):
            code, message = answer
            return self.told(status=400, body=json.dumps({"__type": code, "message": message}).encode())
        return self.told(body=json.dumps(answer).encode())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions_module, "POLL_S", 0.0)
    monkeypatch.setattr(hosting_module, "POLL_S", 0.0)
    for name in ("TOWPATH_ENDPOINT", "TOWPATH_TOKEN", "TOWPATH_HOME"):
        monkeypatch.delenv(name, raising=False)


def client_of(server: Scripted) -> Client:
    return Client(server.url, token="t")


def test_without_a_server_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match=f"towpath up --background --home {tmp_path}"):
        Client(home=tmp_path)


def test_where_nobody_answers_the_message_says_where_the_server_of_the_home_is_now(tmp_path: Path) -> None:
    home = HomeFolder(tmp_path)
    with home.held():
        home.write_server(
            Server(url="http://127.0.0.1:7401", pid=os.getpid(), started_at=0.0, version="1", home=str(tmp_path))
        )
        client = Client("http://127.0.0.1:1", token="t", home=tmp_path)
        with pytest.raises(NoServer) as told:
            client.call("SageMaker.ListPipelines")
    assert str(told.value).endswith(
        f"; the server of {tmp_path} answers at http://127.0.0.1:7401 now: name that address, or unset TOWPATH_ENDPOINT"
    )
    with pytest.raises(NoServer, match=f"; start one: towpath up --background --home {tmp_path}$"):
        client.call("SageMaker.ListPipelines")


def test_without_credentials_the_client_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="TOWPATH_TOKEN"):
        Client("http://127.0.0.1:1", home=tmp_path)


def test_credentials_that_cannot_be_read_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text('{"token": "secret')
    with pytest.raises(Denied) as raised:
        Client("http://127.0.0.1:1", home=tmp_path)
    assert "secret" not in str(raised.value)


def test_the_environment_names_server_and_token(serve: Serve, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(Api(told, ListPipelines={"PipelineSummaries": []}))
    monkeypatch.setenv("TOWPATH_ENDPOINT", server.url + "/")
    monkeypatch.setenv("TOWPATH_TOKEN", "from the environment")
    assert Client().call("SageMaker.ListPipelines") == {"PipelineSummaries": []}
    asked = server.asked[0]
    assert asked.headers["authorization"] == "Bearer from the environment"
    assert asked.headers["content-type"] == "application/x-amz-json-1.1"
    assert asked.path == "/"


def test_an_answer_that_is_no_json_tells_that_this_may_be_another_server(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(body=b"<html>"))
    with pytest.raises(ServerFault, match="is it a Towpath server"):
        client_of(server).call("SageMaker.ListPipelines")


def test_a_list_goes_on_over_its_pages(serve: Serve, told: Any) -> None:
    pages = [{"Items": [{"n": 1}], "NextToken": "x"}, {"Items": [{"n": 2}]}]
    server = serve(Api(told, ListThings=pages))
    assert [each["n"] for each in client_of(server).pages("A.ListThings", "Items", {"Q": 1})] == [1, 2]
    assert server.asked[1].document == {"Q": 1, "NextToken": "x"}


def test_a_run_creates_the_pipeline_and_starts_it_with_values_as_text(
    serve: Serve, told: Any, pipeline: Pipeline
) -> None:
    server = serve(
        Api(
            told,
            DescribeDataset={},
            CreatePipeline={"PipelineArn": "arn"},
            StartPipelineExecution={"PipelineExecutionArn": EXECUTION},
        )
    )
    execution = client_of(server).run(pipeline, {"MinAccuracy": 0.7}, name="mine", at_once=3)
    assert (execution.pipeline, execution.id) == ("reviews", "abc123")
    *looks, create, start = (asked for asked in server.asked if asked.operation)
    assert {asked.operation for asked in looks} == {"Towpath.DescribeDataset"}
    assert (create.operation, start.operation) == ("SageMaker.CreatePipeline", "SageMaker.StartPipelineExecution")
    created, started = create.document, start.document
    assert json.loads(created["PipelineDefinition"]) == pipeline.definition()
    assert started["PipelineParameters"] == [{"Name": "MinAccuracy", "Value": "0.7"}]
    assert started["PipelineExecutionDisplayName"] == "mine"
    assert started["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}
    assert len(started["ClientRequestToken"]) >= 32


MISSING = ("ResourceNotFound", "Dataset 'reviews' does not exist.")


@pytest.mark.parametrize(("there", "meant"), [("revews", r" \(did you mean 'revews'\?\)"), ("wines", "")])
def test_a_dataset_that_is_not_there_is_told_before_anything_is_sent(
    serve: Serve, told: Any, pipeline: Pipeline, there: str, meant: str
) -> None:
    nothing = told(body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    api = Api(told, DescribeDataset=MISSING, ListDatasets={"Datasets": [{"DatasetName": there}]})
    server = serve(lambda asked: api(asked) if asked.operation else nothing)
    expected = rf"reads the dataset 'reviews', which is not there{meant}; put it: towpath data put reviews FILE"
    with pytest.raises(NotFound, match=expected):
        client_of(server).run(pipeline)
    assert {asked.method for asked in server.asked} == {"POST", "GET"}
    assert "CreatePipeline" not in server.operations


def test_objects_that_were_put_without_making_a_version_will_do_for_a_dataset(
    serve: Serve, told: Any, pipeline: Pipeline
) -> None:
    entry = b"<Contents><Key>datasets/reviews/a.csv</Key><Size>1</Size><ETag>x</ETag></Contents>"
    some = told(body=b"<ListBucketResult>" + entry + b"<IsTruncated>false</IsTruncated></ListBucketResult>")
    api = Api(
        told,
        DescribeDataset=MISSING,
        CreatePipeline={"PipelineArn": "arn"},
        StartPipelineExecution={"PipelineExecutionArn": EXECUTION},
    )
    server = serve(lambda asked: some if not asked.operation and asked.method == "GET" else api(asked))
    assert client_of(server).run(pipeline).id == "abc123"


def test_code_that_is_there_already_is_not_sent_again(serve: Serve, told: Any, pipeline: Pipeline) -> None:
    api = Api(told, CreatePipeline={"PipelineArn": "arn"})
    server = serve(lambda asked: told(status=404) if "Evaluate" in asked.path else api(asked))
    client_of(server).upsert(pipeline)
    assert {asked.method for asked in server.asked if not asked.operation} == {"HEAD"}


def test_a_pipeline_that_exists_is_updated(serve: Serve, told: Any, pipeline: Pipeline) -> None:
    exists = ("ValidationException", "Pipeline names must be unique. A Pipeline already exists: reviews")
    server = serve(Api(told, CreatePipeline=exists, UpdatePipeline={"PipelineArn": "arn"}))
    assert client_of(server).upsert(pipeline) == "arn"
    assert server.operations == ["CreatePipeline", "UpdatePipeline"]


def test_a_definition_that_is_too_long_for_a_request_is_uploaded(serve: Serve, told: Any, tmp_path: Path) -> None:
    (tmp_path / "noop.py").write_text("pass")
    steps = [Processing(f"Step{number}", script="noop.py") for number in range(2000)]
    pipeline = Pipeline("long", steps=steps, root=tmp_path)
    api = Api(told, CreatePipeline={"PipelineArn": "arn"})
    nothing = told(status=404)
    server = serve(lambda asked: nothing if "definition/" in asked.path and asked.method == "HEAD" else api(asked))
    assert client_of(server).upsert(pipeline) == "arn"
    (created,) = [asked.document for asked in server.asked if asked.operation.endswith("CreatePipeline")]
    place = created["PipelineDefinitionS3Location"]
    assert "PipelineDefinition" not in created
    (stored,) = [asked for asked in server.asked if asked.method == "PUT" and "definition/" in asked.path]
    assert stored.path == f"/{place['Bucket']}/{place['ObjectKey']}"
    assert json.loads(stored.body) == pipeline.build().definition


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"MinAcuracy": 1}, "no parameter 'MinAcuracy'; it has Model, MinAccuracy$"),
        ({"Least": 1}, r"it has Model, MinAccuracy; one that no step uses .*: Pipeline\(…, parameters=\[…\]\)"),
        ({"Model": "gpt"}, "'gpt' is not one"),
        ({"MinAccuracy": "high"}, "parameter MinAccuracy: 'high' is not of its type, Float"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_sent(
    serve: Serve, told: Any, pipeline: Pipeline, values: dict[str, Any], message: str
) -> None:
    server = serve(Api(told))
    with pytest.raises(DefinitionError, match=message):
        client_of(server).run(pipeline, values)
    assert server.asked == []


def step(name: str, status: str, metadata: dict[str, Any] | None = None, reason: str | None = None) -> dict[str, Any]:
    shown = {"StepName": name, "StepStatus": status, "StartTime": 10.0, "Metadata": metadata or {}}
    return {**shown, "FailureReason": reason} if reason else shown


def test_waiting_ends_with_the_execution_and_shows_each_look(serve: Serve, told: Any) -> None:
    train = {"TrainingJob": {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/t-1"}}
    server = serve(
        Api(
            told,
            DescribePipelineExecution=[
                {"PipelineExecutionStatus": "Executing"},
                {"PipelineExecutionStatus": "Succeeded"},
            ],
            ListPipelineExecutionSteps=[
                {"PipelineExecutionSteps": [step("Train", "Executing", train)]},
                {"PipelineExecutionSteps": [step("Train", "Succeeded", train)]},
            ],
        )
    )
    looks: list[list[tuple[str, str, str | None]]] = []
    execution = client_of(server).execution(EXECUTION)
    execution.wait(watch=lambda steps: looks.append([(each.name, each.status, each.job) for each in steps]))
    assert looks == [[("Train", "Executing", "t-1")], [("Train", "Succeeded", "t-1")]]


def test_waiting_for_a_failed_execution_raises_with_step_and_reason(serve: Serve, told: Any) -> None:
    server = serve(
        Api(
            told,
            DescribePipelineExecution={"PipelineExecutionStatus": "Failed", "FailureReason": "Step failure"},
            ListPipelineExecutionSteps={"PipelineExecutionSteps": [step("Train", "Failed", reason="out of memory")]},
        )
    )
    execution = client_of(server).execution(EXECUTION)
    with pytest.raises(ExecutionFailed, match="step Train failed: out of memory"):
        execution.wait()
    assert execution.wait(check=False) is execution


def test_an_execution_is_found_by_its_id_or_name_among_all_pipelines(serve: Serve, told: Any) -> None:
    server = serve(
        Api(
            told,
            ListPipelines={"PipelineSummaries": [{"PipelineName": "other"}, {"PipelineName": "reviews"}]},
            ListPipelineExecutions=[
                {"PipelineExecutionSummaries": []},
                {
                    "PipelineExecutionSummaries": [
                        {"PipelineExecutionArn": EXECUTION, "PipelineExecutionDisplayName": "mine"}
                    ]
                },
            ],
        )
    )
    client = client_of(server)
    assert client.execution("abc123").arn == EXECUTION
    assert client.execution("reviews/abc123").arn == EXECUTION
    assert client.execution("reviews/mine").arn == EXECUTION
    with pytest.raises(NotFound, match="no pipeline execution 'reviews/nope'"):
        client.execution("reviews/nope")


def test_a_model_version_is_named_group_slash_version() -> None:
    assert split_version("reviews/3") == ("reviews", 3)
    assert split_version("reviews") == split_version("reviews/latest") == ("reviews", None)
    assert split_version(f"{PACKAGE}/reviews/3") == ("reviews", 3)
    for wrong in ("", "/3", "reviews/x", "reviews/0", "a/b/c"):
        with pytest.raises(DefinitionError, match="expected GROUP/VERSION"):
            split_version(wrong)


def package(approval: str) -> dict[str, Any]:
    return {
        "ModelPackageGroupName": "reviews",
        "ModelPackageVersion": 3,
        "ModelPackageArn": f"{PACKAGE}/reviews/3",
        "ModelApprovalStatus": approval,
    }


GROUP = {"ModelPackageGroupArn": f"{PACKAGE}-group/reviews"}


def test_a_group_or_version_that_is_not_there_is_told_with_what_is(serve: Serve, told: Any) -> None:
    groups = {"ModelPackageGroupSummaryList": [{"ModelPackageGroupName": "reviews"}, {"ModelPackageGroupName": "wine"}]}
    missing = ("ValidationException", "ModelPackageGroup nix does not exist.")
    server = serve(
        Api(
            told,
            ListModelPackages=missing,
            DescribeModelPackageGroup=missing,
            ListModelPackageGroups=[groups, groups, {}],
        )
    )
    for name in ("nix", "nix/3"):
        with pytest.raises(NotFound, match="there is no model group 'nix'; known: reviews, wine"):
            client_of(server).model_version(name)
    with pytest.raises(NotFound, match="a pipeline's Register step makes one"):
        client_of(server).model_version("nix")
    server = serve(Api(told, DescribeModelPackageGroup=GROUP, DescribeModelPackage=missing))
    with pytest.raises(NotFound, match="model group 'reviews' has no version 9; towpath models reviews lists"):
        client_of(server).model_version("reviews/9")


def test_an_approval_carries_its_note_and_returns_the_version_as_it_stands_then(serve: Serve, told: Any) -> None:
    server = serve(
        Api(
            told,
            DescribeModelPackageGroup=GROUP,
            DescribeModelPackage=[package("PendingManualApproval"), package("Approved")],
            UpdateModelPackage={"ModelPackageArn": "x"},
        )
    )
    assert client_of(server).approve("reviews/3", note="good").approval == "Approved"
    update = next(asked.document for asked in server.asked if asked.operation == "SageMaker.UpdateModelPackage")
    assert update == {
        "ModelPackageArn": f"{PACKAGE}/reviews/3",
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "good",
    }


def deploying(told: Any, **more: Any) -> Api:
    operations = {
        "DescribeModelPackageGroup": GROUP,
        "DescribeModelPackage": package("Approved"),
        "DescribeModel": ("ValidationException", "Could not find Model 'reviews-3'."),
        "CreateModel": {},
        "CreateEndpointConfig": {},
        "CreateEndpoint": {},
        "UpdateEndpoint": {},
        **more,
    }
    return Api(told, **operations)


class Endpoint:
    """A script whose endpoint takes the config that was asked for last, two looks later."""

    def __init__(self, api: Api, told: Any, *, ends: str = "InService", serves: bool = True) -> None:
        self.api, self.told, self.ends, self.serves = api, told, ends, serves
        self.config = ""
        self.looks = 0

    def __call__(self, asked: Asked) -> Any:
        if asked.operation.endswith("CreateEndpointConfig"):
            self.config = asked.document["EndpointConfigName"]
        if asked.operation.endswith("DescribeEndpoint"):
            self.looks += 1
            status = self.ends if self.looks > 2 else "Creating"
            shown = {
                "EndpointStatus": status,
                "EndpointConfigName": self.config if self.serves else "before",
                "FailureReason": "it did not answer",
            }
            return self.told(body=json.dumps(shown).encode())
        return self.api(asked)


def test_a_deployment_makes_model_config_and_endpoint_and_waits_for_it(serve: Serve, told: Any) -> None:
    server = serve(Endpoint(deploying(told), told))
    done = client_of(server).deploy("reviews/3")
    assert (done.endpoint, done.status, done.updated) == ("reviews", "InService", False)
    sent = {asked.operation.rpartition(".")[2]: asked.document for asked in server.asked}
    assert sent["CreateModel"]["PrimaryContainer"] == {"ModelPackageName": f"{PACKAGE}/reviews/3"}
    assert sent["CreateEndpointConfig"]["ProductionVariants"][0]["ModelName"] == "reviews-3"
    assert sent["CreateEndpoint"] == {"EndpointName": "reviews", "EndpointConfigName": done.config}


def test_an_endpoint_that_exists_is_updated_and_a_model_that_serves_the_version_is_used_again(
    serve: Serve, told: Any
) -> None:
    exists = ("ValidationException", "Cannot create already existing endpoint")
    model = {"PrimaryContainer": {"ModelPackageName": f"{PACKAGE}/reviews/3"}}
    server = serve(Endpoint(deploying(told, CreateEndpoint=exists, DescribeModel=model), told))
    assert client_of(server).deploy("reviews/3", endpoint="live").updated
    assert "UpdateEndpoint" in server.operations
    assert "CreateModel" not in server.operations


@pytest.mark.parametrize(("ends", "serves"), [("Failed", True), ("InService", False)])
def test_an_endpoint_that_does_not_serve_what_was_deployed_is_a_failure(
    serve: Serve, told: Any, ends: str, serves: bool
) -> None:
    server = serve(Endpoint(deploying(told), told, ends=ends, serves=serves))
    with pytest.raises(EndpointFailed, match="it did not answer"):
        client_of(server).deploy("reviews/3")


def test_a_version_that_is_not_approved_is_not_deployed(serve: Serve, told: Any) -> None:
    server = serve(deploying(told, DescribeModelPackage=package("PendingManualApproval")))
    with pytest.raises(Conflict, match=r"towpath approve reviews/3 --note"):
        client_of(server).deploy("reviews/3")
    assert "CreateModel" not in server.operations


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"text": "ä"}, "application/json", b'{"text": "\\u00e4"}'),
        (["a"], "application/json", b'["a"]'),
        ("ä", "text/plain", "ä".encode()),
        (b"\x00", "application/octet-stream", b"\x00"),
    ],
)
def test_an_invocation_sends_the_body_with_its_content_type(
    serve: Serve, told: Any, body: Any, content_type: str, sent: bytes
) -> None:
    server = serve(lambda asked: told(body=b'{"label": "positive"}', headers={"Content-Type": "application/json"}))
    answer = client_of(server).invoke("my endpoint", body)
    assert answer.json() == {"label": "positive"}
    asked = server.asked[0]
    assert (asked.path, asked.headers["content-type"], asked.body) == (
        "/endpoints/my%20endpoint/invocations",
        content_type,
        sent,
    )


def test_a_log_is_read_until_its_token_stays_the_same(serve: Serve, told: Any) -> None:
    server = serve(
        Api(
            told,
            DescribeLogStreams={"logStreams": [{"logStreamName": "t-1/algo-1"}]},
            GetLogEvents=[
                {"events": [{"timestamp": 1000, "message": "one\n"}], "nextForwardToken": "f/1"},
                {"events": [{"timestamp": 2000, "message": "two"}], "nextForwardToken": "f/2"},
                {"events": [], "nextForwardToken": "f/2"},
            ],
        )
    )
    lines = list(log_lines(client_of(server), "TrainingJob", "t-1"))
    assert [(line.text, line.at.timestamp()) for line in lines] == [("one", 1.0), ("two", 2.0)]
    assert server.asked[0].document == {
        "logGroupName": "/aws/sagemaker/TrainingJobs",
        "logStreamNamePrefix": "t-1/",
    }


def test_the_running_server_of_a_home_is_found(tmp_path: Path, serve: Serve, told: Any) -> None:
    server = serve(Api(told, ListPipelines={"PipelineSummaries": []}))
    home = HomeFolder(tmp_path)
    home.write_server(Server(url=server.url, pid=os.getpid(), started_at=0.0, version="0", home=str(tmp_path)))
    home.write_credentials(Credentials(principal="admin", access_key="a", secret_key="s", token="of the home"))
    with home.held():
        Client(home=tmp_path).call("SageMaker.ListPipelines")
    assert server.asked[0].headers["authorization"] == "Bearer of the home"
