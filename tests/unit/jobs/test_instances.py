"""An instance type becomes a share of this host."""

import pytest

from towpath.jobs.instances import GIB, Capacity, Host, allocation, machine
from towpath.kernel.errors import Unsupported

LARGE = Host(cores=192, memory_bytes=2048 * GIB, gpus=8)
SMALL = Host(cores=2, memory_bytes=8 * GIB)


@pytest.mark.parametrize(
    ("instance_type", "cores", "gib", "gpus"),
    [
        ("ml.m5.large", 2, 8, 0),
        ("ml.m5.xlarge", 4, 16, 0),
        ("ml.c5.9xlarge", 36, 72, 0),
        ("ml.r5.24xlarge", 96, 768, 0),
        ("ml.t3.medium", 2, 4, 0),
        ("ml.g4dn.xlarge", 4, 16, 1),
        ("ml.g5.12xlarge", 48, 192, 4),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("ml.p3.16xlarge", 64, 488, 8),
        ("ml.p4d.24xlarge", 96, 1152, 8),
    ],
)
def test_an_instance_type_has_what_the_real_one_has(instance_type: str, cores: int, gib: int, gpus: int) -> None:
    assert machine(instance_type) == Capacity(cores=cores, memory_bytes=gib * GIB, gpus=gpus)
    allocated = allocation(instance_type, LARGE)
    assert (allocated.cores, allocated.note) == (cores, None)
    assert allocated.reserved.gpus == gpus


def test_two_jobs_that_named_no_machine_fit_on_two_cores() -> None:
    reserved = allocation("ml.m5.large", SMALL).reserved
    assert reserved == Capacity(cores=1.0, memory_bytes=GIB)
    tiny = Host(cores=2, memory_bytes=GIB)
    assert allocation("ml.m5.large", tiny).reserved.memory_bytes * 2 <= tiny.memory_bytes


def test_what_the_host_lacks_is_scaled_to_it_and_said() -> None:
    allocated = allocation("ml.g5.12xlarge", SMALL)
    assert allocated.note == ("ml.g5.12xlarge has 48 cores, 192 GB of memory, 4 GPUs, this host 2, 8 GB, none")
    assert allocated.reserved == Capacity(cores=2.0, memory_bytes=8 * GIB)
    assert allocated.cores == 2
    assert allocation("ml.c5.9xlarge", Host(cores=2, memory_bytes=100 * GIB)).note == (
        "ml.c5.9xlarge has 36 cores, this host 2"
    )


def test_an_unknown_type_gets_one_core_and_says_so() -> None:
    allocated = allocation("whatever", SMALL)
    assert allocated.note == "whatever is not an instance type known here; the job gets 1 core"
    assert (allocated.cores, allocated.memory_bytes, allocated.reserved.cores) == (1, None, 1.0)


def test_a_type_larger_than_the_host_can_be_refused() -> None:
    host = Host(cores=2, memory_bytes=8 * GIB, oversized="refuse")
    with pytest.raises(Unsupported, match=r"ml\.m5\.xlarge has 4 cores, 16 GB of memory, this host 2, 8 GB"):
        allocation("ml.m5.xlarge", host)
    assert allocation("ml.c5.large", host).note is None


@pytest.mark.parametrize(
    ("limits", "instance_type", "memory_bytes", "hold_cores"),
    [
        ("auto", "ml.m5.large", None, False),
        ("auto", "ml.c5.large", 4 * GIB, True),
        ("auto", "ml.c5.2xlarge", 16 * GIB, False),
        ("on", "ml.m5.large", 8 * GIB, True),
        ("off", "ml.c5.large", None, False),
    ],
)
def test_a_job_is_held_to_the_machine_that_somebody_chose(
    limits: str, instance_type: str, memory_bytes: int | None, hold_cores: bool
) -> None:
    allocated = allocation(instance_type, Host(cores=8, memory_bytes=24 * GIB, limits=limits))
    assert (allocated.memory_bytes, allocated.hold_cores) == (memory_bytes, hold_cores)


def test_a_limit_is_never_more_than_the_host_has() -> None:
    assert allocation("ml.m5.4xlarge", SMALL).memory_bytes == 8 * GIB


def test_several_hosts_share_what_the_machine_has() -> None:
    allocated = allocation("ml.m5.xlarge", LARGE, 3)
    assert (allocated.cores, allocated.all_cores, allocated.note) == (4, 12, None)
    assert allocated.reserved == Capacity(cores=6.0, memory_bytes=48 * GIB)
    assert allocated.memory_bytes == 48 * GIB
    scaled = allocation("ml.m5.xlarge", SMALL, 2)
    assert scaled.note == "2 instances of ml.m5.xlarge have 8 cores, 32 GB of memory, this host 2, 8 GB"
    assert (scaled.cores, scaled.memory_bytes) == (1, 8 * GIB)
    assert scaled.reserved == Capacity(cores=2.0, memory_bytes=8 * GIB)
    default = allocation("ml.m5.large", Host(cores=8, memory_bytes=64 * GIB), 3)
    assert default.reserved == Capacity(cores=3.0, memory_bytes=3 * GIB)
    assert allocation("ml.g5.12xlarge", LARGE, 2).gpus == 4
    assert allocation("ml.g5.12xlarge", LARGE, 2).reserved.gpus == 8
    unknown = allocation("whatever", SMALL, 3)
    assert (unknown.cores, unknown.reserved.cores) == (1, 2.0)
    assert unknown.note == "whatever is not an instance type known here; the job gets 1 core for each host"


def test_more_instances_than_the_host_has_room_for_can_be_refused() -> None:
    host = Host(cores=2, memory_bytes=8 * GIB, oversized="refuse")
    assert allocation("ml.m5.large", host).cores == 2
    with pytest.raises(Unsupported, match=r"2 instances of ml\.m5\.large have 4 cores, .* Name fewer or smaller"):
        allocation("ml.m5.large", host, 2)
