"""Models, endpoint configs, packages and their groups, names and tags, through unmodified boto3."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.records.conftest import IMAGE, ROLE, Aws, archive, refusal
from tests.clients.records.test_jobs import WAITING, process, train

pytestmark = pytest.mark.slow

TAGS = [{"Key": "team", "Value": "nlp"}, {"Key": "stage", "Value": "try"}]


@pytest.fixture
def group(aws: Aws) -> Iterator[str]:
    """Return the name of a group with two versions, the first of them approved."""
    if "weights" not in {bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]}:
        aws.s3.create_bucket(Bucket="weights")
    aws.s3.put_object(Bucket="weights", Key="model.tar.gz", Body=archive("model.txt", "x"))
    sagemaker = aws.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName="pair", ModelPackageGroupDescription="two of them")
    for status in ("Approved", "PendingManualApproval"):
        sagemaker.create_model_package(
            ModelPackageGroupName="pair", ModelApprovalStatus=status, InferenceSpecification=SPECIFICATION
        )
    yield "pair"
    left = sagemaker.list_model_packages(ModelPackageGroupName="pair")["ModelPackageSummaryList"]
    for package in left:
        sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName="pair")


SPECIFICATION: Any = {
    "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://weights/model.tar.gz"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.mark.shows("sagemaker", "CreateModelPackage", "ListModelPackages", "DeleteModelPackage")
@pytest.mark.shows("sagemaker", "CreateModelPackageGroup", "DescribeModelPackageGroup", "DeleteModelPackageGroup")
@pytest.mark.shows("sagemaker", "BatchDescribeModelPackage")
def test_versions_of_a_group_are_listed_described_and_deleted(aws: Aws, group: str) -> None:
    sagemaker = aws.sagemaker
    shown = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert (shown["ModelPackageGroupDescription"], shown["ModelPackageGroupStatus"]) == ("two of them", "Completed")

    def versions(**asked: Any) -> list[int]:
        found = sagemaker.list_model_packages(ModelPackageGroupName=group, **asked)["ModelPackageSummaryList"]
        return [package["ModelPackageVersion"] for package in found]

    assert versions() == [1, 2]
    assert versions(SortOrder="Descending", SortBy="CreationTime") == [2, 1]
    assert versions(ModelApprovalStatus="Approved") == [1]
    first = sagemaker.list_model_packages(ModelPackageGroupName=group, MaxResults=1)
    assert versions(NextToken=first["NextToken"]) == [2]
    (package,) = first["ModelPackageSummaryList"]
    arn = package["ModelPackageArn"]
    batch = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, arn[:-1] + "9"])
    assert batch["ModelPackageSummaries"][arn]["ModelApprovalStatus"] == "Approved"
    assert list(batch["BatchDescribeModelPackageErrorMap"]) == [arn[:-1] + "9"]
    code, message = refusal(sagemaker.delete_model_package_group, ModelPackageGroupName=group)
    assert (code, "still has versions" in message) == ("ConflictException", True)
    sagemaker.delete_model_package(ModelPackageName=arn)
    assert versions() == [2]
    assert refusal(sagemaker.describe_model_package, ModelPackageName=arn)[0] == "ValidationException"
    sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=SPECIFICATION)
    assert versions() == [2, 3], "a number is not used again"
    for number in (2, 3):
        sagemaker.delete_model_package(ModelPackageName=f"{arn.rpartition('/')[0]}/{number}")
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert refusal(sagemaker.describe_model_package_group, ModelPackageGroupName=group)[0] == "ValidationException"
    sagemaker.create_model_package_group(ModelPackageGroupName=group)


@pytest.mark.shows("sagemaker", "DescribeModelPackage", "UpdateModelPackage", "CreateModel", "DescribeModel")
@pytest.mark.shows("sagemaker", "DeleteModel", "CreateEndpointConfig", "DescribeEndpointConfig", "DeleteEndpointConfig")
def test_models_and_endpoint_configs_are_described_until_they_are_deleted(aws: Aws, group: str) -> None:
    sagemaker = aws.sagemaker
    packages = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    second = packages[1]["ModelPackageArn"]
    model = {"ModelName": "of-pair", "PrimaryContainer": {"ModelPackageName": second}, "ExecutionRoleArn": ROLE}
    assert "approval" in refusal(sagemaker.create_model, **model)[1]
    sagemaker.update_model_package(ModelPackageArn=second, ModelApprovalStatus="Approved", ApprovalDescription="good")
    shown = sagemaker.describe_model_package(ModelPackageName=second)
    assert (shown["ModelApprovalStatus"], shown["ApprovalDescription"]) == ("Approved", "good")
    assert shown["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://weights/model.tar.gz"
    sagemaker.create_model(**model)
    assert sagemaker.describe_model(ModelName="of-pair")["PrimaryContainer"]["ModelPackageName"] == second
    variant = {"VariantName": "v", "ModelName": "of-pair", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="of-pair", ProductionVariants=[variant])
    (kept,) = sagemaker.describe_endpoint_config(EndpointConfigName="of-pair")["ProductionVariants"]
    assert {name: kept[name] for name in variant} == variant
    sagemaker.delete_endpoint_config(EndpointConfigName="of-pair")
    sagemaker.delete_model(ModelName="of-pair")
    for call, name in (
        (sagemaker.describe_endpoint_config, {"EndpointConfigName": "of-pair"}),
        (sagemaker.describe_model, {"ModelName": "of-pair"}),
    ):
        code, message = refusal(call, **name)
        assert (code, "Could not find" in message) == ("ValidationException", True)


@pytest.mark.shows("sagemaker", "StopTrainingJob", "StopProcessingJob", how="executes")
@pytest.mark.shows("sagemaker", "DescribeTrainingJob", "DescribeProcessingJob", "DeleteTrainingJob")
@pytest.mark.shows("sagemaker", "DeleteProcessingJob")
def test_jobs_are_stopped_and_deleted(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    train(aws, "endless", WAITING)
    process(aws, "endless", WAITING)
    for noun in ("training", "processing"):
        name = {f"{noun.title()}JobName": "endless"}
        describe, delete = (getattr(sagemaker, f"{verb}_{noun}_job") for verb in ("describe", "delete"))
        code, message = refusal(delete, **name)
        assert (code, "stop it" in message) == ("ResourceInUse", True)
        getattr(sagemaker, f"stop_{noun}_job")(**name)
        soon = {"Delay": 1, "MaxAttempts": 60}
        sagemaker.get_waiter(f"{noun}_job_completed_or_stopped").wait(**name, WaiterConfig=soon)
        assert describe(**name)[f"{noun.title()}JobStatus"] == "Stopped"
        delete(**name)
        code, message = refusal(describe, **name)
        assert (code, "Could not find" in message) == ("ValidationException", True)


@pytest.mark.shows("sagemaker", "AddTags", "DeleteTags", "ListTags")
@pytest.mark.shows("sagemaker", "CreateExperiment", "DescribeExperiment", "ListExperiments", "UpdateExperiment")
@pytest.mark.shows("sagemaker", "UpdateTrial")
def test_names_descriptions_and_tags_are_changed(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    arn = sagemaker.create_experiment(ExperimentName="renamed", Tags=TAGS)["ExperimentArn"]
    assert sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "done"}])["Tags"]
    told = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert told == {"team": "nlp", "stage": "done"}
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["stage", "none"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == TAGS[:1]
    sagemaker.update_experiment(ExperimentName="renamed", DisplayName="shown-so", Description="why")
    shown = sagemaker.describe_experiment(ExperimentName="renamed")
    assert (shown["DisplayName"], shown["Description"]) == ("shown-so", "why")
    assert shown["LastModifiedTime"] > shown["CreationTime"]
    listed = sagemaker.list_experiments(SortBy="Name", SortOrder="Descending", MaxResults=100)["ExperimentSummaries"]
    assert {item["ExperimentName"]: item["DisplayName"] for item in listed}["renamed"] == "shown-so"
    sagemaker.create_trial(TrialName="renamed", ExperimentName="renamed")
    sagemaker.update_trial(TrialName="renamed", DisplayName="a-trial")
    assert sagemaker.describe_trial(TrialName="renamed")["DisplayName"] == "a-trial"


@pytest.mark.shows("sagemaker", "CreateContext", "DescribeContext", "ListContexts", "UpdateContext", "DeleteContext")
def test_a_context_is_changed_until_it_is_deleted(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    name = {"ContextName": "place"}
    sagemaker.create_context(**name, Source={"SourceUri": "cellar"}, ContextType="Place", Properties={"a": "1"})
    sagemaker.update_context(**name, Description="below", Properties={"b": "2"}, PropertiesToRemove=["a"])
    shown = sagemaker.describe_context(**name)
    assert (shown["Description"], shown["Properties"], shown["ContextType"]) == ("below", {"b": "2"}, "Place")
    assert [item["ContextName"] for item in sagemaker.list_contexts(SourceUri="cellar")["ContextSummaries"]] == [
        "place"
    ]
    sagemaker.delete_context(**name)
    assert refusal(sagemaker.describe_context, **name)[0] == "ResourceNotFound"
