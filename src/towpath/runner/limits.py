"""Holds a job to its memory and cores: by the kernel where it lets us, to its memory else by measuring it."""

import os
from typing import Any

from towpath.runner import groups, tree

_MEASURE_EVERY_S = 2.0
_WATCH_EVERY_S = 0.1  #: where nobody but us keeps the job to its memory


class Limits:
    """What a job may use of memory and cores, and what it has used."""

    def __init__(self, job: dict[str, Any], *, by_kernel: bool) -> None:
        """`by_kernel`: try control groups."""
        limits = job.get("limits", {})
        self.memory_bytes: int | None = limits.get("memory_bytes")
        self.peak_bytes = 0
        self.over_memory = False  #: it went over its limit
        self._key: str = job["key"]
        self._cores: int | None = limits.get("cores") if limits.get("hold_cores") else None
        self._by_kernel = by_kernel
        self._group: groups.Group | None = None  #: where the kernel holds the job to its limits
        self._watched_bytes: int | None = None  #: limit of memory that we hold it to ourselves

    def hold(self, *pids: int) -> None:
        """Have these processes, and all that they will start, held to the limits together."""
        if self.memory_bytes is None and self._cores is None:
            return
        if self._by_kernel:
            group = groups.make(self._key, memory_bytes=self.memory_bytes, cores=self._cores)
            try:
                for pid in pids:
                    group.add(pid)
            except OSError:  # a group may be made where a process may not be moved to
                group.remove()
            else:
                self._group = group
        if self._group is None or "memory" not in self._group.folders:
            self._watched_bytes = self.memory_bytes

    @property
    def every_s(self) -> float:
        """How often to measure."""
        return _MEASURE_EVERY_S if self._watched_bytes is None else _WATCH_EVERY_S

    def measure(self) -> bool:
        """Look how much memory the job uses; return whether it has to be ended for it now."""
        job = tree.descendants(os.getpid())
        used = tree.resident_bytes(job)
        ends = False
        if self._watched_bytes is not None and used > self._watched_bytes:
            used = tree.proportional_bytes(job)  # forked workers share most of what they have
            ends = used > self._watched_bytes and not self.over_memory
            self.over_memory = self.over_memory or ends
        self.peak_bytes = max(self.peak_bytes, used)
        return ends

    def sum_up(self, peak_bytes: int) -> None:
        """Take over what the kernel knows of a process that has ended."""
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        if self._group is not None and self._group.kills():
            self.over_memory = True
            self.peak_bytes = max(self.peak_bytes, self._group.peak_bytes())

    def remove(self) -> None:
        """Give back what the kernel was asked for; the job's processes are gone."""
        if self._group is not None:
            self._group.remove()

    @property
    def mechanism(self) -> str | None:
        """How memory was limited, None where it was not."""
        if self._group is not None and "memory" in self._group.folders:
            return "cgroup"
        return None if self._watched_bytes is None else "watch"
