"""Who read or wrote which version of an object: one record for all that one principal did with it in an hour."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from towpath.kernel.objects import ObjectVersion
from towpath.kernel.principals import Caller

GET_OBJECT = "GetObject"
HOUR_S = 3600


class AccessKind(NamedTuple):
    """What accesses have in common that are told as one."""

    bucket: str
    key: str
    version_id: str
    principal: str
    operation: str  #: as S3 names it
    hour: int  #: since the epoch


class ObjectAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal did with one version of an object within one hour of the clock, by one operation."""

    bucket: str
    key: str
    version_id: str
    principal: str
    operation: str  #: as S3 names it; who copies an object reads its source by GetObject
    access_key: str = ""  #: that signed the first request
    request_id: str = ""  #: of the first request
    first_at: datetime
    last_at: datetime
    count: int = 1  #: requests; a large object is read by many, range by range
    number: int = 0  #: in the order in which they were recorded first; 0: not recorded yet

    @property
    def kind(self) -> AccessKind:
        """What it is counted together by."""
        hour = int(self.first_at.timestamp()) // HOUR_S
        return AccessKind(self.bucket, self.key, self.version_id, self.principal, self.operation, hour)

    @property
    def reads(self) -> bool:
        """Whether nothing was changed by it."""
        return self.operation == GET_OBJECT


def access_of(version: ObjectVersion, caller: Caller, operation: str, at: datetime) -> ObjectAccess:
    """Return that somebody did something with a version now."""
    return ObjectAccess(
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        principal=caller.principal,
        operation=operation,
        access_key=caller.access_key,
        request_id=caller.request_id,
        first_at=at,
        last_at=at,
    )


class Readers(Protocol):
    """Keeps who reads which version of an object."""

    def add(self, version: ObjectVersion, caller: Caller) -> None:
        """Take note that somebody reads a version. It costs no commit, and fails for nobody who reads."""


class NoReaders:
    """Implements `Readers`: nobody asks who reads."""

    def add(self, version: ObjectVersion, caller: Caller) -> None:
        """Do nothing."""


class AccessQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which accesses are asked for; what is None is not looked at."""

    bucket: str | None = None
    key: str | None = None
    version_id: str | None = None
    principal: str | None = None
    operation: str | None = None
    reads: bool | None = None
    access_key: str | None = None
    number: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class AccessRows(Protocol):
    """The accesses to objects, inside one transaction (implemented by `store`)."""

    def record(self, accesses: Sequence[ObjectAccess]) -> None:
        """Add accesses, each to the one of its kind that there is already."""

    def page(self, query: AccessQuery, *, before: int | None, limit: int) -> list[ObjectAccess]:
        """Return accesses, the last recorded first.

        Args:
            before: only such as were recorded before the one of this number.
        """

    def reads_below(self, uri: str) -> Iterator[ObjectAccess]:
        """Yield what was read of the objects below an S3 URI that ends with a slash, or of the one it names.

        What a principal read in one hour comes together, the earliest hour first.
        """
