"""What could not be delivered: into the queue that its target names, once, with what is known of why."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.triggers.test_deliveries import GRACE, HOOK, PIPELINE, World

from towpath.kernel.operations import Request
from towpath.kernel.ports import Query, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.queues import QUEUE_MESSAGE, Queues
from towpath.triggers.model import DeliveryStatus
from towpath.triggers.ports import Answer

QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
DEAD = {"DeadLetterConfig": {"Arn": QUEUE}}


@pytest.fixture
def world(tmp_path: Any) -> Any:
    world = World(tmp_path / "store.db")
    yield world
    world.store.close()


def make_queue(world: World, **attributes: str) -> None:
    create = Queues("http://127.0.0.1:1").operations()["CreateQueue"].function
    request = Request(
        operation="CreateQueue", input={"QueueName": "dead", "Attributes": attributes, "tags": None}, caller=GRACE
    )
    world.store.write(lambda transaction: create(transaction, request))


def letters(world: World) -> list[tuple[Document, dict[str, str]]]:
    """Return the body and the attributes of each message in the queue."""
    found = world.store.read(lambda transaction: transaction.resources.query(Query(kind=QUEUE_MESSAGE.noun))).items
    return [
        (
            msgspec.json.decode(message.spec["Body"]),
            {name: each["StringValue"] for name, each in message.spec["MessageAttributes"].items()},
        )
        for message in found
    ]


def answered(world: World, delivery: Resource, answer: Answer, **state: int) -> None:
    """Decide about a delivery whose message was answered, and write what was decided."""
    delivery = replace(delivery, state=state)
    decision = world.controller.decide(delivery, answer, delivery.created_at)

    def commit(transaction: Transaction) -> None:
        world.controller.apply(transaction, delivery, decision)

    world.store.write(commit)


def test_an_event_whose_pipeline_cannot_be_started_goes_into_the_queue(world: World) -> None:
    make_queue(world)
    world.refuse = True
    delivery = world.happen(Arn=PIPELINE, **DEAD)
    assert world.settle(delivery).status == DeliveryStatus.FAILED
    ((body, said),) = letters(world)
    assert body["detail"] == {"item": {"id": 7}}
    assert said == {
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": "Pipeline 'deploy' does not exist.",
        "RETRY_ATTEMPTS": "0",
        "TARGET_ARN": PIPELINE,
        "RULE_ARN": "arn:aws:events:us-east-1:000000000000:rule/r",
    }
    (told,) = world.outcomes()
    assert told["Result"].startswith(
        "Pipeline 'deploy' does not exist; put into the dead-letter queue dead as message "
    )


@pytest.mark.parametrize(
    ("answer", "policy", "exhausted", "retries"),
    [
        (Answer(status=404, reason="gone"), {}, None, "3"),
        (Answer(status=503), {"MaximumRetryAttempts": 3}, "MaximumRetryAttempts", "3"),
        (Answer(status=503), {"MaximumRetryAttempts": 4}, "not given up", ""),
    ],
)
def test_an_event_that_a_webhook_never_took_goes_into_the_queue(
    world: World, answer: Answer, policy: dict[str, int], exhausted: str | None, retries: str
) -> None:
    make_queue(world)
    answered(world, world.happen(Arn=HOOK, RetryPolicy=policy, **DEAD), answer, Tries=3)
    found = letters(world)
    if exhausted == "not given up":
        assert found == []
        return
    ((_, said),) = found
    assert said.get("EXHAUSTED_RETRY_CONDITION") == exhausted
    assert (said["RETRY_ATTEMPTS"], said["TARGET_ARN"], said["ERROR_CODE"]) == (retries, HOOK, "SDK_CLIENT_ERROR")


def test_what_was_delivered_goes_into_no_queue(world: World) -> None:
    make_queue(world)
    answered(world, world.happen(Arn=HOOK, **DEAD), Answer(status=200))
    assert letters(world) == []


def test_a_queue_that_is_not_there_is_told_of_beside_the_reason(world: World) -> None:
    world.refuse = True
    assert world.settle(world.happen(Arn=PIPELINE, **DEAD)).status == DeliveryStatus.FAILED
    (told,) = world.outcomes()
    assert told["Result"].startswith(
        "Pipeline 'deploy' does not exist; and could not be put into the dead-letter queue dead: "
    )


@pytest.mark.parametrize("arn", ["arn:aws:sqs:us-east-1:111111111111:dead", "arn:aws:sns:us-east-1:0:x", PIPELINE])
def test_dead_letters_go_to_queues_of_this_home_alone(world: World, arn: str) -> None:
    world.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
    target = {"Id": "t", "Arn": HOOK, "DeadLetterConfig": {"Arn": arn}}
    (failed,) = world.call("PutTargets", Rule="r", Targets=[target])["FailedEntries"]
    assert "queue elsewhere" in failed["ErrorMessage"] or "arn:aws:sqs:REGION:ACCOUNT:QUEUE" in failed["ErrorMessage"]
