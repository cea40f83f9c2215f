"""Specs that are long lie in a table of their own, and those that were read last are kept decoded.

SQLite keeps what is behind a long column behind it on the disk, too: with the definition of ten thousand steps in the
row of an execution, every look at its status and every write of its revision walked over megabytes.
"""

import threading
from collections import OrderedDict
from uuid import uuid4

from sqlalchemy import Connection, bindparam, delete, insert, select

from towpath.kernel.resource import Document, Uid
from towpath.store.codec import from_json
from towpath.store.prepared import Prepared
from towpath.store.tables import long_spec

LONG_BYTES = 16_384  #: longer specs lie here
KEPT_BYTES = 16 << 20  #: of all specs that are kept decoded, by what they take in the store; the last one always is

_VERSION = Prepared(select(long_spec.c.version).where(long_spec.c.uid == bindparam("of")))
_SPEC = Prepared(select(long_spec.c.spec).where(long_spec.c.uid == bindparam("of")))
_KEEP = Prepared(insert(long_spec).values({column.name: bindparam(column.name) for column in long_spec.c}))
_DROP = Prepared(delete(long_spec).where(long_spec.c.uid == bindparam("of")))


class DecodedSpecs:
    """The long specs that were read last, each under the version that was written with it. Safe for several threads.

    No two writes have the same version, those that were undone included, so what is found under the version that stands
    in a transaction is what stands there. Nobody may change what is found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Uid, tuple[str, int, Document]] = OrderedDict()
        self._bytes = 0

    def find(self, uid: Uid, version: str) -> Document | None:
        """Return the spec of a resource if it is kept in this version."""
        with self._lock:
            kept = self._kept.get(uid)
            if kept is None or kept[0] != version:
                return None
            self._kept.move_to_end(uid)
            return kept[2]

    def keep(self, uid: Uid, version: str, size: int, spec: Document) -> None:
        """Keep a spec that takes `size` bytes in the store."""
        with self._lock:
            self._bytes += size - self._kept.pop(uid, ("", 0, {}))[1]
            self._kept[uid] = version, size, spec
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, (_, less, _) = self._kept.popitem(last=False)
                self._bytes -= less


class LongSpecTable:
    """The long specs in one transaction."""

    def __init__(self, connection: Connection, decoded: DecodedSpecs) -> None:
        self._connection = connection
        self._decoded = decoded

    def get(self, uid: Uid) -> Document:
        """Return the spec of a resource in whose row there is none."""
        version = _VERSION(self._connection, of=uid).scalar()
        assert version is not None, "a spec that is not in the row is written and removed with it"
        spec = self._decoded.find(uid, version)
        if spec is None:
            data: bytes = _SPEC(self._connection, of=uid).scalar() or b""
            spec = from_json(data)
            self._decoded.keep(uid, version, len(data), spec)
        return spec

    def put(self, uid: Uid, spec: bytes) -> None:
        """Keep a spec that is not there."""
        _KEEP(self._connection, uid=uid, version=uuid4().hex, spec=spec)

    def drop(self, uid: Uid) -> None:
        """Remove a spec if it is there."""
        _DROP(self._connection, of=uid)
