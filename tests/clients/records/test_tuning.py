"""Tuning jobs through unmodified boto3, with training scripts that take a moment."""

import json
from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_execution, wait_for_tuning
from tests.clients.records.conftest import IMAGE, ROLE, Aws, archive, refusal

pytestmark = pytest.mark.slow

OFF = """
import json
told = json.load(open("/opt/ml/input/config/hyperparameters.json"))
print(f"loss={abs(float(told['x']) - 0.3):.6f}")
"""
MODEL = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "x.txt").write_text(str(told["x"]))
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


@pytest.mark.shows("sagemaker", "CreateHyperParameterTuningJob", how="executes")
@pytest.mark.shows("sagemaker", "DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob")
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


@pytest.mark.shows("sagemaker", "StopHyperParameterTuningJob", how="executes")
@pytest.mark.shows("sagemaker", "ListHyperParameterTuningJobs", "DeleteHyperParameterTuningJob")
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


def definition(source: str) -> str:
    """Return a pipeline that tunes, and makes a model of the best training job where it is good enough."""
    asked = request("unused", source, "Grid")
    config = asked["HyperParameterTuningJobConfig"]
    config["ParameterRanges"] = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.9", "0.25", "0.1"]}]}
    config["ResourceLimits"] = {"MaxParallelTrainingJobs": 2}
    asked["TrainingJobDefinition"]["StaticHyperParameters"]["rounds"] = {"Get": "Parameters.Rounds"}
    best = {"Get": "Steps.Tune.BestTrainingJob.FinalHyperParameterTuningJobObjectiveMetric.Value"}
    first = {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"}
    uri = {"Std:Join": {"On": "/", "Values": ["s3:/", "tuning/models", first, "output/model.tar.gz"]}}
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": uri}}
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [{"Name": "Rounds", "Type": "Integer", "DefaultValue": 3}],
            "Steps": [
                {
                    "Name": "Tune",
                    "Type": "Tuning",
                    "Arguments": {
                        "HyperParameterTuningJobConfig": config,
                        "TrainingJobDefinition": asked["TrainingJobDefinition"],
                    },
                },
                {
                    "Name": "Gate",
                    "Type": "Condition",
                    "Arguments": {
                        "Conditions": [{"Type": "LessThan", "LeftValue": best, "RightValue": 0.1}],
                        "IfSteps": [{"Name": "Create", "Type": "Model", "Arguments": model}],
                        "ElseSteps": [],
                    },
                },
            ],
        }
    )


def test_a_pipeline_tunes_and_goes_on_with_the_best_training_job(aws: Aws, code: str) -> None:
    sagemaker = aws.sagemaker
    aws.s3.put_object(Bucket="tuning", Key="model.tar.gz", Body=archive("train.py", OFF + MODEL))
    sagemaker.create_pipeline(PipelineName="Tuned", PipelineDefinition=definition(f"{code}/model.tar.gz"), RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(PipelineName="Tuned")["PipelineExecutionArn"]
    ended = wait_for_execution(sagemaker, arn)
    steps = {
        step["StepName"]: step
        for step in sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    }
    assert ended["PipelineExecutionStatus"] == "Succeeded", steps
    tuning = steps["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    shown = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)
    best = shown["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"x": "0.25"}
    assert shown["TrainingJobDefinition"]["StaticHyperParameters"]["rounds"] == "3"
    model = sagemaker.describe_model(ModelName=steps["Create"]["Metadata"]["Model"]["Arn"].rpartition("/")[2])
    uri = f"s3://tuning/models/{best['TrainingJobName']}/output/model.tar.gz"
    assert model["PrimaryContainer"]["ModelDataUrl"] == uri

    trial = arn.rpartition("/")[2]
    components = sagemaker.list_trial_components(TrialName=trial)["TrialComponentSummaries"]
    assert len(components) == 3, "its training jobs belong to the trial of the execution"
    (context,) = sagemaker.list_contexts(SourceUri=arn)["ContextSummaries"]
    done = sagemaker.list_associations(SourceArn=context["ContextArn"])["AssociationSummaries"]
    assert [item["DestinationType"] for item in done] == ["SageMakerTrainingJob"] * 3


def test_stopping_an_execution_stops_its_tuning_job_and_what_that_started(aws: Aws, code: str) -> None:
    sagemaker = aws.sagemaker
    text = definition(f"{code}/curve.tar.gz")
    sagemaker.create_pipeline(PipelineName="Endless", PipelineDefinition=text, RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(PipelineName="Endless")["PipelineExecutionArn"]
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="s" * 32)
    assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Stopped"
    begun = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    for tuning in [step["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2] for step in begun if step["Metadata"]]:
        shown = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)
        assert shown["HyperParameterTuningJobStatus"] == "Stopped"
        assert shown["TrainingJobStatusCounters"]["InProgress"] == 0
