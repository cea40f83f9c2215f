"""Pipelines of drawn shapes, and what is there when one has run: rows, objects and words, each exactly once.

A shape is a few blocks (see `crash_blocks`), one of each family of steps and controls. A block reads what an earlier
one gave: a text in the object store, a value, or nothing. What it gives is known beforehand, whatever is killed.
"""

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.crash_pipeline import Recorder, processing

BUCKET = "shapes"
GROUP = "shapes"
PIPELINE = "shapes"
QUEUE = "shapes"
MODEL = "shapes"
FUNCTION = "shapes"
#: The rows that end like this although nothing was killed; another step follows up on them.
ENDS_BADLY = {"Failing": "Failed", "Halting": "Stopped", "Overdue": "Stopped", "Silent": "Failed"}
#: Why some of them do, as their rows say it.
BECAUSE = {"Overdue": "MaxRuntimeExceeded: ", "Silent": "no answer came within "}
CALLBACK_TIMEOUT_S = 12  #: longer than a killed server is down
LONGEST_S = 2  #: that a job may run which is to be stopped for its length
ENDPOINT = "shapes"
TRIED = ("1", "2", "3")  #: ranks that a Tuning step goes through
ROLE = "arn:aws:iam::000000000000:role/anything"
IMAGE = "towpath"
BASE = "/opt/ml/processing"
AGAIN = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 5}

#: Told to die, it has its runner killed: the job is lost, as if the machine had failed.
STEP = """
import json, os, pathlib, select, socket, sys

step, port, *values = sys.argv[1:]
base = pathlib.Path("/opt/ml/processing")
job = json.loads(pathlib.Path("/opt/ml/config/processingjobconfig.json").read_text())["ProcessingJobName"]
execution = job.split("-")[1]
if step.startswith("Wide"):
    step += "." + json.loads(pathlib.Path("/opt/ml/config/resourceconfig.json").read_text())["current_host"]
with socket.create_connection(("127.0.0.1", int(port))) as line, line.makefile("rw") as words:
    def say(word):
        words.write(f"{word} {execution} {step} {job}\\n")
        words.flush()
        return words.readline()

    if say("begin") == "die\\n":
        words.write(f"{os.getppid()}\\n")
        words.flush()
        select.select([], [], [])
    if step.startswith(("Halting", "Overdue")):
        select.select([], [], [])
    if step.startswith("Failing"):
        sys.exit(3)
    read = [path.read_text() for path in sorted((base / "input/rows").rglob("*")) if path.is_file()]
    select.select([], [], [], 0.3)
    (base / "output/out" / f"{step}.txt").write_text("".join([*read, " ".join([step, *values]) + "\\n"]))
    assert say("end") == "heard\\n"
"""
TUNED = """
import argparse, json, os, pathlib, socket

asked = argparse.ArgumentParser()
for name in ("rank", "port", "step", "execution"):
    asked.add_argument(f"--{name}")
asked = asked.parse_args()
with socket.create_connection(("127.0.0.1", int(asked.port))) as line, line.makefile("rw") as words:
    for word in ("begin", "end"):
        words.write(f"{word} {asked.execution} {asked.step} {os.environ['TRAINING_JOB_NAME']}\\n")
        words.flush()
        assert words.readline() == "heard\\n"
        print(f"reached={asked.rank}", flush=True)
"""
CALLED = """
import socket

def handler(event, context):
    with socket.create_connection(("127.0.0.1", event["port"])) as line, line.makefile("rw") as words:
        for word in ("begin", "end"):
            words.write(f"{word} {event['execution']} {event['step']} {context.aws_request_id}\\n")
            words.flush()
            assert words.readline() == "heard\\n"
    return {"told": f"told.by.{event['step']}"}
"""
SERVED = """
def model_fn(model_dir):
    return None
def transform_fn(model, body, content_type, accept):
    return body.upper(), accept
"""
LINES = "one\ntwo\nthree\n"


@dataclass(frozen=True)
class Given:
    """What a block gives to those behind it: expressions for the definition, and what they come to."""

    step: str
    uri: Any = None  #: of a text
    text: str = ""
    value: Any = None
    worth: str = ""  #: what the value comes to


@dataclass
class Shape:
    """A pipeline, and what comes of an execution."""

    tag: str  #: of the round; no other shape has it
    port: int
    queue: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)  #: every row -> how it ends
    speaks: dict[str, str] = field(default_factory=dict)  #: row -> the name that the recorder hears
    objects: dict[str, str] = field(default_factory=dict)  #: key below that of the execution -> text
    kept: dict[str, str] = field(default_factory=dict)  #: whole key of what the cache may give -> text
    dooms: dict[str, int] = field(default_factory=dict)  #: name that the recorder hears -> lost runners
    cached: dict[str, str] = field(default_factory=dict)  #: row -> salt that makes its key
    asks: set[str] = field(default_factory=set)  #: rows that wait for an answer
    hosts: dict[str, int] = field(default_factory=dict)  #: row -> hosts of its job, where there are more than one
    tunes: set[str] = field(default_factory=set)  #: rows of Tuning steps
    serves: str = ""  #: row that brings the endpoint up to date
    registers: bool = False
    blocks: list[str] = field(default_factory=list)

    @property
    def definition(self) -> str:
        """The document."""
        return json.dumps({"Version": "2020-12-01", "Steps": self.steps})

    @property
    def status(self) -> str:
        """How an execution ends."""
        return "CompletedWithFailures" if {"Failed", "Stopped"} & set(self.rows.values()) else "Succeeded"

    def job(self, name: str, before: Given | None, *, says: Any = None, ends: str = "Succeeded") -> dict[str, Any]:
        """Return a Processing step that reads what came before; it is up to the caller where it stands."""
        values = [] if before is None or before.value is None else [before.value]
        inputs: dict[str, Any] = {"code": f"s3://{BUCKET}/code/"}
        if before is not None and before.uri is not None:
            inputs["rows"] = before.uri
        step = processing_step(name, [says or name, str(self.port), *values], inputs, below_execution(name))
        if before is not None and len(inputs) == 1 and not values:
            step["DependsOn"] = [before.step]
        self.rows[name] = ends
        self.speaks[name] = name
        return step

    def text_of(self, says: str, before: Given | None) -> str:
        """Return what such a step writes."""
        values = [] if before is None or before.value is None else [before.worth]
        return (before.text if before else "") + " ".join([says, *values]) + "\n"


def answer_to(step: str) -> str:
    """Return what is answered to a step that asks."""
    return f"answer.to.{step}"


def _archive(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def prepare(aws: dict[str, Any], recorder: Recorder) -> str:
    """Make what the shapes use: code, data, a model, a function, a queue, a pipeline; return the queue's URL."""
    s3, sagemaker = aws["s3"], aws["sagemaker"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="code/step.py", Body=STEP.encode())
    s3.put_object(Bucket=BUCKET, Key="lines/lines.txt", Body=LINES.encode())
    s3.put_object(Bucket=BUCKET, Key="served/model.tar.gz", Body=_archive("code/inference.py", SERVED))
    s3.put_object(Bucket=BUCKET, Key="tuned/code.tar.gz", Body=_archive("train.py", TUNED))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}
    sagemaker.create_model(ModelName=MODEL, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("work.py", CALLED)
    aws["lambda"].create_function(
        FunctionName=FUNCTION,
        Runtime="python3.11",
        Role=ROLE,
        Handler="work.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
    )
    queue = str(aws["sqs"].create_queue(QueueName=QUEUE)["QueueUrl"])
    first = Shape("first", recorder.port, queue)
    first.steps.append(first.job("Work", None))
    sagemaker.create_pipeline(PipelineName=PIPELINE, PipelineDefinition=first.definition, RoleArn=ROLE)
    return queue


def below_execution(*names: Any) -> dict[str, Any]:
    """Return a prefix of the execution's own."""
    values = [f"s3://{BUCKET}", {"Get": "Execution.PipelineExecutionId"}, *names]
    return {"Std:Join": {"On": "/", "Values": values}}


def processing_step(name: str, arguments: list[Any], inputs: dict[str, Any], output: Any) -> dict[str, Any]:
    """Return a Processing step that runs the script of all steps and writes one output."""
    step = processing(name, ["python3", f"{BASE}/input/code/step.py"], arguments, inputs)
    place = {"S3Uri": output, "LocalPath": f"{BASE}/output/out", "S3UploadMode": "EndOfJob"}
    step["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "out", "S3Output": place}]}
    return step
