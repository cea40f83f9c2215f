"""What a request means to a search, and what is refused of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.tuning.conftest import definition, request

from towpath.kernel.errors import Invalid, TowpathError, Unsupported
from towpath.tuning.plan import plan_of
from towpath.tuning.ranges import Choice, Integers, Numbers, Scale, grid_point, grid_size

if TYPE_CHECKING:
    from towpath.kernel.resource import Document

NUMBER = {"Name": "x", "MinValue": "0.001", "MaxValue": "1"}
BANDS = {"HyperbandStrategyConfig": {"MinResource": 2, "MaxResource": 9}}


def ranged(**ranges: Any) -> Document:
    return request(ParameterRanges=ranges)


def test_ranges_become_parameters_in_the_order_of_their_names() -> None:
    plan = plan_of(
        ranged(
            IntegerParameterRanges=[{"Name": "n", "MinValue": "1", "MaxValue": "9", "ScalingType": "Linear"}],
            ContinuousParameterRanges=[{"Name": "lr", "MinValue": "1e-4", "MaxValue": "0.1"}],
            CategoricalParameterRanges=[{"Name": "opt", "Values": ["adam", "sgd"]}],
        )
    )
    (arm,) = plan.arms
    assert arm.space == (
        Numbers(name="lr", low=1e-4, high=0.1, scale=Scale.LOGARITHMIC),
        Integers(name="n", low=1, high=9, scale=Scale.LINEAR),
        Choice(name="opt", values=("adam", "sgd")),
    )
    assert (plan.parallel, plan.most, plan.watches) == (2, 4, False)


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [("0.001", "1", Scale.LOGARITHMIC), ("0.01", "1", Scale.LINEAR), ("0", "1000", Scale.LINEAR)],
)
def test_auto_is_logarithmic_for_wide_ranges_above_zero(low: str, high: str, scale: Scale) -> None:
    plan = plan_of(ranged(ContinuousParameterRanges=[{"Name": "x", "MinValue": low, "MaxValue": high}]))
    (parameter,) = plan.arms[0].space
    assert isinstance(parameter, Numbers)
    assert parameter.scale is scale


def test_a_grid_has_every_combination_once() -> None:
    choices = [{"Name": "b", "Values": ["1", "2", "3"]}, {"Name": "a", "Values": ["x", "y"]}]
    limits = {"MaxParallelTrainingJobs": 2}
    plan = plan_of(
        request(strategy="Grid", ParameterRanges={"CategoricalParameterRanges": choices}, ResourceLimits=limits)
    )
    space = plan.arms[0].space
    assert plan.most == grid_size(space) == 6
    points = [tuple(grid_point(space, place).items()) for place in range(6)]
    assert len(set(points)) == 6
    assert points[:2] == [(("a", "x"), ("b", "1")), (("a", "x"), ("b", "2"))]


def test_the_longest_training_job_of_hyperband_is_found_among_the_static_hyperparameters() -> None:
    document = request(strategy="Hyperband")
    document["TrainingJobDefinition"]["StaticHyperParameters"]["n_epochs"] = "27"
    plan = plan_of(document)
    assert (plan.arms[0].max_resource, plan.min_resource, plan.watches) == (27, 1, True)
    assert plan_of(request(strategy="Hyperband", StrategyConfig=BANDS)).arms[0].max_resource == 9


@pytest.mark.parametrize(
    ("document", "kind", "sentence"),
    [
        (ranged(), Invalid, "ParameterRanges names no hyperparameter"),
        (
            ranged(ContinuousParameterRanges=[NUMBER], IntegerParameterRanges=[{**NUMBER, "MinValue": "1"}]),
            Invalid,
            "more than one range for 'x'",
        ),
        (ranged(IntegerParameterRanges=[NUMBER]), Invalid, "'x' goes from '0.001' to '1'; expected whole numbers"),
        (ranged(ContinuousParameterRanges=[{**NUMBER, "MaxValue": "many"}]), Invalid, "expected numbers"),
        (ranged(ContinuousParameterRanges=[{**NUMBER, "MaxValue": "inf"}]), Invalid, "expected finite numbers"),
        (ranged(ContinuousParameterRanges=[{**NUMBER, "MaxValue": "0"}]), Invalid, "MinValue 0.001 is greater than"),
        (
            ranged(ContinuousParameterRanges=[{**NUMBER, "MinValue": "0", "ScalingType": "Logarithmic"}]),
            Invalid,
            "Logarithmic is for ranges above 0; this one begins at 0.0",
        ),
        (
            ranged(ContinuousParameterRanges=[{**NUMBER, "ScalingType": "ReverseLogarithmic"}]),
            Invalid,
            "ReverseLogarithmic is for ranges from 0 to below 1; this one is 0.001 to 1.0",
        ),
        (
            ranged(
                IntegerParameterRanges=[
                    {"Name": "n", "MinValue": "0", "MaxValue": "0", "ScalingType": "ReverseLogarithmic"}
                ]
            ),
            Invalid,
            "is for continuous ranges",
        ),
        (ranged(CategoricalParameterRanges=[{"Name": "c", "Values": ["a", "a"]}]), Invalid, "Values has more than one"),
        (ranged(AutoParameters=[{"Name": "x", "ValueHint": "1"}]), Unsupported, "give a range to 'x'"),
        (request(strategy="Grid"), Invalid, "Grid is for CategoricalParameterRanges alone"),
        (
            request(
                strategy="Grid",
                ParameterRanges={"CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}]},
            ),
            Invalid,
            "MaxNumberOfTrainingJobs is 4, and the grid has 2 points",
        ),
        (request(strategy="Hyperband"), Invalid, "MaxResource is missing, and TrainingJobDefinition"),
        (
            request(strategy="Hyperband", StrategyConfig=BANDS, TrainingJobEarlyStoppingType="Auto"),
            Invalid,
            "must be Off with Hyperband",
        ),
        (
            request(strategy="Hyperband", StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 20_001}}),
            Invalid,
            "MaxResource is 20001; expected a number from MinResource .1. to 20000",
        ),
        (
            request(HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "error"}),
            Invalid,
            "the objective 'error' is not among AlgorithmSpecification.MetricDefinitions, which are 'loss'",
        ),
        (
            request(ResourceLimits={"MaxParallelTrainingJobs": 1}),
            Invalid,
            "nothing ends this tuning job",
        ),
        (
            request(
                TuningJobCompletionCriteria={"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}},
            ),
            Unsupported,
            "ConvergenceDetected is not supported; BestObjectiveNotImproving",
        ),
        ({**request(), "Autotune": {"Mode": "Enabled"}}, Unsupported, "Autotune is not supported"),
        ({**request(), "TrainingJobDefinitions": [definition()]}, Invalid, "either TrainingJobDefinition or"),
        (
            {**request(), "TrainingJobDefinition": None, "TrainingJobDefinitions": [definition()]},
            Invalid,
            "each definition has its own",
        ),
        (
            {**request(), "TrainingJobDefinition": definition(StaticHyperParameters={"x": "1"})},
            Invalid,
            "x cannot be static and have a range",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_place(
    document: Document, kind: type[TowpathError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        plan_of({name: value for name, value in document.items() if value is not None})


def test_objectives_that_cannot_be_compared_are_refused() -> None:
    document = request()
    del document["TrainingJobDefinition"]
    config = document["HyperParameterTuningJobConfig"]
    ranges = config.pop("ParameterRanges")
    del config["HyperParameterTuningJobObjective"]
    document["TrainingJobDefinitions"] = [
        definition(
            DefinitionName=type_, HyperParameterRanges=ranges, TuningObjective={"Type": type_, "MetricName": "loss"}
        )
        for type_ in ("Minimize", "Maximize")
    ]
    with pytest.raises(Invalid, match="some objectives are to be maximized and some minimized"):
        plan_of(document)
    document["TrainingJobDefinitions"][1]["DefinitionName"] = "Minimize"
    with pytest.raises(Invalid, match="each needs a DefinitionName that no other one has"):
        plan_of(document)
