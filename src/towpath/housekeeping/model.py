"""The values of house-keeping: how long things are kept, what there is, and what is to go."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from towpath.kernel.resource import Uid


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept that nothing needs, in days. What something refers to is kept whatever its age."""

    attempts_days: float = 7.0  #: what an ended attempt was given and made, all but its log
    logs_days: float = 90.0  #: the rest of an ended attempt: log, metrics, manifest; lines that events have written
    versions_days: float = 30.0  #: versions of objects, from the moment when a newer one took their place
    deleted_days: float = 30.0  #: deleted resources, which `undelete` brings back
    layers_days: float = 30.0  #: environment layers, from their last use
    uploads_days: float = 7.0  #: multipart uploads that were begun and never completed
    accesses_days: float = 90.0  #: who read and wrote which object, from the last time on
    limit_gb: float = 0.0  #: attempts' files, old versions and layers beyond this go before their time; 0: no limit


class VersionKey(NamedTuple):
    """Which version of which object."""

    bucket: str
    key: str
    version_id: str


class OldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an object that is not the one a reader of the key gets, or a delete marker."""

    ref: VersionKey
    size: int
    since: datetime  #: when a newer version took its place; of a latest delete marker: when it was made
    is_latest: bool = False  #: only of delete markers
    others: int = 0  #: of a latest delete marker: how many other versions the key has


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted resource."""

    uid: Uid
    kind: str
    name: str
    deleted_at: datetime


class Node(msgspec.Struct, frozen=True):
    """A node of the lineage graph, as far as house-keeping looks at it."""

    id: str
    type: str
    modified_at: datetime


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt of a job or model server, as its folder tells of it."""

    key: str
    ended_at: datetime | None  #: when it was last written to; None while it may still run
    files_bytes: int = 0  #: of everything but the log, metrics and manifest; 0 when they are gone already
    log_bytes: int = 0
    layer: str = ""  #: digest of the environment layer that it uses; empty where it uses none

    @property
    def uid(self) -> Uid:
        """The resource that it belongs to."""
        return Uid(self.key.partition("-")[0])


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """An environment layer: a folder of packages under the digest of what it was made from."""

    name: str
    size: int
    used_at: datetime


class OpenUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload that was begun and neither completed nor aborted."""

    upload_id: str
    bucket: str
    key: str
    size: int  #: of the parts that have come
    begun_at: datetime


class OldRows(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one sort that are older than they are kept, and are of no weight one by one."""

    count: int
    since: datetime  #: the last time of the oldest


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a plan is made from, as it stood at one moment."""

    live: frozenset[Uid] = frozenset()  #: resources that are not deleted
    tombstones: tuple[Tombstone, ...] = ()
    versions: tuple[OldVersion, ...] = ()
    references: dict[
        Uid, frozenset[VersionKey]
    ] = {}  #: by resource: those of `versions` and `nodes` that its documents name
    nodes: tuple[Node, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()  #: (source, destination)
    uploads: tuple[OpenUpload, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    needed: frozenset[str] = frozenset()  #: keys of attempts that a resource still looks after
    layers: tuple[Layer, ...] = ()
    accesses: OldRows | None = None  #: who read and wrote objects; None: all are young
    lines: OldRows | None = None  #: of log groups that events are written to; None: all are young


class What(StrEnum):
    """What sort of thing goes."""

    ATTEMPT_FILES = "attempt files"
    ATTEMPT = "attempt"
    VERSION = "object version"
    UPLOAD = "multipart upload"
    TOMBSTONE = "deleted resource"
    LINEAGE = "lineage node"
    LAYER = "environment layer"
    ACCESS = "record of access to objects"
    LINE = "line of a log group"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is to go."""

    what: What
    id: tuple[str, ...]  #: what its remover knows it by
    name: str  #: for people
    size: int = 0  #: bytes
    since: datetime  #: since when nothing needs it
    reason: str
    count: int = 1  #: of things that are told as one
