"""The repository of buckets and object versions. Keys are ordered by their bytes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, delete, insert, or_, select, update

from towpath.kernel.objects import Checksum, ObjectRef, ObjectVersion, UploadRows
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import bucket as bucket_table
from towpath.store.tables import object_version, upload_part
from towpath.store.tables import upload as upload_table
from towpath.store.uploads import UploadTable, tags_column, tags_of

_NAMES_A_STATEMENT = 500  #: bound variables; older SQLite takes 999
_OF_KEY = and_(object_version.c.bucket == bindparam("of_bucket"), object_version.c.key == bindparam("of_key"))
#: What every put and get runs.
_BUCKET = Prepared(select(bucket_table.c.created_at).where(bucket_table.c.name == bindparam("of_bucket")))
_LATEST = Prepared(select(object_version).where(_OF_KEY, object_version.c.is_latest))
_VERSION = Prepared(select(object_version).where(_OF_KEY, object_version.c.version_id == bindparam("of_version")))
_NO_LONGER_LATEST = Prepared(update(object_version).where(_OF_KEY, object_version.c.is_latest).values(is_latest=False))
_INSERT = Prepared(
    insert(object_version).values(
        {column.name: bindparam(column.name) for column in object_version.c if column.name != "seq"}
    )
)
_NOTHING = to_json({})
_LAST = "\U0010ffff"  #: sorts behind every other character


def _listing(*, is_behind: bool, is_bounded: bool) -> Prepared:
    """Return the statement that lists keys from `start` on, or behind it, up to and not including `end`, if any."""
    key = object_version.c.key
    statement = select(object_version).where(
        object_version.c.bucket == bindparam("of_bucket"),
        object_version.c.is_latest,
        object_version.c.is_delete_marker.is_(False),
        key > bindparam("start") if is_behind else key >= bindparam("start"),
    )
    if is_bounded:
        statement = statement.where(key < bindparam("end"))
    return Prepared(statement.order_by(key).limit(bindparam("rows", type_=Integer)))


_LISTINGS = {
    (is_behind, is_bounded): _listing(is_behind=is_behind, is_bounded=is_bounded)
    for is_behind in (False, True)
    for is_bounded in (False, True)
}


class ObjectTable:
    """Implements `kernel.objects.ObjectRows`.

    SQLite compares text by the bytes of its UTF-8 form, which is the order that S3 promises; on PostgreSQL the columns
    need the collation "C" for the same.
    """

    def __init__(self, connection: Connection, created: Callable[[Sequence[ObjectVersion]], None]) -> None:
        self._connection = connection
        self._created = created  # delivers that they are there to those who wait for it, in this same transaction
        self.uploads: UploadRows = UploadTable(connection)

    def create_bucket(self, name: str, at: datetime) -> bool:
        if self.bucket_created_at(name) is not None:
            return False
        self._connection.execute(insert(bucket_table).values(name=name, created_at=to_epoch(at)))
        return True

    def remove_bucket(self, name: str) -> bool:
        for table in (object_version, upload_table):
            if self._connection.execute(select(table.c.key).where(table.c.bucket == name).limit(1)).first() is not None:
                return False
        self._connection.execute(delete(bucket_table).where(bucket_table.c.name == name))
        return True

    def bucket_created_at(self, name: str) -> datetime | None:
        created_at = _BUCKET(self._connection, of_bucket=name).scalar()
        return None if created_at is None else from_epoch(created_at)

    def buckets(self) -> list[tuple[str, datetime]]:
        rows = self._connection.execute(select(bucket_table).order_by(bucket_table.c.name))
        return [(row.name, from_epoch(row.created_at)) for row in rows]

    def put(self, version: ObjectVersion) -> None:
        self.put_all([version])

    def put_all(self, versions: Sequence[ObjectVersion]) -> None:
        self._put_all(versions)
        self._created(versions)

    def _put_all(self, versions: Sequence[ObjectVersion]) -> None:
        waiting = list(versions)
        while waiting:
            # Of one key, each version has to be put down before the next one can be the latest.
            together = {(version.bucket, version.key): version for version in reversed(waiting)}
            if len(together) == len(waiting):
                self._put_different(waiting)
                return
            chosen = {id(version) for version in together.values()}
            self._put_different([version for version in waiting if id(version) in chosen])
            waiting = [version for version in waiting if id(version) not in chosen]

    def _put_different(self, versions: list[ObjectVersion]) -> None:
        """Put versions of different keys; one statement for all is several times as fast."""
        keys = ({"of_bucket": version.bucket, "of_key": version.key} for version in versions)
        _NO_LONGER_LATEST.many(self._connection, keys)
        _INSERT.many(self._connection, map(_row_of, versions))

    def set_tags(self, bucket: str, key: str, version_id: str, tags: Mapping[str, str]) -> None:
        self._connection.execute(
            update(object_version)
            .where(
                object_version.c.bucket == bucket,
                object_version.c.key == key,
                object_version.c.version_id == version_id,
            )
            .values(tags=tags_column(tags))
        )

    def get(self, ref: ObjectRef) -> ObjectVersion | None:
        if ref.version_id is None:
            row = _LATEST(self._connection, of_bucket=ref.bucket, of_key=ref.key).one_or_none()
        else:
            named = {"of_bucket": ref.bucket, "of_key": ref.key, "of_version": ref.version_id}
            row = _VERSION(self._connection, **named).one_or_none()
        return None if row is None else _version(row)

    def latest(self, bucket: str, keys: Iterable[str]) -> dict[str, ObjectVersion]:
        asked = list(keys)
        found: dict[str, ObjectVersion] = {}
        for start in range(0, len(asked), _NAMES_A_STATEMENT):
            rows = self._connection.execute(
                select(object_version).where(
                    object_version.c.bucket == bucket,
                    object_version.c.key.in_(asked[start : start + _NAMES_A_STATEMENT]),
                    object_version.c.is_latest,
                    object_version.c.is_delete_marker.is_(False),
                )
            )
            found.update((row.key, _version(row)) for row in rows)
        return found

    def listing(
        self, bucket: str, prefix: str, *, after: str = "", until: str | None = None, limit: int = 1000
    ) -> list[ObjectVersion]:
        # One bound on either side: SQLite searches its index by one and would compare every key with the other.
        is_behind = after >= prefix
        ends = [end for end in (until, first_behind(prefix)) if end is not None]
        bounds = {"of_bucket": bucket, "start": after if is_behind else prefix, "rows": limit}
        if ends:
            bounds["end"] = min(ends)
        found = _LISTINGS[is_behind, bool(ends)](self._connection, **bounds)
        return [_version(row) for row in found.all()]

    def versions(self, bucket: str, key: str) -> list[ObjectVersion]:
        rows = self._connection.execute(
            select(object_version)
            .where(object_version.c.bucket == bucket, object_version.c.key == key)
            .order_by(object_version.c.seq.desc())
        )
        return [_version(row) for row in rows]

    def history(
        self, bucket: str, prefix: str, *, after: str = "", after_version: str | None = None, limit: int = 1000
    ) -> list[ObjectVersion]:
        behind = object_version.c.key > after
        if after_version is not None:
            seq = (
                select(object_version.c.seq)
                .where(
                    object_version.c.bucket == bucket,
                    object_version.c.key == after,
                    object_version.c.version_id == after_version,
                )
                .scalar_subquery()
            )
            behind |= and_(object_version.c.key == after, or_(seq.is_(None), object_version.c.seq < seq))
        statement = select(object_version).where(
            object_version.c.bucket == bucket,
            object_version.c.key >= max(prefix, after, key=str.encode),
            behind,
        )
        if (end := first_behind(prefix)) is not None:
            statement = statement.where(object_version.c.key < end)
        ordered = statement.order_by(object_version.c.key, object_version.c.seq.desc()).limit(limit)
        return [_version(row) for row in self._connection.execute(ordered)]

    def remove(self, bucket: str, key: str, version_id: str) -> ObjectVersion | None:
        removed = self.get(ObjectRef(bucket, key, version_id))
        if removed is None:
            return None
        of_key = (object_version.c.bucket == bucket) & (object_version.c.key == key)
        self._connection.execute(delete(object_version).where(of_key, object_version.c.version_id == version_id))
        if removed.is_latest:
            newest = select(object_version.c.seq).where(of_key).order_by(object_version.c.seq.desc()).limit(1)
            self._connection.execute(
                update(object_version).where(object_version.c.seq == newest.scalar_subquery()).values(is_latest=True)
            )
        return removed

    def known_blobs(self, names: Iterable[str]) -> set[str]:
        asked = list(names)
        known: set[str] = set()
        for start in range(0, len(asked), _NAMES_A_STATEMENT):
            some = asked[start : start + _NAMES_A_STATEMENT]
            for column in (object_version.c.blob, upload_part.c.blob):
                known.update(self._connection.execute(select(column).where(column.in_(some))).scalars())
        return known


def first_behind(prefix: str) -> str | None:
    """Return the first text behind all that start with `prefix`, None when there is none."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    if 0xD800 <= following <= 0xDFFF:
        following = 0xE000  # surrogates are not characters and have no UTF-8 form
    return kept[:-1] + chr(following)


def _row_of(version: ObjectVersion) -> dict[str, Any]:
    """Return the columns of a version that becomes the latest."""
    return {
        "bucket": version.bucket,
        "key": version.key,
        "version_id": version.version_id,
        "size": version.size,
        "sha256": version.sha256,
        "etag": version.etag,
        "blob": version.blob,
        "content_type": version.content_type,
        "metadata": to_json(version.metadata) if version.metadata else _NOTHING,
        "created_at": to_epoch(version.created_at),
        "created_by": version.created_by,
        "is_latest": True,
        "is_delete_marker": version.is_delete_marker,
        "tags": tags_column(version.tags),
        "checksum": None if version.checksum is None else f"{version.checksum.algorithm} {version.checksum.value}",
    }


def _version(row: Any) -> ObjectVersion:
    return ObjectVersion(
        bucket=row.bucket,
        key=row.key,
        version_id=row.version_id,
        size=row.size,
        sha256=row.sha256,
        etag=row.etag,
        blob=row.blob,
        content_type=row.content_type,
        metadata={} if row.metadata == _NOTHING else from_json(row.metadata),
        created_at=from_epoch(row.created_at),
        created_by=row.created_by,
        is_latest=bool(row.is_latest),  # prepared statements give the number that stands for it
        is_delete_marker=bool(row.is_delete_marker),
        tags=tags_of(row.tags),
        checksum=None if row.checksum is None else Checksum(*row.checksum.split(" ")),
    )
