"""Lambda steps by boto3 and by our own SDK: what a function returns goes on in the pipeline."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import ROLE, Aws, refusal
from tests.clients.records.test_functions import asked, zipped

from towpath.cli.explaining import cache_of
from towpath.sdk import Client, Fail, FunctionFailed, Lambda, NotFound, Pipeline, join

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parents[2] / "golden" / "definitions" / "v2_lambda_cond.json"  # as the SageMaker SDK 2 wrote it
SOURCE = """
import time

def handler(event, context):
    if event.get("sleep_s"):
        time.sleep(event["sleep_s"])
    if event.get("raise"):
        raise ValueError("no " + event["raise"])
    return event.get("answer", {"text": "a", "count": 3, "share": 0.5, "good": True, "more": [1], "statusCode": 500})
"""


@pytest.fixture(scope="module")
def function(aws: Aws) -> Iterator[str]:
    """Return the ARN of a function that answers as it is asked to."""
    functions = aws.client("lambda")
    made = functions.create_function(**asked("stepped", Code={"ZipFile": zipped(work=SOURCE)}, Timeout=60))
    yield made["FunctionArn"]
    functions.delete_function(FunctionName="stepped")


def started(aws: Aws, *steps: dict[str, Any]) -> str:
    """Start a pipeline of steps; return the ARN of its execution."""
    name = f"calls-{uuid4().hex[:8]}"
    document = json.dumps({"Version": "2020-12-01", "Steps": steps})
    aws.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=document, RoleArn=ROLE)
    return str(aws.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])


def step(function: str, *outputs: tuple[str, str], **event: Any) -> dict[str, Any]:
    return {
        "Name": "Call",
        "Type": "Lambda",
        "Arguments": event,
        "FunctionArn": function,
        "OutputParameters": [{"OutputName": name, "OutputType": kind} for name, kind in outputs],
    }


def token_of(aws: Aws) -> str:
    keys = aws.home.credentials()
    assert keys is not None
    return keys.token


def ended(aws: Aws, arn: str) -> tuple[str, dict[str, Any]]:
    """Return the status of an execution that has ended, and its step that calls."""
    status = wait_for_execution(aws.sagemaker, arn)["PipelineExecutionStatus"]
    listed = aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return status, next(each for each in listed if each["StepName"] == "Call")


def test_what_a_function_returns_goes_on_in_its_types(aws: Aws, function: str) -> None:
    outputs = (("text", "String"), ("count", "Integer"), ("share", "Float"), ("good", "Boolean"))
    values = [{"Get": f"Steps.Call.OutputParameters['{name}']"} for name, _ in outputs]
    told = {
        "Name": "Told",
        "Type": "Fail",
        "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ", "Values": values}}},
    }
    arn = started(aws, step(function, *outputs), told)
    status, called = ended(aws, arn)
    assert (status, called["StepStatus"]) == ("Failed", "Succeeded"), "no status code in an answer fails a step"
    assert aws.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["FailureReason"].endswith("a 3 0.5 True")
    shown = called["Metadata"]["Lambda"]
    assert shown["Arn"] == function
    assert shown["OutputParameters"] == [
        {"Name": "text", "Value": "a"},
        {"Name": "count", "Value": "3"},
        {"Name": "share", "Value": "0.5"},
        {"Name": "good", "Value": "true"},
    ]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"raise": "luck"}, "ClientError: stepped failed: ValueError: no luck"),
        ({"answer": {}}, "it has no count; it has nothing"),
        ({"answer": "text"}, "it is no object; expected one with count"),
        ({"answer": {"count": "many"}}, "output 'count': the text 'many' is not an Integer"),
        ({"answer": {"count": [1]}}, "count holds other values; expected a text, a number or a boolean"),
    ],
)
def test_what_does_not_fit_fails_the_step_with_its_reason(
    aws: Aws, function: str, event: dict[str, Any], told: str
) -> None:
    status, called = ended(aws, started(aws, step(function, ("count", "Integer"), **event)))
    assert (status, called["StepStatus"]) == ("Failed", "Failed")
    assert told in called["FailureReason"], called["FailureReason"]


@pytest.mark.shows("towpath", "DescribePipelineExecutionStepLogs", how="executes")
def test_a_step_tells_where_the_log_of_its_call_is(aws: Aws, function: str) -> None:
    arn = started(aws, step(function, ("count", "Integer"), answer={"count": 1}))
    assert ended(aws, arn)[0] == "Succeeded"
    client = Client(aws.url, token=token_of(aws))
    told = client.call("Towpath.DescribePipelineExecutionStepLogs", {"PipelineExecutionArn": arn, "StepName": "Call"})
    assert told["AttemptCount"] == 1
    (stream,) = told["Streams"]
    assert stream["LogGroupName"] == "/aws/lambda/stepped"
    asked = {"logGroupName": stream["LogGroupName"], "logStreamName": stream["LogStreamName"]}
    printed = [event["message"] for event in aws.client("logs").get_log_events(**asked)["events"]]
    assert printed == [line.text for line in client.execution(arn).logs("Call")]
    assert any(line.startswith("REPORT RequestId") for line in printed)
    with pytest.raises(NotFound, match="no step 'Nope' of"):
        client.call("Towpath.DescribePipelineExecutionStepLogs", {"PipelineExecutionArn": arn, "StepName": "Nope"})


def test_a_function_that_is_not_there_fails_the_step_by_its_name(aws: Aws, function: str) -> None:
    status, called = ended(aws, started(aws, step(function.replace("stepped", "nobody"))))
    assert status == "Failed"
    assert "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody" in called["FailureReason"]


def test_stopping_an_execution_ends_the_call(aws: Aws, function: str) -> None:
    arn = started(aws, step(function, sleep_s=50))
    end = time.monotonic() + 60
    while not aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]:
        assert time.monotonic() < end, "the step does not begin"  # stopped before, there would be no call to end
    aws.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    status, called = ended(aws, arn)
    assert (status, called["StepStatus"]) == ("Stopped", "Stopped")


def test_a_definition_of_the_sagemaker_sdk_runs(aws: Aws) -> None:
    functions = aws.client("lambda")
    functions.create_function(
        **asked("f", Code={"ZipFile": zipped(work="def handler(e, c): return {'status': 'ok', 'a': e['a']}")})
    )
    document = json.loads(GOLDEN.read_text("utf-8"))
    called = {**document["Steps"][0], "Name": "Call"}
    status, shown = ended(aws, started(aws, called))
    functions.delete_function(FunctionName="f")
    assert status == "Succeeded"
    assert shown["Metadata"]["Lambda"]["OutputParameters"] == [{"Name": "status", "Value": "ok"}]


def test_ours_keeps_a_function_and_calls_it_in_a_step(aws: Aws, tmp_path: Path) -> None:
    file = tmp_path / "hook.py"
    file.write_text("def on_approval(event, context):\n    return {'ticket': 'T-' + str(1 / event['of'])}\n")
    client = Client(aws.url, token=token_of(aws))
    made = client.functions.create("hook", f"{file}:on_approval", timeout_s=20)
    assert (made.name, made.handler, made.timeout_s) == ("hook", "hook.on_approval", 20)
    assert client.functions.invoke("hook", {"of": 1}) == {"ticket": "T-1.0"}
    with pytest.raises(FunctionFailed, match="hook failed: division by zero") as caught:
        client.functions.invoke("hook", {"of": 0})
    assert caught.value.told["errorType"] == "ZeroDivisionError"
    assert "ZeroDivisionError" in "".join(line.text for line in client.functions.logs("hook", calls=1))
    call = Lambda("Call", function="hook", inputs={"of": 2}, outputs={"ticket": str})
    told = Fail("Told", message=join("ticket", call.output("ticket"), on=" "))
    execution = client.run(Pipeline("hooked", steps=[call, told]))
    execution.wait(check=False)
    assert execution.describe()["FailureReason"] == "ticket T-0.5"
    assert [each.name for each in client.functions.ls()].count("hook") == 1
    client.functions.delete("hook")
    assert refusal(aws.client("lambda").get_function, FunctionName="hook")[0] == "ResourceNotFoundException"


def test_a_call_is_taken_over_until_event_code_or_settings_change(aws: Aws) -> None:
    functions = aws.client("lambda")
    code = "import time\n\ndef handler(event, context):\n    return {'at': str(time.monotonic_ns())}\n"
    made = functions.create_function(**asked("cached", Code={"ZipFile": zipped(work=code)}))
    cached = {**step(made["FunctionArn"], ("at", "String"), of=1), "CacheConfig": {"Enabled": True}}
    document = {"Version": "2020-12-01", "Steps": [cached]}
    aws.sagemaker.create_pipeline(PipelineName="cached-call", PipelineDefinition=json.dumps(document), RoleArn=ROLE)

    def answered() -> str:
        arn = aws.sagemaker.start_pipeline_execution(PipelineName="cached-call")["PipelineExecutionArn"]
        status, called = ended(aws, arn)
        assert status == "Succeeded", called
        return str(called["Metadata"]["Lambda"]["OutputParameters"][0]["Value"])

    first = answered()
    assert answered() == first
    functions.update_function_configuration(FunctionName="cached", Environment={"Variables": {"MODE": "other"}})
    second = answered()
    assert second != first
    functions.update_function_code(FunctionName="cached", ZipFile=zipped(work=code + "# more"))
    third = answered()
    assert third not in {first, second}
    assert answered() == third
    keys = aws.home.credentials()
    assert keys is not None
    client = Client(aws.url, token=keys.token)
    assert client.execution("cached-call/latest").explain("Call").outcome == "Hit"
    changed = {**document, "Steps": [{**cached, "Arguments": {"of": 2}}]}
    aws.sagemaker.update_pipeline(PipelineName="cached-call", PipelineDefinition=json.dumps(changed))
    assert answered() != third
    execution = client.execution("cached-call/latest")
    explained = execution.explain("Call")
    assert [cache_of(execution, step) for step in execution.steps()] == [("Miss", explained.reason)]
    assert [(each.name, each.before, each.after) for each in explained.differences] == [
        ("Payload", '{"of": 1}', '{"of": 2}')
    ]
    functions.delete_function(FunctionName="cached")
