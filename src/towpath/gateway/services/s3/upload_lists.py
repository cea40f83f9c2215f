"""What there is of multipart uploads: those that are under way, and the parts of one."""

from towpath.gateway.services.s3.buckets import Asked, owner_of
from towpath.gateway.services.s3.listing import Position
from towpath.gateway.services.s3.model import Context, S3Request, S3Response, xml_response
from towpath.gateway.services.s3.uploads import MOST_PARTS, number_of, require_upload, upload_id_of
from towpath.kernel.objects import ChecksumKind, ObjectRows, Upload, UploadPart
from towpath.kernel.ports import Transaction

_PAGE = 1000


def list_multipart_uploads(context: Context, request: S3Request) -> S3Response:
    """Carry out ListMultipartUploads: by key, and the oldest of a key first."""
    asked = Asked(request, limited_by="max-uploads")
    key = request.parameter("key-marker") or ""
    # Without a key the other marker says nothing, and S3 ignores it.
    upload_id = (request.parameter("upload-id-marker") or None) if key else None

    def under_way(rows: ObjectRows, at: Position, limit: int) -> list[Upload]:
        return rows.uploads.of(request.of_bucket, asked.prefix, after=at.after, after_upload=at.mark, limit=limit)

    found = asked.page(context, asked.position(key, upload_id), under_way, lambda upload: upload.upload_id)
    owner = owner_of(context.home)
    document = {
        "Bucket": request.of_bucket,
        "KeyMarker": asked.encoded(key),
        "UploadIdMarker": upload_id or "",
        "NextKeyMarker": asked.encoded(found.next.text) if found.next is not None else None,
        "NextUploadIdMarker": found.next.mark if found.next is not None else None,
        "Prefix": asked.encoded(asked.prefix),
        "Delimiter": asked.encoded(asked.delimiter) or None,
        "EncodingType": asked.encoding,
        "MaxUploads": asked.limit,
        "IsTruncated": found.next is not None,
        "Upload": [
            {
                "Key": asked.encoded(upload.key),
                "UploadId": upload.upload_id,
                "Initiator": {"ID": upload.created_by, "DisplayName": upload.created_by},
                "Owner": owner,
                "StorageClass": "STANDARD",
                "Initiated": upload.created_at,
                **_told(upload.checksum),
            }
            for upload in found.items
        ],
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListMultipartUploadsResult", document)


def list_parts(context: Context, request: S3Request) -> S3Response:
    """Carry out ListParts."""
    after = number_of(request.parameter("part-number-marker") or "0", "part-number-marker", 0, MOST_PARTS)
    limit = min(number_of(request.parameter("max-parts") or str(_PAGE), "max-parts", 0, 1 << 30), _PAGE)

    def find(transaction: Transaction) -> tuple[Upload, list[UploadPart]]:
        upload = require_upload(transaction, request)
        return upload, [part for part in transaction.objects.uploads.parts(upload.upload_id) if part.number > after]

    upload, parts = context.store.read(find)
    shown = parts[:limit]
    document = {
        "Bucket": request.bucket,
        "Key": request.key,
        "UploadId": upload_id_of(request),
        "Initiator": {"ID": upload.created_by, "DisplayName": upload.created_by},
        "Owner": owner_of(context.home),
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else after,
        "MaxParts": limit,
        "IsTruncated": len(parts) > limit > 0,
        "Part": [
            {
                "PartNumber": part.number,
                "LastModified": part.created_at or upload.created_at,
                "ETag": f'"{part.etag}"',
                "Size": part.size,
                **part_checksum(upload.checksum, part),
            }
            for part in shown
        ],
        "StorageClass": "STANDARD",
        **_told(upload.checksum),
    }
    return xml_response("ListPartsResult", document)


def part_checksum(kind: ChecksumKind | None, part: UploadPart) -> dict[str, str]:
    """Return the member of a document that tells of a part's checksum; none where there is none."""
    return {} if kind is None or part.checksum is None else {f"Checksum{kind.algorithm.upper()}": part.checksum}


def _told(kind: ChecksumKind | None) -> dict[str, str]:
    if kind is None:
        return {}
    return {
        "ChecksumAlgorithm": kind.algorithm.upper(),
        "ChecksumType": "COMPOSITE" if kind.is_composite else "FULL_OBJECT",
    }
