"""Versions of pipelines and their aliases, through unmodified boto3."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import ROLE, Aws, refusal

pytestmark = pytest.mark.slow


def says(message: str) -> str:
    """Return a definition whose executions end with a message."""
    fail = {"Name": "Say", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    return json.dumps({"Version": "2020-12-01", "Steps": [fail]})


@pytest.fixture
def pipeline(aws: Aws, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the name of a pipeline with two versions: one says first, the other second."""
    name = request.node.name.replace("_", "-")
    sagemaker = aws.sagemaker
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=says("first"), RoleArn=ROLE)
    updated = sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=says("second"))
    assert updated["PipelineVersionId"] == 2
    yield name
    sagemaker.delete_pipeline(PipelineName=name)


def start(aws: Aws, name: str, **members: Any) -> dict[str, Any]:
    """Start an execution and return how it ended, with what it said."""
    arn = aws.sagemaker.start_pipeline_execution(PipelineName=name, **members)["PipelineExecutionArn"]
    ended: dict[str, Any] = wait_for_execution(aws.sagemaker, arn)
    (step,) = aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return {**ended, "Said": step["FailureReason"]}


@pytest.mark.shows("sagemaker", "CreatePipeline", "UpdatePipeline", "DescribePipeline", "ListPipelineVersions")
def test_each_new_definition_is_a_version(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.sagemaker
    again = sagemaker.update_pipeline(PipelineName=pipeline, PipelineDescription="as before")
    assert again["PipelineVersionId"] == 2
    same = sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=says("second"))
    assert same["PipelineVersionId"] == 2
    shown = sagemaker.describe_pipeline(PipelineName=pipeline)
    assert shown["PipelineDefinition"] == says("second")
    first = sagemaker.describe_pipeline(PipelineName=pipeline, PipelineVersionId=1)
    assert first["PipelineDefinition"] == says("first")
    assert (first["PipelineArn"], first["PipelineDescription"]) == (shown["PipelineArn"], "as before")
    code, message = refusal(sagemaker.describe_pipeline, PipelineName=pipeline, PipelineVersionId=3)
    assert code == "ResourceNotFound"
    assert "3 of" in message
    listed = sagemaker.list_pipeline_versions(PipelineName=pipeline)["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in listed] == [2, 1]
    assert {version["PipelineArn"] for version in listed} == {shown["PipelineArn"]}


@pytest.mark.shows("sagemaker", "StartPipelineExecution", how="executes")
@pytest.mark.shows("sagemaker", "ListPipelineExecutionSteps", "DescribePipelineDefinitionForExecution")
def test_an_execution_runs_the_version_that_is_asked_for(aws: Aws, pipeline: str) -> None:
    newest = start(aws, pipeline)
    assert (newest["Said"], newest["PipelineVersionId"]) == ("second", 2)
    oldest = start(aws, pipeline, PipelineVersionId=1)
    assert (oldest["Said"], oldest["PipelineVersionId"]) == ("first", 1)
    of = aws.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=oldest["PipelineExecutionArn"])
    assert of["PipelineDefinition"] == says("first")
    two, one = aws.sagemaker.list_pipeline_versions(PipelineName=pipeline)["PipelineVersionSummaries"]
    assert two["LastExecutionPipelineExecutionArn"] == newest["PipelineExecutionArn"]
    assert one["LastExecutionPipelineExecutionArn"] == oldest["PipelineExecutionArn"]


@pytest.mark.shows("sagemaker", "UpdatePipelineVersion", "DescribePipeline", "ListPipelineExecutions")
def test_a_version_has_a_name_a_description_and_aliases(aws: Aws, pipeline: str) -> None:
    sagemaker = aws.sagemaker
    arn = sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineArn"]
    for operations in ({"Add": ["stable", "old"]}, {"Remove": ["old"]}):
        updated = sagemaker.update_pipeline_version(
            PipelineArn=arn,
            PipelineVersionId=1,
            PipelineVersionDisplayName="the-first",
            PipelineVersionDescription="says first",
            PipelineVersionAliasOperations=operations,
        )
        assert (updated["PipelineArn"], updated["PipelineVersionId"]) == (arn, 1)
    by_alias = sagemaker.describe_pipeline(PipelineName=pipeline, PipelineVersionAlias="stable")
    assert by_alias["PipelineDefinition"] == says("first")
    assert by_alias["PipelineVersionDisplayName"] == "the-first"
    assert by_alias["PipelineVersionDescription"] == "says first"
    assert by_alias["PipelineVersionAliases"] == ["stable"]
    newest = sagemaker.describe_pipeline(PipelineName=pipeline)
    assert (newest["PipelineVersionAliases"], "PipelineVersionDisplayName" in newest) == ([], False)
    taken = {"PipelineArn": arn, "PipelineVersionId": 2, "PipelineVersionAliasOperations": {"Add": ["stable"]}}
    code, message = refusal(sagemaker.update_pipeline_version, **taken)
    assert (code, "version 1" in message) == ("ConflictException", True)
    assert start(aws, pipeline, PipelineVersionAlias="stable")["Said"] == "first"
    start(aws, pipeline)
    (execution,) = sagemaker.list_pipeline_executions(PipelineName=pipeline, PipelineVersionAlias="stable")[
        "PipelineExecutionSummaries"
    ]
    assert execution["PipelineVersionAliases"] == ["stable"]
    shown = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    assert (shown["PipelineVersionId"], shown["PipelineVersionAliases"]) == (1, ["stable"])
    assert len(sagemaker.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]) == 2
    unknown = refusal(sagemaker.list_pipeline_executions, PipelineName=pipeline, PipelineVersionAlias="none")
    assert unknown[0] == "ResourceNotFound"


@pytest.mark.shows("sagemaker", "ListPipelineVersions")
def test_versions_are_narrowed_sorted_and_come_in_pages(aws: Aws, pipeline: str) -> None:
    pages = aws.sagemaker.list_pipeline_versions
    first = pages(PipelineName=pipeline, SortOrder="Ascending", MaxResults=1)
    assert [version["PipelineVersionId"] for version in first["PipelineVersionSummaries"]] == [1]
    second = pages(PipelineName=pipeline, SortOrder="Ascending", MaxResults=1, NextToken=first["NextToken"])
    assert [version["PipelineVersionId"] for version in second["PipelineVersionSummaries"]] == [2]
    assert "NextToken" not in second
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert pages(PipelineName=pipeline, CreatedAfter=tomorrow)["PipelineVersionSummaries"] == []
    assert len(pages(PipelineName=pipeline, CreatedBefore=tomorrow)["PipelineVersionSummaries"]) == 2


@pytest.mark.shows("sagemaker", "DeletePipeline")
def test_a_pipeline_of_a_name_that_was_deleted_begins_at_its_first_version(aws: Aws) -> None:
    sagemaker = aws.sagemaker
    for definition in ("once", "twice"):
        sagemaker.create_pipeline(
            PipelineName="reborn",
            PipelineDefinition=says(definition),
            RoleArn=ROLE,
            PipelineVersionAliases=["only"],
        )
        (version,) = sagemaker.list_pipeline_versions(PipelineName="reborn")["PipelineVersionSummaries"]
        assert (version["PipelineVersionId"], version["PipelineVersionAliases"]) == (1, ["only"])
        assert sagemaker.describe_pipeline(PipelineName="reborn")["PipelineDefinition"] == says(definition)
        sagemaker.delete_pipeline(PipelineName="reborn")


@pytest.mark.shows("sagemaker", "ListPipelines")
def test_pipelines_are_listed_by_prefix_time_and_who_manages_them(aws: Aws, pipeline: str) -> None:
    def names(**asked: Any) -> list[str]:
        return [item["PipelineName"] for item in aws.sagemaker.list_pipelines(**asked)["PipelineSummaries"]]

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    prefix = {"PipelineNamePrefix": pipeline[:-3]}
    assert names(**prefix) == names(**prefix, ManagedBy="CUSTOMER", CreatedBefore=tomorrow) == [pipeline]
    assert names(**prefix, CreatedAfter=tomorrow) == names(**prefix, ManagedBy="AWS") == []
    assert pipeline not in names(PipelineNamePrefix="other")
