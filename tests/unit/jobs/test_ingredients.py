"""What a job would be made of, and that it is made of just this when it begins."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput
from towpath.jobs.ingredients import JobIngredients
from towpath.jobs.kinds import PINNED
from towpath.jobs.model import JobObservation, Phase
from towpath.jobs.served import ServedModel
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.resource import Document, Uid

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

S3 = "s3://b"


def channel(name: str) -> Document:
    """Return a channel of a training job."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{S3}/{name}/"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


REQUEST: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {"TrainingImage": "towpath", "TrainingInputMode": "File"},
    "HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": f"{S3}/source.tar.gz"},
    "InputDataConfig": [channel("train"), channel("code")],
    "CheckpointConfig": {"S3Uri": f"{S3}/checkpoints"},
    "OutputDataConfig": {"S3OutputPath": "s3://models/here"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}


class Trees:
    """Implements `jobs.ports.CodeTrees` for one archive."""

    def __init__(self) -> None:
        self.opened = 0  #: archives that were asked for so far
        self.failure: OSError | None = None

    def files(self, archive: ObjectVersion) -> Mapping[str, str] | None:
        self.opened += 1
        if self.failure is not None:
            raise self.failure
        return {"train.py": "t1", "helpers/deep.py": "d1"} if archive.key == "source.tar.gz" else None


MODEL = ServedModel(
    uid=Uid("model-uid"),
    image="towpath",
    environment={"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/uploaded-now.tar.gz"},
    inputs=(PinnedInput(name="model", uri=f"{S3}/model.tar.gz", path="model", unpack=True),),
)


def model_named(transaction: Any, name: str) -> ServedModel:
    """Implements `jobs.served.ModelNamed` for one model."""
    assert name == "m"
    return MODEL


@pytest.fixture
def trees() -> Trees:
    return Trees()


@pytest.fixture
def ingredients(world: World, trees: Trees) -> JobIngredients:
    """Return the ingredients of a world in which everything lies where REQUEST looks."""
    for key in ("train/a.csv", "train/b.csv", "code/run.sh", "code/lib.tgz", "source.tar.gz", "checkpoints/1"):
        world.put(f"{S3}/{key}", key.encode())
    return JobIngredients(
        store=world.store, objects=world.objects, images=world.images, trees=trees, model_named=model_named
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_data_code_and_environment_are_told_apart(world: World, ingredients: JobIngredients) -> None:
    found = ingredients.of_request("TrainingJob", REQUEST)
    assert [(item.name, len(item.objects)) for item in found.inputs] == [("train", 2), ("code", 2), ("sourcedir", 1)]
    assert found.code == {
        "code/train.py": "t1",
        "code/helpers/deep.py": "d1",
        "input/data/code/run.sh": digest("code/run.sh"),
        "input/data/code/lib.tgz": digest("code/lib.tgz"),  # no archive that can be read
    }
    platform = world.images.resolve("towpath")
    assert (found.python_version, found.packages) == (platform.python_version, platform.packages)


def test_a_job_reads_what_was_looked_up_whatever_came_meanwhile(world: World, ingredients: JobIngredients) -> None:
    found = ingredients.of_request("TrainingJob", REQUEST)
    world.call("CreateTrainingJob", REQUEST)
    uid = world.resource("TrainingJob", "train").uid
    world.store.write(lambda transaction: ingredients.hand_over(transaction, uid, found.inputs))
    assert PINNED not in world.call("DescribeTrainingJob", {"TrainingJobName": "train"})
    world.put(f"{S3}/train/a.csv", b"meanwhile")
    world.put(f"{S3}/train/c.csv", b"new")
    newest = world.put(f"{S3}/checkpoints/1", b"what an earlier try left last")
    world.run()
    (job,) = world.backend.jobs.values()
    read = {(item.uri, item.version_id) for item in job.inputs}
    looked_up = {(item.uri, item.version_id) for pinned in found.inputs for item in pinned.objects}
    assert read == looked_up | {(newest.uri, newest.version_id)}
    assert PINNED not in world.resource("TrainingJob", "train").state, "the attempt's own record has them"


def test_a_job_that_ran_is_made_of_what_was_looked_up(world: World, ingredients: JobIngredients) -> None:
    found = ingredients.of_request("TrainingJob", REQUEST)
    world.call("CreateTrainingJob", REQUEST)

    def made_of() -> Any:
        job = world.resource("TrainingJob", "train")
        return world.store.read(lambda transaction: ingredients.recorded(transaction, job))()

    with pytest.raises(Invalid, match="has not begun"):
        made_of()
    world.run()
    world.move("TrainingJob", "train", JobObservation(phase=Phase.RUNNING))
    assert made_of() == replace(found, packages=dict(found.packages))


def test_what_decides_the_ingredients_is_known_without_the_files_of_their_code(
    world: World, ingredients: JobIngredients
) -> None:
    found = ingredients.of_request("TrainingJob", REQUEST)
    assert replace(found, code={}, packages=dict(sorted(found.packages.items(), reverse=True))).settled == found.settled
    assert replace(found, python_version="3.12").settled != found.settled
    world.put(f"{S3}/source.tar.gz", b"other code")
    assert ingredients.of_request("TrainingJob", REQUEST).settled != found.settled


def test_no_archive_is_opened_before_the_transaction_that_reads_what_was_recorded_is_over(
    world: World, ingredients: JobIngredients, trees: Trees
) -> None:
    world.call("CreateTrainingJob", REQUEST)
    world.run()
    job = world.resource("TrainingJob", "train")
    recorded = world.store.read(lambda transaction: ingredients.recorded(transaction, job))
    assert trees.opened == 0
    assert "code/helpers/deep.py" in recorded().code
    assert trees.opened > 0


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "/home/objects/blobs/1"), "its bytes are gone"),
        (OSError(errno.EIO, "Input/output error", "/home/objects/blobs/1"), "Input/output error"),
        (OSError("blob 1 of s3://b/source.tar.gz is 3 bytes short"), "blob 1 .* is 3 bytes short"),
    ],
    ids=["gone", "damaged disk", "cut off"],
)
def test_an_archive_that_cannot_be_read_is_named_without_its_place_on_this_host(
    ingredients: JobIngredients, trees: Trees, failure: OSError, said: str
) -> None:
    trees.failure = failure
    with pytest.raises(Invalid, match=f"Version .* of s3://b/.*gz cannot be read: {said}") as raised:
        ingredients.of_request("TrainingJob", REQUEST)
    assert "/home" not in raised.value.message


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.EMFILE, "it passes"), OSError(errno.ESTALE, "it passes"), TimeoutError("it passes")],
    ids=["no more open files", "file system elsewhere", "time-out"],
)
def test_what_may_pass_is_a_fault_of_the_moment(ingredients: JobIngredients, trees: Trees, failure: OSError) -> None:
    trees.failure = failure
    with pytest.raises(OSError, match="it passes"):
        ingredients.of_request("TrainingJob", REQUEST)


def test_a_manifest_whose_bytes_are_gone_is_named(
    world: World, ingredients: JobIngredients, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(f"{S3}/list.json", b"[]")
    source = {"S3DataType": "ManifestFile", "S3Uri": f"{S3}/list.json"}
    listed = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}

    def read(version: ObjectVersion) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No such file", "/home/objects/blobs/1")

    monkeypatch.setattr(world.objects, "read", read)
    with pytest.raises(Invalid, match="its bytes are gone"):
        ingredients.of_request("TrainingJob", {**REQUEST, "InputDataConfig": [listed]})


def test_a_model_counts_by_what_it_is_made_of(ingredients: JobIngredients) -> None:
    request = {
        "ModelName": "m",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{S3}/train/"}}},
        "TransformOutput": {"S3OutputPath": f"{S3}/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    found = ingredients.of_request("TransformJob", request)
    assert [(item.name, len(item.objects)) for item in found.inputs] == [("model", 0), ("transform", 2)]
    assert found.model == {"Image": "towpath", "Network": "True", "Environment.SAGEMAKER_PROGRAM": "inference.py"}


def test_what_is_not_looked_up_beforehand_is_said(ingredients: JobIngredients) -> None:
    with pytest.raises(Unsupported, match="what a HyperParameterTuningJob reads is not looked up beforehand"):
        ingredients.of_request("HyperParameterTuningJob", {})
    with pytest.raises(Invalid, match="There are no objects under s3://b/absent/"):
        ingredients.of_request("TrainingJob", {**REQUEST, "InputDataConfig": [channel("absent")]})
