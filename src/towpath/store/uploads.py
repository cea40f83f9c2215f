"""The repository of multipart uploads: what was begun and which parts have come."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from towpath.kernel.objects import Upload, UploadPart
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
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
            )
        )

    def find(self, upload_id: str) -> Upload | None:
        row = self._connection.execute(select(upload).where(upload.c.upload_id == upload_id)).one_or_none()
        return None if row is None else _upload(row)

    def of(self, bucket: str, prefix: str) -> list[Upload]:
        rows = self._connection.execute(
            select(upload)
            .where(upload.c.bucket == bucket, upload.c.key >= prefix)
            .order_by(upload.c.key, upload.c.created_at)
        )
        found = []
        for row in rows:
            if not row.key.startswith(prefix):
                break  # keys are in order, so none of the later ones has the prefix either
            found.append(_upload(row))
        return found

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
    )


def _part(row: Row[Any]) -> UploadPart:
    return UploadPart(number=row.number, blob=row.blob, size=row.size, etag=row.etag, sha256=row.sha256)
