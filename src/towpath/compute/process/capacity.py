"""What this host has for jobs: its cores, memory and GPUs, less what a control group around the platform withholds."""

import os
import re
from pathlib import Path

from towpath.jobs.instances import GIB, Capacity
from towpath.runner import groups

#: Side by side on the smallest host: two steps of a pipeline may wait for each other.
LEAST_CORES = 2
_GPU = re.compile(r"nvidia\d+")
_LIMITS = {
    ("memory", 1): "memory.limit_in_bytes",
    ("memory", 2): "memory.max",
    ("cpu", 1): "cpu.cfs_quota_us",
    ("cpu", 2): "cpu.max",
}


def host_capacity() -> Capacity:
    """Return what there is here for all jobs together."""
    cores = float(len(os.sched_getaffinity(0)))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for hierarchy in groups.here():
        words = _read(hierarchy.parents[0] / _LIMITS[hierarchy.controller, hierarchy.version]).split()
        if not words or not words[0].isdigit():  # "max", or -1: no limit
            continue
        if hierarchy.controller == "memory":
            memory = min(memory, int(words[0]))
        else:
            period = words[1] if len(words) > 1 else _read(hierarchy.parents[0] / "cpu.cfs_period_us").strip()
            cores = min(cores, int(words[0]) / int(period or 100_000))
    gpus = sum(1 for device in Path("/dev").iterdir() if _GPU.fullmatch(device.name))
    return Capacity(cores=max(1.0, float(int(cores))), memory_bytes=memory, gpus=gpus)


def capacity_of(cores: int, memory_gb: float) -> Capacity:
    """Return what jobs may use together.

    Args:
        cores: 0 for the host's, at least two.
        memory_gb: 0 for the host's.
    """
    host = host_capacity()
    return Capacity(
        cores=float(cores) if cores else max(float(LEAST_CORES), host.cores),
        memory_bytes=int(memory_gb * GIB) if memory_gb else host.memory_bytes,
        gpus=host.gpus,
    )


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the group at the root has no limits, and none is no error
        return ""
