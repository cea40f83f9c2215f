"""Updates of jobs, and what every member of a List request does, through unmodified boto3."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.clients.records.conftest import IMAGE, ROLE, Aws, refusal

pytestmark = pytest.mark.slow

WAITING = "import signal; signal.pause()"


def train(aws: Aws, name: str, script: str = "raise SystemExit(1)") -> None:
    aws.sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", script],
        },
        OutputDataConfig={"S3OutputPath": "s3://lake/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        RoleArn=ROLE,
    )


def process(aws: Aws, name: str, script: str = "raise SystemExit(1)") -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    aws.sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", script]},
        ProcessingResources={"ClusterConfig": resources},
        RoleArn=ROLE,
    )


def model(aws: Aws, name: str) -> None:
    aws.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)


def endpoint_config(aws: Aws, name: str) -> None:
    model(aws, f"of-{name}")
    variant = {"VariantName": "v", "ModelName": f"of-{name}", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def group(aws: Aws, name: str) -> None:
    aws.sagemaker.create_model_package_group(ModelPackageGroupName=name)


@pytest.fixture
def waiting(aws: Aws) -> Iterator[str]:
    """Return the name of a training job that runs until it is stopped."""
    train(aws, "waiting", WAITING)
    yield "waiting"
    aws.sagemaker.stop_training_job(TrainingJobName="waiting")
    soon = {"Delay": 1, "MaxAttempts": 60}
    aws.sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="waiting", WaiterConfig=soon)
    aws.sagemaker.delete_training_job(TrainingJobName="waiting")


@pytest.mark.shows("sagemaker", "UpdateTrainingJob", "DescribeTrainingJob")
def test_an_update_changes_what_is_said_of_a_training_job(aws: Aws, ran: dict[str, str], waiting: str) -> None:
    sagemaker = aws.sagemaker
    arn = sagemaker.update_training_job(
        TrainingJobName=waiting,
        ProfilerConfig={"DisableProfiler": True},
        ResourceConfig={"KeepAlivePeriodInSeconds": 0},
        RemoteDebugConfig={"EnableRemoteDebug": False},
    )["TrainingJobArn"]
    shown = sagemaker.describe_training_job(TrainingJobName=waiting)
    assert shown["TrainingJobArn"] == arn
    assert (shown["ProfilerConfig"], shown["ProfilingStatus"]) == ({"DisableProfiler": True}, "Disabled")
    assert shown["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 0
    assert shown["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    assert shown["RemoteDebugConfig"] == {"EnableRemoteDebug": False}
    code, message = refusal(
        sagemaker.update_training_job, TrainingJobName=waiting, ResourceConfig={"KeepAlivePeriodInSeconds": 600}
    )
    assert (code, "no warm pools" in message) == ("UnsupportedOperation", True)
    ended = ran["Train"].rpartition("/")[2]
    code, message = refusal(
        sagemaker.update_training_job, TrainingJobName=ended, ProfilerConfig={"DisableProfiler": True}
    )
    assert (code, "is Completed" in message) == ("ValidationException", True)


@pytest.mark.shows(
    "sagemaker", "ListTrainingJobs", "ListProcessingJobs", "ListModels", "ListEndpointConfigs", "ListModelPackageGroups"
)
@pytest.mark.parametrize(
    ("operation", "member", "name", "make", "ascending"),
    [
        ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName", train, True),
        ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName", process, True),
        ("list_models", "Models", "ModelName", model, False),
        ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", endpoint_config, False),
        ("list_model_package_groups", "ModelPackageGroupSummaryList", "ModelPackageGroupName", group, True),
    ],
)
def test_lists_are_narrowed_sorted_and_come_in_pages(
    aws: Aws, operation: str, member: str, name: str, make: Callable[[Aws, str], None], ascending: bool
) -> None:
    made = ["narrowed-b", "narrowed-a", "narrowed-c"]
    for known in made:
        make(aws, known)
    listing = getattr(aws.sagemaker, operation)

    def names(**asked: Any) -> list[str]:
        # A model is made for each endpoint config.
        listed = listing(NameContains="NARROWED-", **asked)[member]
        return [item[name] for item in listed if not item[name].startswith("of-")]

    assert names() == (made if ascending else made[::-1])
    assert names(SortBy="Name", SortOrder="Ascending") == sorted(made)
    assert names(SortBy="Name", SortOrder="Descending") == sorted(made)[::-1]
    assert names(SortBy="CreationTime", SortOrder="Ascending") == made
    first = listing(NameContains="narrowed-", SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert [item[name] for item in first[member]] == ["narrowed-a", "narrowed-b"]
    assert names(SortBy="Name", SortOrder="Ascending", NextToken=first["NextToken"]) == ["narrowed-c"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert names(CreationTimeAfter=tomorrow) == []
    assert sorted(names(CreationTimeBefore=tomorrow)) == sorted(made)
    if member.endswith("JobSummaries"):
        wait = aws.sagemaker.get_waiter(
            "training_job_completed_or_stopped" if make is train else "processing_job_completed_or_stopped"
        )
        for known in made:
            with pytest.raises(WaiterError, match="Failed"):
                wait.wait(**{name: known}, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        assert sorted(names(StatusEquals="Failed")) == sorted(made)
        assert names(StatusEquals="Completed") == names(LastModifiedTimeAfter=tomorrow) == []
        assert sorted(names(LastModifiedTimeBefore=tomorrow)) == sorted(made)
        assert sorted(names(SortBy="Status")) == sorted(made)


def experiment(aws: Aws, name: str) -> None:
    aws.sagemaker.create_experiment(ExperimentName=name)


def component(aws: Aws, name: str) -> None:
    aws.sagemaker.create_trial_component(TrialComponentName=name)


def action(aws: Aws, name: str) -> None:
    aws.sagemaker.create_action(ActionName=name, ActionType="Listed", Source={"SourceUri": "listed"})


def context(aws: Aws, name: str) -> None:
    aws.sagemaker.create_context(ContextName=name, ContextType="Listed", Source={"SourceUri": "listed"})


def artifact(aws: Aws, name: str) -> None:
    aws.sagemaker.create_artifact(ArtifactName=name, ArtifactType="Listed", Source={"SourceUri": f"listed-{name}"})


def pipeline(aws: Aws, name: str) -> None:
    fails = {"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "f"}}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [fails]})
    aws.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)


@pytest.mark.parametrize(
    ("operation", "member", "name", "make", "asked"),
    [
        ("list_experiments", "ExperimentSummaries", "ExperimentName", experiment, {}),
        ("list_trial_components", "TrialComponentSummaries", "TrialComponentName", component, {}),
        ("list_actions", "ActionSummaries", "ActionName", action, {"ActionType": "Listed", "SourceUri": "listed"}),
        ("list_contexts", "ContextSummaries", "ContextName", context, {"ContextType": "Listed", "SourceUri": "listed"}),
        ("list_artifacts", "ArtifactSummaries", "ArtifactName", artifact, {"ArtifactType": "Listed"}),
        ("list_pipelines", "PipelineSummaries", "PipelineName", pipeline, {"PipelineNamePrefix": "made"}),
    ],
)
@pytest.mark.shows(
    "sagemaker", "ListExperiments", "ListTrialComponents", "ListActions", "ListContexts", "ListArtifacts"
)
def test_lists_of_records_are_narrowed_sorted_and_come_in_pages(
    aws: Aws, operation: str, member: str, name: str, make: Callable[[Aws, str], None], asked: dict[str, Any]
) -> None:
    listing = getattr(aws.sagemaker, operation)
    before = datetime.now(UTC)
    made = ["made-b", "made-a", "made-c"]
    for known in made:
        make(aws, known)
    asked = {**asked, "CreatedAfter": before}  # what other tests made is older

    def names(**more: Any) -> list[str]:
        return [item[name] for item in listing(**asked, **more)[member]]

    assert names() == made[::-1]
    assert names(SortBy="CreationTime", SortOrder="Ascending") == made
    if operation != "list_artifacts":
        assert names(SortBy="Name", SortOrder="Ascending") == sorted(made)
        assert names(SortBy="Name", SortOrder="Descending") == sorted(made)[::-1]
    first = listing(**asked, SortOrder="Ascending", MaxResults=2)
    assert [item[name] for item in first[member]] == made[:2]
    assert names(SortOrder="Ascending", NextToken=first["NextToken"]) == made[2:]
    assert names(CreatedBefore=before) == []
    assert names(CreatedBefore=datetime.now(UTC) + timedelta(days=1)) == made[::-1]


def test_groups_of_other_accounts_there_are_none(aws: Aws) -> None:
    group(aws, "own")
    listing = aws.sagemaker.list_model_package_groups
    assert listing(NameContains="own", CrossAccountFilterOption="SameAccount")["ModelPackageGroupSummaryList"]
    assert listing(NameContains="own", CrossAccountFilterOption="CrossAccount")["ModelPackageGroupSummaryList"] == []
