"""Deliveries: what is decided about one, and on whose behalf a pipeline is started."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from towpath.callers import Role
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import NotFound
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Query, Transaction
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource
from towpath.store import SqliteStore
from towpath.triggers import DeliveryController, Rules, event_operations
from towpath.triggers.deliveries import OUTCOME
from towpath.triggers.kinds import DELIVERY, RULE
from towpath.triggers.model import DeliveryStatus
from towpath.triggers.ports import Answer, Message

PIPELINE = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/deploy"
HOOK = "https://example.org/hook"
EVENTS = event_operations()
GRACE = Caller("grace", roles=frozenset({Role.ML_ENGINEER}))


def no_post(*_: Any) -> None:
    raise AssertionError("nothing is to be sent")


class World:
    """A store whose rules are looked at, and what StartPipelineExecution was asked."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        rules = Rules()
        self.store.subscribe(rules)
        self.store.on_kind(RULE.noun, rules.forget)
        self.started: list[Request] = []
        self.refuse = False
        self.prepared: list[Request] = []
        start = Operation(name="StartPipelineExecution", function=self._start, prepare=self._prepare)
        self.controller = DeliveryController({"StartPipelineExecution": start}, no_post, wake=no_post)

    def _start(self, _: Transaction, request: Request) -> Document:
        if self.refuse:
            raise NotFound("Pipeline 'deploy' does not exist.")
        self.started.append(request)
        return {"PipelineExecutionArn": f"{PIPELINE}/execution/one"}

    def _prepare(self, request: Request) -> None:
        self.store.write(lambda transaction: transaction.resources.next_number("another writer's"))
        self.prepared.append(request)

    def call(self, operation: str, caller: Caller = GRACE, **asked: Any) -> Document:
        request = Request(operation=operation, input=asked, caller=caller)
        return self.store.write(lambda transaction: EVENTS[operation].function(transaction, request))

    def happen(self, **target: Any) -> Resource:
        """Make a rule with a target, let its event happen, and return the delivery."""
        self.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
        assert self.call("PutTargets", Rule="r", Targets=[{"Id": "t", **target}])["FailedEntries"] == []
        self.call("PutEvents", Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": '{"item": {"id": 7}}'}])
        (delivery,) = self.deliveries()
        return delivery

    def deliveries(self) -> list[Resource]:
        return self.store.read(lambda transaction: transaction.resources.query(Query(kind=DELIVERY.noun))).items

    def settle(self, delivery: Resource) -> Resource:
        """Decide about a delivery and write what was decided; return it as it is then."""
        decision = self.controller.decide(delivery, self.controller.observe(delivery), delivery.created_at)

        def commit(transaction: Transaction) -> Resource:
            self.controller.apply(transaction, delivery, decision)
            found = transaction.resources.get(delivery.uid)
            assert found is not None
            return found

        return self.store.write(commit)

    def outcomes(self) -> list[Document]:
        rule = self.store.read(lambda transaction: transaction.resources.find(RULE.noun, "r"))
        assert rule is not None
        events = self.store.read(lambda transaction: transaction.events.of(rule.uid))
        return [event.detail for event in events if event.type == OUTCOME]


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path / "store.db")
    yield world
    world.store.close()


def pipeline(*parameters: tuple[str, str]) -> dict[str, Any]:
    given = [{"Name": name, "Value": value} for name, value in parameters]
    return {"Arn": PIPELINE, "SageMakerPipelineParameters": {"PipelineParameterList": given}}


def test_a_pipeline_is_started_once_with_the_rights_of_who_wrote_the_rule(world: World) -> None:
    delivery = world.happen(**pipeline(("Item", "$.detail.item.id"), ("Mode", "fast")))
    ended = world.settle(delivery)
    (asked,) = world.started
    assert world.prepared == [asked], "once, before the transaction"
    assert asked.caller == Caller("grace", request_id=delivery.uid, roles=frozenset({Role.ML_ENGINEER}))
    assert asked.input["ClientRequestToken"] == delivery.uid
    assert asked.input["PipelineParameters"] == [{"Name": "Item", "Value": "7"}, {"Name": "Mode", "Value": "fast"}]
    assert (ended.status, ended.is_live) == (DeliveryStatus.DELIVERED, False)
    assert world.controller.decide(ended, None, ended.created_at).facts == (), "what is delivered is not started again"
    assert [each["Result"] for each in world.outcomes()] == [f"{PIPELINE}/execution/one"]
    assert [each["EventTime"] for each in world.outcomes()] == [int(delivery.created_at.timestamp())]


def test_whoever_writes_targets_anew_answers_for_them(world: World) -> None:
    world.call(
        "PutRule",
        Name="r",
        EventPattern='{"source": ["shop"]}',
        caller=Caller("root", roles=frozenset({Role.ADMINISTRATOR})),
    )
    world.settle(world.happen(**pipeline()))
    assert world.started[0].caller.roles == frozenset({Role.ML_ENGINEER})


@pytest.mark.parametrize("parameter", [("Item", "$.detail.nothing"), ("Item", "x")])
def test_what_cannot_be_started_has_failed_with_the_reason(world: World, parameter: tuple[str, str]) -> None:
    world.refuse = True
    ended = world.settle(world.happen(**pipeline(parameter)))
    assert (ended.status, ended.is_live) == (DeliveryStatus.FAILED, False)
    (outcome,) = world.outcomes()
    assert outcome["Status"] == "Failed"
    assert outcome["Result"] in {"Pipeline 'deploy' does not exist.", "the event has nothing at $.detail.nothing"}


def test_an_event_that_is_undone_is_not_delivered(world: World) -> None:
    world.call("PutRule", Name="r", EventPattern='{"source": ["shop"]}')
    world.call("PutTargets", Rule="r", Targets=[{"Id": "t", "Arn": HOOK}])
    entry = {"Source": "shop", "DetailType": "Sold", "Detail": "{}"}

    def undone(transaction: Transaction) -> None:
        request = Request(operation="PutEvents", input={"Entries": [entry]}, caller=GRACE)
        EVENTS["PutEvents"].function(transaction, request)
        raise NotFound("the rest of the transaction failed")

    with pytest.raises(NotFound):
        world.store.write(undone)
    assert world.deliveries() == []
    world.call("PutEvents", Entries=[entry])
    assert len(world.deliveries()) == 1


def test_a_rule_that_is_undone_waits_for_nothing(world: World) -> None:
    entry = {"Source": "shop", "DetailType": "Sold", "Detail": "{}"}

    def undone(transaction: Transaction) -> None:
        for operation, asked in (
            ("PutRule", {"Name": "r", "EventPattern": '{"source": ["shop"]}'}),
            ("PutTargets", {"Rule": "r", "Targets": [{"Id": "t", "Arn": HOOK}]}),
            ("PutEvents", {"Entries": [entry]}),
        ):
            EVENTS[operation].function(transaction, Request(operation=operation, input=asked, caller=GRACE))
        assert len(transaction.resources.query(Query(kind=DELIVERY.noun)).items) == 1
        raise NotFound("the rest of the transaction failed")

    with pytest.raises(NotFound):
        world.store.write(undone)
    world.call("PutEvents", Entries=[entry])
    assert world.deliveries() == []


class TestWebhooks:
    """What is decided when a webhook did not take a message."""

    def after(self, delivery: Resource, answer: Answer, *, tries: int = 0, later_s: float = 0.0) -> Any:
        state = {"Tries": tries} if tries else {}
        controller = DeliveryController({}, no_post, wake=no_post)
        now = delivery.created_at + timedelta(seconds=later_s)
        return controller.decide(replace(delivery, state=state), answer, now)

    def test_it_is_sent_first_and_again_after_a_while(self, world: World) -> None:
        delivery = world.happen(Arn=HOOK)
        controller = world.controller
        (message,) = controller.decide(delivery, None, delivery.created_at).effects
        assert message.url == HOOK
        assert msgspec.json.decode(message.body)["detail"] == {"item": {"id": 7}}
        assert message.headers["X-Towpath-Delivery"] == delivery.uid
        failed = self.after(delivery, Answer(status=503, reason="busy"))
        assert failed.state == {"Tries": 1, "Reason": "HTTP 503 busy"}
        assert failed.due_at == delivery.created_at + timedelta(seconds=2)
        waiting = replace(delivery, state=failed.state)
        assert controller.decide(waiting, None, delivery.created_at) == replace(
            controller.decide(waiting, None, delivery.created_at), effects=(), due_at=failed.due_at
        )
        assert controller.decide(waiting, None, failed.due_at).effects, "its time has come"

    def test_pauses_grow_to_five_minutes(self, world: World) -> None:
        delivery = world.happen(Arn=HOOK)
        pauses = [
            (self.after(delivery, Answer(reason="away"), tries=tries).due_at - delivery.created_at).total_seconds()
            for tries in range(12)
        ]
        assert pauses[:8] == [2, 4, 8, 16, 32, 64, 128, 256]
        assert set(pauses[8:]) == {300}

    @pytest.mark.parametrize(
        ("answer", "tries", "later_s", "status"),
        [
            (Answer(status=204), 0, 0, DeliveryStatus.DELIVERED),
            (Answer(status=200), 7, 0, DeliveryStatus.DELIVERED),
            (Answer(status=404), 0, 0, DeliveryStatus.FAILED),
            (Answer(status=302), 0, 0, DeliveryStatus.FAILED),
            (Answer(status=429), 0, 0, None),
            (Answer(status=500), 0, 0, None),
            (Answer(reason="refused"), 184, 0, None),
            (Answer(reason="refused"), 185, 0, DeliveryStatus.FAILED),
            (Answer(reason="refused"), 3, 86_400, DeliveryStatus.FAILED),
        ],
    )
    def test_what_is_final(
        self, world: World, answer: Answer, tries: int, later_s: float, status: DeliveryStatus | None
    ) -> None:
        decision = self.after(world.happen(Arn=HOOK), answer, tries=tries, later_s=later_s)
        assert decision.status == (None if status is None else status.value)
        assert decision.delete is (status is not None)
        assert (decision.due_at is None) is (status is not None)

    def test_what_was_sent_is_not_sent_again_while_its_answer_is_known(self, world: World) -> None:
        sent: list[Callable[[Answer | None], None]] = []
        woken: list[str] = []

        def send(_: str, __: Message, answered: Callable[[Answer | None], None]) -> None:
            sent.append(answered)

        delivery = world.happen(Arn=HOOK)
        controller = DeliveryController({}, send, wake=woken.append)
        controller.act(delivery, controller.decide(delivery, controller.observe(delivery), delivery.created_at))
        assert controller.decide(delivery, controller.observe(delivery), datetime.now(UTC)) == Decision()
        assert DeliveryController({}, send, wake=woken.append).observe(delivery) is None, (
            "after a crash nobody knows, and it is sent again"
        )
        (answered,) = sent
        answered(Answer(status=200))
        assert woken == [delivery.uid]
        decided = controller.decide(delivery, controller.observe(delivery), datetime.now(UTC))
        assert (len(sent), decided.status, decided.effects) == (1, "Delivered", ())
        answered(None)
        assert controller.observe(delivery) is None, "of what was withdrawn nothing is kept"


def test_a_rule_whose_pattern_this_release_does_not_read_waits_for_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.call("PutRule", Name="newer", EventPattern='{"source": ["shop"]}')

    def of_another_release(transaction: Transaction) -> None:
        rule = transaction.resources.find(RULE.noun, "newer")
        assert rule is not None
        transaction.resources.replace(rule, spec={**rule.spec, "EventPattern": '{"source": [{"sounds-like": "shop"}]}'})

    world.store.write(of_another_release)
    assert world.settle(world.happen(**pipeline())).status == DeliveryStatus.DELIVERED, "the other rules go on"
    assert "the rule newer waits for nothing: Event pattern is not valid" in caplog.text
    world.call("DeleteRule", Name="newer")
