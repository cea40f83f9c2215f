"""A training job's request becomes channels, a command line and an archive of the model, in each of the three ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from towpath.jobs import ImageMap, Interpreter
from towpath.jobs.model import JobSpec, MetricDefinition, OutputMode
from towpath.jobs.requests import TrainingJobRequest
from towpath.jobs.script_mode import arguments, decoded, script_environment
from towpath.jobs.training import check, cluster, command, is_repack, outputs, requirements
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.resource import Document, view

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

BUCKET = "sagemaker-us-east-1-000000000000"
SOURCE = (
    f"s3://{BUCKET}/BERT-pipeline/code/"
    "ac3014c5babc7d874de34e4acd9bdfc3340935a08a8d512142ccb60154b0bcc2/sourcedir.tar.gz"
)
PLATFORM = Interpreter(python="/platform/python", version="3.12.1")

Arguments = Callable[..., Document]


@pytest.fixture
def script_mode(step_arguments: Arguments) -> Document:
    references = {
        "Outputs['train'].S3Output.S3Uri": "",
        "S3Uri": f"s3://{BUCKET}/processed",
    }
    return step_arguments("v2_bert.json", "Train", **references)


@pytest.fixture
def drivers(step_arguments: Arguments) -> Document:
    document = step_arguments("v3_bert.json", "Train", S3Uri=f"s3://{BUCKET}/processed")
    document["HyperParameters"] = {name: str(value) for name, value in document["HyperParameters"].items()}
    return document


def started(world: World, document: Document) -> JobSpec:
    world.call("CreateTrainingJob", {"TrainingJobName": "train-1", **document})
    world.run()
    assert len(world.backend.jobs) == 1, world.resource("TrainingJob", "train-1").state
    return next(iter(world.backend.jobs.values()))


def test_requirements_are_looked_for_beside_the_program_or_with_the_code(
    world: World, script_mode: Document, drivers: Document
) -> None:
    request = view(TrainingJobRequest, script_mode)
    assert requirements(request, "/opt/ml/code") == ("code/requirements.txt",)
    assert requirements(request, "/opt/ml/input/data/code") == ("input/data/code/requirements.txt",)
    shell = {**script_mode, "HyperParameters": {**script_mode["HyperParameters"], "sagemaker_program": "train.sh"}}
    assert requirements(view(TrainingJobRequest, shell), "/opt/ml/code") == ()
    assert "input/data/code/requirements.txt" in requirements(view(TrainingJobRequest, drivers), "/opt/ml")


def test_script_mode_runs_the_program_of_the_source_archive(world: World, script_mode: Document) -> None:
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    job = started(world, script_mode)
    assert job.argv == (
        *("{python}", "/opt/ml/input/config/towpath_toolkit.py", "train.py"),
        *("--epochs", "1", "--freeze", "False", "--learning_rate", "1e-05", "--name", "abc"),
    )
    assert job.cwd == "/opt/ml/code"
    assert job.files["input/config/towpath_toolkit.py"] == "# toolkit"
    archive = next(item for item in job.inputs if item.unpack)
    assert (archive.uri, archive.path) == (SOURCE, "code")
    assert {item.path for item in job.inputs if not item.unpack} == {
        "input/data/train/part-0.csv",
        "input/data/validation/part-0.csv",
    }
    assert job.metrics == (MetricDefinition(name="validation:accuracy", regex="val_acc: ([0-9.]+)"),)
    assert job.failure_file == "output/failure"


def test_script_mode_tells_the_script_of_its_surroundings(world: World, script_mode: Document) -> None:
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    job = started(world, script_mode)
    environment = job.environment
    assert (job.host, job.hosts) == ("algo-1", ()), "it finds itself by the name that SM_CURRENT_HOST and others tell"
    expected = {
        "TRAINING_JOB_NAME": "train-1",
        "AWS_REGION": "us-east-1",
        "CURRENT_HOST": "algo-1",
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CHANNEL_VALIDATION": "/opt/ml/input/data/validation",
        "SM_CHANNELS": '["train","validation"]',
        "SM_HPS": '{"epochs":1,"freeze":"False","learning_rate":1e-05,"name":"abc"}',
        "SM_HP_EPOCHS": "1",
        "SM_HP_NAME": "abc",
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_NUM_CPUS": "2",
        "SM_NUM_GPUS": "0",
        "SM_MODULE_DIR": SOURCE,
        "SM_MODULE_NAME": "train",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_LOG_LEVEL": "20",
        "SM_NETWORK_INTERFACE_NAME": "lo",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["TRAINING_JOB_ARN"].endswith(":training-job/train-1")
    assert json.loads(environment["SM_USER_ARGS"])[:2] == ["--epochs", "1"]
    assert json.loads(environment["SM_RESOURCE_CONFIG"])["hosts"] == ["algo-1"]
    training = json.loads(environment["SM_TRAINING_ENV"])
    assert training["channel_input_dirs"]["train"] == "/opt/ml/input/data/train"
    assert training["hyperparameters"]["epochs"] == 1
    assert training["job_name"] == "train-1"


def test_each_of_several_hosts_is_told_which_one_it_is(world: World, script_mode: Document) -> None:
    for number in range(5):
        world.put(f"s3://{BUCKET}/processed/part-{number}.csv", b"data")
    world.put(SOURCE, b"tar")
    script_mode["ResourceConfig"] = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 1}
    script_mode["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = started(world, script_mode)
    names = ["algo-1", "algo-2", "algo-3"]
    assert [part.name for part in job.hosts] == names
    assert job.host == ""
    for part in job.hosts:
        environment, files = {**job.environment, **part.environment}, {**job.files, **part.files}
        resources = json.loads(files["input/config/resourceconfig.json"])
        assert (resources["current_host"], resources["hosts"]) == (part.name, names)
        assert json.loads(environment["SM_RESOURCE_CONFIG"]) == resources
        assert json.loads(environment["SM_HOSTS"]) == names
        assert (environment["SM_CURRENT_HOST"], environment["CURRENT_HOST"]) == (part.name, part.name)
        training = json.loads(environment["SM_TRAINING_ENV"])
        assert (training["current_host"], training["hosts"]) == (part.name, names)
        assert (training["is_master"], training["master_hostname"]) == (part.name == "algo-1", "algo-1")
        assert environment["SM_NUM_CPUS"] == "1", "three hosts share two cores"
        assert set(part.files) <= {"input/config/resourceconfig.json"}, "what is the same is written once"
    sharded = {item.path: item.host for item in job.inputs if item.path.startswith("input/data/train/")}
    assert sharded == {f"input/data/train/part-{number}.csv": names[number % 3] for number in range(5)}
    assert {item.host for item in job.inputs if not item.path.startswith("input/data/train/")} == {""}


def test_a_launcher_that_is_not_there_is_said_to_be_missing(world: World, script_mode: Document) -> None:
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    script_mode["HyperParameters"] |= {
        "sagemaker_torch_distributed_enabled": "true",
        "sagemaker_mpi_enabled": "false",
    }
    assert started(world, script_mode).notes[-1] == (
        "sagemaker_torch_distributed_enabled: there is no launcher for it here, the script is run once on each host"
    )


def test_a_group_of_instances_gives_type_and_number(world: World, script_mode: Document) -> None:
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    group = {"InstanceGroupName": "workers", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2}
    script_mode["ResourceConfig"] = {"InstanceGroups": [group], "VolumeSizeInGB": 1}
    script_mode["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = started(world, script_mode)
    resources = json.loads(job.files["input/config/resourceconfig.json"])
    assert (resources["current_group_name"], resources["current_instance_type"]) == ("workers", "ml.c5.xlarge")
    assert resources["instance_groups"] == [
        {"instance_group_name": "workers", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1", "algo-2"]}
    ]
    assert "2 instances of ml.c5.xlarge have 8 cores, this host 2" in job.notes[0]
    assert job.notes[-1] == "input 'train' has 1 object for 2 hosts that share them: algo-2 gets none"


def test_the_entrypoint_of_the_newer_sdk_runs_as_it_is_given(world: World, drivers: Document) -> None:
    for key in ("processed/part-0.csv", "bert/bert-20261122090107/input/code/train.py"):
        world.put(f"s3://{BUCKET}/{key}", b"x")
    world.put(f"s3://{BUCKET}/bert/bert-20261122090107/input/sm_drivers/scripts/environment.py", b"x")
    job = started(world, drivers)
    assert job.argv == ("/bin/bash", "-c", drivers["AlgorithmSpecification"]["ContainerArguments"][1])
    assert {item.path for item in job.inputs} == {
        "input/data/train/part-0.csv",
        "input/data/code/train.py",
        "input/data/sm_drivers/scripts/environment.py",
    }
    assert json.loads(job.files["input/config/hyperparameters.json"]) == {
        "epochs": "1",
        "lr": "1e-05",
        "name": "abc",
        "freeze": "false",
    }
    assert set(json.loads(job.files["input/config/inputdataconfig.json"])) == {"train", "code", "sm_drivers"}
    assert "input/config/towpath_toolkit.py" not in job.files
    assert job.environment["TRAINING_JOB_NAME"] == "train-1"


def test_the_configuration_files_are_there_when_nothing_is_configured(world: World, drivers: Document) -> None:
    del drivers["HyperParameters"], drivers["InputDataConfig"]
    files = started(world, drivers).files
    assert json.loads(files["input/config/hyperparameters.json"]) == {}
    assert json.loads(files["input/config/inputdataconfig.json"]) == {}


def test_the_model_is_packed_where_aws_puts_it(script_mode: Document) -> None:
    kept = {item.name: item for item in outputs(view(TrainingJobRequest, script_mode), "train-1")}
    assert (kept["model"].path, kept["model"].bucket, kept["model"].key) == (
        "model",
        BUCKET,
        "train-1/output/model.tar.gz",
    )
    assert kept["data"].key == "train-1/output/output.tar.gz"
    assert kept["data"].on_failure
    assert kept["data"].mode is OutputMode.DISCARD_IF_EMPTY_ARCHIVE
    script_mode["OutputDataConfig"] = {"S3OutputPath": "s3://b/models/", "CompressionType": "NONE"}
    kept = {item.name: item for item in outputs(view(TrainingJobRequest, script_mode), "train-1")}
    assert (kept["model"].key, kept["model"].mode) == ("models/train-1/output/model", OutputMode.FILES)


@pytest.mark.parametrize(
    ("instance_type", "told"),
    [("ml.g5.12xlarge", "4"), ("ml.g5.xlarge", "1"), ("ml.p4d.24xlarge", "4"), ("ml.m5.large", "0")],
)
def test_a_script_is_told_of_the_gpus_that_its_job_holds(
    world: World, script_mode: Document, instance_type: str, told: str
) -> None:
    world.surroundings = replace(world.surroundings, host_gpus=4)  # of this host: it may have none
    world.engine = world.new_engine()
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    script_mode["ResourceConfig"]["InstanceType"] = instance_type
    environment = started(world, script_mode).environment
    assert environment["SM_NUM_GPUS"] == told
    assert json.loads(environment["SM_TRAINING_ENV"])["num_gpus"] == int(told)


def test_checkpoints_come_back_and_are_kept(world: World, script_mode: Document) -> None:
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"data")
    world.put(SOURCE, b"tar")
    world.put("s3://b/checkpoints/step-1.bin", b"x")
    job = started(world, script_mode | {"CheckpointConfig": {"S3Uri": "s3://b/checkpoints"}})
    assert "checkpoints/step-1.bin" in {item.path for item in job.inputs}
    kept = next(item for item in job.outputs if item.name == "checkpoints")
    assert (kept.path, kept.bucket, kept.key, kept.on_failure) == ("checkpoints", "b", "checkpoints", True)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ('"abc"', "abc"),
        ("abc", "abc"),
        ("1", 1),
        ("1e-05", 1e-05),
        ("True", "True"),
        ("true", True),
        ("null", None),
        ("[" * 1200 + "]" * 1200, "[" * 1200 + "]" * 1200),
    ],
)
def test_a_hyperparameter_is_json_or_else_the_text_itself(sent: str, meant: object) -> None:
    assert decoded(sent) == meant


def test_the_command_line_is_sorted_and_written_as_the_training_toolkit_does() -> None:
    words = arguments({"b": 2, "layers": {"y": 1, "x": 2}, "flag": True, "empty": None, "list": [1, 2]})
    assert words == ["-b", "2", "--empty", "", "--flag", "True", "--layers", "x=2,y=1", "--list", "[1, 2]"]


def test_a_null_hyperparameter_is_an_empty_variable() -> None:
    request = view(
        TrainingJobRequest,
        {
            "OutputDataConfig": {"S3OutputPath": "s3://b"},
            "HyperParameters": {"dependencies": "null", "sagemaker_program": '"x.sh"'},
        },
    )
    variables = script_environment(request, "name", cluster(request), "algo-1", cores=1, gpus=0)
    assert variables["SM_HP_DEPENDENCIES"] == ""


def test_the_repack_job_of_the_sdk_is_known_as_one(step_arguments: Arguments) -> None:
    document = step_arguments("v2_bert.json", "Register-RepackModel-0", S3ModelArtifacts="s3://b/x/output/model.tar.gz")
    request = view(TrainingJobRequest, document)
    argv, folder = command(request, ImageMap(PLATFORM, {}).resolve("towpath"))
    assert is_repack(request)
    assert argv[2] == "_repack_script_launcher.sh"
    assert folder == "/opt/ml/code"


def test_an_environment_without_a_train_command_needs_something_to_run() -> None:
    request = view(
        TrainingJobRequest,
        {"OutputDataConfig": {"S3OutputPath": "s3://b"}, "AlgorithmSpecification": {"TrainingImage": "mine"}},
    )
    with pytest.raises(Invalid, match="has no command 'train'"):
        command(request, ImageMap(PLATFORM, {"mine": PLATFORM}).resolve("mine"))
    own = Interpreter(python="/mine/python", version="3.12.1", commands=("train",))
    assert command(request, ImageMap(PLATFORM, {"mine": own}).resolve("mine"))[0] == ("train",)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ResourceConfig": {"InstanceCount": 0}}, Invalid, "InstanceCount is 0; expected 1 to 100"),
        ({"ResourceConfig": {"InstanceCount": 101}}, Invalid, "InstanceCount is 101; expected 1 to 100"),
        (
            {
                "ResourceConfig": {
                    "InstanceGroups": [
                        {"InstanceGroupName": name, "InstanceType": "ml.m5.large", "InstanceCount": 1}
                        for name in ("data", "gpu")
                    ]
                }
            },
            Unsupported,
            r"InstanceGroups has 2 groups \(data, gpu\)",
        ),
        ({"AlgorithmSpecification": {"AlgorithmName": "x"}}, Unsupported, "AlgorithmName is not supported"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "python",
                    "MetricDefinitions": [{"Name": "a", "Regex": "(["}],
                }
            },
            Invalid,
            "'a' has an invalid Regex",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "python",
                    "MetricDefinitions": [{"Name": "a", "Regex": "x"}],
                }
            },
            Invalid,
            "needs a group",
        ),
        ({"OutputDataConfig": {"S3OutputPath": "models"}}, Invalid, "'models' is not an S3 URI"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "python", "TrainingInputMode": "Pipe"}},
            Unsupported,
            "Pipe is not supported",
        ),
    ],
)
def test_what_cannot_run_here_is_refused_with_its_place(
    script_mode: Document, changes: Document, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check(view(TrainingJobRequest, script_mode | changes))


def test_a_function_of_the_sdk_gets_an_address_keys_and_defaults_and_its_request_goes_before(
    world: World, step_arguments: Arguments
) -> None:
    document = step_arguments("v3_function.json", "pre", PipelineExecutionId="abcdefgh1234")
    document["AlgorithmSpecification"]["TrainingImage"] = "towpath/default"
    document["Environment"]["AWS_EC2_METADATA_DISABLED"] = "false"
    world.put(f"s3://{BUCKET}/p/sagemaker_remote_function_bootstrap/job_driver.sh", b"x")
    job = started(world, document)
    assert job.argv[:2] == ("/bin/bash", "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh")
    assert job.environment["AWS_SECRET_ACCESS_KEY"] == "{{secrets.towpath.secret-key}}"
    assert job.environment["AWS_EC2_METADATA_DISABLED"] == "false"
    assert job.environment["REMOTE_FUNCTION_SECRET_KEY"].startswith("-----BEGIN PUBLIC KEY-----")
    assert "TelemetryOptOut: true" in job.files["input/config/towpath_sagemaker.yaml"]
    assert job.environment["SAGEMAKER_USER_CONFIG_OVERRIDE"] == "/opt/ml/input/config/towpath_sagemaker.yaml"


def test_other_jobs_get_no_keys(world: World, script_mode: Document) -> None:
    world.put(SOURCE, b"x")
    world.put(f"s3://{BUCKET}/processed/part-0.csv", b"x")
    assert not {name for name in started(world, script_mode).environment if name.startswith("AWS_ACC")}
