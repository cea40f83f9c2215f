"""Lineage through unmodified boto3: what the platform recorded, what users add, and questions over both."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.clients.records.conftest import ROLE, Aws, refusal

from towpath.sdk.client import Client

pytestmark = pytest.mark.slow


def artifact_of(aws: Aws, uri: str) -> dict[str, Any]:
    (found,) = aws.sagemaker.list_artifacts(SourceUri=uri)["ArtifactSummaries"]
    shown: dict[str, Any] = aws.sagemaker.describe_artifact(ArtifactArn=found["ArtifactArn"])
    return shown


def model_uri(aws: Aws, ran: dict[str, str]) -> str:
    job = aws.sagemaker.describe_training_job(TrainingJobName=ran["Train"].rpartition("/")[2])
    return str(job["ModelArtifacts"]["S3ModelArtifacts"])


def component_arn(aws: Aws, job: str) -> str:
    (found,) = aws.sagemaker.list_trial_components(SourceArn=job)["TrialComponentSummaries"]
    return str(found["TrialComponentArn"])


@pytest.mark.shows("sagemaker", "ListArtifacts", "DescribeArtifact")
def test_an_object_that_a_job_read_is_an_artifact_with_version_and_digest(aws: Aws, ran: dict[str, str]) -> None:
    shown = artifact_of(aws, "s3://lake/raw/words.txt")
    head = aws.s3.head_object(Bucket="lake", Key="raw/words.txt")
    assert shown["ArtifactType"] == "DataSet"
    assert shown["Source"]["SourceUri"] == "s3://lake/raw/words.txt"
    assert shown["Properties"]["Sha256"] == hashlib.sha256(b"one two three").hexdigest()
    assert shown["Properties"]["Size"] == "13"
    if "VersionId" in head:
        assert shown["Properties"]["VersionId"] == head["VersionId"]
    assert {"SourceIdType": "S3Version", "Value": shown["Properties"]["VersionId"]} in shown["Source"]["SourceTypes"]
    assert shown["CreatedBy"]["UserProfileName"] == "towpath"
    assert artifact_of(aws, model_uri(aws, ran))["ArtifactType"] == "Model"
    assert artifact_of(aws, ran["Register"])["ArtifactType"] == "ModelPackage"


@pytest.mark.shows("sagemaker", "QueryLineage")
def test_the_model_leads_back_to_the_data_and_the_data_to_the_model(aws: Aws, ran: dict[str, str]) -> None:
    model = artifact_of(aws, model_uri(aws, ran))["ArtifactArn"]
    raw = artifact_of(aws, "s3://lake/raw/words.txt")["ArtifactArn"]
    data = {"Types": ["DataSet"]}
    up = aws.sagemaker.query_lineage(StartArns=[model], Direction="Ascendants", Filters=data)
    assert raw in {vertex["Arn"] for vertex in up["Vertices"]}
    assert {(vertex["Type"], vertex["LineageType"]) for vertex in up["Vertices"]} == {("DataSet", "Artifact")}
    assert up["Edges"] == []
    down = aws.sagemaker.query_lineage(StartArns=[raw], Direction="Descendants", IncludeEdges=True)
    arns = {vertex["Arn"] for vertex in down["Vertices"]}
    prepared, trained = component_arn(aws, ran["Prepare"]), component_arn(aws, ran["Train"])
    package = artifact_of(aws, ran["Register"])["ArtifactArn"]
    assert {raw, prepared, trained, model, package} <= arns
    edges = {(edge["SourceArn"], edge["AssociationType"], edge["DestinationArn"]) for edge in down["Edges"]}
    assert {
        (raw, "ContributedTo", prepared),
        (trained, "Produced", model),
        (model, "ContributedTo", package),
    } <= edges
    near = aws.sagemaker.query_lineage(StartArns=[raw], Direction="Descendants", MaxDepth=1)["Vertices"]
    assert [vertex["Arn"] for vertex in near] == [prepared]
    assert near[0]["Type"] == "SageMakerProcessingJob"


def test_a_query_comes_in_pages(aws: Aws, ran: dict[str, str]) -> None:
    asked: dict[str, Any] = {"StartArns": [artifact_of(aws, ran["Register"])["ArtifactArn"]], "IncludeEdges": True}
    whole = aws.sagemaker.query_lineage(**asked)
    assert "NextToken" not in whole
    vertices: list[Any] = []
    edges: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = aws.sagemaker.query_lineage(**asked, **token, MaxResults=2)
        assert len(page["Vertices"]) <= 2
        vertices += page["Vertices"]
        edges += page["Edges"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert vertices == whole["Vertices"]
    assert edges == whole["Edges"]
    assert len(vertices) > 6


@pytest.mark.shows("sagemaker", "ListAssociations")
def test_associations_are_listed_with_the_words_of_sagemaker(aws: Aws, ran: dict[str, str]) -> None:
    trained = component_arn(aws, ran["Train"])
    pages = aws.sagemaker.get_paginator("list_associations").paginate(
        DestinationArn=trained, SortBy="SourceType", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    found = [item for page in pages for item in page["AssociationSummaries"]]
    assert [item["SourceType"] for item in found] == sorted(item["SourceType"] for item in found)
    assert {item["SourceType"] for item in found} == {"Code", "DataSet", "Environment", "PipelineExecution"}
    assert {item["DestinationName"] for item in found} == {trained.rpartition("/")[2]}
    produced = aws.sagemaker.list_associations(SourceArn=trained, AssociationType="Produced", DestinationType="Model")
    (model,) = produced["AssociationSummaries"]
    assert model["DestinationArn"] == artifact_of(aws, model_uri(aws, ran))["ArtifactArn"]


@pytest.mark.shows(
    "sagemaker",
    "CreateArtifact",
    "DescribeArtifact",
    "UpdateArtifact",
    "DeleteArtifact",
    "CreateAction",
    "DescribeAction",
)
@pytest.mark.shows(
    "sagemaker", "UpdateAction", "ListActions", "DeleteAction", "AddAssociation", "DeleteAssociation", "QueryLineage"
)
def test_what_users_add_joins_the_same_graph(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    tags = [{"Key": "owner", "Value": "ada"}]
    survey = sagemaker.create_artifact(
        ArtifactName="survey",
        Source={"SourceUri": "https://example.org/survey", "SourceTypes": [{"SourceIdType": "MD5Hash", "Value": "d4"}]},
        ArtifactType="Survey",
        Properties={"year": "2026"},
        Tags=tags,
    )["ArtifactArn"]
    assert sagemaker.list_tags(ResourceArn=survey)["Tags"] == tags
    review = sagemaker.create_action(
        ActionName="review", Source={"SourceUri": "ticket/7"}, ActionType="Review", Status="InProgress"
    )["ActionArn"]
    project = sagemaker.create_context(
        ContextName="project", Source={"SourceUri": "wiki/project"}, ContextType="Undertaking", Description="all of it"
    )["ContextArn"]
    raw = artifact_of(aws, "s3://lake/raw/words.txt")["ArtifactArn"]
    model = artifact_of(aws, model_uri(aws, ran))["ArtifactArn"]
    sagemaker.add_association(SourceArn=survey, DestinationArn=raw, AssociationType="DerivedFrom")
    sagemaker.add_association(SourceArn=model, DestinationArn=review)
    sagemaker.add_association(SourceArn=review, DestinationArn=project, AssociationType="ContributedTo")

    by_year = {"Properties": {"year": "2026"}}
    up = sagemaker.query_lineage(StartArns=[model], Direction="Ascendants", Filters=by_year)["Vertices"]
    assert up == [{"Arn": survey, "Type": "Survey", "LineageType": "Artifact"}]
    contexts = {"LineageTypes": ["Context"], "Types": ["Undertaking"]}
    down = sagemaker.query_lineage(StartArns=[survey], Direction="Descendants", Filters=contexts)["Vertices"]
    assert [vertex["Arn"] for vertex in down] == [project]
    # The platform's own story of the model is told as before, from the same graph.
    client = Client(aws.url, home=aws.home.path)
    story = client.call("Towpath.DescribeModelPackageLineage", {"ModelPackageName": "words/1"})
    assert story["TrainingJob"]["Arn"] == ran["Train"]

    sagemaker.update_action(ActionName="review", Status="Completed", Properties={"by": "ada"})
    shown = sagemaker.describe_action(ActionName="review")
    assert (shown["Status"], shown["Properties"], shown["ActionType"]) == ("Completed", {"by": "ada"}, "Review")
    sagemaker.update_artifact(ArtifactArn=survey, ArtifactName="the-survey", PropertiesToRemove=["year"])
    shown = sagemaker.describe_artifact(ArtifactArn=survey)
    assert (shown["ArtifactName"], shown["Properties"]) == ("the-survey", {})
    (listed,) = sagemaker.list_contexts(ContextType="Undertaking")["ContextSummaries"]
    assert (listed["ContextName"], listed["Source"]["SourceUri"]) == ("project", "wiki/project")
    names = [item["ActionName"] for item in sagemaker.list_actions(SortBy="Name")["ActionSummaries"]]
    assert names == sorted(names, reverse=True)
    assert "review" in names

    code, message = refusal(sagemaker.delete_action, ActionName="review")
    assert (code, "2 associations" in message) == ("ValidationException", True)
    for source, destination in ((survey, raw), (model, review), (review, project)):
        sagemaker.delete_association(SourceArn=source, DestinationArn=destination)
    assert refusal(sagemaker.delete_association, SourceArn=survey, DestinationArn=raw)[0] == "ResourceNotFound"
    sagemaker.delete_action(ActionName="review")
    sagemaker.delete_context(ContextName="project")
    sagemaker.delete_artifact(Source={"SourceUri": "https://example.org/survey"})
    assert refusal(sagemaker.describe_artifact, ArtifactArn=survey)[0] == "ResourceNotFound"
    assert sagemaker.list_contexts(ContextType="Undertaking")["ContextSummaries"] == []


def test_what_the_platform_recorded_can_neither_be_changed_nor_taken_back(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    raw = artifact_of(aws, "s3://lake/raw/words.txt")["ArtifactArn"]
    prepared = component_arn(aws, ran["Prepare"])
    for call, asked in (
        (sagemaker.delete_association, {"SourceArn": raw, "DestinationArn": prepared}),
        (sagemaker.delete_artifact, {"ArtifactArn": raw}),
        (sagemaker.update_artifact, {"ArtifactArn": raw, "Properties": {"Sha256": "forged"}}),
    ):
        code, message = refusal(call, **asked)
        assert (code, "platform recorded" in message) == ("ValidationException", True), message
    assert artifact_of(aws, "s3://lake/code/prepare.py")["ArtifactType"] == "Code"
    # Saying the same again does not make it the user's to take back.
    sagemaker.add_association(SourceArn=raw, DestinationArn=prepared, AssociationType="ContributedTo")
    assert refusal(sagemaker.delete_association, SourceArn=raw, DestinationArn=prepared)[0] == "ValidationException"
    assert artifact_of(aws, "s3://lake/raw/words.txt")["Properties"]["Sha256"] != "forged"


def test_a_component_of_users_is_associated_too(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    component = sagemaker.create_trial_component(TrialComponentName="labelled")["TrialComponentArn"]
    raw = artifact_of(aws, "s3://lake/raw/words.txt")["ArtifactArn"]
    sagemaker.add_association(SourceArn=component, DestinationArn=raw, AssociationType="Produced")
    (edge,) = sagemaker.list_associations(SourceArn=component)["AssociationSummaries"]
    assert (edge["SourceName"], edge["DestinationArn"], edge["SourceType"]) == ("labelled", raw, "TrialComponent")
    up = sagemaker.query_lineage(StartArns=[raw], Direction="Ascendants")["Vertices"]
    assert up == [{"Arn": component, "Type": "TrialComponent", "LineageType": "TrialComponent"}]
    sagemaker.delete_association(SourceArn=component, DestinationArn=raw)


def test_an_endpoint_is_a_context_and_its_model_the_action_of_deploying_it(aws: Aws, ran: dict[str, str]) -> None:
    sagemaker = aws.sagemaker
    model = sagemaker.create_model(
        ModelName="words", PrimaryContainer={"ModelPackageName": ran["Register"]}, ExecutionRoleArn=ROLE
    )["ModelArn"]
    (action,) = sagemaker.list_actions(ActionType="ModelDeployment", SourceUri=model)["ActionSummaries"]
    shown = sagemaker.describe_action(ActionName=action["ActionName"])
    assert shown["Source"]["SourceUri"].endswith(":model/words")
    package = artifact_of(aws, ran["Register"])["ArtifactArn"]
    (edge,) = sagemaker.list_associations(DestinationArn=shown["ActionArn"])["AssociationSummaries"]
    assert edge["SourceArn"] == package
    (context,) = sagemaker.list_contexts(SourceUri=ran["execution"])["ContextSummaries"]
    assert context["ContextType"] == "PipelineExecution"
    found = sagemaker.search(
        Resource="Model",
        SearchExpression={"Filters": [{"Name": "ModelName", "Value": "words"}]},
    )["Results"]
    assert [item["Model"]["Model"]["ModelName"] for item in found] == ["words"]


@pytest.mark.shows("sagemaker", "DescribeLineageGroup", "ListLineageGroups", "GetLineageGroupPolicy")
def test_the_default_group_holds_all_and_has_no_policy(aws: Aws, ran: dict[str, str]) -> None:
    (group,) = aws.sagemaker.list_lineage_groups()["LineageGroupSummaries"]
    assert artifact_of(aws, "s3://lake/raw/words.txt")["LineageGroupArn"] == group["LineageGroupArn"]
    name = group["LineageGroupName"]
    assert aws.sagemaker.describe_lineage_group(LineageGroupName=name)["LineageGroupArn"] == group["LineageGroupArn"]
    yesterday, tomorrow = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    assert yesterday < group["CreationTime"] < tomorrow
    for asked, count in (
        ({"CreatedAfter": yesterday, "CreatedBefore": tomorrow, "SortBy": "Name", "SortOrder": "Descending"}, 1),
        ({"CreatedAfter": tomorrow}, 0),
        ({"CreatedBefore": yesterday, "MaxResults": 1}, 0),
    ):
        assert len(aws.sagemaker.list_lineage_groups(**asked)["LineageGroupSummaries"]) == count
    assert refusal(aws.sagemaker.list_lineage_groups, NextToken="x")[0] == "ValidationException"
    assert refusal(aws.sagemaker.get_lineage_group_policy, LineageGroupName=name)[0] == "ResourceNotFound"
    assert ran


@pytest.mark.shows(
    "sagemaker", "PutModelPackageGroupPolicy", "GetModelPackageGroupPolicy", "DeleteModelPackageGroupPolicy"
)
def test_a_group_keeps_its_resource_policy(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    name = {"ModelPackageGroupName": "shared"}
    sagemaker.create_model_package_group(**name)
    code, message = refusal(sagemaker.get_model_package_group_policy, **name)
    assert (code, "Cannot find resource policy" in message) == ("ValidationException", True)
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}'
    sagemaker.put_model_package_group_policy(**name, ResourcePolicy=policy)
    assert sagemaker.get_model_package_group_policy(**name)["ResourcePolicy"] == policy
    assert refusal(sagemaker.put_model_package_group_policy, **name, ResourcePolicy="no")[0] == "ValidationException"
    sagemaker.delete_model_package_group_policy(**name)
    assert refusal(sagemaker.get_model_package_group_policy, **name)[0] == "ValidationException"
