"""What goes wrong at a company, on one server: each mistake is told in words, and everybody else's work goes on.

All the while an execution runs, an endpoint answers and a job that leaves very many files is at work. After each
mistake they are looked at again (see `company`), and at the end the execution succeeds.
"""

import io
import json
import socket
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import Machine, clients, wait_for_execution
from tests.acceptance.crash_pipeline import GROUP, make_pipeline, recording
from tests.acceptance.test_crashes import ENDPOINT, Story, deploy
from tests.acceptance.test_killed_parts import SLOW, begin_train, check_succeeded, until

from towpath.home import HomeFolder

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]

ROLE = "arn:aws:iam::000000000000:role/anything"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
SHOP = "shop"  #: bucket, pipeline and model package group of those who make the mistakes
MANY = 100_000
JSON = "application/json"
ENDPOINT_BYTES = 6 << 20  #: what an endpoint takes, as on SageMaker

Member = tuple[tarfile.TarInfo, bytes]


# -- what people bring


def file(name: str, text: str = "") -> Member:
    """Return a file for an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    return member, text.encode()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    """Return a link for an archive."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, b""


def archive(*members: Member) -> bytes:
    """Return a .tar.gz."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def script(text: str) -> bytes:
    """Return the source archive of a training script that has begun to save its model when it runs `text`."""
    begin = "import os, pathlib, signal, sys\npathlib.Path(os.environ['SM_MODEL_DIR'], 'weights').write_text('half')\n"
    return archive(file("train.py", begin + text))


def model(handler: str) -> bytes:
    """Return a model archive with a handler script."""
    return archive(file("code/inference.py", handler))


def damaged(whole: bytes) -> bytes:
    """Return an archive with a byte in its middle changed."""
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]


def definition() -> str:
    """Return the shop's pipeline: it trains a model with the source archive that it is given, and registers it."""
    name_of_execution = {"Get": "Execution.PipelineExecutionId"}
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": "towpath", "TrainingInputMode": "File"},
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": {"Get": "Parameters.Source"},
            },
            "OutputDataConfig": {
                "S3OutputPath": {"Std:Join": {"On": "/", "Values": [f"s3://{SHOP}", name_of_execution]}}
            },
            "ResourceConfig": RESOURCES,
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }
    container = {"Image": "towpath", "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": SHOP,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": [JSON],
                "SupportedResponseMIMETypes": [JSON],
            },
        },
    }
    parameters = [{"Name": "Source", "Type": "String"}]
    return json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": [train, register]})


# -- the company


@dataclass(frozen=True)
class Ended:
    """How an execution of the shop's pipeline ended."""

    name: str
    status: str
    reason: str
    steps: dict[str, dict[str, Any]]


@dataclass
class Company:
    """One server, with the work of others on it."""

    story: Story
    bystander: str = ""  #: ARN of the execution that runs all the while

    @property
    def aws(self) -> dict[str, Any]:
        return self.story.aws

    @property
    def machine(self) -> Machine:
        return self.story.machine

    def health(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        with urllib.request.urlopen(f"{self.story.server.url}/health", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def check_unharmed(self) -> None:
        """Hold the server and everybody else's work to what they were."""
        health = self.health()
        assert (health["status"], health["pid"]) == ("ok", self.story.server.pid)
        assert self.story.ask_endpoint() == self.story.model_server
        shown = self.aws["sagemaker"].describe_pipeline_execution(PipelineExecutionArn=self.bystander)
        assert shown["PipelineExecutionStatus"] == "Executing"
        assert self.story.steps(self.bystander)["Train"]["StepStatus"] == "Executing"
        assert self.versions_of_model() == [], "nothing was registered"

    def versions_of_model(self) -> list[dict[str, Any]]:
        """Return what the shop has registered."""
        listed = self.aws["sagemaker"].list_model_packages(ModelPackageGroupName=SHOP)
        found: list[dict[str, Any]] = listed["ModelPackageSummaryList"]
        return found

    def objects_under(self, prefix: str) -> list[str]:
        """Return the keys of all object versions under a prefix."""
        listed = self.aws["s3"].list_object_versions(Bucket=SHOP, Prefix=prefix)
        return [version["Key"] for version in listed.get("Versions", [])]

    def put(self, body: bytes) -> str:
        """Put an archive into the bucket and return its URI."""
        key = f"brought/{uuid4().hex}.tar.gz"
        self.aws["s3"].put_object(Bucket=SHOP, Key=key, Body=body)
        return f"s3://{SHOP}/{key}"

    def run(self, source: str) -> Ended:
        """Run the shop's pipeline with a source archive to its end."""
        sagemaker = self.aws["sagemaker"]
        parameters = [{"Name": "Source", "Value": source}]
        arn = sagemaker.start_pipeline_execution(PipelineName=SHOP, PipelineParameters=parameters)[
            "PipelineExecutionArn"
        ]
        shown = wait_for_execution(sagemaker, arn)
        return Ended(
            arn.rpartition("/")[2],
            shown["PipelineExecutionStatus"],
            shown.get("FailureReason", ""),
            self.story.steps(arn),
        )

    def process(self, name: str, text: str) -> None:
        """Start a processing job that runs a script and keeps `out`."""
        base = "/opt/ml/processing"
        self.aws["s3"].put_object(Bucket=SHOP, Key=f"code/{name}/{name}.py", Body=text.encode())
        source = {"S3Uri": f"s3://{SHOP}/code/{name}/", "LocalPath": f"{base}/input/code"}
        kept = {"S3Uri": f"s3://{SHOP}/out/{name}", "LocalPath": f"{base}/output/out", "S3UploadMode": "EndOfJob"}
        self.aws["sagemaker"].create_processing_job(
            ProcessingJobName=name,
            RoleArn=ROLE,
            ProcessingResources={"ClusterConfig": RESOURCES},
            AppSpecification={
                "ImageUri": "towpath",
                "ContainerEntrypoint": ["python3", f"{base}/input/code/{name}.py"],
            },
            ProcessingInputs=[
                {"InputName": "code", "S3Input": {**source, "S3DataType": "S3Prefix", "S3InputMode": "File"}}
            ],
            ProcessingOutputConfig={"Outputs": [{"OutputName": "out", "S3Output": kept}]},
        )

    def processed(self, name: str) -> dict[str, Any]:
        """Wait until a processing job has ended; return how."""
        describe = self.aws["sagemaker"].describe_processing_job
        until(lambda: describe(ProcessingJobName=name)["ProcessingJobStatus"] != "InProgress", within_s=300)
        found: dict[str, Any] = describe(ProcessingJobName=name)
        return found

    def create_endpoint(self, name: str, body: bytes, *, instances: int = 1) -> None:
        """Create an endpoint that serves a model archive."""
        sagemaker = self.aws["sagemaker"]
        container = {"Image": "towpath", "ModelDataUrl": self.put(body)}
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {
            "VariantName": "only",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": instances,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def endpoint(self, name: str) -> dict[str, Any]:
        """Return an endpoint once it is in service or has failed."""
        until(lambda: self.aws["sagemaker"].describe_endpoint(EndpointName=name)["EndpointStatus"] != "Creating")
        found: dict[str, Any] = self.aws["sagemaker"].describe_endpoint(EndpointName=name)
        return found

    def delete_endpoint(self, name: str) -> None:
        """Delete an endpoint and wait until it is gone."""
        self.aws["sagemaker"].delete_endpoint(EndpointName=name)
        self.aws["sagemaker"].get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})

    def ask(self, name: str, body: bytes, content_type: str = JSON) -> Any:
        """Return an endpoint's answer."""
        answer = self.aws["sagemaker-runtime"].invoke_endpoint(EndpointName=name, ContentType=content_type, Body=body)
        return json.loads(answer["Body"].read())

    def send(self, *head: str, body: bytes = b"", wait: bool = True) -> str:
        """Send a request that no client would make; return the answer, or without waiting for one hang up."""
        address = urlsplit(self.story.server.url)
        credentials = self.machine.home.credentials()
        assert credentials is not None
        lines = (*head, "Host: towpath", f"Authorization: Bearer {credentials.token}", "Connection: close", "", "")
        with socket.create_connection((address.hostname, address.port), timeout=30) as line:
            line.sendall("\r\n".join(lines).encode() + body)
            if not wait:
                return ""
            with line.makefile("rb") as answer:
                return answer.read().decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Return a server on which others are at work."""
    folder = tmp_path_factory.mktemp("company")
    machine = Machine(HomeFolder(folder / "home"))
    machine.home.path.mkdir()
    # Room for everybody side by side on a host of any size, and logs that are full soon.
    machine.home.settings_file.write_text("cores = 8\nmemory_gb = 64\nlog_limit_mb = 1\n")
    try:
        with recording(folder / "record") as recorder:
            server = machine.up()
            story = Story(machine, recorder, server, clients(machine))
            make_pipeline(story.aws, recorder)
            company = Company(story)
            story.aws["s3"].create_bucket(Bucket=SHOP)
            story.aws["sagemaker"].create_model_package_group(ModelPackageGroupName=SHOP)
            story.aws["sagemaker"].create_pipeline(
                PipelineName=SHOP, PipelineDefinition=definition(), RoleArn=ROLE, ClientRequestToken=uuid4().hex
            )
            deploy(story)
            company.bystander = begin_train(story)
            company.process("many", LEAVES_MANY_FILES)
            yield company
            recorder.release("Train")
    finally:
        machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture
def company(place: Company) -> Iterator[Company]:
    """Return the server, which after each mistake is as well as before."""
    yield place
    place.check_unharmed()


# -- pipelines and their scripts

#: A folder of this many files would be far from the largest that anybody left by mistake.
LEAVES_MANY_FILES = f"""
import os
for number in range({MANY}):
    folder = f"/opt/ml/processing/output/out/{{number // 1000:03}}"
    if number % 1000 == 0:
        os.mkdir(folder)
    os.close(os.open(f"{{folder}}/{{number % 1000:03}}", os.O_CREAT | os.O_WRONLY))
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [train]", "the document: this is not JSON: Expecting value: line 1 column 1"),
        (definition()[:300], "the document: this is not JSON: "),
        ("[" * 100_000, "the document: values are nested more than 100 levels deep"),
        ("[]", "the document: expected an object, found a list"),
        ('{"Version": "2020-12-01"}', "Steps: this member is missing; expected a list"),
        (
            definition().replace('"Type": "Training"', '"Type": "Processing", "Type": "Training"'),
            "Steps[0].Type: this member is given more than once",
        ),
        (
            definition().replace('"Training"', '"Trianing"'),
            "Steps[0].Type: 'Trianing' is not a type of steps; expected",
        ),
        (
            definition().replace("Parameters.Source", "Parameters.Sauce"),
            "there is no parameter 'Sauce'; there are Source",
        ),
        (
            definition().replace("Steps.Train.", "Steps.Trian."),
            "Steps[1].Arguments.InferenceSpecification.Containers[0].ModelDataUrl.Get: there is no step 'Trian'",
        ),
        (definition().replace('"Register"', '"Train"', 1), "Steps[1].Name: the name 'Train' is taken"),
        (
            definition().replace('"Type": "Training"', '"Type": "Training", "DependsOn": ["Register"]'),
            "steps wait for each other: Train → Register → Train",
        ),
        (
            definition().replace('"TrainingImage": "towpath"', '"TrainingImage": "acme/secret:1"'),
            "Step 'Train' (Steps[0]): Image 'acme/secret:1' is not mapped to a Python environment. To map it, write",
        ),
    ],
)
def test_a_broken_definition_is_refused_with_its_place_and_changes_nothing(
    company: Company, text: str, words: str
) -> None:
    sagemaker = company.aws["sagemaker"]
    wanted = {"PipelineDefinition": text, "RoleArn": ROLE}
    with pytest.raises(ClientError) as created:
        sagemaker.create_pipeline(PipelineName="broken", ClientRequestToken=uuid4().hex, **wanted)
    with pytest.raises(ClientError) as updated:
        sagemaker.update_pipeline(PipelineName=SHOP, **wanted)
    for refused in (created, updated):
        assert refused.value.response["Error"]["Code"] == "ValidationException"
        assert words in str(refused.value)
    with pytest.raises(ClientError, match="Pipeline 'broken' does not exist"):
        sagemaker.describe_pipeline(PipelineName="broken")
    assert sagemaker.describe_pipeline(PipelineName=SHOP)["PipelineDefinition"] == definition()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pipeline = Pipeline('p', steps=[Processing('Clean', script='claen.py')])", "'claen.py'"),
        ("pipeline = Pipeline('p', steps=[", "pipeline.py, line 2: '[' was never closed"),
        (
            "import acme_models",
            "pipeline.py, line 2: ModuleNotFoundError: No module named 'acme_models' (install it into",
        ),
        ("steps = []", "makes no pipeline; expected a module-level `pipeline = Pipeline(…)`"),
    ],
)
def test_a_project_that_cannot_be_run_is_refused_before_anything_is_sent(
    company: Company, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "pipeline.py").write_text(f"from towpath import Pipeline, Processing\n{text}\n")
    told = company.machine.towpath("run", str(tmp_path / "pipeline.py"), code=2)
    assert words in told
    assert "Traceback" not in told
    assert "p" not in [shown["PipelineName"] for shown in _pipelines(company)]


def _pipelines(company: Company) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = company.aws["sagemaker"].list_pipelines()["PipelineSummaries"]
    return found


WHOLE = archive(file("train.py", "print('trained')\n" + "".join(f"# {n * n}\n" for n in range(30_000))))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(
            archive(file("other.py")),
            "AlgorithmError: The program 'train.py' is not in the source archive, which holds: other.py",
            id="missing script",
        ),
        pytest.param(
            script("raise ValueError('no rows in train.csv')"),
            "AlgorithmError: ExitCode 1: ValueError: no rows in train.csv (train.py line 3)",
            id="raises",
        ),
        pytest.param(
            script("print('loading'); sys.exit(137)"),
            "AlgorithmError: ExitCode 137: killed by SIGKILL (signal 9); unless somebody killed it, the host ran",
            id="exits with 137",
        ),
        pytest.param(
            script("os.kill(os.getpid(), signal.SIGKILL)"),
            "AlgorithmError: Killed by SIGKILL (signal 9)",
            id="is killed",
        ),
        pytest.param(WHOLE[:-100], "cannot be unpacked as a tar archive: Compressed file ended before", id="cut off"),
        pytest.param(damaged(WHOLE), "cannot be unpacked as a tar archive: ", id="damaged"),
        pytest.param(b"", "is no tar archive, compressed or not (0 bytes), or it was damaged. Pack it", id="empty"),
        pytest.param(b"PK\x03\x04 a zip", "is no tar archive, compressed or not (10 bytes)", id="another format"),
        pytest.param(
            archive(file("train.py"), file("../x", "x")),
            "is not safe to unpack: '../x' leads out of its folder",
            id="member with ..",
        ),
        pytest.param(
            archive(file("train.py"), file("/etc/cron.d/x", "x")),
            "is not safe to unpack: '/etc/cron.d/x' leads out of its folder",
            id="absolute member",
        ),
        pytest.param(
            archive(link("train.py", "/etc/passwd")),
            "is not safe to unpack: the link 'train.py' leads out of its folder",
            id="link member",
        ),
        pytest.param(
            archive(link("lib", ".."), file("lib/train.py", "x")),
            "is not safe to unpack: 'lib/train.py' would be written through the link 'lib'",
            id="member behind a link",
        ),
        pytest.param(
            archive(link("train.py", "../../../claim", tarfile.LNKTYPE)),
            "is not safe to unpack: '../../../claim' leads out of its folder",
            id="hard link member",
        ),
    ],
)
def test_bad_code_fails_its_own_execution_in_words_and_nothing_of_it_is_kept(
    company: Company, source: bytes, words: str
) -> None:
    uri = company.put(source)
    ended = company.run(uri)
    assert ended.status == "Failed"
    assert ended.reason.startswith("Step 'Train' failed: ")
    assert words in ended.reason, ended.reason
    assert words in ended.steps["Train"]["FailureReason"]
    assert "unpack" not in words or f"ClientError: {uri} " in ended.reason, "what the user sent is named"
    assert list(ended.steps) == ["Train"], "no further step was begun"
    assert company.objects_under(ended.name) == []


def test_code_that_is_not_there_is_named(company: Company) -> None:
    ended = company.run(f"s3://{SHOP}/brought/nothing.tar.gz")
    assert ended.status == "Failed"
    assert f"ClientError: There are no objects under s3://{SHOP}/brought/nothing.tar.gz" in ended.reason


def test_a_script_that_saves_no_model_registers_none_and_its_log_says_why(company: Company) -> None:
    ended = company.run(company.put(archive(file("train.py", "print('trained')"))))
    assert ended.status == "Failed"
    assert ended.reason.startswith(f"Step 'Register' failed: There are no objects under s3://{SHOP}/{ended.name}/")
    assert company.objects_under(ended.name) == []
    log = company.machine.towpath("logs", f"{SHOP}/{ended.name}/Train")
    assert "output model: nothing was written to /opt/ml/model, so s3://" in log


def test_a_job_that_writes_no_output_completes_and_its_log_says_so(company: Company) -> None:
    company.process("idle", "print('nothing to do')")
    assert company.processed("idle")["ProcessingJobStatus"] == "Completed"
    assert company.objects_under("out/idle") == []
    events = company.aws["logs"].filter_log_events(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix="idle"
    )
    assert "nothing was written to /opt/ml/processing/output/out" in events["events"][-1]["message"]


def test_a_job_that_floods_its_log_ends_as_ever_and_keeps_both_ends_of_it(company: Company) -> None:
    flood = (
        "for number in range(200_000): print('line', number, 'of a flood that goes on and on and on')\nraise OSError(7)"
    )
    company.process("flood", flood)
    shown = company.processed("flood")
    assert shown["ProcessingJobStatus"] == "Failed"
    assert "OSError: 7 (flood.py line 2)" in shown["FailureReason"]
    group = {"logGroupName": "/aws/sagemaker/ProcessingJobs"}
    logs = company.aws["logs"]
    (stream,) = logs.describe_log_streams(**group, logStreamNamePrefix="flood")["logStreams"]
    name = stream["logStreamName"]
    first = logs.get_log_events(**group, logStreamName=name, startFromHead=True, limit=1)["events"]
    last = logs.get_log_events(**group, logStreamName=name, limit=5)["events"]
    gap = logs.filter_log_events(**group, logStreamNames=[name], filterPattern='"log_limit_mb"')["events"]
    assert first[0]["message"].startswith("line 0 of a flood")
    assert last[0]["message"].startswith("line 199999 of a flood")
    assert last[-1]["message"] == "OSError: 7"
    assert "the log is larger than 1 MB (setting log_limit_mb): lines from here on were dropped" in gap[0]["message"]
    kept = sum(path.stat().st_size for path in company.machine.home.jobs.glob("*/log*"))
    assert kept < 3 << 20, "no log on the disk is much larger than its limit"


# -- requests that no client sends

CREATE = ("POST / HTTP/1.1", "X-Amz-Target: SageMaker.CreatePipeline")
AMZ_JSON = "Content-Type: application/x-amz-json-1.1"


@pytest.mark.parametrize(
    ("head", "body", "status", "words"),
    [
        pytest.param(
            (*CREATE, "Content-Type: text/html", "Content-Length: 2"),
            b"{}",
            400,
            "text/html",
            id="wrong content type",
        ),
        pytest.param(
            (*CREATE, AMZ_JSON, "Content-Length: 0"), b"", 400, "Value 'null' at 'pipelineName'", id="empty body"
        ),
        pytest.param((*CREATE, AMZ_JSON, "Content-Length: 9"), b'{"Pipelin', 400, "JSON", id="half a document"),
    ],
)
def test_a_request_that_is_none_is_refused_with_what_is_wrong(
    company: Company, head: tuple[str, ...], body: bytes, status: int, words: str
) -> None:
    answer = company.send(*head, body=body)
    assert answer.startswith(f"HTTP/1.1 {status} "), answer
    assert words in answer, answer


def test_a_document_that_is_huge_is_refused_with_the_limit(company: Company) -> None:
    with pytest.raises(ClientError) as refused:
        company.aws["sagemaker"].create_pipeline(
            PipelineName="huge", PipelineDefinition=" " * (17 << 20), RoleArn=ROLE, ClientRequestToken=uuid4().hex
        )
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert f"The request's body is larger than {16 << 20} bytes." in str(refused.value)


def _being_written(blobs: Path) -> list[Path]:
    """Return the blobs that are not read-only yet."""
    found = []
    for path in blobs.glob("*/*"):
        with suppress(FileNotFoundError):  # gone since it was listed
            if path.stat().st_mode & 0o200:
                found.append(path)
    return found


@pytest.mark.parametrize(
    "head",
    [
        (*CREATE, AMZ_JSON),
        (f"PUT /{SHOP}/half HTTP/1.1",),
        (f"POST /endpoints/{ENDPOINT}/invocations HTTP/1.1", f"Content-Type: {JSON}"),
    ],
    ids=["document", "object", "invocation"],
)
def test_a_body_that_is_cut_short_leaves_nothing(company: Company, head: tuple[str, ...]) -> None:
    before = len(_pipelines(company))
    company.send(*head, "Content-Length: 1000000", body=b'{"PipelineName": "half"' + bytes(100_000), wait=False)
    until(lambda: not _being_written(company.machine.home.objects / "blobs"))
    assert company.objects_under("half") == []
    assert len(_pipelines(company)) == before


# -- endpoints


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        pytest.param(b"[1]", "application/x-parquet", '(415) from primary with message "Content type', id="wrong type"),
        pytest.param(b"", JSON, '(400) from primary with message "The body cannot be read as', id="empty"),
        pytest.param(b'{"text": "gre', JSON, "JSONDecodeError: Unterminated string", id="truncated"),
        pytest.param(b"\xff\xfe", "text/csv", "UnicodeDecodeError", id="no text"),
        pytest.param(bytes(ENDPOINT_BYTES + 1), JSON, f"larger than {ENDPOINT_BYTES} bytes", id="huge"),
    ],
)
def test_an_invocation_that_no_model_can_read_is_refused_in_words(
    company: Company, body: bytes, content_type: str, words: str
) -> None:
    with pytest.raises(ClientError) as refused:
        company.ask(ENDPOINT, body, content_type)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            model("def model_fn(folder):\n    return open(folder + '/weights.bin')\n"),
            "FileNotFoundError: [Errno 2] No such file or directory: '/opt/ml/model/weights.bin' (inference.py line 2)",
            id="model that does not load",
        ),
        pytest.param(
            model("import os, signal\ndef model_fn(folder):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"),
            "Killed by SIGSEGV (signal 11)",
            id="model that crashes while it loads",
        ),
        pytest.param(
            archive(file("weights.bin")),
            "No handler script 'inference.py' in /opt/ml/model/code (no such folder). Put inference.py into",
            id="no script",
        ),
        pytest.param(model("")[:-20], "cannot be unpacked as a tar archive: ", id="cut off archive"),
        pytest.param(b"weights", "is no tar archive, compressed or not (7 bytes)", id="no archive"),
        pytest.param(
            archive(file("../../x")), "is not safe to unpack: '../../x' leads out of its folder", id="with .."
        ),
    ],
)
def test_an_endpoint_that_cannot_serve_its_model_fails_in_words(company: Company, body: bytes, words: str) -> None:
    name = f"bad-{uuid4().hex[:8]}"
    company.create_endpoint(name, body)
    shown = company.endpoint(name)
    assert shown["EndpointStatus"] == "Failed"
    assert shown["FailureReason"].startswith("Instance 0 of variant 'only' could not be started: ")
    assert words in shown["FailureReason"]
    with pytest.raises(ClientError, match=r"is Failed, not InService; see DescribeEndpoint"):
        company.ask(name, b"{}")
    company.delete_endpoint(name)


def test_an_endpoint_that_loads_slowly_says_so_until_it_serves(company: Company) -> None:
    company.story.recorder.hold("Load")
    company.create_endpoint("slow", model(SLOW.format(port=company.story.recorder.port)))
    company.story.recorder.until_begun("Load")
    assert company.aws["sagemaker"].describe_endpoint(EndpointName="slow")["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError) as refused:
        company.ask("slow", b"{}")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert "Endpoint slow of account 000000000000 is Creating, not InService; see DescribeEndpoint." in str(
        refused.value
    )
    company.check_unharmed()
    company.story.recorder.release("Load")
    assert company.endpoint("slow")["EndpointStatus"] == "InService"
    assert company.ask("slow", b"{}") == 1
    company.delete_endpoint("slow")


CRASHES = """
import os, signal, sys
def model_fn(folder):
    return None
def predict_fn(data, model):
    if data == "exit":
        os._exit(3)
    if data == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == "raise":
        raise ValueError("negative price")
    return os.getpid()
"""


def test_an_input_that_crashes_its_model_costs_one_instance_which_comes_back(company: Company) -> None:
    company.create_endpoint("fragile", model(CRASHES), instances=2)
    assert company.endpoint("fragile")["EndpointStatus"] == "InService"

    def instances() -> set[int]:
        return {company.ask("fragile", b"[1]") for _ in range(4)}

    with pytest.raises(
        ClientError, match=r'server error \(500\) from primary with message "ValueError: negative price"'
    ):
        company.ask("fragile", b'"raise"')
    for deadly in (b'"exit"', b'"kill"'):
        before = instances()
        assert len(before) == 2
        with pytest.raises(ClientError) as failed:
            company.ask("fragile", deadly)
        assert failed.value.response["Error"]["Code"] == "ModelError"
        assert "The model server ended while it answered" in str(failed.value)
        assert "See the log group /aws/sagemaker/Endpoints/fragile" in str(failed.value)
        # No caller of the other instance notices anything until both are there again.
        survivors = before & instances()
        assert len(survivors) == 1, "the input was sent to one instance only"
        until(lambda: len(instances()) == 2)
        assert survivors < instances()
    assert company.endpoint("fragile")["EndpointStatus"] == "InService"
    company.delete_endpoint("fragile")


# -- and in the end


@pytest.mark.timeout(900)  # the one slow thing here: the disk decides
def test_a_job_that_leaves_a_hundred_thousand_files_keeps_them_all_and_holds_nobody_up(company: Company) -> None:
    def ended() -> bool:
        company.check_unharmed()
        shown = company.aws["sagemaker"].describe_processing_job(ProcessingJobName="many")
        return bool(shown["ProcessingJobStatus"] != "InProgress")

    until(ended, within_s=600, every_s=1.0)
    assert company.processed("many")["ProcessingJobStatus"] == "Completed"
    s3 = company.aws["s3"]
    folders = [
        folder["Prefix"]
        for folder in s3.list_objects_v2(Bucket=SHOP, Prefix="out/many/", Delimiter="/")["CommonPrefixes"]
    ]
    assert folders == [f"out/many/{number:03}/" for number in range(MANY // 1000)]
    for folder in folders[:: len(folders) // 4]:
        listed = s3.list_objects_v2(Bucket=SHOP, Prefix=folder)
        assert (listed["KeyCount"], listed["IsTruncated"]) == (1000, False)


def test_work_that_ran_all_the_while_succeeds(place: Company) -> None:
    place.check_unharmed()
    place.story.recorder.release("Train")
    check_succeeded(place.story, place.bystander, train_begun=1)
    packages = place.aws["sagemaker"].list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert [package["ModelPackageVersion"] for package in packages] == [1]
    log = place.machine.home.server_log.read_text()
    assert "Traceback" not in log, "nothing of this was an error of the platform's"
