"""The cache of steps, through unmodified boto3 on a real server: what is taken over, and what runs again."""

import hashlib
import importlib.metadata
import io
import itertools
import json
import platform
import tarfile
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import IMAGE, ROLE, Aws
from tests.clients.records.test_flow import create, job, run

from towpath.gateway.service_models import OURS

pytestmark = pytest.mark.slow

BASE = "/opt/ml/processing"
NAMES = itertools.count()
BOTH = {"Prepare", "Train"}
PREPARE = """
import pathlib, sys
import helpers.text
words = pathlib.Path("/opt/ml/processing/input/raw/words.txt").read_text()
pathlib.Path("/opt/ml/processing/output/train/words.txt").write_text(helpers.text.changed(words, sys.argv[1]))
"""
TRAIN = """
import os, pathlib
words = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "words.txt").read_text()
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(words)
"""
Change = Callable[["Lake"], None]
CODE = {
    "prepare.py": PREPARE,
    "helpers/__init__.py": "",
    "helpers/text.py": "import helpers.deep\n\ndef changed(text, how):\n    return helpers.deep.said(text) + how\n",
    "helpers/deep.py": "def said(text):\n    return text.upper()\n",
    "requirements.txt": "# nothing yet\n",
}


class Lake:
    """A bucket and a pipeline of a test's own: Prepare (Processing) and Train (Training)."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.name = f"cache-{next(NAMES)}"
        self.bucket = self.name
        self.raw = f"s3://{self.bucket}/raw/"
        self.code = f"s3://{self.bucket}/code/"
        self.cache: Any = {"Enabled": True, "ExpireAfter": "p30d"}
        self.job = "prepare"
        self.how = "!"
        self.placed: Any = {
            "Std:Join": {"On": "/", "Values": [f"s3://{self.bucket}/out", {"Get": "Execution.PipelineExecutionId"}]}
        }
        self.entrypoint = ["python3", f"{BASE}/input/code/prepare.py"]
        aws.s3.create_bucket(Bucket=self.bucket)
        self.put("raw/words.txt", "one two")
        self.upload(CODE)
        self.put("source/source.tar.gz", archive({"train.py": TRAIN}, at=1))
        self.created = False
        self.executions: list[Ran] = []

    def put(self, key: str, content: str | bytes) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.aws.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def upload(self, files: dict[str, str], prefix: str = "code") -> None:
        for name, text in files.items():
            self.put(f"{prefix}/{name}", text)

    def get(self, uri: str) -> str:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        text: str = self.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return text

    def definition(self) -> str:
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        s3 = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
        prepare = {
            "ProcessingJobName": self.job,
            "RoleArn": ROLE,
            "ProcessingResources": {"ClusterConfig": resources},
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": self.entrypoint,
                "ContainerArguments": [{"Get": "Parameters.How"}],
            },
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"S3Uri": uri, "LocalPath": f"{BASE}/input/{name}", **s3}}
                for name, uri in (("raw", self.raw), ("code", self.code))
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "train",
                        "S3Output": {
                            "S3Uri": self.placed,
                            "LocalPath": f"{BASE}/output/train",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
        }
        prepared = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
        train = {
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{self.bucket}/source/source.tar.gz",
            },
            "InputDataConfig": [
                {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": prepared}}}
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        steps = [
            {"Name": "Prepare", "Type": "Processing", "Arguments": prepare},
            {"Name": "Train", "Type": "Training", "Arguments": train},
        ]
        if self.cache is not None:
            steps = [{**step, "CacheConfig": self.cache} for step in steps]
        parameters = [{"Name": "How", "Type": "String", "DefaultValue": "!"}]
        return json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps})

    def run(self, expected: str = "Succeeded") -> "Ran":
        """Run the pipeline as it is described now."""
        sagemaker = self.aws.sagemaker
        asked = {"PipelineName": self.name, "PipelineDefinition": self.definition(), "RoleArn": ROLE}
        (sagemaker.update_pipeline if self.created else sagemaker.create_pipeline)(**asked)
        self.created = True
        given: Any = [{"Name": "How", "Value": self.how}]
        started = sagemaker.start_pipeline_execution(PipelineName=self.name, PipelineParameters=given)
        arn = started["PipelineExecutionArn"]
        ended = wait_for_execution(sagemaker, arn)
        listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        assert ended["PipelineExecutionStatus"] == expected, listed
        self.executions.append(Ran(self, arn, {step["StepName"]: step for step in listed}))
        return self.executions[-1]

    @property
    def first(self) -> "Ran":
        """The first execution."""
        return self.executions[0]


class Ran:
    """One execution, ended."""

    def __init__(self, lake: Lake, arn: str, steps: dict[str, Any]) -> None:
        self.lake = lake
        self.arn = arn
        self.steps = steps

    def sources(self) -> dict[str, str | None]:
        """Return the execution that each step took its result from."""
        return {
            name: step.get("CacheHitResult", {}).get("SourcePipelineExecutionArn") for name, step in self.steps.items()
        }

    @property
    def ran(self) -> set[str]:
        """The steps that ran."""
        return {name for name, source in self.sources().items() if source is None}

    def job(self, step: str) -> str:
        """Return the ARN of a step's job."""
        found: str = next(iter(self.steps[step]["Metadata"].values()))["Arn"]
        return found

    def output(self) -> str:
        """Return the URI of what Prepare made."""
        job = self.lake.aws.sagemaker.describe_processing_job(ProcessingJobName=self.job("Prepare").rpartition("/")[2])
        uri: str = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        return f"{uri}/words.txt"


def archive(files: dict[str, str], *, at: int) -> bytes:
    """Return files as an archive that was packed at a time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid = len(text.encode()), at, at
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@pytest.fixture
def lake(aws: Aws) -> Lake:
    """Return a pipeline that has run once."""
    lake = Lake(aws)
    assert lake.run().ran == BOTH
    return lake


@pytest.mark.shows("sagemaker", "ListPipelineExecutionSteps")
def test_an_equal_run_takes_everything_over(lake: Lake) -> None:
    again = lake.run()
    assert again.sources() == dict.fromkeys(BOTH, lake.first.arn)
    assert {name: step["Metadata"] for name, step in again.steps.items()} == {
        name: step["Metadata"] for name, step in lake.first.steps.items()
    }
    assert lake.run().sources() == dict.fromkeys(BOTH, lake.first.arn), "the source is who ran it"


def test_touching_moving_uploading_again_and_renaming_change_nothing(lake: Lake) -> None:
    lake.upload(CODE, prefix="moved/elsewhere")
    lake.code = f"s3://{lake.bucket}/moved/elsewhere/"
    lake.put("other/words.txt", "one two")
    lake.raw = f"s3://{lake.bucket}/other/"
    lake.job = "renamed"
    lake.put("source/source.tar.gz", archive({"train.py": TRAIN}, at=2))
    lake.placed = f"s3://{lake.bucket}/out/words-2026-11-28-04-36-19-123"
    assert lake.run().ran == set()


def parameter(lake: Lake) -> None:
    lake.how = "?"


def one_byte(lake: Lake) -> None:
    lake.put("raw/words.txt", "one tWo")


def deep_helper(lake: Lake) -> None:
    lake.upload({**CODE, "helpers/deep.py": "def said(text):\n    return text.title()\n"})


def requirement(lake: Lake) -> None:
    lake.upload({**CODE, "requirements.txt": "numpy\n"})


def another_file(lake: Lake) -> None:
    lake.put("raw/more.txt", "")


def disabled(lake: Lake) -> None:
    lake.cache = {"Enabled": False, "ExpireAfter": "P30D"}


def unconfigured(lake: Lake) -> None:
    lake.cache = None


def expired(lake: Lake) -> None:
    lake.cache = {"Enabled": True, "ExpireAfter": "PT0S"}


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        (parameter, BOTH),
        (one_byte, {"Prepare"}),  # in upper case it is the same, so that Train reads what it read before
        (deep_helper, BOTH),
        (requirement, {"Prepare"}),
        (another_file, {"Prepare"}),
        (disabled, BOTH),
        (unconfigured, BOTH),
        (expired, BOTH),
    ],
    ids=lambda value: value.__name__ if callable(value) else "+".join(sorted(value)),
)
def test_what_changes_the_result_runs_again(lake: Lake, change: Change, ran: set[str]) -> None:
    change(lake)
    assert lake.run().ran == ran


def test_the_training_code_counts_by_its_files(lake: Lake) -> None:
    lake.put("source/source.tar.gz", archive({"train.py": TRAIN + "\n"}, at=1))
    assert lake.run().ran == {"Train"}


def test_outputs_that_were_deleted_or_overwritten_are_put_back(lake: Lake) -> None:
    uri = lake.first.output()
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    assert lake.get(uri) == "ONE TWO!"
    lake.put(key, "somebody's own")
    assert lake.run().ran == set()
    assert lake.get(uri) == "ONE TWO!"
    lake.aws.s3.delete_object(Bucket=bucket, Key=key)
    assert lake.run().ran == set()
    assert lake.get(uri) == "ONE TWO!"
    versions = lake.aws.s3.list_object_versions(Bucket=bucket, Prefix=key)
    assert len(versions["Versions"]) == 4, "nothing that was written is lost"


def test_an_output_that_the_cache_may_need_is_not_removed_for_good(lake: Lake) -> None:
    """So a deleted output can be put back; only a store that is not ours can lose it, and then the step runs."""
    bucket, _, key = lake.first.output().removeprefix("s3://").partition("/")
    (version,) = lake.aws.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    place = {"Bucket": bucket, "Key": key, "VersionId": version["VersionId"]}
    with pytest.raises(ClientError, match="cannot be removed for good: the lineage refers to it"):
        lake.aws.s3.delete_object(**place)
    assert lake.run().ran == set()


def test_a_failed_step_is_never_a_source(aws: Aws) -> None:
    lake = Lake(aws)
    lake.entrypoint = ["python3", f"{BASE}/input/code/absent.py"]
    assert lake.run("Failed").ran == {"Prepare"}
    assert lake.run("Failed").ran == {"Prepare"}


def test_other_pipelines_take_nothing_over(lake: Lake) -> None:
    lake.name = f"{lake.name}-other"
    lake.created = False
    assert lake.run().ran == BOTH


def test_the_lineage_of_an_execution_leads_to_the_job_that_ran(lake: Lake) -> None:
    lake.aws.s3.delete_object(Bucket=lake.bucket, Key=lake.first.output().removeprefix(f"s3://{lake.bucket}/"))
    lake.run()
    found = lake.aws.sagemaker.list_artifacts(SourceUri=lake.first.output())["ArtifactSummaries"]
    assert len(found) == 2, "the version that the job wrote, and the one that was put back"
    for artifact in found:
        made = lake.aws.sagemaker.list_associations(DestinationArn=artifact["ArtifactArn"])["AssociationSummaries"]
        (source,) = [each["SourceArn"] for each in made if each["AssociationType"] == "Produced"]
        assert "trial-component" in source


def explained(ran: Ran, step: str) -> Any:
    """Return what `towpath explain` tells of a step."""
    return explanation_of(ran.lake.aws, ran.arn, step)


def explanation_of(aws: Aws, arn: str, step: str) -> Any:
    """Return what `towpath explain` tells of a step, by boto3 with our service model."""
    session = botocore.session.Session()
    session.set_config_variable("data_path", str(OURS))
    keys = aws.home.credentials()
    assert keys is not None
    client = session.create_client(
        "towpath",
        region_name="us-east-1",
        endpoint_url=aws.url,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
    )
    return client.explain_pipeline_execution_step(PipelineExecutionArn=arn, StepName=step)


def test_a_step_of_a_round_is_compared_with_the_same_round_before(aws: Aws) -> None:
    def body(argument: str) -> dict[str, Any]:
        step = job("One", "pass", {"Get": "ForEach.CurrentItem"}, argument, CacheConfig={"Enabled": True})
        return {"Name": "Each", "Type": "ForEach", "Arguments": {"IterableItems": ["a", "b"], "ForEachBody": [step]}}

    create(aws, "explained-rounds", body("first"))
    first, _ = run(aws, "explained-rounds")
    definition = json.dumps({"Version": "2020-12-01", "Steps": [body("second")]})
    aws.sagemaker.update_pipeline(PipelineName="explained-rounds", PipelineDefinition=definition)
    second, _ = run(aws, "explained-rounds")
    told = explanation_of(aws, second["PipelineExecutionArn"], "One[1]")
    assert (told["Outcome"], told["ComparedWith"]) == ("Miss", first["PipelineExecutionArn"])
    (difference,) = told["Differences"]
    assert [difference["Before"], difference["After"]] == ["first", "second"]


@pytest.mark.shows("towpath", "ExplainPipelineExecutionStep", how="executes")
def test_a_step_is_explained_by_the_first_part_that_differs(lake: Lake) -> None:
    told = explained(lake.first, "Prepare")
    assert (told["Outcome"], told["StepType"]) == ("Miss", "Processing")
    assert told["Reason"] == "no execution of this pipeline has succeeded with this key"
    assert "ComparedWith" not in told
    parts = {(part["Group"], part["Name"]): part["Value"] for part in told["KeyParts"]}
    assert parts["argument", "AppSpecification.ContainerArguments[0]"] == "!"
    assert parts["argument", "ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"] == f"s3://{lake.bucket}/out/*"
    deep = hashlib.sha256(CODE["helpers/deep.py"].encode()).hexdigest()
    assert parts["code", "processing/input/code/helpers/deep.py"] == deep
    assert len(parts["input", "raw"]) == 64
    assert parts["environment", "msgspec"] == importlib.metadata.version("msgspec")
    assert parts["environment", "Python"] == platform.python_version()
    assert not {"ProcessingJobName", "RoleArn", "Tags"} & {name for _, name in parts}

    hit = explained(lake.run(), "Prepare")
    assert (hit["Outcome"], hit["SourcePipelineExecutionArn"]) == ("Hit", lake.first.arn)
    assert (hit["Key"], hit["KeyParts"], hit["Differences"]) == (told["Key"], told["KeyParts"], [])

    deep_helper(lake)
    one_byte(lake)
    parameter(lake)
    missed = explained(lake.run(), "Prepare")
    assert missed["Outcome"] == "Miss"
    assert missed["ComparedWith"] == lake.executions[1].arn
    assert [(each["Group"], each["Name"]) for each in missed["Differences"]] == [
        ("argument", "AppSpecification.ContainerArguments[0]"),
        ("input", "raw"),
        ("code", "processing/input/code/helpers/deep.py"),
    ]
    assert (missed["Differences"][0]["Before"], missed["Differences"][0]["After"]) == ("!", "?")
    (file,) = missed["Differences"][1]["Files"]
    assert file["Path"] == "processing/input/raw/words.txt"
    assert file["Before"] == hashlib.sha256(b"one two").hexdigest()


def test_a_step_without_the_cache_is_explained_too(lake: Lake) -> None:
    unconfigured(lake)
    told = explained(lake.run(), "Train")
    assert (told["Outcome"], told["Reason"]) == ("Off", "the step has no CacheConfig")
    assert told["Key"] == explained(lake.first, "Train")["Key"]
    assert told["Differences"] == []
    with pytest.raises(ClientError, match=r"'Nowhere' is no step of .*; its steps: Prepare, Train"):
        explained(lake.first, "Nowhere")


def test_why_a_step_ran_although_its_key_was_known_is_told(lake: Lake) -> None:
    expired(lake)
    assert "is older than PT0S" in explained(lake.run(), "Train")["Reason"]
    lake.raw = f"s3://{lake.bucket}/nothing/"
    lake.cache = {"Enabled": True, "ExpireAfter": "P1D"}
    told = explained(lake.run("Failed"), "Prepare")
    assert told["Outcome"] == "NoKey"
    assert "There are no objects under" in told["Reason"]
