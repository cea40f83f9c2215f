"""A pipeline of short steps that tell a recorder outside the platform when they begin and end."""

import io
import json
import os
import signal
import socketserver
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BUCKET = "crashes"
GROUP = "crashes"
PIPELINE = "crashes"
JOBS = ("Prepare", "Profile", "Train", "Evaluate")
STEPS = (*JOBS, "Gate", "Register")
HELD_S = 600.0  #: how long a step can be held; shorter than the limit of its job
_ROLE = "arn:aws:iam::000000000000:role/anything"
_IMAGE = "towpath"
_RESOURCES = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
_BASE = "/opt/ml/processing"

#: Each step writes what it read and a line of its own, so that the last output tells the whole way. The recorder
#: answers each word, so what it has not heard did not happen. The wait makes the step long enough to be hit.
STEP = """
import json, os, pathlib, select, socket, sys

step, execution, port = sys.argv[1:]
ml = pathlib.Path("/opt/ml")
if step == "Train":
    job, output = os.environ["TRAINING_JOB_NAME"], ml / "model/weights.txt"
else:
    job = json.loads((ml / "config/processingjobconfig.json").read_text())["ProcessingJobName"]
    output = ml / "processing/output/out" / f"{step}.txt"
with socket.create_connection(("127.0.0.1", int(port))) as line, line.makefile("rw") as words:
    def say(word):
        words.write(f"{word} {execution} {step} {job}\\n")
        words.flush()
        assert words.readline() == "heard\\n"

    say("begin")
    folders = [ml / "input/data/rows", ml / "processing/input/rows"]
    read = [path.read_text() for folder in folders for path in sorted(folder.glob("*.txt"))]
    select.select([], [], [], 0.2)
    output.write_text("".join([*read, f"{execution} {step}\\n"]))
    if step == "Evaluate":
        (output.parent / "evaluation.json").write_text('{"accuracy": 0.9}')
    say("end")
"""


class Recorder:
    """Appends what steps say to a file, and knows which of them run. It lives in the test, outside the platform.

    A step that was doomed is told to die instead of being told that it was heard; it answers by the process that is to
    be killed, which a job cannot do itself.
    """

    def __init__(self, file: Path, server: socketserver.TCPServer) -> None:
        self.file = file
        self.port = int(server.server_address[1])
        self._changed = threading.Condition()
        self._running: Counter[str] = Counter()
        self._held: set[str] = set()
        self._doomed: Counter[str] = Counter()

    def hear(self, line: str) -> str:
        """Write down a line; return what the step is told, once it may go on."""
        word, _, who = line.partition(" ")
        with self._changed:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._running[who] += {"begin": 1, "end": -1}[word]
            self._changed.notify_all()
            self._changed.wait_for(lambda: who.split()[1] not in self._held, timeout=HELD_S)
            step = who.split()[1]
            if word == "begin" and self._doomed[step] > 0:
                self._doomed[step] -= 1
                return "die"
            return "heard"

    def leave(self, line: str) -> None:
        """Take over that whoever said this says nothing more: it has ended, or was killed."""
        with self._changed:
            del self._running[line.partition(" ")[2]]
            self._changed.notify_all()

    def doom(self, step: str, times: int) -> None:
        """Tell so many attempts of a step to die as soon as they have begun."""
        with self._changed:
            self._doomed[step] = times

    def hold(self, step: str) -> None:
        """Let no attempt of this step get further than its first word."""
        with self._changed:
            self._held.add(step)

    def release(self, step: str) -> None:
        """Let it go on."""
        with self._changed:
            self._held.discard(step)
            self._changed.notify_all()

    def until_begun(self, step: str, times: int = 1) -> None:
        """Wait until so many attempts of a step have begun."""

        def begun() -> bool:
            lines = self.file.read_text(encoding="utf-8").splitlines()
            return sum(line.split()[0::2] == ["begin", step] for line in lines) >= times

        with self._changed:
            assert self._changed.wait_for(begun, timeout=60), f"{step} has not begun {times} times"

    def running(self) -> list[str]:
        """Return the steps that have begun and not ended."""
        with self._changed:
            return list(+self._running)

    def told(self, execution: str) -> list[tuple[str, str, str]]:
        """Return (word, step, job) of all that the steps of an execution said, as it stands in the file."""
        lines = (line.split() for line in self.file.read_text(encoding="utf-8").splitlines())
        return [(word, step, job) for word, of, step, job in lines if of == execution]


@contextmanager
def recording(file: Path) -> Iterator[Recorder]:
    """Listen on loopback and record what is told there."""

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            said = ""
            try:
                for line in self.rfile:
                    said = line.decode().strip()
                    told = recorder.hear(said)
                    self.wfile.write(told.encode() + b"\n")
                    if told == "die" and (process := self.rfile.readline()):
                        with suppress(ProcessLookupError):  # a round may have killed it as well
                            os.kill(int(process), signal.SIGKILL)
            except ConnectionError:
                pass  # whoever spoke was killed before it was answered
            finally:
                if said:
                    recorder.leave(said)

    file.touch()
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line) as server:
        recorder = Recorder(file, server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


def make_pipeline(aws: dict[str, Any], recorder: Recorder) -> None:
    """Put the code into a bucket and create the pipeline."""
    aws["s3"].create_bucket(Bucket=BUCKET)
    aws["s3"].put_object(Bucket=BUCKET, Key="code/step.py", Body=STEP.encode())
    aws["sagemaker"].create_pipeline(
        PipelineName=PIPELINE,
        PipelineDefinition=json.dumps(definition(recorder.port)),
        RoleArn=_ROLE,
        ClientRequestToken="p" * 32,
    )


def expected_objects(execution: str, train_job: str) -> dict[str, str]:
    """Return the text that lies under each key when an execution has run once; of the model, that of its weights."""
    prepared = f"{execution} Prepare\n"
    trained = f"{prepared}{execution} Train\n"
    return {
        f"{execution}/Prepare/Prepare.txt": prepared,
        f"{execution}/Profile/Profile.txt": f"{prepared}{execution} Profile\n",
        f"{execution}/models/{train_job}/output/model.tar.gz": trained,
        f"{execution}/Evaluate/Evaluate.txt": f"{prepared}{execution} Evaluate\n",
        f"{execution}/Evaluate/evaluation.json": '{"accuracy": 0.9}',
    }


def text_of(key: str, body: bytes) -> str:
    """Return an object's text; of a model archive, that of its weights."""
    if not key.endswith(".tar.gz"):
        return body.decode()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        weights = archive.extractfile("weights.txt")
        assert weights is not None
        return weights.read().decode()


def definition(port: int, *, least: float = 0.5, retries: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the pipeline's definition.

    Args:
        port: where the recorder listens.
        least: accuracy below which the model is refused; the steps reach 0.9.
        retries: retry policies of the training step.
    """
    report = {"PropertyFileName": "report", "OutputName": "out", "FilePath": "evaluation.json"}
    prepared = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    accuracy = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.report"}, "Path": "accuracy"}}
    container = {"Image": _IMAGE, "ModelDataUrl": model}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": GROUP,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        },
    }
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": accuracy, "RightValue": least}
    refuse = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}
    evaluate = _processing("Evaluate", port, {"rows": prepared, "model": model})
    return {
        "Version": "2020-12-01",
        "Steps": [
            _processing("Prepare", port, {}),
            _processing("Profile", port, {"rows": prepared}),
            {**_training(port, prepared), **({"RetryPolicies": [*retries]} if retries else {})},
            {**evaluate, "PropertyFiles": [report]},
            {
                "Name": "Gate",
                "Type": "Condition",
                "Arguments": {"Conditions": [condition], "IfSteps": [register], "ElseSteps": [refuse]},
            },
        ],
    }


def _below_execution(name: str) -> dict[str, Any]:
    return {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}", {"Get": "Execution.PipelineExecutionId"}, name]}}


def _arguments(step: str, port: int) -> list[Any]:
    return [step, {"Get": "Execution.PipelineExecutionId"}, str(port)]


def _processing(name: str, port: int, inputs: dict[str, Any]) -> dict[str, Any]:
    sources = {"code": f"s3://{BUCKET}/code/", **inputs}
    command = ["python3", f"{_BASE}/input/code/step.py"]
    step = processing(name, command, _arguments(name, port), sources)
    step["Arguments"]["ProcessingOutputConfig"] = {
        "Outputs": [
            {
                "OutputName": "out",
                "S3Output": {
                    "S3Uri": _below_execution(name),
                    "LocalPath": f"{_BASE}/output/out",
                    "S3UploadMode": "EndOfJob",
                },
            }
        ]
    }
    return step


def processing(name: str, command: list[str], arguments: list[Any], sources: dict[str, Any]) -> dict[str, Any]:
    """Return a Processing step without outputs; `sources` are S3 URIs by the names of inputs."""
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": _ROLE,
            "ProcessingResources": {"ClusterConfig": _RESOURCES},
            "AppSpecification": {
                "ImageUri": _IMAGE,
                "ContainerEntrypoint": command,
                **({"ContainerArguments": arguments} if arguments else {}),
            },
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{_BASE}/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for key, uri in sources.items()
            ],
        },
    }


def _training(port: int, prepared: dict[str, str]) -> dict[str, Any]:
    def channel(name: str, uri: object) -> dict[str, Any]:
        return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}

    return {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "RoleArn": _ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": _IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/step.py"],
                "ContainerArguments": _arguments("Train", port),
            },
            "InputDataConfig": [channel("code", f"s3://{BUCKET}/code/"), channel("rows", prepared)],
            "OutputDataConfig": {"S3OutputPath": _below_execution("models")},
            "ResourceConfig": _RESOURCES,
            "StoppingCondition": {"MaxRuntimeInSeconds": 900},
        },
    }
