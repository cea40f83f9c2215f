"""Whole tuning jobs on a real store and virtual time; a test ends the attempts of their training jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.tuning.conftest import definition, request

from towpath.kernel.errors import Conflict, InUse, Invalid, Unsupported
from towpath.testing.crashes import Crash, CrashingStore

if TYPE_CHECKING:
    from tests.unit.tuning.conftest import TuningWorld


def off(x: float) -> float:
    """Return how far x is from the best one."""
    return abs(x - 0.3)


def described(world: TuningWorld, name: str = "tune") -> dict[str, Any]:
    return world.call("DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name})


def listed(world: TuningWorld, name: str = "tune", **asked: Any) -> list[dict[str, Any]]:
    answer = world.call("ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": name, **asked})
    found: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    return found


def test_no_more_training_jobs_run_at_one_time_than_were_asked_for(world: TuningWorld) -> None:
    world.begin(request())
    first, second = world.children()
    assert sorted(world.backend.submits) == sorted([f"{first.uid}-1", f"{second.uid}-1"])
    shown = described(world)
    assert shown["TrainingJobStatusCounters"]["InProgress"] == 2
    assert shown["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 2, "Failed": 0}
    world.end(first, 0.5)
    assert [job.status for job in world.children()] == ["Completed", "InProgress", "InProgress"]


def test_a_tuning_job_tells_of_the_best_of_its_training_jobs(world: TuningWorld) -> None:
    world.begin(request())
    assert world.live(off).status == "Completed"
    shown = described(world)
    assert shown["TrainingJobStatusCounters"]["Completed"] == 4
    assert shown["ConsumedResources"] == {"RuntimeInSeconds": 40}
    by_result = listed(world, SortBy="FinalObjectiveMetricValue")
    values = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in by_result]
    assert values == sorted(values)
    assert shown["BestTrainingJob"] == by_result[0]
    assert shown["BestTrainingJob"]["TunedHyperParameters"].keys() == {"x"}
    assert [job["TrainingJobName"] for job in listed(world)] == [job.name for job in world.children()]


def test_training_jobs_are_named_numbered_and_described_as_those_of_the_tuning_job(world: TuningWorld) -> None:
    document = request()
    document["Tags"] = [{"Key": "team", "Value": "nlp"}]
    document["TrainingJobDefinition"]["CheckpointConfig"] = {"S3Uri": "s3://checkpoints/tune/"}
    tuning = world.begin(document)
    first, second = world.children()
    assert first.name.startswith("tune-001-")
    assert second.name.startswith("tune-002-")
    shown = world.call("DescribeTrainingJob", {"TrainingJobName": first.name})
    assert shown["TuningJobArn"] == tuning.arn
    assert shown["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert shown["HyperParameters"]["sagemaker_program"] == "train.py"
    assert 0 <= float(shown["HyperParameters"]["x"]) <= 1
    assert shown["CheckpointConfig"]["S3Uri"] == f"s3://checkpoints/tune/{first.name}"
    assert world.store.read(lambda transaction: transaction.resources.tags(first.uid)) == {"team": "nlp"}


def test_the_same_seed_tries_the_same(world: TuningWorld) -> None:
    for name in ("one", "two"):
        world.begin(request(name))
        world.live(off, name)
    other = request("other", RandomSeed=8)
    world.begin(other)
    world.live(off, "other")
    tried = {
        name: [job["TunedHyperParameters"]["x"] for job in listed(world, name)] for name in ("one", "two", "other")
    }
    assert tried["one"] == tried["two"] != tried["other"]


def test_a_failure_of_a_training_job_counts_and_the_search_goes_on(world: TuningWorld) -> None:
    world.begin(request())
    world.end(world.children()[0], exit_code=3, reason="ExitCode 3")
    assert world.live(off).status == "Completed"
    shown = described(world)
    assert shown["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    assert shown["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 1}
    (failed,) = listed(world, StatusEquals="Failed")
    assert (failed["ObjectiveStatus"], failed["FailureReason"]) == ("Failed", "AlgorithmError: ExitCode 3")
    assert len(listed(world, SortBy="FinalObjectiveMetricValue")) == 3


def test_a_tuning_job_without_a_success_fails_with_the_reason_of_its_training_jobs(world: TuningWorld) -> None:
    world.begin(request(ResourceLimits={"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 1}))
    for _ in range(5):
        world.end(world.children()[-1], exit_code=3, reason="ExitCode 3")
    tuning = world.tuning()
    assert (tuning.status, len(world.children())) == ("Failed", 5)
    reason = described(world)["FailureReason"]
    assert reason.startswith("No training job succeeded after 5 attempts (tune-001-")
    assert reason.endswith("The first one: AlgorithmError: ExitCode 3")


def test_training_jobs_that_never_tell_the_objective_are_named_with_its_regular_expression(world: TuningWorld) -> None:
    world.begin(request())
    assert world.live(lambda x: None).status == "Failed"
    sentence = (
        "No line of the log matches 'loss=([0-9.]+)', the Regex of the objective metric 'loss', so that there is no "
        "value to compare"
    )
    assert described(world)["FailureReason"] == (
        f"ClientError: No objective metrics found after running 4 training jobs. {sentence}"
    )
    assert {(job["TrainingJobStatus"], job["ObjectiveStatus"], job["FailureReason"]) for job in listed(world)} == {
        ("Completed", "Failed", sentence)
    }


def test_stopping_stops_the_training_jobs_and_starts_no_more(world: TuningWorld) -> None:
    world.begin(request())
    first, second = world.children()
    world.tell(first, 0.5)
    world.tell(second)
    world.call("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})
    world.run()
    assert [job.status for job in world.children()] == ["Stopping", "Stopping"]
    assert sorted(world.backend.stops) == sorted([f"{first.uid}-1", f"{second.uid}-1"])
    world.end(first, 0.5, stopped=True)
    assert world.tuning().status == "Stopping"
    world.end(second, stopped=True)
    shown = described(world)
    assert shown["HyperParameterTuningJobStatus"] == "Stopped"
    assert shown["TrainingJobStatusCounters"]["Stopped"] == 2
    assert shown["BestTrainingJob"]["TrainingJobName"] == first.name
    with pytest.raises(Conflict, match="hyper parameter tuning job is in status Stopped"):
        world.call("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})


def test_a_reached_target_ends_the_search(world: TuningWorld) -> None:
    world.begin(request(TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 0.1}))
    first, second = world.children()
    world.tell(second)
    world.end(first, 0.1)
    assert [job.status for job in world.children()] == ["Completed", "Stopping"]
    world.end(second, stopped=True)
    assert (world.tuning().status, len(world.children())) == ("Completed", 2)


def test_a_search_that_does_not_get_better_ends(world: TuningWorld) -> None:
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    world.begin(
        request(
            TuningJobCompletionCriteria=criteria,
            ResourceLimits={"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 1},
        )
    )
    for loss in (0.5, 0.4, 0.399, 0.45, 0.4):  # the third is better by less than a hundredth
        world.end(world.children()[-1], loss)
    assert (world.tuning().status, len(world.children())) == ("Completed", 5)
    shown = described(world)
    assert shown["TuningJobCompletionDetails"] == {"NumberOfTrainingJobsObjectiveNotImproving": 3}
    assert shown["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 0.399


def test_a_tuning_job_ends_when_its_time_is_over(world: TuningWorld) -> None:
    limits = {"MaxParallelTrainingJobs": 1, "MaxRuntimeInSeconds": 120}
    world.begin(request(ResourceLimits=limits))
    world.end(world.children()[0], 0.5)
    (_, second) = world.children()
    world.tell(second)
    world.clock.advance(117)
    world.run()
    assert world.children()[1].status == "InProgress"
    world.clock.advance(2)
    world.run()
    assert world.children()[1].status == "Stopping"
    world.end(second, stopped=True)
    assert (world.tuning().status, len(world.children())) == ("Completed", 2)


def test_the_median_rule_stops_a_training_job_that_is_behind(world: TuningWorld) -> None:
    world.begin(request(TrainingJobEarlyStoppingType="Auto"))
    first, second = world.children()
    world.tell(first, 0.8, 0.6, 0.4)
    world.tell(second, 0.9)
    assert world.tuning().state["TrainingJobStatusCounters"]["InProgress"] == 2
    world.move("TrainingJob", first.name, world.finished(metrics=world.backend.observe(f"{first.uid}-1").metrics))
    assert world.children()[1].status == "Stopping"  # 0.9 is worse than 0.8, what the first had come to by then
    world.end(second, 0.9, stopped=True)
    third = world.children()[2]
    world.tell(third, 0.85, 0.5)
    assert world.children()[2].status == "InProgress"  # 0.5 is better than the median of (0.8 + 0.6) / 2


def test_hyperband_stops_who_is_beaten_and_who_has_had_everything(world: TuningWorld) -> None:
    bands = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 3}}
    limits = {"MaxNumberOfTrainingJobs": 12, "MaxParallelTrainingJobs": 12}
    world.begin(request(strategy="Hyperband", StrategyConfig=bands, ResourceLimits=limits))
    for place, job in enumerate(world.children()):
        world.tell(job, 0.1 + place / 100)
    stopped = [job.status == "Stopping" for job in world.children()]
    assert not stopped[0]
    assert 3 <= sum(stopped) < 12  # those of the bracket that looks after one value
    going_on = [job for job in world.children() if job.status == "InProgress"]
    world.tell(going_on[0], 0.1, 0.1)
    assert world.resource("TrainingJob", going_on[0].name).status == "InProgress"
    world.tell(going_on[0], 0.1, 0.1, 0.1)
    assert world.resource("TrainingJob", going_on[0].name).status == "Stopping"
    world.end(going_on[0], 0.1, stopped=True)
    assert described(world)["BestTrainingJob"]["ObjectiveStatus"] == "Succeeded"


def test_several_definitions_take_turns(world: TuningWorld) -> None:
    document = request()
    config = document["HyperParameterTuningJobConfig"]
    ranges = config.pop("ParameterRanges")
    objective = config.pop("HyperParameterTuningJobObjective")
    del document["TrainingJobDefinition"]
    document["TrainingJobDefinitions"] = [
        definition(DefinitionName=name, TuningObjective=objective, HyperParameterRanges=ranges)
        for name in ("trees", "nets")
    ]
    world.begin(document)
    assert world.live(off).status == "Completed"
    assert [job["TrainingJobDefinitionName"] for job in listed(world)] == ["trees", "nets", "trees", "nets"]
    assert len({job["TunedHyperParameters"]["x"] for job in listed(world)}) == 4


def test_a_training_job_that_is_needed_cannot_be_deleted(world: TuningWorld) -> None:
    world.begin(request())
    first = world.children()[0]
    world.end(first, 0.5)
    with pytest.raises(InUse, match="is one of the tuning job arn:aws:sagemaker"):
        world.call("DeleteTrainingJob", {"TrainingJobName": first.name})
    with pytest.raises(InUse, match="is InProgress; stop it"):
        world.call("DeleteHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})
    world.live(off)
    world.call("DeleteTrainingJob", {"TrainingJobName": first.name})
    world.call("DeleteHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"})
    assert len(world.call("ListTrainingJobs", {})["TrainingJobSummaries"]) == 3


def test_what_could_never_start_is_refused_when_it_is_created(world: TuningWorld) -> None:
    document = request()
    document["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = "nobody/knows:1"
    with pytest.raises(Invalid, match="nobody/knows:1"):
        world.call("CreateHyperParameterTuningJob", document)
    document = request()
    document["Autotune"] = {"Mode": "Enabled"}
    with pytest.raises(Unsupported, match="Autotune is not supported"):
        world.call("CreateHyperParameterTuningJob", document)
    assert world.call("ListHyperParameterTuningJobs", {})["HyperParameterTuningJobSummaries"] == []


def test_an_image_that_is_gone_ends_the_tuning_job_with_the_reason(world: TuningWorld) -> None:
    world.call("CreateHyperParameterTuningJob", request())
    create = world.operations["CreateTrainingJob"]

    def refused(*_: Any) -> Any:
        raise Invalid("no such image")

    world.operations["CreateTrainingJob"] = type(create)(name=create.name, function=refused)
    world.engine = world.new_engine()
    world.run()
    tuning = world.tuning()
    assert (tuning.status, world.children()) == ("Failed", [])
    assert tuning.state["FailureReason"].endswith("was refused: no such image")


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 30))
def test_a_crash_at_any_write_changes_nothing_about_the_end(world: TuningWorld, at: int, after: bool) -> None:
    world.call("CreateHyperParameterTuningJob", request())
    world.engine = world.new_engine(CrashingStore(world.store, at, after=after))
    with pytest.raises(Crash):
        world.run()
        world.live(off)
        raise Crash  # the life has fewer writes than `at`
    world.engine = world.new_engine()
    world.store.write(lambda transaction: transaction.work.release_all())
    for key, seen in world.backend.seen.items():
        if seen.manifest is not None:
            world.engine.wake(world.resource("TrainingJob", job_of(world, key)).uid)
    world.run()
    assert world.live(off).status == "Completed"
    children = world.children()
    assert [job.name.split("-")[1] for job in children] == ["001", "002", "003", "004"]
    assert sorted(world.backend.jobs) == sorted(f"{job.uid}-1" for job in children)
    undisturbed = ["0.5704330333290243", "0.35680718718162363", "0.3770595406147299", "0.7710044026154487"]
    assert [job.spec["HyperParameters"]["x"] for job in children] == undisturbed


def job_of(world: TuningWorld, key: str) -> str:
    return next(job.name for job in world.children() if key.startswith(job.uid))
