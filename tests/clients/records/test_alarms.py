"""Metrics and alarms through boto3: values in and out, thresholds, and what is started when one is crossed."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from tests.clients.records.conftest import IMAGE, ROLE, Aws, archive, refusal
from tests.clients.records.test_triggers import Webhook, ended_rule, parameters, pipeline, put, started_by, webhook

__all__ = ["pipeline", "webhook"]  # fixtures

WAIT_S = 120  #: for something that is on its way
NOW = datetime.now(UTC).replace(microsecond=0)
WINDOW = {"StartTime": NOW - timedelta(hours=1), "EndTime": NOW + timedelta(hours=1)}
BEGUN = NOW.replace(second=0) - timedelta(minutes=10)  #: of a period of a minute


@pytest.fixture(params=["json", "smithy-rpc-v2-cbor", "query"])
def cloudwatch(aws: Aws, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client that speaks one of the protocols; releases of boto3, and other SDKs, choose different ones."""
    load = Loader.load_service_model

    def only(self: Loader, name: str, kind: str, *args: Any, **kwargs: Any) -> Any:
        model = load(self, name, kind, *args, **kwargs)
        if (name, kind) != ("cloudwatch", "service-2"):
            return model
        model = deepcopy(model)
        model["metadata"] |= {"protocol": request.param, "protocols": [request.param]}
        return model

    monkeypatch.setattr(Loader, "load_service_model", only)
    client = aws.client("cloudwatch")
    assert client.meta.service_model.resolved_protocol == request.param
    return client


@pytest.fixture
def alarms(aws: Aws) -> Iterator[Any]:
    client = aws.client("cloudwatch")
    yield client
    left = [each["AlarmName"] for each in client.describe_alarms()["MetricAlarms"]]
    if left:
        client.delete_alarms(AlarmNames=left)


def name(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


def query(metric: dict[str, Any], stat: str, period: int = 60, **more: Any) -> dict[str, Any]:
    return {
        "Id": stat.lower().replace(".", "_"),
        "MetricStat": {"Metric": metric, "Period": period, "Stat": stat},
        **more,
    }


@pytest.mark.shows("cloudwatch", "PutMetricData", "GetMetricData", "GetMetricStatistics", "ListMetrics")
def test_values_come_back_as_statistics_in_each_protocol(cloudwatch: Any) -> None:
    namespace, dimensions = name("Shop"), [{"Name": "Store", "Value": "north"}, {"Name": "Till", "Value": "1"}]
    common = {"MetricName": "Wait", "Dimensions": dimensions, "Unit": "Seconds"}
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {**common, "Timestamp": BEGUN, "Value": 4.0},
            {**common, "Timestamp": BEGUN + timedelta(seconds=59), "Values": [1.0, 2.0], "Counts": [1.0, 3.0]},
            {
                **common,
                "Timestamp": BEGUN + timedelta(seconds=60),
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 5},
                "StorageResolution": 1,
            },
            {"MetricName": "Wait", "Timestamp": BEGUN, "Value": 100.0},
        ],
    )
    metric = {"Namespace": namespace, "MetricName": "Wait", "Dimensions": dimensions[::-1]}
    queries = [query(metric, stat) for stat in ("Average", "p50", "SampleCount", "Maximum")]
    answer = cloudwatch.get_metric_data(**WINDOW, MetricDataQueries=queries, ScanBy="TimestampAscending")
    results = {each["Id"]: each for each in answer["MetricDataResults"]}
    assert results["average"]["Values"] == [2.2, 2.5]
    assert results["average"]["Timestamps"] == [BEGUN, BEGUN + timedelta(seconds=60)]
    assert (results["average"]["Label"], results["average"]["StatusCode"]) == ("Wait", "Complete")
    assert results["p50"]["Values"] == [2.0], "a statistic set does not tell its values"
    assert (results["samplecount"]["Values"], results["maximum"]["Values"]) == ([5.0, 4.0], [4.0, 5.0])

    pages: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = cloudwatch.get_metric_data(**WINDOW, MetricDataQueries=queries[:2], MaxDatapoints=2, **token)
        pages.append({each["Id"]: each["Values"] for each in page["MetricDataResults"]})
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert [page.get("average") for page in pages] == [[2.5, 2.2], None]
    assert [value for page in pages for value in page.get("p50", [])] == [2.0]

    asked = {"Namespace": namespace, "MetricName": "Wait", "Dimensions": dimensions, **WINDOW, "Period": 60}
    told = cloudwatch.get_metric_statistics(**asked, Statistics=["Sum", "Minimum"], ExtendedStatistics=["p99"])
    first, second = sorted(told["Datapoints"], key=lambda point: point["Timestamp"])
    assert first == {
        "Timestamp": BEGUN, "Unit": "Seconds", "Sum": 11.0, "Minimum": 1.0, "ExtendedStatistics": {"p99": 4.0}
    }  # fmt: skip
    assert (second["Sum"], second["ExtendedStatistics"]) == (10.0, {})
    assert cloudwatch.get_metric_statistics(**asked, Statistics=["Sum"], Unit="Bytes")["Datapoints"] == []

    listed = cloudwatch.list_metrics(Namespace=namespace)["Metrics"]
    assert [each["Dimensions"] for each in listed] == [dimensions, []]
    narrowed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Till"}], RecentlyActive="PT3H")
    assert len(narrowed["Metrics"]) == 1
    other = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Till", "Value": "2"}])
    assert other["Metrics"] == []


def test_a_large_request_is_sent_compressed(cloudwatch: Any) -> None:
    namespace = name("Large")
    sent: list[Any] = []
    cloudwatch.meta.events.register(
        "before-send.cloudwatch.PutMetricData",
        lambda request, **_: sent.append(request.headers.get("Content-Encoding")),
    )
    data = [{"MetricName": f"m{number}", "Value": float(number)} for number in range(900)]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    assert sent in ([b"gzip"], ["gzip"])
    listed = [
        each["MetricName"]
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace)
        for each in page["Metrics"]
    ]
    assert listed == [each["MetricName"] for each in data]


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination", "there are Value and Values"),
        ({}, "MissingParameter", "there is none"),
        ({"Value": 2.0**361}, "InvalidParameterValue", "-2^360 to 2^360"),
        ({"Value": 1.0, "Timestamp": NOW - timedelta(days=15)}, "InvalidParameterValue", "two weeks in the past"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue", "there are 1 and 2"),
        ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue", "expected more than 0"),
        ({"Value": 1.0, "StorageResolution": 5}, "InvalidParameterValue", "must be 1 or 60"),
    ],
)
def test_values_that_are_none_are_refused_and_nothing_is_kept(
    cloudwatch: Any, asked: dict[str, Any], code: str, told: str
) -> None:
    namespace = name("Refused")
    data = [{"MetricName": "good", "Value": 1.0}, {"MetricName": "bad", **asked}]
    with pytest.raises(ClientError) as caught:
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    error = caught.value.response["Error"]
    assert (error["Code"], told in error["Message"]) == (code, True), error
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == []


@pytest.mark.shows("cloudwatch", "PutCompositeAlarm", how="refuses")
def test_what_is_not_worked_out_is_refused_by_name(aws: Aws) -> None:
    client = aws.client("cloudwatch")
    metric = {"Namespace": "N", "MetricName": "m"}
    queries = [query(metric, "Sum"), {"Id": "e", "Expression": "sum / 2"}]
    assert "'sum / 2'" in refusal(client.get_metric_data, **WINDOW, MetricDataQueries=queries)[1]
    code, told = refusal(client.put_metric_data, Namespace="AWS/EC2", MetricData=[{"MetricName": "m", "Value": 1.0}])
    assert (code, "platform's own" in told) == ("InvalidParameterValue", True)
    alarm = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
    whole = {**alarm, **metric, "Period": 60, "Threshold": 1.0, "Statistic": "Sum"}
    for given, expected in (
        ({**alarm, "Threshold": 1.0, "Metrics": [{"Id": "e", "Expression": "1"}]}, "watch one metric"),
        ({**whole, "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:mail"]}, "rule of EventBridge"),
        ({**whole, "Period": 5}, "expected 10, 20, 30 or a multiple of 60"),
        ({**whole, "DatapointsToAlarm": 2}, "at most EvaluationPeriods"),
        ({**whole, "TreatMissingData": "maybe"}, "expected one of missing, ignore, breaching, notBreaching"),
        ({**whole, "EvaluationPeriods": 1441}, "at most 86400"),
        ({**whole, "ComparisonOperator": "GreaterThanUpperThreshold"}, "bands"),
        ({name: value for name, value in whole.items() if name != "Statistic"}, "Statistic and ExtendedStatistic"),
    ):
        assert expected in refusal(client.put_metric_alarm, **given)[1], given
    assert refusal(client.set_alarm_state, AlarmName="none", StateValue="OK", StateReason="")[0] == "ResourceNotFound"
    assert "Composite alarms are not offered" in refusal(client.put_composite_alarm, AlarmName="c", AlarmRule="x")[1]


@pytest.mark.shows(
    "cloudwatch", "PutMetricAlarm", "DescribeAlarms", "DescribeAlarmsForMetric", "DeleteAlarms", "TagResource",
    "UntagResource", "ListTagsForResource",
)  # fmt: skip
def test_alarms_are_told_as_they_were_put(cloudwatch: Any, alarms: Any) -> None:
    prefix, namespace = name("stock"), name("Store")
    common = {
        "Namespace": namespace,
        "MetricName": "Stock",
        "Dimensions": [{"Name": "Shelf", "Value": "7"}],
        "Period": 300,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 2.5,
        "ComparisonOperator": "LessThanOrEqualToThreshold",
    }
    cloudwatch.put_metric_alarm(AlarmName=f"{prefix}-b", Statistic="Minimum", **common, AlarmDescription="order more")
    cloudwatch.put_metric_alarm(
        AlarmName=f"{prefix}-a",
        ExtendedStatistic="p10",
        TreatMissingData="breaching",
        Unit="Count",
        Tags=[{"Key": "who", "Value": "us"}],
        **common,
    )
    first, second = cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
    assert common.items() <= first.items()
    assert (first["AlarmName"], second["AlarmName"]) == (f"{prefix}-a", f"{prefix}-b")
    assert (first["ExtendedStatistic"], first["TreatMissingData"]) == ("p10", "breaching")
    assert (second["AlarmDescription"], second["ActionsEnabled"]) == ("order more", True)
    assert second["AlarmArn"] == f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{prefix}-b"
    assert (second["StateValue"], second["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    named = cloudwatch.describe_alarms(AlarmNames=[f"{prefix}-b", "none"])["MetricAlarms"]
    assert [each["AlarmName"] for each in named] == [f"{prefix}-b"]
    metric = {name: common[name] for name in ("Namespace", "MetricName", "Dimensions")}
    assert len(cloudwatch.describe_alarms_for_metric(**metric)["MetricAlarms"]) == 2
    narrowed = cloudwatch.describe_alarms_for_metric(**metric, Statistic="Minimum")["MetricAlarms"]
    assert [each["AlarmName"] for each in narrowed] == [f"{prefix}-b"]
    arn = first["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "why", "Value": "x"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["who"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "why", "Value": "x"}]
    changed = {**common, "Threshold": 9.0, "DatapointsToAlarm": 3}
    cloudwatch.put_metric_alarm(AlarmName=f"{prefix}-b", Statistic="Minimum", **changed)
    (again,) = cloudwatch.describe_alarms(AlarmNames=[f"{prefix}-b"])["MetricAlarms"]
    assert (again["Threshold"], again.get("AlarmDescription")) == (9.0, None)
    assert again["AlarmConfigurationUpdatedTimestamp"] > second["AlarmConfigurationUpdatedTimestamp"]
    cloudwatch.delete_alarms(AlarmNames=[f"{prefix}-a", f"{prefix}-b"])
    assert cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"] == []


@pytest.mark.shows(
    "cloudwatch", "SetAlarmState", "EnableAlarmActions", "DisableAlarmActions", "DescribeAlarmHistory", how="executes"
)
def test_a_state_that_is_set_is_told_of_and_acts(aws: Aws, alarms: Any, webhook: Webhook) -> None:
    alarm = name("by-hand")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [alarm]}}
    events = put(aws, f"tell-{alarm}", pattern, {"Arn": webhook.url})
    alarms.put_metric_alarm(
        AlarmName=alarm,
        Namespace="N",
        MetricName="m",
        Dimensions=[{"Name": "d", "Value": "v"}],
        Statistic="Sum",
        Period=86_400,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmDescription="too many",
        AlarmActions=[f"{webhook.url}&action=yes"],
    )
    made = json.loads(webhook.got.get(timeout=WAIT_S)[1])
    assert (made["detail-type"], made["detail"]["operation"]) == ("CloudWatch Alarm Configuration Change", "create")
    alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a try", StateReasonData='{"by": "hand"}')
    bodies = [json.loads(webhook.got.get(timeout=WAIT_S)[1]) for _ in range(2)]
    for event in bodies:  # to the rule's target and to the action
        assert (event["source"], event["detail-type"]) == ("aws.cloudwatch", "CloudWatch Alarm State Change")
        assert event["resources"] == [f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}"]
        detail = event["detail"]
        assert (detail["state"]["value"], detail["state"]["reason"]) == ("ALARM", "a try")
        assert detail["state"]["reasonData"] == '{"by": "hand"}'
        assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
        assert datetime.fromisoformat(detail["state"]["timestamp"]) - datetime.now(UTC) < timedelta(minutes=1)
        (watched,) = detail["configuration"]["metrics"]
        metric = {"namespace": "N", "name": "m", "dimensions": {"d": "v"}}
        assert watched["metricStat"] == {"metric": metric, "period": 86_400, "stat": "Sum"}
        assert detail["configuration"]["description"] == "too many"
    alarms.disable_alarm_actions(AlarmNames=[alarm])
    assert json.loads(webhook.got.get(timeout=WAIT_S)[1])["detail"]["operation"] == "update"
    alarms.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="over")
    alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="again")
    for state in ("OK", "ALARM"):  # the rule's target alone
        assert json.loads(webhook.got.get(timeout=WAIT_S)[1])["detail"]["state"]["value"] == state
    events.disable_rule(Name=f"tell-{alarm}")
    alarms.enable_alarm_actions(AlarmNames=[alarm])
    told = alarms.describe_alarm_history(AlarmName=alarm, ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert [each["HistorySummary"] for each in told if each["HistoryItemType"] == "StateUpdate"] == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
    ]
    (action,) = alarms.describe_alarm_history(AlarmName=alarm, HistoryItemType="Action")["AlarmHistoryItems"]
    assert action["HistorySummary"] == f"Action {webhook.url}&action=yes: HTTP 200"
    updates = alarms.describe_alarm_history(AlarmName=alarm, HistoryItemType="ConfigurationUpdate")
    assert len(updates["AlarmHistoryItems"]) == 3


TRAIN = """
import pathlib
print("accuracy: 0.25")
pathlib.Path("/opt/ml/model/model.json").write_text("{}")
"""


@pytest.mark.slow
def test_a_metric_below_a_threshold_starts_a_pipeline_once(
    aws: Aws, alarms: Any, pipeline: str, webhook: Webhook
) -> None:
    watched, alarm = name("watched"), name("low")
    put(aws, f"tell-{alarm}", *ended_rule(webhook, pipeline))
    alarms.put_metric_alarm(
        AlarmName=alarm,
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="accuracy",
        Dimensions=[{"Name": "PipelineName", "Value": watched}, {"Name": "StepName", "Value": "Train"}],
        Statistic="Maximum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="LessThanThreshold",
    )
    given = {"PipelineParameterList": [{"Name": "What", "Value": "$.detail.alarmName"}]}
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"alarmName": [alarm], "state": {"value": ["ALARM"]}},
    }
    put(aws, alarm, pattern, {"Arn": pipeline, "SageMakerPipelineParameters": given})
    aws.s3.create_bucket(Bucket=watched)
    aws.s3.put_object(Bucket=watched, Key="source.tar.gz", Body=archive("train.py", TRAIN))
    train = {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy: ([0-9.]+)"}],
        },
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{watched}/source.tar.gz",
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{watched}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "RoleArn": ROLE,
    }
    definition = {"Version": "2020-12-01", "Steps": [{"Name": "Train", "Type": "Training", "Arguments": train}]}
    aws.sagemaker.create_pipeline(PipelineName=watched, PipelineDefinition=json.dumps(definition), RoleArn=ROLE)
    execution = aws.sagemaker.start_pipeline_execution(PipelineName=watched)["PipelineExecutionArn"]
    (started,) = started_by(aws, pipeline, webhook, 1)
    arn = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}"
    assert started["PipelineExecutionDescription"] == (
        f"Started by the rule {alarm}: CloudWatch Alarm State Change of {arn}"
    )
    assert parameters(aws, started) == {"What": alarm}
    (change,) = [
        each
        for each in alarms.describe_alarm_history(AlarmName=alarm, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
        if each["HistorySummary"].endswith("to ALARM")
    ]
    assert "[0.25 (" in change["HistoryData"]
    (step,) = aws.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
    job = step["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    window = {"StartTime": NOW - timedelta(hours=1), "EndTime": datetime.now(UTC) + timedelta(hours=1)}
    of_job = alarms.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="accuracy",
        Dimensions=[{"Name": "TrainingJobName", "Value": job}],
        Statistics=["Average"],
        Period=60,
        **window,
    )
    assert [point["Average"] for point in of_job["Datapoints"]] == [0.25]

    metric = {
        "Namespace": "AWS/Sagemaker/ModelBuildingPipeline",
        "Dimensions": [{"Name": "PipelineName", "Value": pipeline.rpartition("/")[2]}],
    }
    counted = {
        each: alarms.get_metric_statistics(**metric, MetricName=each, Statistics=["Sum"], Period=86_400, **window)[
            "Datapoints"
        ]
        for each in ("ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed", "ExecutionDuration")
    }
    assert sum(each["Sum"] for each in counted["ExecutionStarted"]) == 1
    assert sum(each["Sum"] for each in counted["ExecutionSucceeded"]) == 1
    assert counted["ExecutionFailed"] == []
    assert counted["ExecutionDuration"][0]["Unit"] == "Milliseconds"
    # A condition is over as soon as it begins; a training job takes its time.
    for of, step_name, least_ms in ((pipeline.rpartition("/")[2], "Look", 0.0), (watched, step["StepName"], 1.0)):
        place = {"Namespace": metric["Namespace"], "Period": 86_400, **window}
        place["Dimensions"] = [{"Name": "PipelineName", "Value": of}, {"Name": "StepName", "Value": step_name}]
        sums = {
            each: sum(
                point["Sum"]
                for point in alarms.get_metric_statistics(**place, MetricName=each, Statistics=["Sum"])["Datapoints"]
            )
            for each in ("StepStarted", "StepSucceeded", "StepFailed", "StepStopped", "StepDuration")
        }
        lasted = sums.pop("StepDuration")
        assert sums == {"StepStarted": 1, "StepSucceeded": 1, "StepFailed": 0, "StepStopped": 0}
        assert lasted >= least_ms


def test_a_users_code_measures_and_sees_without_more_than_it_needs(aws: Aws) -> None:
    """A session of another service cannot be told by its scope alone to be CloudWatch's."""
    unsigned = boto3.client("cloudwatch", region_name="us-east-1", endpoint_url=aws.url, aws_access_key_id="x",
                            aws_secret_access_key="y")  # fmt: skip
    code, _ = refusal(unsigned.list_metrics)
    assert code == "UnrecognizedClientException"
