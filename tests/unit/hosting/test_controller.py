"""Endpoints from creation to deletion on the real store and engine."""

from typing import Any

import pytest

from towpath.hosting.endpoint import DRAIN_S, PING_EVERY_S
from towpath.hosting.instances import MISSED_AGAIN_S
from towpath.hosting.kinds import state_of
from towpath.hosting.model import attempts_of
from towpath.kernel.errors import NotFound

World = Any  #: the fixture's class lives in conftest.py, which cannot be imported by name


@pytest.fixture
def serving(world: World) -> World:
    """An endpoint "e" in service with config "c"."""
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    world.bring_up()
    assert world.describe()["EndpointStatus"] == "InService"
    return world


def test_an_endpoint_is_creating_until_its_instances_answer(world: World) -> None:
    world.model(Environment={"SAGEMAKER_PROGRAM": "serve.py"})
    world.config(instances=2)
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert world.describe()["EndpointStatus"] == "Creating"
    world.run()
    first, second = world.backend.running()
    world.backend.ready(first)
    world.run()
    assert world.describe()["EndpointStatus"] == "Creating"
    assert world.routed() == []
    world.backend.ready(second)
    world.run()
    shown = world.describe()
    assert shown["EndpointStatus"] == "InService"
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert shown["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == "towpath"
    assert world.routed() == [first, second]
    job = world.backend.jobs[first]
    assert job.serves
    assert job.argv == ("{python}", "-m", "towpath.serving")
    assert job.environment["SAGEMAKER_PROGRAM"] == "serve.py"
    assert [(item.path, item.source, item.unpack) for item in job.inputs] == [("model", "/blobs/model.tar.gz-v1", True)]


def test_ready_is_not_enough_without_an_answer_to_ping(world: World) -> None:
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    (key,) = world.backend.running()
    world.dead.add(world.backend.address(key))
    world.backend.ready(key)
    world.run()
    assert world.describe()["EndpointStatus"] == "Creating"
    world.dead.clear()
    world.run(1)
    assert world.describe()["EndpointStatus"] == "InService"


def test_a_model_server_that_ends_at_the_start_fails_the_endpoint_with_its_own_words(world: World) -> None:
    world.model()
    world.config(instances=2)
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    first, second = world.backend.running()
    world.backend.end(first, reason="ExitCode 1: KeyError: 'weights' (inference.py line 3)")
    world.run()
    shown = world.describe()
    assert shown["EndpointStatus"] == "Failed"
    assert "KeyError: 'weights'" in shown["FailureReason"]
    assert world.backend.stopped == [second]
    assert attempts_of(world.endpoint().uid, state_of(world.endpoint())) == [first, second], "their logs can be read"
    assert world.engine.next_due() is None
    world.call("DeleteEndpoint", EndpointName="e")
    world.run()
    assert sorted(world.backend.forgotten) == [first, second]
    with pytest.raises(NotFound, match="Could not find endpoint"):
        world.describe()


def test_an_instance_that_is_not_ready_in_time_fails_the_endpoint(world: World) -> None:
    world.model()
    world.config(ContainerStartupHealthCheckTimeoutInSeconds=120)
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    world.run(119)
    assert world.describe()["EndpointStatus"] == "Creating"
    world.run(1)
    assert world.describe()["EndpointStatus"] == "Failed"
    assert "ping health check within 120 s" in world.describe()["FailureReason"]


def test_a_runner_lost_at_the_start_gets_one_more_attempt(world: World) -> None:
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    (first,) = world.backend.running()
    world.backend.lose(first)
    world.run()
    (second,) = world.backend.running()
    assert second != first
    world.backend.lose(second)
    world.run()
    assert world.describe()["EndpointStatus"] == "Failed"
    assert world.backend.running() == []


def test_a_stop_of_the_whole_platform_during_the_start_does_not_fail_the_endpoint(world: World) -> None:
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    (first,) = world.backend.running()
    world.backend.end(first, stopped=True)
    world.start()
    world.engine.wake(world.endpoint().uid)
    world.run()
    world.bring_up()
    assert world.describe()["EndpointStatus"] == "InService"


def test_an_update_switches_only_when_the_new_fleet_answers_and_drains_the_old_one(serving: World) -> None:
    (old,) = serving.routed()
    serving.model("m2")
    serving.config("c2", model="m2")
    serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
    serving.run()
    shown = serving.describe()
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "c")
    assert shown["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
    assert serving.routed() == [old]
    with serving.routes.target("e", wanted=None, position=0.0):
        serving.bring_up()
        (new,) = serving.routed()
        assert new != old
        assert serving.describe()["EndpointConfigName"] == "c2"
        assert serving.backend.stopped == [], "a request is still with the old instance"
    serving.run()
    assert serving.backend.stopped == [old]
    assert serving.backend.forgotten == [old]
    assert serving.describe()["EndpointStatus"] == "InService"
    assert serving.backend.running() == [new]


def test_a_request_that_never_ends_holds_an_update_up_for_the_drain_time_only(serving: World) -> None:
    (old,) = serving.routed()
    serving.config("c2")
    serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
    serving.run()
    with serving.routes.target("e", wanted=None, position=0.0):
        serving.bring_up()
        serving.run(DRAIN_S - 1)
        assert serving.backend.stopped == []
        serving.run(1)
        assert serving.backend.stopped == [old]


def test_an_update_that_fails_leaves_the_old_fleet_serving_and_says_why(serving: World) -> None:
    (old,) = serving.routed()
    serving.config("c2")
    serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
    serving.run()
    (new,) = set(serving.backend.running()) - {old}
    serving.backend.end(new, reason="ImportError: no torch")
    serving.run()
    shown = serving.describe()
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "c")
    assert "ImportError: no torch" in shown["FailureReason"]
    assert serving.routed() == [old]
    serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c")
    serving.run()
    serving.bring_up()
    assert "FailureReason" not in {k for k, v in serving.describe().items() if v is not None}
    assert new in serving.backend.forgotten


def test_a_model_deleted_before_the_fleet_was_planned_fails_the_update_in_words(serving: World) -> None:
    serving.model("m2")
    serving.config("c2", model="m2")
    serving.call("DeleteModel", ModelName="m2")
    serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
    serving.run()
    shown = serving.describe()
    assert shown["EndpointStatus"] == "InService"
    assert "Model 'm2'" in shown["FailureReason"]


def test_an_instance_that_dies_leaves_the_routes_and_is_started_again_with_growing_waits(serving: World) -> None:
    waits = []
    for _ in range(3):
        (key,) = serving.routed()
        serving.backend.end(key, reason="Killed")
        serving.run()
        assert serving.routed() == []
        assert serving.describe()["EndpointStatus"] == "InService"
        waited = 0
        while not serving.backend.running():
            serving.run(1)
            waited += 1
        waits.append(waited)
        serving.bring_up()
    assert waits == [1, 3, 7]
    serving.run(700)
    (key,) = serving.routed()
    serving.backend.end(key)
    serving.run()
    assert serving.backend.running(), "after a long steady run the first restart is at once"
    assert len(serving.backend.forgotten) == 2, "the logs of the last two ended attempts are kept"


def test_what_was_stopped_with_the_whole_platform_comes_back_at_once(serving: World) -> None:
    (key,) = serving.routed()
    serving.backend.end(key, stopped=True)
    serving.start()
    serving.engine.wake(serving.endpoint().uid)
    serving.run()
    serving.bring_up()
    (again,) = serving.routed()
    assert again != key


def test_a_restarted_server_adopts_what_runs(serving: World) -> None:
    routed = serving.routed()
    serving.start()
    assert serving.routed() == []
    assert len(serving.controller.restore_routes()) == 1
    assert serving.routed() == routed
    serving.engine.wake(serving.endpoint().uid)
    serving.run()
    assert serving.routed() == routed
    assert serving.backend.stopped == []


def test_looking_again_without_news_writes_nothing(serving: World) -> None:
    revision = serving.endpoint().revision
    serving.engine.wake(serving.endpoint().uid)
    serving.run()
    assert serving.endpoint().revision == revision


def test_deleting_unroutes_stops_and_leaves_a_tombstone(serving: World) -> None:
    (key,) = serving.routed()
    uid = serving.endpoint().uid
    serving.call("DeleteEndpoint", EndpointName="e")
    assert serving.describe()["EndpointStatus"] == "Deleting"
    serving.run()
    assert serving.routes.entry("e") is None
    assert serving.backend.stopped == serving.backend.forgotten == [key]
    tombstone = serving.store.read(lambda transaction: transaction.resources.get(uid))
    assert tombstone is not None and not tombstone.is_live
    assert serving.engine.next_due() is None


def test_deployment_is_an_event_and_an_edge(serving: World) -> None:
    endpoint = serving.endpoint()
    events = serving.store.read(lambda transaction: transaction.events.of(endpoint.uid))
    changes = [e.detail for e in events if e.type == "SageMaker Endpoint State Change"]
    assert [(d["PreviousEndpointStatus"], d["EndpointStatus"]) for d in changes] == [("Creating", "InService")]
    model = serving.store.read(lambda transaction: transaction.resources.find("Model", "m"))
    edges = serving.store.read(lambda transaction: transaction.lineage.edges_into(f"endpoint:{endpoint.uid}"))
    assert edges == [(f"model:{model.uid}", "ContributedTo")]


def look_on(world: World, seconds: float) -> None:
    """Let time pass while the engine looks whenever it wants to."""
    until = world.clock.now().timestamp() + seconds
    while (due := world.engine.next_due()) is not None and due.timestamp() <= until:
        world.run(max(0.0, (due - world.clock.now()).total_seconds()))
    world.run(until - world.clock.now().timestamp())


def test_an_instance_that_hangs_is_killed_and_replaced_while_another_one_answers(world: World) -> None:
    world.model()
    world.config(instances=2)
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    world.bring_up()
    hung, well = world.routed()
    world.dead.add(world.backend.address(hung))
    look_on(world, 60)
    assert world.routed() == [hung, well], "a request may take a minute, and keep its model server from answering"
    look_on(world, PING_EVERY_S + MISSED_AGAIN_S)
    assert world.routed() == [well]
    assert (world.backend.killed, world.backend.stopped) == ([hung], [])
    assert world.describe()["EndpointStatus"] == "InService"
    look_on(world, 1)
    world.bring_up()
    replaced, still = world.routed()
    assert still == well
    assert replaced not in {hung, well}


def test_an_instance_that_answers_again_before_its_time_is_over_stays(serving: World) -> None:
    (key,) = serving.routed()
    for _ in range(3):
        serving.dead.add(serving.backend.address(key))
        look_on(serving, 60)
        serving.dead.clear()
        look_on(serving, MISSED_AGAIN_S)
    look_on(serving, 300)
    assert serving.routed() == [key]
    assert serving.backend.killed == []


def test_an_instance_that_answers_requests_hangs_not_whatever_it_does_with_pings(serving: World) -> None:
    (key,) = serving.routed()
    serving.dead.add(serving.backend.address(key))
    for _ in range(20):
        look_on(serving, MISSED_AGAIN_S)
        serving.routes.answered(key)
    assert serving.routed() == [key]
    assert serving.backend.killed == []


def test_a_platform_that_slept_asks_as_often_as_one_that_did_not(serving: World) -> None:
    (key,) = serving.routed()
    serving.dead.add(serving.backend.address(key))
    look_on(serving, PING_EVERY_S)
    serving.run(3600)
    assert serving.routed() == [key], "both slept, perhaps"


def test_looking_at_a_healthy_instance_again_and_again_writes_nothing(serving: World) -> None:
    revision = serving.endpoint().revision
    look_on(serving, 300)
    assert serving.endpoint().revision == revision


def test_another_count_starts_and_drains_instances_of_the_fleet_that_serves(serving: World) -> None:
    (first,) = serving.routed()
    more = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}]
    serving.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=more)
    serving.run()
    shown = serving.describe()
    assert shown["EndpointStatus"] == "Updating"
    assert shown["EndpointConfigName"] == "c"
    (variant,) = shown["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 3)
    assert serving.routed() == [first], "what comes up gets no requests"
    serving.bring_up()
    shown = serving.describe()
    assert shown["EndpointStatus"] == "InService"
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    kept, *others = serving.routed()
    assert (kept, len(others)) == (first, 2)

    fewer = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}]
    with serving.routes.target("e", wanted=None, position=0.0, without=frozenset({first})) as busy:
        serving.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=fewer)
        serving.run()
        assert serving.describe()["EndpointStatus"] == "InService"
        assert serving.routed() == [first]
        assert busy.key in serving.backend.running(), "its request is answered first"
    serving.run()
    assert serving.backend.running() == [first]
    assert sorted(serving.backend.forgotten) == sorted(others)

    serving.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=more)
    serving.run()
    serving.bring_up()
    assert not set(serving.routed()) & set(others), "no key is used twice"


def test_an_instance_that_cannot_be_added_leaves_all_as_it_was_and_is_told(serving: World) -> None:
    (first,) = serving.routed()
    more = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 5}]
    serving.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=more)
    serving.run()
    (second,) = set(serving.backend.running()) - {first}
    serving.backend.end(second, reason="MemoryError")
    serving.run()
    shown = serving.describe()
    assert shown["EndpointStatus"] == "InService"
    assert "Instance 1 of variant 'AllTraffic' could not be started: MemoryError" in shown["FailureReason"]
    (variant,) = shown["ProductionVariants"]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (1, 1.0)
    assert serving.backend.running() == [first]
    assert serving.backend.forgotten == [second]


def test_an_update_keeps_weights_and_counts_where_that_is_asked(serving: World) -> None:
    more = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 5}]
    serving.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=more)
    serving.run()
    serving.bring_up()
    serving.config("next")
    for asked, count, weight in (
        ({"RetainAllVariantProperties": True}, 2, 5.0),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            2,
            1.0,
        ),
        ({}, 1, 1.0),
    ):
        serving.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="next", **asked)
        serving.run()
        serving.bring_up()
        (variant,) = serving.describe()["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (count, weight)
