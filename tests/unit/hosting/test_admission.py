"""Model servers count on the host as long as they run, and never wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from towpath.jobs.instances import GIB

if TYPE_CHECKING:
    from tests.unit.hosting.conftest import World


def held(world: World) -> list[tuple[str, float, float]]:
    return [(each.name, each.wants.cores, each.wants.memory_bytes / GIB) for each in world.queue.held()]


def serving(world: World) -> World:
    world.model()
    world.config(instances=2, InstanceType="ml.c5.large")
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    world.bring_up()
    return world


def test_model_servers_count_with_their_memory_and_not_with_their_cores(world: World) -> None:
    serving(world)
    assert world.describe()["EndpointStatus"] == "InService"
    assert held(world) == [("endpoint e", 0.0, 4.0)] * 2


def test_a_deleted_endpoint_gives_back_what_it_held(world: World) -> None:
    serving(world)
    world.call("DeleteEndpoint", EndpointName="e")
    world.run()
    for key in list(world.backend.running()):
        world.backend.end(key, stopped=True)
    world.run(60)
    assert held(world) == []


def test_a_model_server_that_died_is_counted_once_when_it_is_back(world: World) -> None:
    serving(world)
    world.backend.end(world.backend.running()[0], reason="no")
    world.run()
    assert held(world) == [("endpoint e", 0.0, 4.0)]
    world.run(5)
    world.bring_up()
    assert len(world.backend.running()) == 2
    assert held(world) == [("endpoint e", 0.0, 4.0)] * 2


def test_a_restarted_platform_counts_the_model_servers_that_run(world: World) -> None:
    serving(world)
    world.start()
    assert held(world) == []
    world.controller.restore_routes()
    assert held(world) == [("endpoint e", 0.0, 4.0)] * 2


def test_a_machine_larger_than_this_host_is_refused_where_a_setting_says_so(world: World) -> None:
    world.surroundings = replace(world.surroundings, oversized_jobs="refuse")
    world.start()
    world.model()
    world.config(InstanceType="ml.m5.4xlarge")
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    assert world.describe()["EndpointStatus"] == "Failed"
    assert "ml.m5.4xlarge has 16 cores" in world.describe()["FailureReason"]
