"""The machines that a job asks for, and which objects go to which of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.jobs.channels import PinnedInput, PinnedObject, empty_shards, input_files, shard
from towpath.jobs.cluster import Cluster, hosts_of, of_groups
from towpath.jobs.model import HostPart
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document


def pinned(name: str, count: int) -> PinnedInput:
    objects = tuple(PinnedObject(f"{name}/{n:03}", "b", f"{name}/{n:03}", "v", 1, "0") for n in range(count))
    return PinnedInput(name=name, uri=f"s3://b/{name}", path=name, objects=objects)


@given(objects=st.integers(0, 60), count=st.integers(1, 12))
def test_every_object_of_a_shard_goes_to_one_host_and_no_host_gets_two_more_than_another(
    objects: int, count: int
) -> None:
    hosts = Cluster(instance_type="ml.m5.large", count=count).hosts
    given_to = Counter(shard(position, hosts) for position in range(objects))
    assert sum(given_to.values()) == objects
    shares = [given_to[host] for host in hosts]
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True), "the first hosts get what is left over"


def test_inputs_that_are_not_sharded_are_for_every_host() -> None:
    divided, whole = pinned("divided", 3), pinned("whole", 2)
    paths = {item.ref: f"/blobs/{item.path}" for each in (divided, whole) for item in each.objects}
    files = input_files((divided, whole), paths, divided=[divided], hosts=("algo-1", "algo-2"))
    assert [(file.path, file.host) for file in files] == [
        ("divided/000", "algo-1"),
        ("divided/001", "algo-2"),
        ("divided/002", "algo-1"),
        ("whole/000", ""),
        ("whole/001", ""),
    ]
    assert {file.host for file in input_files((divided,), paths, divided=[divided])} == {""}, "one host gets everything"


def test_hosts_that_get_nothing_are_named() -> None:
    hosts = Cluster(instance_type="ml.m5.large", count=4).hosts
    assert empty_shards([pinned("a", 4), pinned("b", 2)], hosts) == (
        "input 'b' has 2 objects for 4 hosts that share them: algo-3, algo-4 get none",
    )


def test_one_host_needs_no_parts() -> None:
    assert Cluster(instance_type="ml.m5.large").parts(lambda host: {"H": host}, lambda _: {}) == ()


def test_a_part_holds_what_is_not_as_on_the_first_host() -> None:
    two = Cluster(instance_type="ml.m5.large", count=2)
    assert two.parts(lambda host: {"H": host, "SAME": "1"}, lambda host: {"f": host, "same": ""}) == (
        HostPart(name="algo-1"),
        HostPart(name="algo-2", environment={"H": "algo-2"}, files={"f": "algo-2"}),
    )


def test_a_group_without_hosts_is_refused() -> None:
    group: dict[str, object] = {"InstanceGroupName": "g", "InstanceType": "ml.m5.large", "InstanceCount": 0}
    with pytest.raises(Invalid, match="InstanceCount is 0"):
        of_groups((group,)).check()


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"ResourceConfig": {"InstanceCount": 3}}, 3),
        ({"ResourceConfig": {"InstanceGroups": [{"InstanceCount": 2}]}}, 2),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceCount": 2}}}, 2),
        ({"TransformResources": {"InstanceCount": 1}}, 1),
        ({}, 1),
    ],
)
def test_hosts_are_known_from_the_request_of_every_kind(spec: Document, count: int) -> None:
    assert hosts_of(spec) == tuple(f"algo-{number}" for number in range(1, count + 1))
