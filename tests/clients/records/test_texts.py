"""JSON that clients hand in as text inside of their requests: what cannot be stored, walked or shown is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.clients.records.conftest import ROLE, Aws

DEEP = [('{"c":' * levels + "1" + "}" * levels) for levels in (101, 400, 990, 3000, 30_000)]
HALF = '{"c": "\\ud800"}'
TEXTS = [*DEEP, HALF]


def _definition(text: str) -> str:
    return f'{{"Version": "2020-12-01", "Steps": [{{"Name": "A", "Type": "Fail", "Arguments": {text}}}]}}'


def _put_event(aws: Aws, text: str) -> None:
    entry = {"Source": "tests", "DetailType": "Text", "Detail": text}
    (answer,) = aws.client("events").put_events(Entries=[entry])["Entries"]
    raise ClientError({"Error": {"Code": answer["ErrorCode"], "Message": answer["ErrorMessage"]}}, "PutEvents")


def _put_target(aws: Aws, text: str) -> None:
    events = aws.client("events")
    events.put_rule(Name="texts", EventPattern='{"source": ["tests"]}')
    aws.client("sqs").create_queue(QueueName="texts")
    target = {"Id": "1", "Arn": "arn:aws:sqs:us-east-1:000000000000:texts", "Input": text}
    (failed,) = events.put_targets(Rule="texts", Targets=[target])["FailedEntries"]
    raise ClientError({"Error": {"Code": failed["ErrorCode"], "Message": failed["ErrorMessage"]}}, "PutTargets")


def _test_pattern(aws: Aws, text: str) -> None:
    event = {"id": "1", "account": "1", "source": "s", "time": "t", "region": "r", "resources": [], "detail-type": "d"}
    whole = f'{json.dumps(event)[:-1]}, "detail": {text}}}'
    aws.client("events").test_event_pattern(EventPattern='{"source": ["s"]}', Event=whole)


def _card(aws: Aws, text: str) -> None:
    aws.sagemaker.create_model_card(ModelCardName="texts", Content=text, ModelCardStatus="Draft")


GIVEN: dict[str, Callable[[Aws, str], Any]] = {
    "definition": lambda aws, text: aws.sagemaker.create_pipeline(
        PipelineName="texts", PipelineDefinition=_definition(text), RoleArn=ROLE, ClientRequestToken="t" * 32
    ),
    "pattern": lambda aws, text: aws.client("events").put_rule(Name="texts", EventPattern=text.replace(":1", ":[1]")),
    "detail": _put_event,
    "input": _put_target,
    "event": _test_pattern,
    "card": _card,
    "policy": lambda aws, text: aws.sagemaker.put_model_package_group_policy(
        ModelPackageGroupName="words", ResourcePolicy=text
    ),
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{len(text)} characters")
def test_a_text_that_nothing_could_be_done_with_is_refused(
    aws: Aws, ran: dict[str, str], given: str, text: str
) -> None:
    with pytest.raises(ClientError) as refused:
        GIVEN[given](aws, text)
    code, said = refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]
    assert code in {"ValidationException", "InvalidEventPatternException", "MalformedDetail", "InvalidArgument"}, said
