"""The step that searches hyperparameters: what it emits, what it yields, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.test_pipeline import RealShapes

from towpath.kernel.shapes import check
from towpath.pipelines.checks import accept
from towpath.sdk import CreateModel, DefinitionError, Pipeline, Tuning, choice, integers, numbers, parameter
from towpath.tuning.plan import plan_of

METRICS = {"loss": "loss=([0-9.]+)"}


def tuning(**members: Any) -> Tuning:
    common = {"script": "train.py", "metrics": METRICS, "minimize": "loss", "jobs": 4}
    return Tuning("Tune", **{**common, "ranges": {"lr": numbers(1e-5, 0.1)}, **members})


def test_a_tuning_step_asks_for_what_it_says(project: Path) -> None:
    step = tuning(
        ranges={
            "lr": numbers(1e-5, 0.1, scale="Logarithmic"),
            "depth": integers(1, 9),
            "optimizer": choice("adam", "1", 1, True),
        },
        hyperparameters={"epochs": 3},
        jobs=parameter("Jobs", 8),
        parallel=2,
        early_stopping=True,
        target=0.1,
        patience=3,
        max_time_s=600,
        seed=7,
    )
    pipeline = Pipeline("p", steps=[step, CreateModel("Create", model=step.model)], root=project)
    accept(pipeline.definition_json(), RealShapes())
    arguments = pipeline.definition()["Steps"][0]["Arguments"]
    config = arguments["HyperParameterTuningJobConfig"]
    assert config == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ResourceLimits": {
            "MaxParallelTrainingJobs": 2,
            "MaxNumberOfTrainingJobs": {"Get": "Parameters.Jobs"},
            "MaxRuntimeInSeconds": 600,
        },
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "lr", "MinValue": "1e-05", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
            ],
            "IntegerParameterRanges": [{"Name": "depth", "MinValue": "1", "MaxValue": "9", "ScalingType": "Auto"}],
            "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["adam", '"1"', "1", "true"]}],
        },
        "TrainingJobEarlyStoppingType": "Auto",
        "TuningJobCompletionCriteria": {
            "TargetObjectiveMetricValue": 0.1,
            "BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3},
        },
        "RandomSeed": 7,
    }
    assert arguments["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"] == "3"
    assert arguments["TrainingJobDefinition"]["StaticHyperParameters"]["sagemaker_program"] == "train.py"


def test_what_it_asks_for_is_a_request_that_the_platform_takes(project: Path) -> None:
    for step in (
        tuning(),
        tuning(strategy="Grid", jobs=None, ranges={"optimizer": choice("adam", "sgd")}),
        tuning(strategy="Hyperband", epochs=(1, 9)),
        tuning(strategy="Random", minimize=None, maximize="loss"),
    ):
        (emitted,) = Pipeline("p", steps=[step], root=project).definition()["Steps"]
        asked = {**emitted["Arguments"], "HyperParameterTuningJobName": "t"}
        asked["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"] = "s3://bucket/key"  # an expression
        assert list(check(asked, RealShapes().input("CreateHyperParameterTuningJob"))) == []
        assert plan_of(asked).arms[0].objective.metric_name == "loss"


def test_what_it_yields_can_be_referred_to() -> None:
    step = tuning()
    best = "Steps.Tune.BestTrainingJob"
    assert step.best_job.to_wire() == {"Get": f"{best}.TrainingJobName"}
    value = {"Get": f"{best}.FinalHyperParameterTuningJobObjectiveMetric.Value"}
    assert step.best_value.to_wire() == step.metric("loss").to_wire() == value
    assert step.best("lr").to_wire() == {"Get": f"{best}.TunedHyperParameters['lr']"}
    with pytest.raises(DefinitionError, match="does not search 'depth'; it searches lr"):
        step.best("depth")
    with pytest.raises(DefinitionError, match="yields its objective 'loss' alone"):
        step.metric("accuracy")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"maximize": "loss"}, "give the metric to maximize or the one to minimize"),
        ({"minimize": None}, "give the metric to maximize or the one to minimize"),
        ({"minimize": "error"}, "has no metric 'error'; its metrics: loss"),
        ({"ranges": {}}, "searches nothing"),
        ({"hyperparameters": {"lr": 1}}, "lr cannot stand in hyperparameters and in ranges"),
        ({"strategy": "Guess"}, "'Guess' is no strategy"),
        ({"strategy": "Grid"}, "it takes no other ranges"),
        ({"jobs": None}, "nothing ends the search"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(members: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        tuning(**members)


def test_ranges_that_cannot_be_meant_are_refused_at_once() -> None:
    with pytest.raises(DefinitionError, match=r"cannot go from 2\.0 to 1\.0"):
        numbers(2, 1)
    with pytest.raises(DefinitionError, match="'Log' is no scale"):
        integers(1, 2, scale="Log")
    with pytest.raises(DefinitionError, match="needs the values"):
        choice()
