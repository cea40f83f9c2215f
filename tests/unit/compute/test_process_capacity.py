"""What this host has for jobs."""

import os

from towpath.compute.process.capacity import capacity_of, host_capacity
from towpath.jobs.instances import GIB


def test_a_host_has_cores_and_memory() -> None:
    found = host_capacity()
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert 0 < found.memory_bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_settings_say_what_of_it_jobs_may_use() -> None:
    found = capacity_of(8, 1.5)
    assert (found.cores, found.memory_bytes) == (8.0, GIB * 3 // 2)
    assert capacity_of(0, 0.0).memory_bytes == host_capacity().memory_bytes
    assert capacity_of(0, 0.0).cores >= 2, "two steps run side by side everywhere"
