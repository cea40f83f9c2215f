"""Specs that are long lie in a table of their own, their long texts once for each content, and those that were read
last are kept decoded.

SQLite keeps what is behind a long column behind it on the disk, too: with the definition of ten thousand steps in the
row of an execution, every look at its status and every write of its revision walked over megabytes.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, bindparam, delete, exists, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_or_leave

from towpath.kernel.resource import Document, Uid
from towpath.store.codec import from_json, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import long_spec, long_spec_text, long_text

LONG_BYTES = 16_384  #: longer specs lie here
LONG_CHARACTERS = LONG_BYTES  #: longer members of a spec lie by themselves, once for all specs that have the same
KEPT_BYTES = 16 << 20  #: of all specs that are kept decoded, by what they take in the store; the last one always is

_VERSION = Prepared(select(long_spec.c.version).where(long_spec.c.uid == bindparam("of")))
_SPEC = Prepared(select(long_spec.c.spec).where(long_spec.c.uid == bindparam("of")))
_KEEP = Prepared(insert(long_spec).values({column.name: bindparam(column.name) for column in long_spec.c}))
_DROP = Prepared(delete(long_spec).where(long_spec.c.uid == bindparam("of")))
_TEXTS = Prepared(
    select(long_spec_text.c.member, long_spec_text.c.digest).where(long_spec_text.c.uid == bindparam("of"))
)
_TEXT = Prepared(select(long_text.c.text).where(long_text.c.digest == bindparam("of")))
_KEEP_TEXT = Prepared(
    insert_or_leave(long_text)
    .values({column.name: bindparam(column.name) for column in long_text.c})
    .on_conflict_do_nothing(index_elements=[long_text.c.digest])
)
_NAME_TEXT = Prepared(
    insert(long_spec_text).values({column.name: bindparam(column.name) for column in long_spec_text.c})
)
_DROP_NAMES = Prepared(delete(long_spec_text).where(long_spec_text.c.uid == bindparam("of")))
_DROP_TEXT = Prepared(
    delete(long_text).where(
        long_text.c.digest == bindparam("of"), ~exists().where(long_spec_text.c.digest == long_text.c.digest)
    )
)

K = TypeVar("K")
V = TypeVar("V")


def parted(spec: Document) -> tuple[Document, dict[str, str]]:
    """Return a spec without those members that are long texts, and these."""
    texts = {name: value for name, value in spec.items() if isinstance(value, str) and len(value) > LONG_CHARACTERS}
    return ({name: value for name, value in spec.items() if name not in texts}, texts) if texts else (spec, texts)


class _Kept(Generic[K, V]):
    """What was decoded last, each under the version that was written with it. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[str, int, V]] = OrderedDict()
        self._bytes = 0

    def find(self, key: K, version: str) -> V | None:
        """Return what is kept in this version."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != version:
                return None
            self._kept.move_to_end(key)
            return kept[2]

    def keep(self, key: K, version: str, size: int, value: V) -> None:
        """Keep something that takes `size` bytes in the store."""
        with self._lock:
            known = self._kept.pop(key, None)
            self._bytes += size - (0 if known is None else known[1])
            self._kept[key] = version, size, value
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, (_, less, _) = self._kept.popitem(last=False)
                self._bytes -= less


class DecodedSpecs(_Kept[Uid, Document]):
    """The long specs that were read last, and the long texts that they are made of.

    No two writes have the same version, those that were undone included, so what is found under the version that stands
    in a transaction is what stands there; a text is what its digest says. Nobody may change what is found.
    """

    def __init__(self) -> None:
        super().__init__()
        self.texts: _Kept[str, str] = _Kept()


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
            texts = {row.member: self._text(row.digest) for row in _TEXTS(self._connection, of=uid).all()}
            spec = {**from_json(data), **texts}
            self._decoded.keep(uid, version, len(data) + sum(map(len, texts.values())), spec)
        return spec

    def _text(self, digest: str) -> str:
        text = self._decoded.texts.find(digest, digest)
        if text is None:
            data: bytes = _TEXT(self._connection, of=digest).scalar() or b""
            text = str(from_json(data))
            self._decoded.texts.keep(digest, digest, len(data), text)
        return text

    def put(self, uid: Uid, spec: bytes, texts: Mapping[str, str]) -> None:
        """Keep a spec that is not there, and its long texts."""
        _KEEP(self._connection, uid=uid, version=uuid4().hex, spec=spec)
        for member, text in texts.items():
            data = to_json(text)
            digest = hashlib.sha256(data).hexdigest()
            _KEEP_TEXT(self._connection, digest=digest, text=data)
            _NAME_TEXT(self._connection, uid=uid, member=member, digest=digest)

    def drop(self, uid: Uid) -> list[str]:
        """Remove a spec if it is there; return the digests of its texts, which may be without a spec now."""
        digests = [row.digest for row in _TEXTS(self._connection, of=uid).all()]
        if digests:
            _DROP_NAMES(self._connection, of=uid)
        _DROP(self._connection, of=uid)
        return digests

    def sweep(self, digests: Iterable[str]) -> None:
        """Remove those of these texts that are part of no spec any more."""
        for digest in digests:
            _DROP_TEXT(self._connection, of=digest)
