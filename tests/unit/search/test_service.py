"""Searches of training jobs on the real store: by what, in which order, and page by page."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.search.conftest import Find, Train

from towpath.kernel import paging
from towpath.kernel.errors import Invalid
from towpath.search import service


def names(answer: dict[str, Any]) -> list[str]:
    return [result["TrainingJob"]["TrainingJobName"] for result in answer["Results"]]


def test_jobs_are_found_by_metric_hyperparameter_tag_and_status_together(train: Train, find: Find) -> None:
    train("good", metrics={"validation:accuracy": 0.9}, parameters={"epochs": "3"}, tags={"team.eu": "nlp"})
    train("weak", metrics={"validation:accuracy": 0.4}, parameters={"epochs": "3"}, tags={"team.eu": "nlp"})
    train("short", metrics={"validation:accuracy": 0.9}, parameters={"epochs": "1"}, tags={"team.eu": "nlp"})
    train("others", metrics={"validation:accuracy": 0.9}, parameters={"epochs": "3"}, tags={"team.eu": "vision"})
    train("failed", "Failed", metrics={"validation:accuracy": 0.9}, parameters={"epochs": "3"}, tags={"team.eu": "nlp"})
    answer = find(
        ("Metrics.validation:accuracy", "GreaterThan", "0.5"),
        ("HyperParameters.epochs", "GreaterThanOrEqualTo", "2"),
        ("Tags.team.eu", "Equals", "nlp"),
        ("TrainingJobStatus", "Equals", "Completed"),
    )
    assert names(answer) == ["good"]
    assert answer["Results"][0]["TrainingJob"]["Tags"] == [{"Key": "team.eu", "Value": "nlp"}]


def test_nested_filters_mean_one_and_the_same_channel(train: Train, find: Find) -> None:
    def channel(name: str, uri: str) -> dict[str, Any]:
        return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}

    train("straight", channels=[channel("train", "s3://lake/cats"), channel("test", "s3://lake/dogs")])
    train("crossed", channels=[channel("train", "s3://lake/dogs"), channel("test", "s3://lake/cats")])
    nested = {
        "NestedPropertyName": "InputDataConfig",
        "Filters": [
            {"Name": "InputDataConfig.ChannelName", "Operator": "Equals", "Value": "train"},
            {"Name": "InputDataConfig.DataSource.S3DataSource.S3Uri", "Operator": "Contains", "Value": "cats"},
        ],
    }
    assert names(find(SearchExpression={"NestedFilters": [nested]})) == ["straight"]
    apart = [("InputDataConfig.ChannelName", "Equals", "train"), ("inputDataConfig.dataSource", "Exists", "")]
    assert len(find(*apart)["Results"]) == 2


@pytest.mark.parametrize("sort_by", [None, "CreationTime", "TrainingJobName", "Metrics.loss", "HyperParameters.n"])
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("looked_at", [5_000, 3])
def test_pages_give_everything_once_and_in_order(
    train: Train, find: Find, monkeypatch: pytest.MonkeyPatch, sort_by: str | None, order: str, looked_at: int
) -> None:
    monkeypatch.setattr(service, "PAGE", 3)
    monkeypatch.setattr(service, "MOST_LOOKED_AT", looked_at)
    for number in range(11):
        status = "Completed" if number % 3 else "Failed"
        train(f"job-{number:02}", status, metrics={"loss": float(number)}, parameters={"n": f"{number}"})
    found: list[str] = []
    token: dict[str, str] = {}
    sorting = {} if sort_by is None else {"SortBy": sort_by}
    while True:
        answer = find(("TrainingJobStatus", "NotEquals", "Failed"), SortOrder=order, MaxResults=2, **sorting, **token)
        assert len(answer["Results"]) <= 2
        found += names(answer)
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    expected = [f"job-{number:02}" for number in range(11) if number % 3]
    assert found == (expected if order == "Ascending" else expected[::-1])


def test_a_job_that_arrives_between_two_pages_moves_nothing(train: Train, find: Find) -> None:
    for number in range(4):
        train(f"job-{number}")
    first = find(MaxResults=2, SortBy="CreationTime")
    train("late")
    assert names(first) == ["job-3", "job-2"]
    assert names(find(MaxResults=2, SortBy="CreationTime", NextToken=first["NextToken"])) == ["job-1", "job-0"]


def test_either_of_two_expressions_is_enough_with_or(train: Train, find: Find) -> None:
    train("a", parameters={"model": "tiny"})
    train("b", "Failed")
    train("c")
    tiny = {"Filters": [{"Name": "HyperParameters.model", "Value": "tiny"}]}
    failed = {"Filters": [{"Name": "TrainingJobStatus", "Operator": "In", "Value": "Failed, Stopped"}]}
    assert names(find(SearchExpression={"SubExpressions": [tiny, failed], "Operator": "Or"})) == ["b", "a"]


def test_visibility_conditions_narrow_to_a_tag(train: Train, find: Find) -> None:
    train("seen", tags={"team": "nlp"})
    train("hidden")
    assert names(find(VisibilityConditions=[{"Key": "Tags.team", "Value": "nlp"}])) == ["seen"]


def test_what_is_not_kept_here_is_named_with_what_is(find: Find) -> None:
    with pytest.raises(Invalid, match=r"'HubContent' are not kept here.*Endpoint.*ModelPackage.*TrainingJob"):
        find(resource="HubContent")


def test_a_token_of_somebody_else_is_refused(train: Train, find: Find) -> None:
    train("a")
    for sort_by in ("CreationTime", "Metrics.loss"):
        for token in ("bm90IG91cnM=", paging.token_of(["a", 1, 2, 3, 4])):
            with pytest.raises(Invalid, match=r"oken .* is not one that this se\w+ gave out"):
                find(SortBy=sort_by, NextToken=token)


def test_suggestions_are_names_of_the_shape_and_of_what_jobs_have(
    train: Train, suggest: Callable[[str], list[str]]
) -> None:
    train("a", metrics={"validation:accuracy": 0.9}, parameters={"epochs": "3"}, tags={"team": "nlp"})
    assert suggest("metrics.") == ["Metrics.validation:accuracy"]
    assert suggest("HyperP") == ["HyperParameters.epochs"]
    assert suggest("Tags") == ["Tags.team"]
    assert "InputDataConfig.DataSource.S3DataSource.S3Uri" in suggest("InputData")
    assert "TrainingJobStatus" in suggest("Training")
