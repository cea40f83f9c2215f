"""CreateTransformJob as a job: what the driver is told, and what the model's process finds around it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.jobs.conftest import World

from towpath.jobs import transform
from towpath.jobs.channels import PinnedInput, PinnedObject
from towpath.jobs.requests import TransformJobRequest
from towpath.jobs.served import ServedModel
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Document, Uid, view
from towpath.transform.settings import INPUT, SETTINGS

ASKED: Document = {
    "TransformJobName": "score",
    "ModelName": "wine",
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/rows/"}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://data/scored/"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}


def settings(**changes: Any) -> Any:
    objects = (PinnedObject("input/data/transform/a/b.csv", "data", "rows/a/b.csv", "v1", 1, "0" * 64),)
    inputs = (
        PinnedInput(name="model", uri="s3://data/model.tar.gz", path="model"),
        PinnedInput(name="transform", uri="s3://data/rows/", path="input/data/transform", objects=objects),
    )
    return transform.settings(view(TransformJobRequest, {**ASKED, **changes}), inputs)


def test_the_driver_is_told_what_was_asked_and_what_is_the_default() -> None:
    told = settings()
    assert [(source.path, source.uri) for source in told.sources] == [("a/b.csv", "s3://data/rows/a/b.csv")]
    assert (told.split, told.batch, told.payload_bytes, told.concurrent) == ("Line", "MultiRecord", 6 << 20, None)
    assert (told.content_type, told.accept, told.timeout_s, told.retries) == ("text/csv", "", 600.0, 3)


def test_no_limit_is_no_limit_and_no_retry_none() -> None:
    told = settings(MaxPayloadInMB=0, MaxConcurrentTransforms=2, ModelClientConfig={"InvocationsMaxRetries": 0})
    assert (told.payload_bytes, told.concurrent, told.retries) == (None, 2, 0)


@pytest.mark.parametrize("processing", [{"JoinSource": "Input"}, {"OutputFilter": "$[0]"}])
def test_answers_that_are_read_are_asked_for_in_the_type_of_the_records(processing: Document) -> None:
    assert settings(DataProcessing=processing).accept == "text/csv"
    assert settings(DataProcessing={"InputFilter": "$[0]"}).accept == ""


def test_the_job_runs_the_model_of_its_creation_under_the_request(world: World) -> None:
    archive = world.put("s3://data/model.tar.gz", b"archive")
    world.put("s3://data/rows/a.csv", b"1,2\n")
    pinned = PinnedObject("model", "data", "model.tar.gz", archive.version_id, archive.size, archive.sha256)
    world.model = ServedModel(
        uid=Uid("wine"),
        image="towpath",
        environment={"A": "model", "B": "model", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/scripts"},
        inputs=(PinnedInput(name="model", uri="s3://data/model.tar.gz", path="model", unpack=True, objects=(pinned,)),),
        network=False,
    )
    world.call("CreateTransformJob", {**ASKED, "Environment": {"B": "request", "SAGEMAKER_BATCH": "no"}})
    world.model = replace(world.model, environment={"A": "another"})
    world.run()
    (job,) = world.backend.jobs.values()
    assert job.argv == ("{python}", "-m", "towpath.transform")
    assert {name: job.environment[name] for name in ("A", "B", "SAGEMAKER_BASE_DIR")} == {
        "A": "model",
        "B": "request",
        "SAGEMAKER_BASE_DIR": "/opt/ml",
    }
    told = {name: value for name, value in job.environment.items() if "BATCH" in name or "MAX_" in name}
    assert told == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "1",
    }
    assert [(item.path, item.unpack) for item in job.inputs] == [
        ("model", True),
        ("input/data/transform/a.csv", False),
    ]
    (output,) = job.outputs
    assert (output.bucket, output.key, output.on_failure) == ("data", "scored", True)
    assert job.requirements == ("model/scripts/requirements.txt",)
    assert not job.limits.network


def test_several_hosts_are_each_told_of_the_objects_that_they_are_given(world: World) -> None:
    """By the turns in which the runner lays them out, and of the model all of it."""
    archive = world.put("s3://data/model.tar.gz", b"archive")
    pinned = PinnedObject("model", "data", "model.tar.gz", archive.version_id, archive.size, archive.sha256)
    given = (PinnedInput(name="model", uri="s3://data/model.tar.gz", path="model", unpack=True, objects=(pinned,)),)
    world.model = ServedModel(uid=Uid("wine"), image="towpath", environment={}, inputs=given, network=True)
    for name in ("c", "a", "b"):
        world.put(f"s3://data/rows/{name}.csv", b"1,2\n")
    world.call(
        "CreateTransformJob", {**ASKED, "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}
    )
    world.run()
    (job,) = world.backend.jobs.values()
    told = {}
    for part in job.hosts:
        settings = json.loads(part.files.get(SETTINGS, job.files[SETTINGS]))
        laid_out = [item.path for item in job.inputs if item.host in ("", part.name)]
        assert laid_out == ["model", *(f"{INPUT}/{source['path']}" for source in settings["sources"])]
        told[part.name] = [source["uri"][-5:] for source in settings["sources"]]
    assert told == {"algo-1": ["a.csv", "c.csv"], "algo-2": ["b.csv"]}


def test_outputs_of_files_that_went_well_are_kept_of_a_job_that_failed(world: World) -> None:
    world.put("s3://data/rows/a.csv", b"1,2\n")
    world.call("CreateTransformJob", ASKED)
    world.run()
    staged = world.stage("transform", "s3://data/scored/a.csv.out", b"3\n")
    world.move("TransformJob", "score", world.finished(staged, exit_code=1, reason="s3://data/rows/b.csv line 3: no"))
    described = world.call("DescribeTransformJob", {"TransformJobName": "score"})
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"] == "AlgorithmError: s3://data/rows/b.csv line 3: no, ExitCode 1"
    kept = world.store.read(lambda transaction: transaction.objects.get(ObjectRef("data", "scored/a.csv.out")))
    assert kept is not None
    assert kept.sha256 == staged.sha256
