"""Unmodified boto3 against the front door on a real server, store and object store."""

import hashlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.experiments import EXPERIMENT, create_experiment, explode

from towpath.callers import Role
from towpath.gateway import Gateway, KeyRing, application, log_operations
from towpath.gateway.gateway import Message, Receive, Scope, Send
from towpath.gateway.services.s3 import S3Service
from towpath.identity import iam_operations, sts_operations
from towpath.jobs import KINDS as JOB_KINDS
from towpath.jobs import PROCESSING_JOB
from towpath.jobs.model import Capabilities, JobObservation, JobSpec, LogLine, LogPage, MetricPoint, Phase
from towpath.kernel import generic
from towpath.kernel.arns import Home
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document
from towpath.objects import FolderObjects
from towpath.store import SqliteStore

pytestmark = pytest.mark.slow

HOME = Home("123456789012", "us-east-1")
ADA = AccessKey(
    principal="ada",
    access_key="AKIAADA",
    secret_key="ada/secret+key",
    created_at=datetime.now(UTC),
    roles=frozenset({Role.ADMINISTRATOR}),
)


def create_processing_job(transaction: Transaction, request: Request) -> Document:
    """Make a job that has begun its first attempt."""
    run = {"attempt": 1, "key": "k", "image": "i", "python": "p", "environment": "e"}
    job = generic.create(transaction, PROCESSING_JOB, request, state={"Run": run}, status="InProgress")
    return {"ProcessingJobArn": job.arn}


class WrittenLogs:
    """A back end that only keeps output: 50 bytes a line for every attempt."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.lines: list[str] = []

    def submit(self, job: JobSpec) -> None: ...
    def observe(self, key: str) -> JobObservation:
        return JobObservation(phase=Phase.RUNNING)

    def stop(self, key: str, *, at_once: bool = False) -> None: ...
    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        first = max(0, len(self.lines) * 50 + start if start < 0 else start)
        first = min(-(-first // 50), len(self.lines))
        found = self.lines[first : first + limit]
        lines = [LogLine(datetime.fromtimestamp(1_800_000_000 + first + n, UTC), t) for n, t in enumerate(found)]
        return LogPage(lines=lines, start=first * 50, end=(first + len(found)) * 50)

    def metrics(self, key: str) -> list[MetricPoint]:
        return []

    def drop(self, key: str, *, until: int) -> None: ...

    def address(self, key: str) -> str:
        return ""

    def tidy(self, key: str) -> None: ...
    def is_tidy(self, key: str) -> bool:
        return True

    def forget(self, key: str) -> None: ...
    def watch(self, wake: Callable[[str], None]) -> None: ...
    def close(self) -> None: ...


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an invocation with its own body and what was told of the caller."""
    body = b""
    more = True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    caller = scope["towpath.caller"]
    headers = [(b"content-type", b"text/plain"), (b"x-amzn-invoked-production-variant", caller.principal.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    """A running server and clients of it."""

    def __init__(self, url: str, logs: WrittenLogs) -> None:
        self.url = url
        self.logs = logs

    def client(self, service: str, *, key: str = ADA.access_key, secret: str = ADA.secret_key, **options: Any) -> Any:
        region = options.pop("region", "us-east-1")
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, **options)
        return session.client(service, endpoint_url=self.url, config=config)

    def fetch(self, path: str, headers: dict[str, str], data: bytes | None = None, method: str | None = None) -> Any:
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            return error


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("home")
    store = SqliteStore(folder / "towpath.db", home=HOME)
    logs = WrittenLogs()
    operations = [
        Operation(name="CreateExperiment", function=create_experiment),
        Operation(name="CreateProcessingJob", function=create_processing_job),
        Operation(name="DescribeModel", function=explode, writes=False),
        *generic.operations_of(EXPERIMENT),
        *generic.TAG_OPERATIONS,
    ]
    for kind in JOB_KINDS:
        operations += generic.operations_of(kind)
    gateway = Gateway(
        store=store,
        operations={operation.name: operation for operation in operations},
        keys=KeyRing(lambda: [ADA]),
        home=HOME,
        home_id="home-1",
        services={"logs": log_operations(logs), "sts": sts_operations(), "iam": iam_operations()},
        s3=S3Service(store, FolderObjects(folder / "objects"), HOME),
        invocations=echo,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(gateway), log_config=None, access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{listening.getsockname()[1]}", logs)
    finally:
        running.should_exit = True
        thread.join(20)
        store.close()
        listening.close()
    assert not thread.is_alive()


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    told = caught.value.response
    return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Message"]


def test_a_resource_is_created_described_listed_tagged_and_deleted(server: Server) -> None:
    client = server.client("sagemaker")
    arn = client.create_experiment(ExperimentName="reviews", Tags=[{"Key": "team", "Value": "größe 1"}])[
        "ExperimentArn"
    ]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:experiment/reviews"
    described = client.describe_experiment(ExperimentName="reviews")
    assert described["ExperimentArn"] == arn
    assert abs((datetime.now(UTC) - described["CreationTime"]).total_seconds()) < 60
    assert (
        described["ResponseMetadata"]["RequestId"] == described["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    )
    assert [e["ExperimentName"] for e in client.list_experiments()["ExperimentSummaries"]] == ["reviews"]
    assert client.list_experiments(CreatedBefore=datetime(2020, 1, 1, tzinfo=UTC))
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "größe 1"}]
    code, status, message = refusal(client.create_experiment, ExperimentName="reviews")
    assert (code, status) == ("ValidationException", 400) and "already exists" in message
    client.delete_experiment(ExperimentName="reviews")
    code, status, _ = refusal(client.describe_experiment, ExperimentName="reviews")
    assert (code, status) == ("ResourceNotFound", 400)


def test_pages_are_walked_by_a_paginator(server: Server) -> None:
    client = server.client("sagemaker")
    for number in range(7):
        client.create_experiment(ExperimentName=f"page-{number}")
    pages = client.get_paginator("list_experiments").paginate(SortBy="Name", PaginationConfig={"PageSize": 3})
    names = [item["ExperimentName"] for page in pages for item in page["ExperimentSummaries"]]
    assert [name for name in names if name.startswith("page-")] == [f"page-{n}" for n in reversed(range(7))]


def test_what_boto3_does_not_check_is_checked_here(server: Server) -> None:
    code, status, message = refusal(server.client("sagemaker").create_experiment, ExperimentName="no_underscores")
    assert (code, status) == ("ValidationException", 400)
    assert message.startswith(
        "1 validation error detected: Value 'no_underscores' at 'experimentName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )


def test_an_operation_that_is_not_built_says_so(server: Server) -> None:
    code, status, message = refusal(server.client("sagemaker").list_hubs)
    assert (code, status) == ("UnknownOperationException", 400)
    assert "ListHubs" in message


def test_a_bug_is_answered_with_the_request_id_and_the_server_stays_up(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    code, status, message = refusal(server.client("sagemaker").describe_model, ModelName="m")
    assert (code, status) == ("InternalFailure", 500)
    assert "a detail" not in message
    record = [r for r in caplog.records if r.name == "towpath.gateway"][-1]  # boto3 has tried twice
    assert isinstance(record.args, tuple) and str(record.args[0]) in message and record.exc_info
    assert server.fetch("/health", {}).status == 200


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "unknown", "mismatch"),
    [
        ("sagemaker", "list_experiments", {}, "UnrecognizedClientException", "InvalidSignatureException"),
        ("logs", "describe_log_groups", {}, "UnrecognizedClientException", "InvalidSignatureException"),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b"x"},
            "UnrecognizedClientException",
            "InvalidSignatureException",
        ),
        ("sts", "get_caller_identity", {}, "InvalidClientTokenId", "SignatureDoesNotMatch"),
        ("s3", "list_buckets", {}, "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        (
            "s3",
            "put_object",
            {"Bucket": "b", "Key": "k", "Body": b"x" * 300_000},
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
        ),
    ],
)
def test_wrong_keys_are_refused_in_the_words_of_each_protocol(
    server: Server, service: str, operation: str, arguments: dict[str, Any], unknown: str, mismatch: str
) -> None:
    stranger = server.client(service, key="AKIANOBODY")
    assert refusal(getattr(stranger, operation), **arguments)[:2] == (unknown, 403)
    forger = server.client(service, secret="guessed")
    assert refusal(getattr(forger, operation), **arguments)[:2] == (mismatch, 403)


def test_another_region_is_refused_and_the_right_one_named(server: Server) -> None:
    code, status, message = refusal(server.client("sagemaker", region="eu-west-1").list_experiments)
    assert (code, status) == ("InvalidSignatureException", 403)
    assert "'eu-west-1'" in message and "'us-east-1'" in message


def test_boto3_finds_the_right_region_of_a_bucket_by_what_s3_refuses_it_with(server: Server) -> None:
    server.client("s3").create_bucket(Bucket="abroad")
    server.client("s3").put_object(Bucket="abroad", Key="k", Body=b"here")
    stray = server.client("s3", region="eu-west-1")
    assert stray.head_object(Bucket="abroad", Key="k")["ContentLength"] == 4
    assert server.client("s3", region="eu-west-1").get_object(Bucket="abroad", Key="k")["Body"].read() == b"here"


def test_a_bearer_token_opens_every_service(server: Server) -> None:
    bearer = {"Authorization": f"Bearer {ADA.token}"}
    target = {"X-Amz-Target": "SageMaker.ListExperiments", "Content-Type": "application/x-amz-json-1.1"}
    assert server.fetch("/", {**bearer, **target}, b"{}").status == 200
    assert server.fetch("/", {"Authorization": "Bearer wrong", **target}, b"{}").status == 403
    assert server.fetch("/", target, b"{}").status == 403
    answer = server.fetch("/endpoints/e/invocations", {**bearer, "Content-Type": "text/csv"}, b"1,2")
    assert (answer.status, answer.read()) == (200, b"1,2")
    assert server.fetch("/", bearer).read().startswith(b"<?xml")
    assert server.fetch("/", {}).status == 403


def test_health_needs_no_key(server: Server) -> None:
    answer = server.fetch("/health", {})
    assert answer.status == 200
    assert b'"home":"home-1"' in answer.read()


def test_the_caller_is_who_holds_the_key(server: Server) -> None:
    identity = server.client("sts").get_caller_identity()
    assert identity["Account"] == "123456789012"
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/towpath-administrator/ada"
    code, _, message = refusal(server.client("sts").get_session_token)
    assert code == "UnknownOperationException" and "GetSessionToken" in message


def test_an_invocation_reaches_the_application_behind_with_its_caller(server: Server) -> None:
    body = b"\x00" * 3_000_000
    answer = server.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=body, ContentType="x/y")
    assert answer["InvokedProductionVariant"] == "ada"
    assert answer["Body"].read() == body


def test_objects_stream_both_ways(server: Server) -> None:
    client = server.client("s3")
    client.create_bucket(Bucket="lake")
    data = hashlib.sha256(b"seed").digest() * 100_000
    odd = "földer/a b+c&d=e%2F~(1)!*'.bin"
    client.put_object(Bucket="lake", Key=odd, Body=data, Metadata={"origin": "test"})
    found = client.get_object(Bucket="lake", Key=odd)
    assert found["Body"].read() == data and found["Metadata"] == {"origin": "test"}
    assert client.get_object(Bucket="lake", Key=odd, Range="bytes=5-9")["Body"].read() == data[5:10]
    assert client.head_object(Bucket="lake", Key=odd)["ContentLength"] == len(data)
    listed = client.list_objects_v2(Bucket="lake", Prefix="földer/a b+c")
    assert [item["Key"] for item in listed["Contents"]] == [odd]
    assert refusal(client.get_object, Bucket="lake", Key="absent")[:2] == ("NoSuchKey", 404)
    assert refusal(client.head_object, Bucket="lake", Key="absent")[:2] == ("404", 404)
    assert refusal(client.put_object, Bucket="no-such", Key="k", Body=data)[:2] == ("NoSuchBucket", 404)


def test_a_body_that_was_changed_on_the_way_makes_no_object(server: Server) -> None:
    client = server.client("s3")
    client.create_bucket(Bucket="safe")

    def change(request: Any, **_: Any) -> None:
        request.body = b"y" * 10

    client.meta.events.register("before-send.s3.PutObject", change)
    code, status, _ = refusal(client.put_object, Bucket="safe", Key="k", Body=b"x" * 10)
    assert status == 400 and code in {"XAmzContentSHA256Mismatch", "BadDigest"}
    assert "Contents" not in client.list_objects_v2(Bucket="safe")


def send_raw(server: Server, data: bytes) -> bytes:
    """Send bytes and end the sending side; return all that comes back."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_requests_that_are_cut_off_leave_nothing_behind(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    client = server.client("s3")
    client.create_bucket(Bucket="torn")
    head = f"{{}} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADA.token}\r\nContent-Length: 1000\r\n{{}}\r\n"
    for line, more in (
        ("PUT /torn/key", ""),
        ("POST /", "X-Amz-Target: SageMaker.ListExperiments\r\n"),
        ("POST /endpoints/e/invocations", ""),
    ):
        send_raw(server, head.format(line, more).encode() + b"x" * 500)
    assert send_raw(server, b"\x16\x03\x01 not http at all\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert "Contents" not in client.list_objects_v2(Bucket="torn")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_slow_uploads_hold_up_neither_operations_nor_invocations(server: Server) -> None:
    server.client("s3").create_bucket(Bucket="slow")
    host, port = server.url.removeprefix("http://").split(":")
    head = f"PUT /slow/{{}} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADA.token}\r\nContent-Length: 4\r\n\r\n"
    with ExitStack() as stack:
        uploads = [stack.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(40)]
        for number, upload in enumerate(uploads):
            upload.sendall(head.format(number).encode() + b"ab")
        server.client("sagemaker").list_experiments()
        server.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"x")
        for upload in uploads:
            upload.sendall(b"cd")
        for upload in uploads:
            assert upload.recv(65_536).startswith(b"HTTP/1.1 200")
    assert server.client("s3").list_objects_v2(Bucket="slow")["KeyCount"] == 40


def test_a_huge_document_is_refused_with_a_readable_error(server: Server) -> None:
    headers = {"Authorization": f"Bearer {ADA.token}", "X-Amz-Target": "SageMaker.CreateExperiment"}
    answer = server.fetch("/", headers, b" " * (17 << 20))
    assert answer.status == 413
    assert b"RequestEntityTooLarge" in answer.read()


def test_many_requests_share_a_connection_after_refusals(server: Server) -> None:
    client = server.client("s3", max_pool_connections=1)
    client.create_bucket(Bucket="pool")
    for number in range(5):
        assert refusal(client.put_object, Bucket="absent", Key="k", Body=b"z" * 100_000)[1] == 404
        client.put_object(Bucket="pool", Key=str(number), Body=b"z" * 100_000)
    assert client.list_objects_v2(Bucket="pool")["KeyCount"] == 5


def test_the_output_of_a_job_is_followed_like_the_sdks_do(server: Server) -> None:
    sagemaker, logs = server.client("sagemaker"), server.client("logs")
    name = f"prepare-{uuid4().hex[:8]}"
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/any",
        AppSpecification={"ImageUri": "sklearn"},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
    )
    group = "/aws/sagemaker/ProcessingJobs"
    server.logs.lines = [f"line {n}" for n in range(25)]
    (stream,) = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName", limit=1
    )["logStreams"]
    assert stream["logStreamName"].startswith(f"{name}/algo-1-")
    follow = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
    first = logs.get_log_events(**follow, limit=20)
    assert [event["message"] for event in first["events"]] == [f"line {n}" for n in range(20)]
    rest = logs.get_log_events(**follow, nextToken=first["nextForwardToken"])
    assert [event["message"] for event in rest["events"]] == [f"line {n}" for n in range(20, 25)]
    nothing = logs.get_log_events(**follow, nextToken=rest["nextForwardToken"])
    assert nothing["events"] == [] and nothing["nextForwardToken"] == rest["nextForwardToken"]
    server.logs.lines.append("late")
    late = logs.get_log_events(**follow, nextToken=nothing["nextForwardToken"])
    assert [event["message"] for event in late["events"]] == ["late"]
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, logStreamNamePrefix=name, filterPattern='"line 1" -17', PaginationConfig={"PageSize": 4}
    )
    assert len([event for page in pages for event in page["events"]]) == 10
    assert refusal(logs.describe_log_streams, logGroupName="/aws/other")[0] == "ResourceNotFoundException"
