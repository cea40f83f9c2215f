"""sagemaker-metrics through unmodified boto3: values sent for a component, and those that a job printed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.clients.records.conftest import Aws, refusal

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def query(arn: str, stat: str, **asked: Any) -> dict[str, Any]:
    return {
        "ResourceArn": arn,
        "MetricName": "loss",
        "MetricStat": stat,
        "Period": "OneMinute",
        "XAxisType": "Timestamp",
        **asked,
    }


@pytest.mark.shows("sagemaker-metrics", "BatchPutMetrics", "BatchGetMetrics")
def test_values_sent_for_a_component_come_back_as_series_and_in_short(aws: Aws) -> None:
    arn = aws.sagemaker.create_trial_component(TrialComponentName="measured")["TrialComponentArn"]
    values = [4.0, 2.0, 1.0, 0.5]
    data = [
        {"MetricName": "loss", "Timestamp": START + timedelta(seconds=40 * n), "Step": n, "Value": value}
        for n, value in enumerate(values)
    ]
    assert aws.metrics.batch_put_metrics(TrialComponentName="measured", MetricData=data)["Errors"] == []
    answer = aws.metrics.batch_get_metrics(
        MetricQueries=[
            query(arn, "Avg"),
            query(arn, "Last", XAxisType="IterationNumber", Period="IterationNumber"),
            query(arn, "Count", Start=int(START.timestamp()) + 60),
            query(arn.replace("measured", "absent"), "Max"),
        ]
    )["MetricQueryResults"]
    first = int(START.timestamp())
    assert (answer[0]["XAxisValues"], answer[0]["MetricValues"]) == ([first, first + 60, first + 120], [3.0, 1.0, 0.5])
    assert (answer[1]["XAxisValues"], answer[1]["MetricValues"]) == ([0, 1, 2, 3], values)
    assert answer[2]["MetricValues"] == [1.0, 1.0]
    assert [item["Status"] for item in answer] == ["Complete"] * 3 + ["ValidationError"]
    assert "does not exist" in answer[3]["Message"]

    (short,) = aws.sagemaker.describe_trial_component(TrialComponentName="measured")["Metrics"]
    assert (short["Min"], short["Max"], short["Avg"], short["Last"], short["Count"]) == (0.5, 4.0, 1.875, 0.5, 4)
    assert short["StdDev"] == pytest.approx(1.3404, abs=1e-4)
    assert (short["SourceArn"], short["TimeStamp"]) == (arn, START + timedelta(seconds=120))
    found = aws.sagemaker.search(
        Resource="ExperimentTrialComponent",
        SearchExpression={
            "Filters": [
                {"Name": "Metrics.loss.Min", "Operator": "LessThan", "Value": "1"},
                {"Name": "TrialComponentName", "Operator": "Equals", "Value": "measured"},
            ]
        },
        SortBy="metrics.loss.max",
    )["Results"]
    assert [item["TrialComponent"]["TrialComponentName"] for item in found] == ["measured"]


def test_what_a_job_printed_is_a_series(aws: Aws, ran: dict[str, str]) -> None:
    name = f"{ran['Train'].rpartition('/')[2]}-aws-training-job"
    shown = aws.sagemaker.describe_trial_component(TrialComponentName=name)
    (short,) = shown["Metrics"]
    assert (short["MetricName"], short["SourceArn"]) == ("validation:accuracy", ran["Train"])
    assert (short["Min"], short["Max"], short["Avg"], short["Last"], short["Count"]) == (0.5, 0.75, 0.625, 0.625, 3)
    asked = {"MetricName": "validation:accuracy", "XAxisType": "IterationNumber", "Period": "IterationNumber"}
    (series,) = aws.metrics.batch_get_metrics(MetricQueries=[query(shown["TrialComponentArn"], "Last", **asked)])[
        "MetricQueryResults"
    ]
    assert (series["XAxisValues"], series["MetricValues"]) == ([0, 1, 2], [0.5, 0.75, 0.625])


def test_values_for_a_component_that_is_not_there_are_refused(aws: Aws) -> None:
    data = [{"MetricName": "loss", "Timestamp": START, "Value": 1.0}]
    told = refusal(aws.metrics.batch_put_metrics, TrialComponentName="nowhere", MetricData=data)
    assert told == ("ResourceNotFound", "TrialComponent 'nowhere' does not exist.")
