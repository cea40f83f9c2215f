"""Tuning jobs that begin with what earlier ones have found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.tuning.conftest import request

from towpath.kernel.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tests.unit.tuning.conftest import TuningWorld

    from towpath.kernel.resource import Document


def off(x: float) -> float:
    return abs(x - 0.3)


def warm(*parents: str, kind: str = "IdenticalDataAndAlgorithm", **config: Any) -> Document:
    named = [{"HyperParameterTuningJobName": name} for name in parents]
    return {
        **request("warm", "Bayesian", **config),
        "WarmStartConfig": {"ParentHyperParameterTuningJobs": named, "WarmStartType": kind},
    }


def tried(world: TuningWorld, name: str) -> list[float]:
    return [float(job.spec["HyperParameters"]["x"]) for job in world.children(name)]


def test_what_was_found_out_earlier_is_made_use_of(world: TuningWorld) -> None:
    limits = {"MaxNumberOfTrainingJobs": 12, "MaxParallelTrainingJobs": 1}
    world.begin(request("earlier", ResourceLimits=limits))
    world.live(off, "earlier")
    world.begin(warm("earlier"))
    world.live(off, "warm")
    world.begin(request("cold", "Bayesian"))
    world.live(off, "cold")
    assert tried(world, "cold")[:2] == tried(world, "earlier")[:2], "without results both draw"
    assert sum(map(off, tried(world, "warm"))) < sum(map(off, tried(world, "cold")))


@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband"])
def test_the_same_seed_does_not_try_again_what_earlier_ones_have_tried(world: TuningWorld, strategy: str) -> None:
    bands = {"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}}
    config: Document = bands if strategy == "Hyperband" else {}
    world.begin(request("earlier", strategy, **config))
    world.live(off, "earlier")
    for name, parent in (("second", "earlier"), ("third", "second"), ("again", "second")):
        world.begin({**warm(parent, Strategy=strategy, **config), "HyperParameterTuningJobName": name})
        world.live(off, name)
    points = [x for name in ("earlier", "second", "third") for x in tried(world, name)]
    assert len(set(points)) == len(points) == 12
    assert tried(world, "again") == tried(world, "third"), "the same seed after the same beginning tries the same"


def test_the_best_of_all_of_them_is_told(world: TuningWorld) -> None:
    world.begin(request("earlier"))
    world.live(lambda x: 0.01, "earlier")
    world.begin(warm("earlier"))
    world.live(lambda x: 0.5, "warm")
    shown = world.call("DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": "warm"})
    assert shown["BestTrainingJob"]["TrainingJobName"] == world.children("warm")[0].name
    overall = shown["OverallBestTrainingJob"]
    assert (overall["TuningJobName"], overall["TrainingJobName"]) == ("earlier", world.children("earlier")[0].name)
    world.call("DeleteHyperParameterTuningJob", {"HyperParameterTuningJobName": "warm"})
    world.begin(warm("earlier", kind="TransferLearning"))
    world.live(lambda x: 0.5, "warm")
    assert "OverallBestTrainingJob" not in world.tuning("warm").state


def test_what_was_static_may_be_searched_afterwards(world: TuningWorld) -> None:
    earlier = request("earlier")
    earlier["TrainingJobDefinition"]["StaticHyperParameters"]["y"] = "0.5"
    world.begin(earlier)
    world.live(off, "earlier")
    numbers = [{"Name": name, "MinValue": "0", "MaxValue": "1"} for name in ("x", "y")]
    world.begin(warm("earlier", ParameterRanges={"ContinuousParameterRanges": numbers}))
    assert world.live(off, "warm").status == "Completed"
    assert all("y" in job["TunedHyperParameters"] for job in [world.tuning("warm").state["BestTrainingJob"]])


def test_earlier_tuning_jobs_that_say_nothing_about_a_new_one_are_refused(world: TuningWorld) -> None:
    with pytest.raises(NotFound, match="earlier"):
        world.begin(warm("earlier"))
    world.begin(request("earlier"))
    with pytest.raises(Invalid, match="'earlier' is InProgress; its results are there when it has ended"):
        world.begin(warm("earlier"))
    world.live(off, "earlier")
    with pytest.raises(Invalid, match="has the objective Minimize 'loss', and this one has Maximize 'loss'"):
        world.begin(warm("earlier", HyperParameterTuningJobObjective={"Type": "Maximize", "MetricName": "loss"}))
    other = warm("earlier")
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/d"}}}
    other["TrainingJobDefinition"]["InputDataConfig"] = [channel]
    with pytest.raises(Invalid, match="another InputDataConfig; with other data or algorithms say TransferLearning"):
        world.begin(other)
    more = warm("earlier")
    more["TrainingJobDefinition"]["StaticHyperParameters"]["y"] = "1"
    with pytest.raises(Invalid, match="IdenticalDataAndAlgorithm wants the same, searched or static"):
        world.begin(more)
    more["WarmStartConfig"]["WarmStartType"] = "TransferLearning"
    world.begin(more)
