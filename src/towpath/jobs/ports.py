"""Where jobs run, as the rest of the platform sees it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from towpath.jobs.admission import Demand
from towpath.jobs.model import Capabilities, JobObservation, JobSpec, LogPage, MetricPoint
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.ports import Transaction


class ComputeBackend(Protocol):
    """Runs jobs somewhere. All is addressed by the job's deterministic key, so a restarted platform needs no handle.

    Promises: a second `submit` with the same key starts nothing; `observe` never starts anything; after a crash of the
    platform, the runner or the host, `observe` tells the truth from what is on disk.
    """

    capabilities: Capabilities

    def submit(self, job: JobSpec) -> None:
        """Start the job unless its key was submitted before. Durable before anything runs."""

    def observe(self, key: str) -> JobObservation:
        """Return how the attempt stands now."""

    def stop(self, key: str, *, at_once: bool = False) -> None:
        """Ask the attempt to stop (SIGTERM, then SIGKILL after the grace time; SIGKILL at once if so asked)."""

    def log(self, key: str, *, host: str = "", start: int = 0, limit: int = 10_000) -> LogPage:
        """Return lines of the output from a byte offset on; a negative `start` counts from the end of the file.

        `host`: name of a host behind the first of the job's list; empty: the first one, which the platform speaks in
        too, or the only one.
        """

    def metrics(self, key: str) -> list[MetricPoint]:
        """Return every metric value read so far, oldest first."""

    def drop(self, key: str, *, until: int) -> None:
        """Remove the increments up to this number, which have been adopted; a repeat does nothing.

        Until then `observe` tells of them, whatever dies. Of each file the newest waits; the older ones of it may go.
        """

    def address(self, key: str) -> str:
        """Return the path of the Unix socket on which a serving job answers HTTP."""

    def tidy(self, key: str) -> None:
        """Remove what an ended attempt worked on and staged; log, metrics and manifest stay. To be called once its
        outputs have been adopted; a repeat does nothing."""

    def is_tidy(self, key: str) -> bool:
        """Return whether there is nothing that `tidy` would remove."""

    def forget(self, key: str) -> None:
        """Remove the attempt's folder; the job must have ended and its outputs been adopted."""

    def watch(self, wake: Callable[[str], None]) -> None:
        """Call `wake(key)` whenever an attempt started, got ready, read a metric, staged an increment or ended. Calls
        may repeat, and after a restart one call is made for each attempt that is still on disk."""

    def close(self) -> None:
        """Stop watching; jobs go on."""


class Admission(Protocol):
    """Says who may start on this host now. What it knows is lost with the process; `hold` and `ask` tell it again.

    It only sums up what the store and the back ends say already, so controllers tell it of what they see while they
    observe: a repeat changes nothing, and nobody who decides sees more of it than its answer. As an effect each call
    would cost its job a commit of its own (docs/decisions/0012-admission.md).

    Whoever waits is woken when its turn comes, and may start then even if it asks a second time.
    """

    def ask(self, demand: Demand) -> str | None:
        """Return None when the job may start, which holds what it wants; else what it waits for, having queued it."""

    def hold(self, demand: Demand) -> None:
        """Count what runs already, or what starts without waiting."""

    def release(self, key: str) -> None:
        """Give back what is held under a key, or leave the queue; a repeat does nothing."""


class AlwaysAdmitted:
    """Implements `Admission` for a host without limits."""

    def ask(self, demand: Demand) -> str | None:
        """Return None: there is room."""
        return None

    def hold(self, demand: Demand) -> None:
        """Count nothing."""

    def release(self, key: str) -> None:
        """Give nothing back."""


class CodeTrees(Protocol):
    """Tells what code archives hold. What was read once is remembered by its content."""

    def files(self, archive: ObjectVersion) -> Mapping[str, str] | None:
        """Return the files of a tar archive: path -> SHA-256 of the content, with an `x` behind it where the file can
        be executed; of a link, where it leads. None when it is no archive that can be read, or an overly large one.

        Raises:
            OSError: its bytes are gone, or the disk does not give them.
        """


class SecretEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A secret, without its value."""

    name: str
    changed_at: datetime


class SecretStore(Protocol):
    """Keeps secrets by name. Durable when a call returns; setting or removing again changes nothing."""

    def put(self, name: str, value: str, *, at: datetime) -> None:
        """Set a secret, or replace its value."""

    def remove(self, name: str) -> bool:
        """Remove a secret; return whether there was one."""

    def entries(self) -> list[SecretEntry]:
        """Return all secrets without their values, by name."""

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of those that are set; for handing them to a job, and for nothing else."""


class DatasetUse(Protocol):
    """A dataset version, and those of a job's inputs that belong to it."""

    @property
    def name(self) -> str:
        """DATASET/VERSION."""

    @property
    def refs(self) -> tuple[ObjectRef, ...]:
        """The inputs."""


class CheckOut(Protocol):
    """Records that a job reads these objects, and returns the dataset versions that they belong to."""

    def __call__(
        self, transaction: Transaction, refs: Iterable[ObjectRef], *, principal: str, reader: str
    ) -> Sequence[DatasetUse]: ...


def no_datasets(
    transaction: Transaction, refs: Iterable[ObjectRef], *, principal: str, reader: str
) -> Sequence[DatasetUse]:
    """Implements `CheckOut` for a platform without datasets."""
    return ()
