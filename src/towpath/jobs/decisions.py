"""What a look at a job finds, and what a decision about it asks for: effects on the world, facts for the store."""

from collections.abc import Mapping

import msgspec

from towpath.jobs.channels import PinnedInput
from towpath.jobs.images import Environment
from towpath.jobs.model import JobObservation, JobSpec, MetricPoint
from towpath.jobs.state import Place
from towpath.kernel.objects import ObjectRef, ObjectVersion, StoredBlob
from towpath.kernel.ports import Measured
from towpath.kernel.resource import Uid
from towpath.lineage import Graph


class Adopt(msgspec.Struct, frozen=True):
    """Effect: take staged files of an attempt in among the blobs, before the transaction that makes them visible."""

    key: str
    files: tuple[tuple[str, StoredBlob], ...]  #: path of the staged file, and the blob that it becomes
    until: Place  #: they are what the attempt made up to here, as far as it was not taken in before


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """How the world around a job stands."""

    backend: JobObservation  #: of an attempt that goes on, and has nothing to publish, this and `series` are all
    inputs: tuple[PinnedInput, ...] = ()  #: of the attempt under way, or looked up for the first one
    paths: Mapping[ObjectRef, str] = msgspec.field(default_factory=dict)
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    execution: tuple[Uid, str] | None = None  #: uid and ARN of the pipeline execution that started the job
    environment: Environment | None = None  #: what the image stands for; there wherever an attempt may begin
    problem: str | None = None  #: why the job cannot be started
    waits: str | None = None  #: what of the host it has to wait for before it may start
    series: tuple[MetricPoint, ...] = ()  #: all values of metrics so far
    awaited: Adopt | None = None  #: what is to be taken in before the next portion is published
    untidy: tuple[str, ...] = ()  #: attempts of an ended job whose working copies are still there


class Submit(msgspec.Struct, frozen=True):
    """Effect: hand the attempt to the back end."""

    job: JobSpec


class Stop(msgspec.Struct, frozen=True):
    """Effect: ask the attempt to stop."""

    key: str


class Drop(msgspec.Struct, frozen=True):
    """Effect: remove the staged increments of an attempt up to a number, which have been published."""

    key: str
    until: int


class Release(msgspec.Struct, frozen=True):
    """Effect: give back what the job held of the host, or its place in the queue."""

    key: str


class Tidy(msgspec.Struct, frozen=True):
    """Effect: remove what an ended attempt worked on."""

    key: str


class Record(msgspec.Struct, frozen=True):
    """Fact: something for the lineage."""

    graph: Graph


class Measure(msgspec.Struct, frozen=True):
    """Fact: values of metrics that came since the last look."""

    values: tuple[Measured, ...]


class Read(msgspec.Struct, frozen=True):
    """Fact: the job is given these inputs."""

    inputs: tuple[PinnedInput, ...]


class Publish(msgspec.Struct, frozen=True):
    """Fact: staged files of an attempt become object versions."""

    key: str
    versions: tuple[tuple[ObjectVersion, str], ...]  #: version and path of its staged file
    until: Place  #: where they end
