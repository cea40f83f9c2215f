"""A processing job's request becomes files, a command and folders that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from towpath.jobs.channels import Role
from towpath.jobs.model import JobSpec, Output
from towpath.jobs.processing import check, outputs, wanted_inputs
from towpath.jobs.requests import ProcessingJobRequest
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.resource import Document, view

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

BUCKET = "sagemaker-us-east-1-000000000000"
CODE = f"s3://{BUCKET}/BERT-pipeline/code/e80e534aa679437865a249e534b874952019202700313eb08392cd6503d736ef/prep.py"

Arguments = Callable[..., Document]


@pytest.fixture
def golden(step_arguments: Arguments) -> Document:
    return step_arguments("v2_bert.json", "Processing", PipelineExecutionId="abc123")


def started(world: World, document: Document) -> JobSpec:
    """Create the job, let the engine start it, and return what the back end was given."""
    world.call("CreateProcessingJob", {"ProcessingJobName": "prepare", **document})
    world.run()
    assert len(world.backend.jobs) == 1, world.resource("ProcessingJob", "prepare").state
    return next(iter(world.backend.jobs.values()))


def test_a_real_request_is_laid_out_run_and_kept_as_it_says(world: World, golden: Document) -> None:
    world.put(f"s3://{BUCKET}/raw/reviews.csv", b"data")
    world.put(CODE, b"print()")
    job = started(world, golden)
    assert [item.path for item in job.inputs] == ["processing/input/data/reviews.csv", "processing/input/code/prep.py"]
    assert job.argv == (
        "python3",
        "/opt/ml/processing/input/code/prep.py",
        *("--train-split", "0.9", "--feature-store", "no", "--epochs", "1"),
    )
    prefix = "BERT-pipeline/abc123/Processing/output"
    assert job.outputs == (
        Output(name="train", path="processing/output/sentiment/train", bucket=BUCKET, key=f"{prefix}/train"),
        Output(name="validation", path="processing/output/validation", bucket=BUCKET, key=f"{prefix}/validation"),
    )
    assert job.failure_file == "output/message"
    assert job.limits.max_runtime_s == 7200
    assert job.python == "/opt/towpath/bin/python"


def test_the_job_finds_its_configuration_files(world: World, golden: Document) -> None:
    world.put(f"s3://{BUCKET}/raw/reviews.csv", b"data")
    world.put(CODE, b"print()")
    files = started(world, golden).files
    config = json.loads(files["config/processingjobconfig.json"])
    assert config["ProcessingJobName"] == "prepare"
    assert config["ProcessingJobArn"].endswith(":processing-job/prepare")
    assert config["ProcessingInputs"] == golden["ProcessingInputs"]
    resources = json.loads(files["config/resourceconfig.json"])
    assert resources["current_host"] == "algo-1"
    assert resources["hosts"] == ["algo-1"]
    assert resources["current_instance_type"] == "ml.c5.2xlarge"


def test_two_hosts_find_their_names_and_their_parts(world: World, golden: Document) -> None:
    for name in ("a", "b", "c"):
        world.put(f"s3://{BUCKET}/raw/{name}.csv", b"data")
    world.put(CODE, b"print()")
    golden["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    golden["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    golden["ProcessingInputs"][0]["S3Input"]["S3Uri"] = f"s3://{BUCKET}/raw/"
    job = started(world, golden)
    told = [json.loads({**job.files, **part.files}["config/resourceconfig.json"]) for part in job.hosts]
    assert [each["current_host"] for each in told] == ["algo-1", "algo-2"]
    assert [each["hosts"] for each in told] == [["algo-1", "algo-2"]] * 2
    assert [(item.path.rpartition("/")[2], item.host) for item in job.inputs] == [
        ("a.csv", "algo-1"),
        ("b.csv", "algo-2"),
        ("c.csv", "algo-1"),
        ("prep.py", ""),
    ]


def test_nobody_overrides_the_variables_of_the_contract(world: World, golden: Document) -> None:
    world.put(f"s3://{BUCKET}/raw/reviews.csv", b"data")
    world.put(CODE, b"print()")
    golden["Environment"] = {"PROCESSING_JOB_NAME": "other", "MINE": "1", "AWS_DEFAULT_REGION": "eu-west-1"}
    environment = started(world, golden).environment
    assert environment["PROCESSING_JOB_NAME"] == "prepare"
    assert environment["PROCESSING_JOB_ARN"].endswith(":processing-job/prepare")
    assert environment["MINE"] == "1"
    assert environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_REGION"] == "us-east-1"


def test_what_is_not_as_it_was_asked_for_begins_the_log(world: World, golden: Document) -> None:
    world.put(f"s3://{BUCKET}/raw/reviews.csv", b"data")
    world.put(CODE, b"print()")
    job = started(world, golden)
    assert job.limits.cores == 2
    image = golden["AppSpecification"]["ImageUri"]
    assert job.notes == (
        "ml.c5.2xlarge has 8 cores, this host 2",
        f"{image} is Python 3.11.7 of /opt/towpath/bin/python here (in place of AWS's scikit-learn image)",
    )


def test_code_is_told_from_data_by_what_the_entrypoint_names(golden: Document) -> None:
    wanted = wanted_inputs(view(ProcessingJobRequest, golden))
    assert {item.name: item.role for item in wanted} == {"raw": Role.DATA, "code": Role.CODE}
    golden["ProcessingInputs"][1]["InputName"] = "scripts"
    wanted = wanted_inputs(view(ProcessingJobRequest, golden))
    assert {item.name: item.role for item in wanted} == {"raw": Role.DATA, "scripts": Role.CODE}


def test_requirements_are_looked_for_with_the_code_alone(world: World, golden: Document) -> None:
    world.put(f"s3://{BUCKET}/raw/reviews.csv", b"data")
    world.put(CODE, b"print()")
    assert started(world, golden).requirements == ("processing/input/code/requirements.txt",)


def test_what_the_application_manages_itself_is_left_alone(golden: Document) -> None:
    for item in (*golden["ProcessingInputs"], *golden["ProcessingOutputConfig"]["Outputs"]):
        item["AppManaged"] = True
    request = view(ProcessingJobRequest, golden)
    assert wanted_inputs(request) == ()
    assert outputs(request) == ()


def test_a_continuous_output_is_kept_after_a_failure_too(golden: Document) -> None:
    golden["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] = "Continuous"
    kept = outputs(view(ProcessingJobRequest, golden))
    assert [item.on_failure for item in kept] == [True, False]


def _set(path: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        *parents, last = path.split(".")
        target: Any = document
        for part in parents:
            target = target[int(part)] if part.isdigit() else target[part]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_set("ProcessingResources.ClusterConfig.InstanceCount", 101), Invalid, "InstanceCount is 101; expected 1 to"),
        (_set("AppSpecification.ContainerEntrypoint", None), Invalid, "ContainerEntrypoint is missing"),
        (_set("ProcessingInputs.0.S3Input.S3Uri", "/local"), Invalid, "'/local' is not an S3 URI"),
        (_set("ProcessingInputs.0.S3Input.LocalPath", "/data"), Unsupported, "below /opt/ml"),
        (_set("ProcessingInputs.0.S3Input.LocalPath", None), Invalid, "'raw': LocalPath is missing"),
        (_set("ProcessingInputs.0.S3Input.S3InputMode", "Pipe"), Unsupported, "S3InputMode File"),
        (_set("ProcessingInputs.0.S3Input.S3DataType", "Other"), Unsupported, "S3DataType 'Other'"),
        (_set("ProcessingInputs.0.S3Input", None), Unsupported, "only S3Input is supported"),
        (_set("ProcessingOutputConfig.Outputs.0.S3Output", None), Unsupported, "only S3Output is supported"),
        (_set("ProcessingOutputConfig.Outputs.0.S3Output.S3Uri", "x"), Invalid, "'x' is not an S3 URI"),
    ],
)
def test_what_cannot_run_here_is_refused_with_its_place(
    golden: Document, change: Callable[[Document], None], error: type[Exception], message: str
) -> None:
    change(golden)
    with pytest.raises(error, match=message):
        check(view(ProcessingJobRequest, golden))
