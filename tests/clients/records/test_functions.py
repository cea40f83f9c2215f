"""Functions by boto3: made, changed, called in the sandbox, and what is refused."""

import base64
import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.records.conftest import ROLE, Aws, refusal

pytestmark = pytest.mark.slow
WAIT_S = 60.0
SOURCE = """
import logging, os, sys, time

def handler(event, context):
    print("called with", event)
    logging.getLogger().warning("as request %s", context.aws_request_id)
    if event.get("raise"):
        raise ValueError("the label is not known")
    if event.get("sleep_s"):
        time.sleep(event["sleep_s"])
    if event.get("bytes"):
        bytearray(b"x") * event["bytes"]
    if "exit" in event:
        sys.exit(event["exit"])
    if event.get("kill"):
        os.abort()
    if event.get("large"):
        return "x" * event["large"]
    if event.get("set"):
        return {1, 2}
    return {
        "event": event,
        "mode": os.environ.get("MODE"),
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "left_ms": context.get_remaining_time_in_millis(),
        "request": context.aws_request_id,
        "custom": context.client_context.custom if context.client_context else None,
    }
"""


def zipped(**files: str) -> bytes:
    """Return an archive of Python modules: name -> text."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return stream.getvalue()


def asked(name: str, **changes: Any) -> dict[str, Any]:
    """Return a CreateFunction request."""
    return {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "work.handler",
        "Code": {"ZipFile": zipped(work=SOURCE)},
        **changes,
    }


@pytest.fixture(scope="module")
def functions(aws: Aws) -> Any:
    return aws.client("lambda")


@pytest.fixture(scope="module")
def work(functions: Any) -> Iterator[str]:
    functions.create_function(**asked("work", Timeout=2, MemorySize=192, Environment={"Variables": {"MODE": "fast"}}))
    yield "work"
    functions.delete_function(FunctionName="work")


def call(functions: Any, name: str, event: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
    """Return (what was answered, the whole answer)."""
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(answer["Payload"].read()), answer


@pytest.mark.shows("lambda", "CreateFunction", "GetFunction", "GetFunctionConfiguration", "ListFunctions")
@pytest.mark.shows("lambda", "UpdateFunctionConfiguration", "UpdateFunctionCode", "DeleteFunction")
def test_a_function_is_kept_changed_listed_and_deleted(functions: Any, aws: Aws) -> None:
    made = functions.create_function(**asked("kept", Description="first", Tags={"team": "reviews"}))
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["Timeout"], made["MemorySize"], made["Version"]) == (3, 128, "$LATEST")
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:kept"
    functions.get_waiter("function_active_v2").wait(FunctionName="kept")
    shown = functions.get_function(FunctionName=made["FunctionArn"])
    assert shown["Tags"] == {"team": "reviews"}
    assert shown["Configuration"]["CodeSha256"] == made["CodeSha256"]
    changed = functions.update_function_configuration(FunctionName="kept", Timeout=7, Handler="work.other")
    assert (changed["Timeout"], changed["Handler"], changed["Description"]) == (7, "work.other", "first")
    newer = functions.update_function_code(FunctionName="kept", ZipFile=zipped(work="def other(e, c): return 'new'"))
    assert newer["CodeSha256"] != made["CodeSha256"]
    assert newer["RevisionId"] != made["RevisionId"]
    functions.get_waiter("function_updated_v2").wait(FunctionName="kept")
    assert call(functions, "kept", {})[0] == "new"
    stale = refusal(functions.update_function_code, FunctionName="kept", ZipFile=b"", RevisionId=made["RevisionId"])
    assert stale[0] == "InvalidParameterValueException", "an empty archive is told of before the revision is"
    code, _ = refusal(functions.update_function_configuration, FunctionName="kept", RevisionId=made["RevisionId"])
    assert code == "PreconditionFailedException"
    names = [
        each["FunctionName"]
        for page in functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
        for each in page["Functions"]
    ]
    assert "kept" in names
    assert functions.get_function_configuration(FunctionName="kept")["Timeout"] == 7
    functions.delete_function(FunctionName="kept")
    assert refusal(functions.get_function, FunctionName="kept")[0] == "ResourceNotFoundException"
    assert refusal(aws.s3.get_object, Bucket="sagemaker-us-east-1-000000000000", Key="functions/kept/code.zip")[0] == (
        "NoSuchKey"
    ), "its code went with it"


@pytest.mark.shows("lambda", "TagResource", "UntagResource", "ListTags")
def test_functions_have_tags(functions: Any, work: str) -> None:
    arn = functions.get_function(FunctionName=work)["Configuration"]["FunctionArn"]
    functions.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"b": "2"}


@pytest.mark.shows("lambda", "Invoke", how="executes")
def test_a_call_runs_the_handler_with_event_context_and_variables(functions: Any, work: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"a": 1}}).encode()).decode()
    told, answer = call(functions, work, {"n": 1, "é": "ü"}, LogType="Tail", ClientContext=context)
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    request = answer["ResponseMetadata"]["RequestId"]
    assert 0 < told.pop("left_ms") <= 2000
    assert told == {
        "event": {"n": 1, "é": "ü"},
        "mode": "fast",
        "name": "work",
        "memory": "192",
        "request": request,
        "custom": {"a": 1},
    }
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.startswith(f"START RequestId: {request} Version: $LATEST\ncalled with ")
    assert f"\t{request}\tas request {request}\nEND RequestId: {request}\nREPORT RequestId: {request}\t" in log


def test_without_a_payload_the_event_is_an_empty_object(functions: Any, work: str) -> None:
    assert json.loads(functions.invoke(FunctionName=work)["Payload"].read())["event"] == {}


def test_an_exception_is_answered_with_type_message_and_trace(functions: Any, work: str) -> None:
    told, answer = call(functions, work, {"raise": True})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "the label is not known")
    assert len(told["stackTrace"]) == 1
    assert 'code/work.py", line ' in told["stackTrace"][0]


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"sleep_s": 60}, "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
        ({"exit": 3}, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ({"exit": 0}, "Runtime.ExitError", "Runtime exited without providing a reason"),
        ({"kill": True}, "Runtime.ExitError", "Runtime exited with error: signal: aborted"),
        ({"set": True}, "Runtime.MarshalError", "Object of type set is not JSON serializable"),
        ({"large": 6_300_000}, "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size"),
    ],
)
def test_what_ends_a_call_is_answered_as_lambda_does(
    functions: Any, work: str, event: Any, kind: str, message: str
) -> None:
    told, answer = call(functions, work, event)
    assert (answer["FunctionError"], told["errorType"]) == ("Unhandled", kind)
    assert message in told["errorMessage"]


def test_a_call_is_held_to_the_memory_of_its_function(functions: Any, work: str) -> None:
    told, answer = call(functions, work, {"bytes": 1_500_000_000})
    assert answer["FunctionError"] == "Unhandled"
    assert told["errorType"] in {"Runtime.ExitError", "Runtime.OutOfMemory"}
    assert "signal: " in told["errorMessage"]


def test_a_large_payload_comes_and_goes(functions: Any) -> None:
    functions.create_function(
        **asked("echo", Code={"ZipFile": zipped(work="def handler(e, c): return e")}, MemorySize=512)
    )
    event = "x" * 6_000_000
    assert call(functions, "echo", event)[0] == event
    code, _ = refusal(functions.invoke, FunctionName="echo", Payload=json.dumps("x" * 6_300_000))
    assert code == "RequestTooLargeException"
    code, _ = refusal(
        functions.invoke, FunctionName="echo", Payload=json.dumps("x" * 1_100_000), InvocationType="Event"
    )
    assert code == "RequestTooLargeException"
    functions.delete_function(FunctionName="echo")


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        ("import nowhere", "work.handler", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("x = 1", "work.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'work'"),
        ("def handler(:", "work.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'work'"),
        ("1 / 0", "work.handler", "ZeroDivisionError", "division by zero"),
    ],
)  # fmt: skip
def test_a_module_that_does_not_load_says_why(
    functions: Any, source: str, handler: str, kind: str, message: str
) -> None:
    functions.create_function(**asked("broken", Code={"ZipFile": zipped(work=source)}, Handler=handler))
    told, answer = call(functions, "broken", {})
    functions.delete_function(FunctionName="broken")
    assert (answer["FunctionError"], told["errorType"]) == ("Unhandled", kind)
    assert message in told["errorMessage"]


def test_code_comes_from_s3_in_the_version_that_was_there(functions: Any, aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="code")
    aws.s3.put_object(Bucket="code", Key="f.zip", Body=zipped(work="def handler(e, c): return 'old'"))
    functions.create_function(**asked("from-s3", Code={"S3Bucket": "code", "S3Key": "f.zip"}))
    aws.s3.put_object(Bucket="code", Key="f.zip", Body=zipped(work="def handler(e, c): return 'new'"))
    assert call(functions, "from-s3", {})[0] == "old"
    functions.update_function_code(FunctionName="from-s3", S3Bucket="code", S3Key="f.zip")
    assert call(functions, "from-s3", {})[0] == "new"
    functions.delete_function(FunctionName="from-s3")
    assert aws.s3.head_object(Bucket="code", Key="f.zip"), "it is the user's own"


def test_a_call_that_nobody_waits_for_is_made_and_logged(functions: Any, aws: Aws, work: str) -> None:
    answer = functions.invoke(FunctionName=work, Payload=b'{"mark": "nobody waits"}', InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    logs = aws.client("logs")
    give_up_at = time.monotonic() + WAIT_S
    while not (
        found := logs.filter_log_events(logGroupName="/aws/lambda/work", filterPattern='"nobody waits"')["events"]
    ):
        assert time.monotonic() < give_up_at, "it was not called"
    stream = found[0]["logStreamName"]
    lines = logs.get_log_events(logGroupName="/aws/lambda/work", logStreamName=stream, startFromHead=True)["events"]
    assert lines[0]["message"] == f"START RequestId: {answer['ResponseMetadata']['RequestId']} Version: $LATEST"
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    assert "/aws/lambda/work" in [group["logGroupName"] for group in groups]
    assert refusal(logs.get_log_events, logGroupName="/aws/lambda/other", logStreamName=stream)[0] == (
        "ResourceNotFoundException"
    )


def test_a_dry_run_calls_nothing(functions: Any, aws: Aws, work: str) -> None:
    streams = aws.client("logs").get_paginator("describe_log_streams")
    before = list(streams.paginate(logGroupName="/aws/lambda/work").search("logStreams[].logStreamName"))
    assert functions.invoke(FunctionName=work, InvocationType="DryRun")["StatusCode"] == 204
    assert call(functions, work, {"after": "the dry run"})[0]["event"] == {"after": "the dry run"}
    after = list(streams.paginate(logGroupName="/aws/lambda/work").search("logStreams[].logStreamName"))
    assert len(after) == len(before) + 1, "each call has a stream of its own"


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"Runtime": "nodejs20.x"}, "InvalidParameterValueException", "functions run in Python environments"),
        ({"PackageType": "Image"}, "InvalidParameterValueException", "Send an archive"),
        ({"Handler": "handler"}, "InvalidParameterValueException", "MODULE.FUNCTION"),
        ({"Timeout": 901}, "InvalidParameterValueException", "expected 1 to 900 seconds"),
        ({"MemorySize": 20_000}, "InvalidParameterValueException", "expected 128 to 10240 MB"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file"),
        ({"Code": {"S3Bucket": "nobucket", "S3Key": "none"}}, "InvalidParameterValueException", "NoSuchKey"),
        ({"Code": {}}, "InvalidParameterValueException", "provide a source"),
        ({"Layers": ["arn:aws:lambda:us-east-1:0:layer:l:1"]}, "ValidationException", ""),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, "InvalidParameterValueException", "Layers"),
        ({"Publish": True}, "InvalidParameterValueException", "$LATEST is the one version"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "set by the platform"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "InvalidParameterValueException", "network of its host"),
    ],
)
def test_what_cannot_be_had_here_is_refused_with_a_sentence(
    functions: Any, changes: dict[str, Any], code: str, told: str
) -> None:
    found, message = refusal(functions.create_function, **asked("refused", **changes))
    assert (found, told in message) == (code, True), message
    assert refusal(functions.get_function, FunctionName="refused")[0] == "ResourceNotFoundException"


def test_errors_have_the_codes_and_statuses_of_lambda(functions: Any, work: str) -> None:
    def status(call: Any, **arguments: Any) -> tuple[str, int]:
        with pytest.raises(functions.exceptions.ClientError) as caught:
            call(**arguments)
        told = caught.value.response
        return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]

    assert status(functions.create_function, **asked(work)) == ("ResourceConflictException", 409)
    assert status(functions.invoke, FunctionName="nobody") == ("ResourceNotFoundException", 404)
    assert status(functions.invoke, FunctionName=work, Qualifier="1") == ("ResourceNotFoundException", 404)
    assert status(functions.invoke, FunctionName=work, Payload=b"{") == ("InvalidRequestContentException", 400)
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.delete_function(FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:work")
