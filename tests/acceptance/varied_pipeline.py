"""A pipeline with a step of each kind that work can be lost in or done twice, told of to a recorder outside."""

import io
import json
import tarfile
import zipfile
from typing import Any

from tests.acceptance.crash_pipeline import BUCKET, GROUP, Recorder, processing

PIPELINE = "varied"
ITEMS = ("ant", "bee", "cow")
ROWS = "one\ntwo\n"
QUEUE = "tickets"
FUNCTION = MODEL = "varied"
WORD = "good"  #: what the Callback step is answered
#: What every execution does; Fragile and what follows on it are told apart by how they end.
ALWAYS = ("Constant", "Ask", "Call", "Batch", "Gate", "Register", "Fragile", "Each")
#: Steps whose job tells the recorder when it begins and ends, by what it calls itself there.
TELLERS = (*(f"Part-{item}" for item in ITEMS), "Call", "Fragile")
ROLE = "arn:aws:iam::000000000000:role/anything"

#: As `crash_pipeline.STEP`, for steps that fail when they are asked to.
_FRAGILE = """
import json, pathlib, select, socket, sys
step, execution, port, fails = sys.argv[1:]
job = json.loads(pathlib.Path("/opt/ml/config/processingjobconfig.json").read_text())["ProcessingJobName"]
with socket.create_connection(("127.0.0.1", int(port))) as line, line.makefile("rw") as words:
    for word in ("begin", "end"):
        words.write(f"{word} {execution} {step} {job}\\n")
        words.flush()
        assert words.readline() == "heard\\n"
        select.select([], [], [], 0.1)
sys.exit(3 if fails == "yes" else 0)
"""
OUT = "/opt/ml/processing/output/out"
_WRITE = f"pathlib.Path('{OUT}/out.txt').write_text(step + '\\n')\n"
SCRIPTS = {
    "Constant": f"import pathlib; pathlib.Path('{OUT}/out.txt').write_text('constant')",
    "Fragile": _FRAGILE,
    "Part": _FRAGILE.replace("with socket", f"{_WRITE}with socket"),
    "Repair": "pass",
}
CALLED = """
import select, socket

def handler(event, context):
    with socket.create_connection(("127.0.0.1", int(event["port"]))) as line, line.makefile("rw") as words:
        for word in ("begin", "end"):
            words.write(f"{word} {event['execution']} Call {context.aws_request_id}\\n")
            words.flush()
            assert words.readline() == "heard\\n"
            select.select([], [], [], 0.1)
    return {"said": event["word"].upper()}
"""
HANDLER = """
def model_fn(folder):
    return None

def transform_fn(model, body, content_type, accept):
    return body.upper(), accept
"""


def make_varied(aws: dict[str, Any], recorder: Recorder) -> None:
    """Make the bucket's objects, the queue, the function, the model and the pipeline."""
    s3, sagemaker = aws["s3"], aws["sagemaker"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="rows/rows.txt", Body=ROWS.encode())
    for name, script in SCRIPTS.items():
        s3.put_object(Bucket=BUCKET, Key=f"code/{name}.py", Body=script.encode())
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(HANDLER)
        tar.addfile(member, io.BytesIO(HANDLER.encode()))
    s3.put_object(Bucket=BUCKET, Key="served/model.tar.gz", Body=archive.getvalue())
    container = {"Image": "towpath", "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}
    sagemaker.create_model(ModelName=MODEL, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    queue = aws["sqs"].create_queue(QueueName=QUEUE)["QueueUrl"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("work.py", CALLED)
    function = aws["lambda"].create_function(
        FunctionName=FUNCTION,
        Runtime="python3.11",
        Role=ROLE,
        Handler="work.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
    )
    document = json.dumps(definition(recorder.port, queue, function["FunctionArn"]))
    sagemaker.create_pipeline(PipelineName=PIPELINE, PipelineDefinition=document, RoleArn=ROLE)


def expected_objects(execution: str) -> dict[str, str]:
    """Return the text under each key of an execution."""
    parts = {f"{execution}/Part/{item}/out.txt": f"Part-{item}\n" for item in ITEMS}
    return {**parts, f"{execution}/Batch/rows.txt.out": ROWS.upper()}


def definition(port: int, queue: str, function: str) -> dict[str, Any]:
    """Return the pipeline's definition.

    Its parameter Fails says whether the step Fragile fails, which another one follows up on. A job whose runner is lost
    is tried again by a retry policy.
    """
    execution = {"Get": "Execution.PipelineExecutionId"}
    item = {"Get": "ForEach.CurrentItem"}
    said = {"Get": "Steps.Call.OutputParameters['said']"}
    part = _script("Part", _joined("-", "Part", item), execution, str(port), "no")
    part["Arguments"]["ProcessingOutputConfig"] = _output(_joined("/", f"s3://{BUCKET}", execution, "Part", item))
    constant = _script("Constant")
    constant["Arguments"]["ProcessingOutputConfig"] = _output(f"s3://{BUCKET}/constant")
    fragile = _script("Fragile", "Fragile", execution, str(port), {"Get": "Parameters.Fails"})
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": GROUP,
            "ModelPackageDescription": execution,
            "InferenceSpecification": {
                "Containers": [{"Image": "towpath", "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}],
                "SupportedContentTypes": ["text/plain"],
                "SupportedResponseMIMETypes": ["text/plain"],
            },
        },
    }
    refuse = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Fails", "Type": "String", "DefaultValue": "no"}],
        "Steps": [
            {**constant, "CacheConfig": {"Enabled": True}},
            {
                "Name": "Each",
                "Type": "ForEach",
                "Arguments": {"IterableItems": list(ITEMS), "MaxConcurrency": 2, "ForEachBody": [part]},
            },
            {
                "Name": "Ask",
                "Type": "Callback",
                "Arguments": {"execution": execution},
                "SqsQueueUrl": queue,
                "OutputParameters": [{"OutputName": "word", "OutputType": "String"}],
            },
            {
                "Name": "Call",
                "Type": "Lambda",
                "Arguments": {
                    "execution": execution,
                    "port": port,
                    "word": {"Get": "Steps.Ask.OutputParameters['word']"},
                },
                "FunctionArn": function,
                "OutputParameters": [{"OutputName": "said", "OutputType": "String"}],
            },
            fragile,
            {**_script("Repair"), "DependsOn": [{"Step": "Fragile", "Trigger": "Failed"}]},
            {
                "Name": "Batch",
                "Type": "Transform",
                "RetryPolicies": RETRIES,
                "DependsOn": ["Constant"],
                "Arguments": {
                    "ModelName": MODEL,
                    "BatchStrategy": "SingleRecord",
                    "TransformInput": {
                        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/rows/"}},
                        "ContentType": "text/plain",
                        "SplitType": "Line",
                    },
                    "TransformOutput": {
                        "S3OutputPath": _joined("/", f"s3://{BUCKET}", execution, "Batch"),
                        "AssembleWith": "Line",
                        "Accept": "text/plain",
                    },
                    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
                },
            },
            {
                "Name": "Gate",
                "Type": "Condition",
                "DependsOn": ["Each", "Batch"],
                "Arguments": {
                    "Conditions": [{"Type": "Equals", "LeftValue": said, "RightValue": WORD.upper()}],
                    "IfSteps": [register],
                    "ElseSteps": [refuse],
                },
            },
        ],
    }


RETRIES = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 3}]


def _joined(by: str, *values: object) -> dict[str, Any]:
    return {"Std:Join": {"On": by, "Values": list(values)}}


def _output(uri: object) -> dict[str, Any]:
    output = {"S3Uri": uri, "LocalPath": OUT, "S3UploadMode": "EndOfJob"}
    return {"Outputs": [{"OutputName": "out", "S3Output": output}]}


def _script(name: str, *arguments: Any) -> dict[str, Any]:
    """Return a step that runs the script `NAME.py` of the bucket."""
    command = ["python3", f"/opt/ml/processing/input/code/{name}.py"]
    step = processing(name, command, [*arguments], {"code": f"s3://{BUCKET}/code/"})
    return {**step, "RetryPolicies": RETRIES}
