"""Pipelines of drawn shapes, and what is there when one has run: rows, objects and words, each exactly once.

A shape is a few blocks, one of each family of steps and controls. A block reads what an earlier one gave: a text in the
object store, a value, or nothing. What it gives is known beforehand, whatever is killed meanwhile.
"""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
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
ENDS_BADLY = {"Failing": "Failed", "Halting": "Stopped"}
_ROLE = "arn:aws:iam::000000000000:role/anything"
_IMAGE = "towpath"
_BASE = "/opt/ml/processing"
_AGAIN = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 5}

#: Told to die, it takes its runner along: the job is lost, as if the machine had failed.
STEP = """
import json, os, pathlib, select, signal, socket, sys

step, port, *values = sys.argv[1:]
base = pathlib.Path("/opt/ml/processing")
job = json.loads(pathlib.Path("/opt/ml/config/processingjobconfig.json").read_text())["ProcessingJobName"]
execution = job.split("-")[1]
with socket.create_connection(("127.0.0.1", int(port))) as line, line.makefile("rw") as words:
    def say(word):
        words.write(f"{word} {execution} {step} {job}\\n")
        words.flush()
        return words.readline()

    if say("begin") == "die\\n":
        os.kill(os.getppid(), signal.SIGKILL)
        select.select([], [], [])
    if step.startswith("Halting"):
        select.select([], [], [])
    if step.startswith("Failing"):
        sys.exit(3)
    read = [path.read_text() for path in sorted((base / "input/rows").rglob("*")) if path.is_file()]
    select.select([], [], [], 0.3)
    (base / "output/out" / f"{step}.txt").write_text("".join([*read, " ".join([step, *values]) + "\\n"]))
    assert say("end") == "heard\\n"
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
        step = _processing(name, [says or name, str(self.port), *values], inputs, _below_execution(name))
        if before is not None and len(inputs) == 1 and not values:
            step["DependsOn"] = [before.step]
        self.rows[name] = ends
        self.speaks[name] = name
        return step

    def text_of(self, says: str, before: Given | None) -> str:
        """Return what such a step writes."""
        values = [] if before is None or before.value is None else [before.worth]
        return (before.text if before else "") + " ".join([says, *values]) + "\n"


def _work(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    shape.steps.append(shape.job(name, before))
    return _wrote(shape, name, shape.text_of(name, before))


def _wrote(shape: Shape, name: str, text: str) -> Given:
    shape.objects[f"{name}/{name}.txt"] = text
    return Given(name, {"Get": f"Steps.{name}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}, text)


def _flaky(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    """Loses its runner once, which the platform makes good, or three times, which takes the retry policy."""
    says = f"{name}.{shape.tag}"
    shape.steps.append({**shape.job(name, before, says=says), "RetryPolicies": [_AGAIN]})
    shape.speaks[name] = says
    shape.dooms[says] = chance.choice((1, 3))
    given = _wrote(shape, name, shape.text_of(says, before))
    shape.objects[f"{name}/{says}.txt"] = shape.objects.pop(f"{name}/{name}.txt")
    return given


def _kept(shape: Shape, _: str, before: Given | None, chance: random.Random) -> Given:
    """Is taken over from an earlier round where one has drawn the same name; nothing of its own round goes into it."""
    name = f"Kept{chance.choice('ABCDEF')}"
    salt = name.lower()
    says = f"Told{name}"
    step = _processing(name, [says, str(shape.port)], {"code": f"s3://{BUCKET}/code/"}, f"s3://{BUCKET}/kept/{salt}")
    shape.steps.append({**step, "CacheConfig": {"Enabled": True, "ExpireAfter": "P30D"}, **_after(before)})
    shape.rows[name], shape.speaks[name], shape.cached[name] = "Succeeded", says, salt
    text = f"{says}\n"
    shape.kept[f"kept/{salt}/{says}.txt"] = text
    return Given(name, {"Get": f"Steps.{name}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}, text)


def _after(before: Given | None) -> dict[str, Any]:
    return {} if before is None else {"DependsOn": [before.step]}


def _each(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    items = ["a", "b", "c", "d"][: chance.randint(2, 4)]
    body, then = f"Body{name}", f"Then{name}"
    item = {"Get": "ForEach.CurrentItem"}
    first = shape.job(body, before, says={"Std:Join": {"On": ".", "Values": [body, item]}})
    own = {"Get": f"Steps.{body}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    steps = [(body, first, before)]
    if chance.random() < 0.5:
        second = shape.job(then, Given(body, own), says={"Std:Join": {"On": ".", "Values": [then, item]}})
        steps.append((then, second, Given(body, own)))
    del shape.rows[body], shape.speaks[body]
    shape.rows.pop(then, None), shape.speaks.pop(then, None)
    for inner, step, _ in steps:
        output = step["Arguments"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
        output["S3Uri"] = _below_execution(inner, item)
        first.pop("DependsOn", None)  # the round waits for what its ForEach waits for
    for number, each in enumerate(items):
        text = ""
        for inner, _, source in steps:
            says = f"{inner}.{each}"
            text = shape.text_of(says, source) if inner == body else text + f"{says}\n"
            shape.rows[f"{inner}[{number}]"], shape.speaks[f"{inner}[{number}]"] = "Succeeded", says
            shape.objects[f"{inner}/{each}/{says}.txt"] = text
    shape.rows[name] = "Succeeded"
    arguments = {
        "IterableItems": items,
        "MaxConcurrency": chance.randint(1, 3),
        "ForEachBody": [step for _, step, _ in steps],
    }
    shape.steps.append({"Name": name, "Type": "ForEach", "Arguments": arguments, **_after(before)})
    last = steps[-1][0]
    place = f"Steps.{name}.IterationOutputs[1].{last}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"
    return Given(name, {"Get": place}, shape.objects[f"{last}/{items[1]}/{last}.{items[1]}.txt"])


def _ask(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    step = {
        "Name": name,
        "Type": "Callback",
        "SqsQueueUrl": shape.queue,
        "Arguments": {"step": name},
        "OutputParameters": [{"OutputName": "answer", "OutputType": "String"}],
    }
    shape.steps.append({**step, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.asks.add(name)
    return Given(name, value={"Get": f"Steps.{name}.OutputParameters['answer']"}, worth=answer_to(name))


def answer_to(step: str) -> str:
    """Return what is answered to a step that asks."""
    return f"answer.to.{step}"


def _call(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    event = {"step": name, "port": shape.port, "execution": {"Get": "Execution.PipelineExecutionId"}}
    step = {
        "Name": name,
        "Type": "Lambda",
        "Arguments": event,
        "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}",
        "OutputParameters": [{"OutputName": "told", "OutputType": "String"}],
        "RetryPolicies": [_AGAIN],
    }
    shape.steps.append({**step, **_after(before)})
    shape.rows[name], shape.speaks[name] = "Succeeded", name
    return Given(name, value={"Get": f"Steps.{name}.OutputParameters['told']"}, worth=f"told.by.{name}")


def _batch(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/lines/"}}
    arguments = {
        "ModelName": MODEL,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {"DataSource": source, "ContentType": "text/plain", "SplitType": "Line"},
        "TransformOutput": {
            "S3OutputPath": _below_execution(name),
            "Accept": "text/plain",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    shape.steps.append({"Name": name, "Type": "Transform", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.objects[f"{name}/lines.txt.out"] = LINES.upper()
    return Given(name, {"Get": f"Steps.{name}.TransformOutput.S3OutputPath"}, LINES.upper())


def _branch(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    left, worth = (before.value, before.worth) if before is not None and before.value is not None else ("x", "x")
    holds = chance.random() < 0.5
    condition = {"Type": "Equals", "LeftValue": left, "RightValue": worth if holds else f"not {worth}"}
    taken, other = f"Taken{name}", f"Other{name}"
    ran, never = shape.job(taken, before), shape.job(other, before)
    del shape.rows[other], shape.speaks[other]
    arguments = {
        "Conditions": [condition],
        "IfSteps": [ran if holds else never],
        "ElseSteps": [never if holds else ran],
    }
    shape.steps.append({"Name": name, "Type": "Condition", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    return _wrote(shape, taken, shape.text_of(taken, before))


def _followed(shape: Shape, kind: str, name: str, before: Given | None, chance: random.Random) -> Given:
    """A step that ends badly, and one that was written to follow up on that."""
    bad = f"{kind}{name}"
    shape.steps.append(shape.job(bad, before, ends=ENDS_BADLY[kind]))
    trigger = {"Step": bad, "Trigger": chance.choice((ENDS_BADLY[kind], "Any"))}
    follow = f"Follows{name}"
    shape.steps.append({**shape.job(follow, None), "DependsOn": [trigger]})
    return _wrote(shape, follow, shape.text_of(follow, None))


def _failing(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    return _followed(shape, "Failing", name, before, chance)


def _halting(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    return _followed(shape, "Halting", name, before, chance)


def _register(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    if shape.registers:
        return _work(shape, name, before, chance)
    arguments = {
        "ModelPackageGroupName": GROUP,
        "CustomerMetadataProperties": {"execution": {"Get": "Execution.PipelineExecutionId"}},
        "InferenceSpecification": {
            "Containers": [{"Image": _IMAGE, "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}],
            "SupportedContentTypes": ["text/plain"],
            "SupportedResponseMIMETypes": ["text/plain"],
        },
    }
    shape.steps.append({"Name": name, "Type": "RegisterModel", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.registers = True
    return Given(name)


Block = Callable[[Shape, str, Given | None, random.Random], Given]
BLOCKS: dict[str, Block] = {
    "Work": _work,
    "Flaky": _flaky,
    "Kept": _kept,
    "Each": _each,
    "Ask": _ask,
    "Call": _call,
    "Batch": _batch,
    "Gate": _branch,
    "Failed": _failing,
    "Halted": _halting,
    "Register": _register,
}


def drawn(chance: random.Random, *, tag: str, port: int, queue: str) -> Shape:
    """Return a shape of three or four blocks.

    Args:
        tag: of the round; goes into the names of steps that are told to die.
        port: where the recorder listens.
        queue: URL of the queue that is asked.
    """
    shape = Shape(tag, port, queue)
    given: list[Given] = []
    for number, kind in enumerate(chance.sample(sorted(BLOCKS), chance.randint(3, 4)), start=1):
        before = None
        if given and chance.random() < 0.8:
            before = given[-1] if chance.random() < 0.6 else chance.choice(given)
        given.append(BLOCKS[kind](shape, f"{kind}{number}", before, chance))
        shape.blocks.append(kind)
    return shape


def prepare(aws: dict[str, Any], recorder: Recorder) -> str:
    """Make what the shapes use: code, data, a model, a function, a queue, a pipeline; return the queue's URL."""
    s3, sagemaker = aws["s3"], aws["sagemaker"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="code/step.py", Body=STEP.encode())
    s3.put_object(Bucket=BUCKET, Key="lines/lines.txt", Body=LINES.encode())
    model = io.BytesIO()
    with tarfile.open(fileobj=model, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(SERVED.encode())
        tar.addfile(member, io.BytesIO(SERVED.encode()))
    s3.put_object(Bucket=BUCKET, Key="served/model.tar.gz", Body=model.getvalue())
    container = {"Image": _IMAGE, "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}
    sagemaker.create_model(ModelName=MODEL, PrimaryContainer=container, ExecutionRoleArn=_ROLE)
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("work.py", CALLED)
    aws["lambda"].create_function(
        FunctionName=FUNCTION,
        Runtime="python3.11",
        Role=_ROLE,
        Handler="work.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
    )
    queue = str(aws["sqs"].create_queue(QueueName=QUEUE)["QueueUrl"])
    first = Shape("first", recorder.port, queue)
    _work(first, "Work", None, random.Random(0))
    sagemaker.create_pipeline(PipelineName=PIPELINE, PipelineDefinition=first.definition, RoleArn=_ROLE)
    return queue


def _below_execution(*names: Any) -> dict[str, Any]:
    values = [f"s3://{BUCKET}", {"Get": "Execution.PipelineExecutionId"}, *names]
    return {"Std:Join": {"On": "/", "Values": values}}


def _processing(name: str, arguments: list[Any], inputs: dict[str, Any], output: Any) -> dict[str, Any]:
    """Return a Processing step that runs the script of all steps and writes one output."""
    step = processing(name, ["python3", f"{_BASE}/input/code/step.py"], arguments, inputs)
    place = {"S3Uri": output, "LocalPath": f"{_BASE}/output/out", "S3UploadMode": "EndOfJob"}
    step["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "out", "S3Output": place}]}
    return step
