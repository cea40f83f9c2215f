"""The repository of multipart uploads: what was begun and which parts have come."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, true, tuple_

from towpath.kernel.objects import ChecksumKind, Upload, UploadPart
from towpath.store.codec import from_epoch, from_json, optional_time, to_epoch, to_json
from towpath.store.tables import upload, upload_part


class UploadTable:
    """Implements `kernel.objects.UploadRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, new: Upload) -> None:
        self._connection.execute(
            insert(upload).values(
                upload_id=new.upload_id,
                bucket=new.bucket,
                key=new.key,
                content_type=new.content_type,
                metadata=to_json(new.metadata),
                created_at=to_epoch(new.created_at),
                created_by=new.created_by,
                tags=tags_column(new.tags),
                checksum=None if new.checksum is None else _kind_column(new.checksum),
            )
        )

    def find(self, upload_id: str) -> Upload | None:
        row = self._connection.execute(select(upload).where(upload.c.upload_id == upload_id)).one_or_none()
        return None if row is None else _upload(row)

    def of(
        self, bucket: str, prefix: str, *, after: str = "", after_upload: str | None = None, limit: int = 1000
    ) -> list[Upload]:
        behind = upload.c.key > after
        if after_upload is not None:
            last = self.find(after_upload)
            begun = None if last is None else (to_epoch(last.created_at), last.upload_id)
            later = true() if begun is None else tuple_(upload.c.created_at, upload.c.upload_id) > tuple_(*begun)
            behind |= and_(upload.c.key == after, later)
        rows = self._connection.execute(
            select(upload)
            .where(upload.c.bucket == bucket, upload.c.key >= max(prefix, after, key=str.encode), behind)
            .order_by(upload.c.key, upload.c.created_at, upload.c.upload_id)
            .limit(limit)
        )
        # Keys are in order: behind the first without the prefix there is none that has it.
        return list(map(_upload, takewhile(lambda row: row.key.startswith(prefix), rows)))

    def put_part(self, upload_id: str, part: UploadPart) -> UploadPart | None:
        same = (upload_part.c.upload_id == upload_id) & (upload_part.c.number == part.number)
        row = self._connection.execute(select(upload_part).where(same)).one_or_none()
        self._connection.execute(delete(upload_part).where(same))
        self._connection.execute(
            insert(upload_part).values(
                upload_id=upload_id,
                number=part.number,
                blob=part.blob,
                size=part.size,
                etag=part.etag,
                sha256=part.sha256,
                checksum=part.checksum,
                created_at=None if part.created_at is None else to_epoch(part.created_at),
            )
        )
        return None if row is None else _part(row)

    def parts(self, upload_id: str) -> list[UploadPart]:
        rows = self._connection.execute(
            select(upload_part).where(upload_part.c.upload_id == upload_id).order_by(upload_part.c.number)
        )
        return [_part(row) for row in rows]

    def end(self, upload_id: str) -> None:
        self._connection.execute(delete(upload_part).where(upload_part.c.upload_id == upload_id))
        self._connection.execute(delete(upload).where(upload.c.upload_id == upload_id))


def _upload(row: Row[Any]) -> Upload:
    return Upload(
        upload_id=row.upload_id,
        bucket=row.bucket,
        key=row.key,
        content_type=row.content_type,
        metadata=from_json(row.metadata),
        created_at=from_epoch(row.created_at),
        created_by=row.created_by,
        tags=tags_of(row.tags),
        checksum=None if row.checksum is None else _kind(row.checksum),
    )


def tags_column(tags: Mapping[str, str]) -> bytes | None:
    """Return the tags of an object or an upload as they are stored; most have none."""
    return to_json(dict(tags)) if tags else None


def tags_of(column: bytes | None) -> dict[str, str]:
    """Return the tags that were stored."""
    return {} if column is None else from_json(column)


def _kind_column(kind: ChecksumKind) -> str:
    return f"{kind.algorithm} {'COMPOSITE' if kind.is_composite else 'FULL_OBJECT'}"


def _kind(column: str) -> ChecksumKind:
    algorithm, _, form = column.partition(" ")
    return ChecksumKind(algorithm, is_composite=form == "COMPOSITE")


def _part(row: Row[Any]) -> UploadPart:
    return UploadPart(
        number=row.number,
        blob=row.blob,
        size=row.size,
        etag=row.etag,
        sha256=row.sha256,
        checksum=row.checksum,
        created_at=optional_time(row.created_at),
    )
