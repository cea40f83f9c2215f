"""Model cards through unmodified boto3."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.clients.records.conftest import Aws, refusal

pytestmark = pytest.mark.slow

CONTENT: dict[str, Any] = {
    "model_overview": {"model_id": "words-1", "model_name": "words", "model_description": "counts words"},
    "intended_uses": {"risk_rating": "Low", "purpose_of_model": "tests"},
    "model_package_details": {"model_package_group_name": "words"},
    "business_details": {"business_problem": "none"},
}


@pytest.fixture
def card(aws: Aws, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the name of a draft."""
    name = request.node.name.replace("_", "-")[:60]
    tags = [{"Key": "team", "Value": "nlp"}]
    arn = aws.sagemaker.create_model_card(
        ModelCardName=name, Content=json.dumps(CONTENT), ModelCardStatus="Draft", Tags=tags
    )["ModelCardArn"]
    assert arn == f"arn:aws:sagemaker:us-east-1:000000000000:model-card/{name}"
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    yield name
    aws.sagemaker.delete_model_card(ModelCardName=name)
    assert refusal(aws.sagemaker.describe_model_card, ModelCardName=name)[0] == "ResourceNotFound"


def versions(aws: Aws, card: str, **asked: Any) -> list[tuple[int, str]]:
    listed = aws.sagemaker.list_model_card_versions(ModelCardName=card, **asked)["ModelCardVersionSummaryList"]
    return [(version["ModelCardVersion"], version["ModelCardStatus"]) for version in listed]


@pytest.mark.shows("sagemaker", "CreateModelCard", "DescribeModelCard", "UpdateModelCard", "ListModelCardVersions")
def test_each_change_of_a_card_is_a_version_that_stays(aws: Aws, card: str) -> None:
    sagemaker = aws.sagemaker
    shown = sagemaker.describe_model_card(ModelCardName=card)
    assert json.loads(shown["Content"]) == CONTENT
    assert (shown["ModelCardVersion"], shown["ModelCardStatus"]) == (1, "Draft")
    assert shown["CreatedBy"]["UserProfileName"] == "admin"
    better = json.dumps({**CONTENT, "additional_information": {"caveats_and_recommendations": "few"}})
    sagemaker.update_model_card(ModelCardName=shown["ModelCardArn"], Content=better)
    sagemaker.update_model_card(ModelCardName=card, Content=better)  # nothing that differs
    sagemaker.update_model_card(ModelCardName=card, ModelCardStatus="Approved")
    newest = sagemaker.describe_model_card(ModelCardName=card)
    assert (newest["ModelCardVersion"], newest["ModelCardStatus"], newest["Content"]) == (3, "Approved", better)
    assert newest["CreationTime"] == shown["CreationTime"]
    first = sagemaker.describe_model_card(ModelCardName=card, ModelCardVersion=1)
    assert (first["ModelCardVersion"], first["ModelCardStatus"], first["Content"]) == (1, "Draft", shown["Content"])
    missing = refusal(sagemaker.describe_model_card, ModelCardName=card, ModelCardVersion=4)
    assert missing == ("ResourceNotFound", f"Model card version '4 of {card}' does not exist.")
    assert versions(aws, card) == [(3, "Approved"), (2, "Draft"), (1, "Draft")]


@pytest.mark.shows("sagemaker", "ListModelCardVersions")
def test_versions_of_a_card_are_narrowed_sorted_and_come_in_pages(aws: Aws, card: str) -> None:
    aws.sagemaker.update_model_card(ModelCardName=card, ModelCardStatus="PendingReview")
    assert versions(aws, card, ModelCardStatus="Draft") == [(1, "Draft")]
    assert versions(aws, card, SortBy="Version", SortOrder="Ascending") == [(1, "Draft"), (2, "PendingReview")]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert versions(aws, card, CreationTimeAfter=tomorrow) == []
    assert len(versions(aws, card, CreationTimeBefore=tomorrow)) == 2
    first = aws.sagemaker.list_model_card_versions(ModelCardName=card, MaxResults=1)
    assert versions(aws, card, NextToken=first["NextToken"]) == [(1, "Draft")]


@pytest.mark.shows("sagemaker", "ListModelCards", "DeleteModelCard")
def test_cards_are_narrowed_by_name_status_and_time(aws: Aws, card: str) -> None:
    def names(**asked: Any) -> list[str]:
        return [item["ModelCardName"] for item in aws.sagemaker.list_model_cards(**asked)["ModelCardSummaries"]]

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert names(NameContains=card[:-5], ModelCardStatus="Draft", CreationTimeBefore=tomorrow) == [card]
    assert card not in names(ModelCardStatus="Archived")
    assert names(CreationTimeAfter=tomorrow) == []
    aws.sagemaker.create_model_card(ModelCardName="a-second", Content="{}", ModelCardStatus="Draft")
    assert names(SortBy="Name", SortOrder="Ascending")[0] == "a-second"
    assert names(SortBy="CreationTime", SortOrder="Descending", MaxResults=1) == ["a-second"]
    aws.sagemaker.delete_model_card(ModelCardName="a-second")
    assert "a-second" not in names()


def test_metadata_alone_leaves_out_what_may_be_confidential(aws: Aws, card: str) -> None:
    shown = aws.sagemaker.describe_model_card(ModelCardName=card, IncludedData="MetadataOnly")
    assert json.loads(shown["Content"]) == {
        "model_overview": {"model_id": "words-1", "model_name": "words"},
        "intended_uses": {"risk_rating": "Low"},
        "model_package_details": {"model_package_group_name": "words"},
    }


@pytest.mark.shows("sagemaker", "Search")
def test_a_card_is_found_by_what_its_content_says(aws: Aws, card: str) -> None:
    risk = {"Name": "RiskRating", "Operator": "Equals", "Value": "Low"}
    found = aws.sagemaker.search(Resource="ModelCard", SearchExpression={"Filters": [risk]})["Results"]
    assert [result["ModelCard"]["ModelCardName"] for result in found] == [card]
    assert found[0]["ModelCard"]["ModelId"] == "words-1"


def test_what_a_card_cannot_be_is_refused(aws: Aws, card: str) -> None:
    sagemaker = aws.sagemaker
    taken = {"ModelCardName": card, "Content": "{}", "ModelCardStatus": "Draft"}
    code, message = refusal(sagemaker.create_model_card, **taken)
    assert (code, "already exists" in message) == ("ConflictException", True)
    for content, words in (("no", "not JSON"), ("[]", "JSON list")):
        code, message = refusal(sagemaker.update_model_card, ModelCardName=card, Content=content)
        assert (code, words in message) == ("ValidationException", True)
    both = refusal(sagemaker.update_model_card, ModelCardName=card, Content="{}", ModelCardStatus="Draft")
    assert "one of them" in both[1]
    encrypted = {**taken, "ModelCardName": "locked", "SecurityConfig": {"KmsKeyId": "k"}}
    assert "SecurityConfig" in refusal(sagemaker.create_model_card, **encrypted)[1]
    sagemaker.update_model_card(ModelCardName=card, ModelCardStatus="Archived")
    code, message = refusal(sagemaker.update_model_card, ModelCardName=card, Content="{}")
    assert (code, "Archived" in message) == ("ConflictException", True)
    assert versions(aws, card) == [(2, "Archived"), (1, "Draft")]


@pytest.mark.shows(
    "sagemaker", "CreateModelCardExportJob", "DescribeModelCardExportJob", "ListModelCardExportJobs", how="refuses"
)
def test_cards_are_not_exported_yet(aws: Aws, card: str) -> None:
    job = {"ModelCardName": card, "ModelCardExportJobName": "pdf", "OutputConfig": {"S3OutputPath": "s3://lake/cards"}}
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:model-card/{card}/export-job/pdf"
    for call, asked in (
        (aws.sagemaker.create_model_card_export_job, job),
        (aws.sagemaker.describe_model_card_export_job, {"ModelCardExportJobArn": arn}),
        (aws.sagemaker.list_model_card_export_jobs, {"ModelCardName": card}),
    ):
        code, message = refusal(call, **asked)
        assert (code, "cannot be exported" in message) == ("UnsupportedOperation", True)
