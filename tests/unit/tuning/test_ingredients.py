"""What a tuning job is made of, and that all of its training jobs read what was looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.unit.tuning.conftest import definition, request

from towpath.jobs.channels import PinnedInput, Role
from towpath.jobs.ingredients import Ingredients, JobIngredients
from towpath.jobs.kinds import PINNED
from towpath.jobs.state import run_of
from towpath.jobs.tuned import TUNING_JOB
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.resource import Document, Resource
from towpath.tuning.ingredients import TuningIngredients, together

if TYPE_CHECKING:
    from tests.unit.tuning.conftest import TuningWorld


class Trees:
    """Implements `jobs.ports.CodeTrees` without archives."""

    def __init__(self) -> None:
        self.opened = 0  #: archives that were asked for so far

    def files(self, archive: ObjectVersion) -> Mapping[str, str] | None:
        self.opened += 1
        return None


def channel(name: str) -> Document:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://b/{name}/"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def reading(*names: str | None) -> Document:
    """Return a request whose definitions have these names; each reads `train`."""
    members: Document = {
        "InputDataConfig": [channel("train")],
        "StaticHyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": "s3://b/code.tar.gz"},
    }
    asked = {**request(), "TrainingJobDefinition": definition(**members)}
    if names == (None,):
        return asked
    config = asked["HyperParameterTuningJobConfig"]
    shared = {
        "TuningObjective": config.pop("HyperParameterTuningJobObjective"),
        "HyperParameterRanges": config.pop("ParameterRanges"),
    }
    del asked["TrainingJobDefinition"]
    asked["TrainingJobDefinitions"] = [definition(DefinitionName=name, **shared, **members) for name in names]
    return asked


@pytest.fixture
def trees() -> Trees:
    return Trees()


@pytest.fixture
def ingredients(world: TuningWorld, trees: Trees) -> JobIngredients:
    def made_of(**others: Any) -> JobIngredients:
        return JobIngredients(
            store=world.store,
            objects=world.objects,
            images=world.images,
            trees=trees,
            model_named=lambda *_: world.model,
            **others,
        )

    world.put("s3://b/train/a.csv", b"looked up")
    world.put("s3://b/code.tar.gz", b"code")
    return made_of(others={TUNING_JOB: TuningIngredients(world.store, made_of())})


def handed(world: TuningWorld, ingredients: JobIngredients, asked: Document, pinned: tuple[PinnedInput, ...]) -> None:
    """Create a tuning job that is handed what was looked up, as a step does."""
    world.call("CreateHyperParameterTuningJob", asked)
    uid = world.tuning().uid
    world.store.write(lambda transaction: ingredients.hand_over(transaction, uid, pinned))


def data_of(job: Resource) -> set[str]:
    run = run_of(job)
    assert run is not None
    return {item.sha256 for pinned in run.inputs if pinned.role is Role.DATA for item in pinned.objects}


@pytest.mark.parametrize("names", [(None,), ("one", "other")])
def test_each_training_job_reads_what_was_looked_up_whatever_came_meanwhile(
    world: TuningWorld, ingredients: JobIngredients, names: tuple[str | None, ...]
) -> None:
    asked = reading(*names)
    looked = ingredients.of_request(TUNING_JOB, asked)
    data = [item for item in looked.inputs if item.role is Role.DATA]
    assert [item.name for item in data] == ["train" if name is None else f"{name}/train" for name in names]
    (sha256,) = {item.sha256 for pinned in data for item in pinned.objects}
    handed(world, ingredients, asked, looked.inputs)
    world.run()
    world.put("s3://b/train/a.csv", b"came later")
    tuning = world.live(lambda x: x)
    assert tuning.status == "Completed"
    assert PINNED not in tuning.state, "it is kept as long as training jobs begin"
    assert [data_of(job) for job in world.children()] == [{sha256}] * 4
    assert all(PINNED not in job.state for job in world.children()), "it is in the record of the attempt"
    made = world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))()
    assert made == looked
    recorded = world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))
    assert recorded.known.settled == looked.settled, "what was looked up is known again without reading its archives"


def test_what_was_not_looked_up_before_is_told_where_all_training_jobs_read_the_same(
    world: TuningWorld, ingredients: JobIngredients
) -> None:
    asked = reading(None)
    tuning = world.begin(asked)

    def made() -> Ingredients:
        return world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))()

    assert made() == ingredients.of_request(TUNING_JOB, asked)
    world.put("s3://b/train/a.csv", b"came later")
    world.live(lambda x: x)
    with pytest.raises(Invalid, match=r"The training jobs 'tune-001-.*' and 'tune-00.*' were not made of the same"):
        made()


def test_no_archive_is_opened_before_the_transaction_that_reads_what_was_recorded_is_over(
    world: TuningWorld, ingredients: JobIngredients, trees: Trees
) -> None:
    tuning = world.begin(reading("one", "other"))
    world.live(lambda x: x)
    recorded = world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))
    assert trees.opened == 0
    assert len(recorded().code) == trees.opened == 2


def test_a_tuning_job_none_of_whose_training_jobs_has_begun_is_made_of_nothing_known(
    world: TuningWorld, ingredients: JobIngredients
) -> None:
    world.call("CreateHyperParameterTuningJob", reading("one", "other"))
    tuning = world.tuning()
    with pytest.raises(Invalid, match="No training job of the definition 'one' has begun"):
        world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))()


def test_a_tuning_job_is_made_of_those_that_it_goes_on_from_and_not_of_their_names(
    world: TuningWorld, ingredients: JobIngredients
) -> None:
    first = world.begin(reading(None))
    world.live(lambda x: x)
    asked = reading(None)
    asked["HyperParameterTuningJobName"] = "more"
    parents = [{"HyperParameterTuningJobName": "tune"}]
    asked["WarmStartConfig"] = {"ParentHyperParameterTuningJobs": parents, "WarmStartType": "TransferLearning"}
    looked = ingredients.of_request(TUNING_JOB, asked)
    assert looked.earlier == (first.uid,)
    tuning = world.begin(asked)
    assert world.store.read(lambda transaction: ingredients.recorded(transaction, tuning))() == looked
    parents[0]["HyperParameterTuningJobName"] = "nobody"
    with pytest.raises(NotFound):
        ingredients.of_request(TUNING_JOB, asked)


def test_environments_that_differ_are_told_apart_by_their_definitions() -> None:
    one = Ingredients(python_version="3.11", packages={"numpy": "2.0"}, code={"code/a.py": "x"})
    same = together({"a": one, "b": one}, ())
    assert (same.python_version, same.packages) == ("3.11", {"numpy": "2.0"})
    assert same.code == {"a/code/a.py": "x", "b/code/a.py": "x"}
    other = together({"a": one, "b": replace(one, packages={"numpy": "2.1"})}, ())
    assert other.python_version == "a/3.11, b/3.11"
    assert other.packages == {"a/numpy": "2.0", "b/numpy": "2.1"}
