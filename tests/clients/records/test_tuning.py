"""Tuning jobs through unmodified boto3, with training scripts that take a moment."""

from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_tuning
from tests.clients.records.conftest import IMAGE, ROLE, Aws, archive, refusal

pytestmark = pytest.mark.slow

OFF = """
import json
told = json.load(open("/opt/ml/input/config/hyperparameters.json"))
print(f"loss={abs(float(told['x']) - 0.3):.6f}")
"""
#: Tells its loss epoch by epoch until it is stopped, so that only whoever stops it early comes to an end.
CURVE = """
import argparse, signal
asked = argparse.ArgumentParser()
asked.add_argument("-x", type=float)
x = asked.parse_args().x
for epoch in range(3):
    print(f"loss={x + 1 / (epoch + 1):.6f}", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def code(aws: Aws) -> str:
    """Return the prefix of the archives with the scripts."""
    aws.s3.create_bucket(Bucket="tuning")
    aws.s3.put_object(Bucket="tuning", Key="off.tar.gz", Body=archive("train.py", OFF))
    aws.s3.put_object(Bucket="tuning", Key="curve.tar.gz", Body=archive("train.py", CURVE))
    return "s3://tuning"


def request(name: str, source: str, strategy: str = "Random", **config: Any) -> dict[str, Any]:
    """Return the arguments of a tuning job that minimizes `loss` over `x` from 0 to 1."""
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges,
            "RandomSeed": 7,
            **config,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": source},
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://tuning/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }


@pytest.mark.shows(
    "sagemaker",
    "CreateHyperParameterTuningJob",
    "DescribeHyperParameterTuningJob",
    "ListTrainingJobsForHyperParameterTuningJob",
)
def test_a_tuning_job_trains_and_tells_which_was_the_best(aws: Aws, code: str) -> None:
    sagemaker = aws.sagemaker
    asked = {**request("random", f"{code}/off.tar.gz"), "Tags": [{"Key": "team", "Value": "nlp"}]}
    arn = sagemaker.create_hyper_parameter_tuning_job(**asked)["HyperParameterTuningJobArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/random"
    shown = wait_for_tuning(sagemaker, "random")
    assert shown["HyperParameterTuningJobStatus"] == "Completed"
    assert shown["TrainingJobStatusCounters"]["Completed"] == 3
    assert shown["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    assert shown["TrainingJobDefinition"]["OutputDataConfig"] == {"S3OutputPath": "s3://tuning/models"}
    listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="random", SortBy="FinalObjectiveMetricValue", SortOrder="Ascending"
    )["TrainingJobSummaries"]
    losses = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in listed]
    assert losses == sorted(losses)
    assert losses == [pytest.approx(abs(float(job["TunedHyperParameters"]["x"]) - 0.3), abs=1e-6) for job in listed]
    assert shown["BestTrainingJob"] == listed[0]
    job = sagemaker.describe_training_job(TrainingJobName=listed[0]["TrainingJobName"])
    assert (job["TuningJobArn"], job["TrainingJobStatus"]) == (arn, "Completed")
    assert job["HyperParameters"]["x"] == listed[0]["TunedHyperParameters"]["x"]
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == asked["Tags"]
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName="random", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["TrainingJobSummaries"]) for page in pages] == [2, 1]


@pytest.mark.shows("sagemaker", "StopHyperParameterTuningJob", "ListHyperParameterTuningJobs")
@pytest.mark.shows("sagemaker", "DeleteHyperParameterTuningJob")
def test_tuning_jobs_are_listed_stopped_and_deleted(aws: Aws, code: str) -> None:
    sagemaker = aws.sagemaker
    asked = {"HyperParameterTuningJobName": "list-b"}
    sagemaker.create_hyper_parameter_tuning_job(**request("list-b", f"{code}/curve.tar.gz"))
    sagemaker.create_hyper_parameter_tuning_job(**request("list-a", f"{code}/off.tar.gz"))
    code_, message = refusal(sagemaker.delete_hyper_parameter_tuning_job, **asked)
    assert (code_, "is InProgress; stop it" in message) == ("ResourceInUse", True)
    sagemaker.stop_hyper_parameter_tuning_job(**asked)
    shown = wait_for_tuning(sagemaker, "list-b")
    assert shown["HyperParameterTuningJobStatus"] == "Stopped"
    assert shown["TrainingJobStatusCounters"]["Completed"] == 0
    wait_for_tuning(sagemaker, "list-a")

    def names(**narrowed: Any) -> list[str]:
        found = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="list-", **narrowed)
        return [job["HyperParameterTuningJobName"] for job in found["HyperParameterTuningJobSummaries"]]

    assert names() == ["list-a", "list-b"]
    assert names(SortBy="CreationTime") == ["list-b", "list-a"]
    assert names(SortBy="Name", SortOrder="Descending") == ["list-b", "list-a"]
    assert names(StatusEquals="Stopped") == ["list-b"]
    first = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="list-", MaxResults=1)
    assert names(NextToken=first["NextToken"]) == ["list-b"]
    (summary,) = first["HyperParameterTuningJobSummaries"]
    assert (summary["Strategy"], summary["ResourceLimits"]["MaxParallelTrainingJobs"]) == ("Random", 2)
    sagemaker.delete_hyper_parameter_tuning_job(**asked)
    assert names() == ["list-a"]
    left = sagemaker.list_training_jobs(NameContains="list-b-0")["TrainingJobSummaries"]
    assert {job["TrainingJobStatus"] for job in left} == {"Stopped"}


def test_hyperband_stops_training_jobs_that_would_go_on_for_ever(aws: Aws, code: str) -> None:
    config = {
        "StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 3}},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
    }
    source = f"{code}/curve.tar.gz"
    aws.sagemaker.create_hyper_parameter_tuning_job(**request("bands", source, "Hyperband", **config))
    shown = wait_for_tuning(aws.sagemaker, "bands")
    assert shown["HyperParameterTuningJobStatus"] == "Completed", shown["FailureReason"]
    assert shown["TrainingJobStatusCounters"]["Stopped"] == 4
    assert shown["ObjectiveStatusCounters"]["Succeeded"] == 4
    best = shown["BestTrainingJob"]
    loss = best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    listed = aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="bands")
    losses = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in listed["TrainingJobSummaries"]]
    assert loss == min(losses)
    assert {job["TrainingJobStatus"] for job in listed["TrainingJobSummaries"]} == {"Stopped"}


def test_tuning_jobs_are_found_by_a_search_and_their_training_jobs_belong_to_a_trial(aws: Aws, code: str) -> None:
    sagemaker = aws.sagemaker
    grid = {
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.25", "0.9"]}]},
        "ResourceLimits": {"MaxParallelTrainingJobs": 2},
    }
    sagemaker.create_hyper_parameter_tuning_job(**request("grid", f"{code}/off.tar.gz", "Grid", **grid))
    shown = wait_for_tuning(sagemaker, "grid")
    assert shown["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.25"}
    where = {"Filters": [{"Name": "HyperParameterTuningJobName", "Operator": "Equals", "Value": "grid"}]}
    (found,) = sagemaker.search(Resource="HyperParameterTuningJob", SearchExpression=where)["Results"]
    assert found["HyperParameterTuningJob"]["HyperParameterTuningJobStatus"] == "Completed"
    assert found["HyperParameterTuningJob"]["BestTrainingJob"] == shown["BestTrainingJob"]
    components = sagemaker.list_trial_components(TrialName="grid-aws-tuning-job")["TrialComponentSummaries"]
    assert len(components) == 3
    trial = sagemaker.describe_trial(TrialName="grid-aws-tuning-job")
    assert trial["Source"]["SourceArn"] == shown["HyperParameterTuningJobArn"]
