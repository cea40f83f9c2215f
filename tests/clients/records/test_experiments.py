"""Experiments through unmodified boto3: what is written down, and what executions and jobs write down of themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.clients.records.conftest import IMAGE, ROLE, Aws, refusal

pytestmark = pytest.mark.slow


@pytest.mark.shows("sagemaker", "CreateTrial", "DescribeTrial", "ListTrials", "DeleteTrial")
@pytest.mark.shows(
    "sagemaker", "CreateTrialComponent", "DescribeTrialComponent", "UpdateTrialComponent", "DeleteTrialComponent"
)
@pytest.mark.shows(
    "sagemaker", "AssociateTrialComponent", "DisassociateTrialComponent", "ListTrialComponents", "DeleteExperiment"
)
def test_experiments_trials_and_components_live_a_whole_life(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    tags = [{"Key": "team", "Value": "nlp"}]
    experiment = sagemaker.create_experiment(ExperimentName="by-hand", Description="tried", Tags=tags)["ExperimentArn"]
    assert experiment == "arn:aws:sagemaker:us-east-1:000000000000:experiment/by-hand"
    assert sagemaker.list_tags(ResourceArn=experiment)["Tags"] == tags
    code, message = refusal(sagemaker.create_experiment, ExperimentName="by-hand")
    assert code == "ValidationException"
    assert "already exists" in message
    missing = refusal(sagemaker.create_trial, TrialName="t", ExperimentName="nowhere")
    assert missing == ("ResourceNotFound", "Experiment 'nowhere' does not exist.")
    trial = sagemaker.create_trial(TrialName="first", ExperimentName="by-hand", DisplayName="First")["TrialArn"]
    shown = sagemaker.describe_trial(TrialName="first")
    assert (shown["TrialArn"], shown["DisplayName"], shown["ExperimentName"]) == (trial, "First", "by-hand")
    assert shown["CreatedBy"]["UserProfileName"] == "admin"

    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    component = sagemaker.create_trial_component(
        TrialComponentName="prep",
        Status={"PrimaryStatus": "InProgress"},
        StartTime=start,
        Parameters={"rate": {"NumberValue": 0.5}, "model": {"StringValue": "tiny"}},
        InputArtifacts={"raw": {"Value": "s3://lake/raw", "MediaType": "text/csv"}},
    )["TrialComponentArn"]
    sagemaker.add_tags(ResourceArn=component, Tags=tags)
    sagemaker.update_trial_component(
        TrialComponentName="prep",
        Status={"PrimaryStatus": "Completed"},
        EndTime=start + timedelta(hours=1),
        Parameters={"rate": {"NumberValue": 0.25}},
        ParametersToRemove=["model"],
        OutputArtifacts={"out": {"Value": "s3://lake/out"}},
    )
    shown = sagemaker.describe_trial_component(TrialComponentName="prep")
    assert shown["Status"] == {"PrimaryStatus": "Completed"}
    assert (shown["StartTime"], shown["EndTime"]) == (start, start + timedelta(hours=1))
    assert shown["Parameters"] == {"rate": {"NumberValue": 0.25}}
    assert shown["InputArtifacts"] == {"raw": {"Value": "s3://lake/raw", "MediaType": "text/csv"}}
    assert shown["OutputArtifacts"] == {"out": {"Value": "s3://lake/out"}}

    pair = {"TrialComponentName": "prep", "TrialName": "first"}
    assert sagemaker.associate_trial_component(**pair)["TrialArn"] == trial
    sagemaker.associate_trial_component(**pair)
    listed = sagemaker.list_trial_components(TrialName="first")["TrialComponentSummaries"]
    assert [item["TrialComponentName"] for item in listed] == ["prep"]
    assert sagemaker.list_trial_components(ExperimentName="by-hand")["TrialComponentSummaries"] == listed
    (found,) = sagemaker.list_trials(TrialComponentName="prep")["TrialSummaries"]
    assert found["TrialArn"] == trial
    both = refusal(sagemaker.list_trial_components, TrialName="first", ExperimentName="by-hand")
    assert both[0] == "ValidationException"

    for delete, name in (
        (sagemaker.delete_experiment, {"ExperimentName": "by-hand"}),
        (sagemaker.delete_trial, {"TrialName": "first"}),
        (sagemaker.delete_trial_component, {"TrialComponentName": "prep"}),
    ):
        code, message = refusal(delete, **name)
        assert (code, "first" in message or "prep" in message) == ("ValidationException", True)
    sagemaker.disassociate_trial_component(**pair)
    assert refusal(sagemaker.disassociate_trial_component, **pair)[0] == "ResourceNotFound"
    sagemaker.delete_trial_component(TrialComponentName="prep")
    sagemaker.delete_trial(TrialName="first")
    sagemaker.delete_experiment(ExperimentName="by-hand")
    assert refusal(sagemaker.describe_experiment, ExperimentName="by-hand")[0] == "ResourceNotFound"


@pytest.mark.shows("sagemaker", "ListTrials")
def test_lists_are_narrowed_sorted_and_come_in_pages(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    sagemaker.create_experiment(ExperimentName="pages")
    for number in (2, 0, 1):
        sagemaker.create_trial(TrialName=f"page-{number}", ExperimentName="pages")
    asked: dict[str, Any] = {"ExperimentName": "pages", "SortBy": "Name", "SortOrder": "Ascending"}
    pages = sagemaker.get_paginator("list_trials").paginate(**asked, PaginationConfig={"PageSize": 2})
    found = [[item["TrialName"] for item in page["TrialSummaries"]] for page in pages]
    assert found == [["page-0", "page-1"], ["page-2"]]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert sagemaker.list_trials(ExperimentName="pages", CreatedAfter=tomorrow)["TrialSummaries"] == []
    assert len(sagemaker.list_trials(ExperimentName="pages", CreatedBefore=tomorrow)["TrialSummaries"]) == 3
    sagemaker.create_trial_component(TrialComponentName="everywhere")
    for number in range(3):
        sagemaker.associate_trial_component(TrialComponentName="everywhere", TrialName=f"page-{number}")
    asked = {"TrialComponentName": "everywhere", "SortBy": "Name"}
    pages = sagemaker.get_paginator("list_trials").paginate(**asked, PaginationConfig={"PageSize": 2})
    found = [[item["TrialName"] for item in page["TrialSummaries"]] for page in pages]
    assert found == [["page-2", "page-1"], ["page-0"]]


def test_an_execution_is_a_trial_and_its_jobs_are_its_components(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    execution_id = ran["execution"].rpartition("/")[2]
    trial = sagemaker.describe_trial(TrialName=execution_id)
    assert trial["ExperimentName"] == "Words"
    assert trial["Source"]["SourceArn"] == ran["execution"]
    config = sagemaker.describe_pipeline_execution(PipelineExecutionArn=ran["execution"])["PipelineExperimentConfig"]
    assert config == {"ExperimentName": "Words", "TrialName": execution_id}

    listed = sagemaker.list_trial_components(TrialName=execution_id, SortOrder="Ascending")["TrialComponentSummaries"]
    jobs = {item["TrialComponentSource"]["SourceArn"]: item for item in listed}
    assert set(jobs) == {ran["Prepare"], ran["Train"]}
    assert {item["Status"]["PrimaryStatus"] for item in listed} == {"Completed"}
    by_experiment = sagemaker.list_trial_components(ExperimentName="Words")["TrialComponentSummaries"]
    assert {item["TrialComponentArn"] for item in by_experiment} == {item["TrialComponentArn"] for item in listed}
    # The SDKs ask by the ARN in lower case.
    (found,) = sagemaker.list_trial_components(SourceArn=ran["Train"].lower())["TrialComponentSummaries"]
    assert found["TrialComponentName"] == f"{ran['Train'].rpartition('/')[2]}-aws-training-job"

    shown = sagemaker.describe_trial_component(TrialComponentName=found["TrialComponentName"])
    job = sagemaker.describe_training_job(TrainingJobName=ran["Train"].rpartition("/")[2])
    assert shown["Source"] == {"SourceArn": ran["Train"], "SourceType": "SageMakerTrainingJob"}
    assert (shown["StartTime"], shown["EndTime"]) == (job["TrainingStartTime"], job["TrainingEndTime"])
    assert shown["Parameters"]["epochs"] == {"NumberValue": 3.0}
    assert shown["Parameters"]["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    assert shown["InputArtifacts"]["train"]["Value"] == "s3://lake/train/"
    assert shown["InputArtifacts"]["SageMaker.ImageUri"]["Value"] == IMAGE
    assert shown["OutputArtifacts"]["SageMaker.ModelArtifact"]["Value"] == job["ModelArtifacts"]["S3ModelArtifacts"]

    prepared = sagemaker.describe_trial_component(TrialComponentName=jobs[ran["Prepare"]]["TrialComponentName"])
    assert prepared["InputArtifacts"]["raw"]["Value"] == "s3://lake/raw/"
    assert prepared["OutputArtifacts"]["train"]["Value"] == "s3://lake/train/"


def test_parameters_are_added_to_the_record_of_a_job_but_not_its_status(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    name = f"{ran['Train'].rpartition('/')[2]}-aws-training-job"
    sagemaker.update_trial_component(TrialComponentName=name, Parameters={"note": {"StringValue": "kept"}})
    shown = sagemaker.describe_trial_component(TrialComponentName=name)["Parameters"]
    assert (shown["note"], shown["epochs"]) == ({"StringValue": "kept"}, {"NumberValue": 3.0})
    failed = {"PrimaryStatus": "Failed"}
    code, message = refusal(sagemaker.update_trial_component, TrialComponentName=name, Status=failed)
    assert (code, "the record of a job" in message) == ("ValidationException", True)


def test_a_job_joins_the_experiment_that_it_names(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    asked = {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "RoleArn": ROLE,
    }
    config = {"ExperimentName": "named", "TrialComponentDisplayName": "Just-true"}
    named = {**asked, "ExperimentConfig": config}
    refused = refusal(sagemaker.create_processing_job, ProcessingJobName="alone", **named)
    assert refused == ("ResourceNotFound", "Experiment 'named' does not exist.")
    sagemaker.create_experiment(ExperimentName="named")
    sagemaker.create_processing_job(ProcessingJobName="alone", **named)
    (component,) = sagemaker.list_trial_components(ExperimentName="named")["TrialComponentSummaries"]
    assert component["TrialComponentName"] == "alone-aws-processing-job"
    assert component["DisplayName"] == "Just-true"
    (trial,) = sagemaker.list_trials(ExperimentName="named")["TrialSummaries"]
    assert trial["TrialName"] == "alone-trial"


@pytest.mark.shows("sagemaker", "Search", "GetSearchSuggestions")
def test_searches_find_what_ran(aws: Aws, ran: dict[str, str]) -> None:
    def found(resource: str, member: str, *filters: tuple[str, str, str], **asked: Any) -> list[dict[str, Any]]:
        given = [{"Name": name, "Operator": operator, "Value": value} for name, operator, value in filters]
        pages = aws.sagemaker.get_paginator("search").paginate(
            Resource=resource, SearchExpression={"Filters": given}, **asked
        )
        return [result[member] for page in pages for result in page["Results"]]

    (job,) = found(
        "TrainingJob",
        "TrainingJob",
        ("Metrics.validation:accuracy", "GreaterThan", "0.6"),
        ("HyperParameters.epochs", "Equals", "3"),
        ("CreationTime", "GreaterThan", "2026-01-01T00:00:00Z"),
    )
    assert job["TrainingJobArn"] == ran["Train"]
    assert found("TrainingJob", "TrainingJob", ("Metrics.validation:accuracy", "GreaterThan", "0.7")) == []
    of_words = ("ModelPackageGroupName", "Equals", "words")
    (package,) = found("ModelPackage", "ModelPackage", of_words, ("ModelPackageVersion", "Equals", "1"))
    assert package["ModelPackageArn"] == ran["Register"]
    succeeded = ("PipelineExecutionStatus", "Equals", "Succeeded")
    of_pipeline = ("PipelineArn", "Equals", ran["pipeline"])
    (execution,) = found("PipelineExecution", "PipelineExecution", of_pipeline, succeeded)
    assert execution["PipelineExecutionArn"] == ran["execution"]
    components = found(
        "ExperimentTrialComponent",
        "TrialComponent",
        ("Parents.ExperimentName", "Equals", "Words"),
        ("Parameters.epochs", "GreaterThan", "2"),
    )
    assert [item["Source"]["SourceArn"] for item in components] == [ran["Train"]]
    (trial,) = found("ExperimentTrial", "Trial", ("ExperimentName", "Equals", "Words"))
    assert len(trial["TrialComponentSummaries"]) == 2
    suggested = aws.sagemaker.get_search_suggestions(
        Resource="TrainingJob", SuggestionQuery={"PropertyNameQuery": {"PropertyNameHint": "Metrics."}}
    )["PropertyNameSuggestions"]
    assert {"PropertyName": "Metrics.validation:accuracy"} in suggested
    assert all(each["PropertyName"].startswith("Metrics.") for each in suggested)
    code, message = refusal(aws.sagemaker.search, Resource="FeatureGroup")
    assert (code, "these can be searched: Endpoint, Experiment" in message) == ("ValidationException", True)
