"""Multipart uploads: parts are blobs of their own until they are joined into the object."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple
from uuid import uuid4

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import VerifiedBody, small_body
from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.conditions import check_write
from towpath.gateway.services.s3.described import checksum_members, described
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, xml_response
from towpath.gateway.services.s3.tagging import tags_of_header
from towpath.gateway.services.s3.upload_checksums import checksum_of_parts, kind_of
from towpath.gateway.services.s3.versions import check_key, current, record_access
from towpath.kernel.objects import Checksum, ObjectRef, ObjectVersion, StoredBlob, Upload, UploadPart
from towpath.kernel.ports import Transaction

SMALLEST_PART = 5 << 20  #: bytes; only the last part may be smaller
MOST_PARTS = 10_000


class Listed(NamedTuple):
    """A part as the request to complete an upload lists it."""

    number: int
    etag: str
    checksums: Mapping[str, str]  #: by algorithm; those that the client names


def create_multipart_upload(context: Context, request: S3Request) -> S3Response:
    """Carry out CreateMultipartUpload."""
    check_key(request.of_key)
    content_type, metadata = described(request.headers)
    tags = tags_of_header(request.headers)
    kind = kind_of(request.headers)

    def begin(transaction: Transaction) -> Upload:
        require_bucket(transaction.objects, request)
        upload = Upload(
            upload_id=uuid4().hex,
            bucket=request.of_bucket,
            key=request.of_key,
            content_type=content_type,
            metadata=metadata,
            tags=tags,
            checksum=kind,
            created_at=transaction.now,
            created_by=request.caller.principal,
        )
        transaction.objects.uploads.begin(upload)
        return upload

    upload = context.store.write(begin)
    document = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
    told = (
        {}
        if kind is None
        else {
            "x-amz-checksum-algorithm": kind.algorithm.upper(),
            "x-amz-checksum-type": "COMPOSITE" if kind.is_composite else "FULL_OBJECT",
        }
    )
    return xml_response("InitiateMultipartUploadResult", document, told)


def upload_part(context: Context, request: S3Request) -> S3Response:
    """Carry out UploadPart; a part sent again takes the place of the first."""
    number = part_number(request)
    upload = context.store.read(lambda transaction: require_upload(transaction, request))
    algorithm = None if upload.checksum is None else upload.checksum.algorithm
    body = VerifiedBody(request.body, request.headers, request.signatures, algorithm=algorithm)
    blob = context.objects.write(body)
    try:
        announced = body.verify(blob)
        told = announced if algorithm is None else Checksum(algorithm, body.checksum(algorithm, blob))
    except BaseException:
        context.objects.discard(blob.blob)
        raise
    part = keep_part(context, request, number, blob, None if algorithm is None or told is None else told.value)
    checksum = {} if told is None else {f"x-amz-checksum-{told.algorithm}": told.value}
    return empty_response(headers={"etag": f'"{part.etag}"', **checksum})


def keep_part(context: Context, request: S3Request, number: int, blob: StoredBlob, checksum: str | None) -> UploadPart:
    """Make stored bytes the part of that number; what was that part before is discarded.

    Args:
        checksum: of the bytes, by the algorithm of the upload; None where it has none.
    """

    def put(transaction: Transaction) -> tuple[UploadPart, UploadPart | None]:
        upload = require_upload(transaction, request)
        part = UploadPart(
            number=number,
            blob=blob.blob,
            size=blob.size,
            etag=blob.etag,
            sha256=blob.sha256,
            checksum=checksum,
            created_at=transaction.now,
        )
        return part, transaction.objects.uploads.put_part(upload.upload_id, part)

    try:
        part, before = context.store.write(put)
    except BaseException:
        context.objects.discard(blob.blob)
        raise
    if before is not None:
        context.objects.discard(before.blob)
    return part


def complete_multipart_upload(context: Context, request: S3Request) -> S3Response:
    """Carry out CompleteMultipartUpload. Asked again for a finished upload, it gives the same answer."""
    # The checksum in the headers is that of the finished object.
    body = small_body(request, checksums_are_its_own=False)
    document = from_xml(body, root="CompleteMultipartUpload", lists=frozenset({"Part"}))
    listed = _listed_parts(document)

    def find(transaction: Transaction) -> tuple[Upload, list[UploadPart]] | ObjectVersion:
        if (finished := _finished(transaction, request)) is not None:
            return finished
        upload = require_upload(transaction, request)
        check_write(request.headers, current(transaction, request))
        return upload, _chosen(listed, upload, transaction.objects.uploads.parts(upload.upload_id))

    found = context.store.read(find)
    if isinstance(found, ObjectVersion):
        return _completed(found)
    upload, parts = found
    _check_size(request, parts)
    checksum = checksum_of_parts(request.headers, upload.checksum, parts)
    try:
        blob = context.objects.write(_joined(context, upload, parts))
    except FileNotFoundError:
        # Another request may have completed the upload meanwhile, and discarded the parts under our hands.
        finished = context.store.read(lambda transaction: _finished(transaction, request))
        if finished is None:
            raise
        return _completed(finished)
    version = ObjectVersion(
        bucket=upload.bucket,
        key=upload.key,
        version_id=upload.upload_id,
        size=blob.size,
        sha256=blob.sha256,
        etag=_etag_of(parts),
        blob=blob.blob,
        content_type=upload.content_type,
        metadata=upload.metadata,
        tags=upload.tags,
        checksum=checksum,
        created_at=upload.created_at,
        created_by=upload.created_by,
    )

    def put(transaction: Transaction) -> tuple[ObjectVersion, list[UploadPart]]:
        if (finished := _finished(transaction, request)) is not None:
            return finished, []
        require_upload(transaction, request)
        check_write(request.headers, current(transaction, request))
        sent = transaction.objects.uploads.parts(upload.upload_id)
        if _chosen(listed, upload, sent) != parts:
            raise S3Error("InvalidPart", "A part was sent again while the upload was being completed; complete anew.")
        transaction.objects.put(version)
        record_access(transaction, version, request, "CompleteMultipartUpload")
        transaction.objects.uploads.end(upload.upload_id)
        return version, sent

    try:
        put_version, used = context.store.write(put)
    except BaseException:
        context.objects.discard(blob.blob)
        raise
    for part in used:
        context.objects.discard(part.blob)
    if put_version is not version:
        context.objects.discard(blob.blob)  # another request completed the upload meanwhile
    return _completed(put_version)


def abort_multipart_upload(context: Context, request: S3Request) -> S3Response:
    """Carry out AbortMultipartUpload."""

    def abort(transaction: Transaction) -> list[UploadPart]:
        upload = require_upload(transaction, request)
        parts = transaction.objects.uploads.parts(upload.upload_id)
        transaction.objects.uploads.end(upload.upload_id)
        return parts

    for part in context.freeing.write(abort):
        context.objects.discard(part.blob)
    return empty_response(204)


def upload_id_of(request: S3Request) -> str:
    """Return the upload that a request names, empty when it names none."""
    return request.parameter("uploadId") or ""


def part_number(request: S3Request) -> int:
    """Return the number of the part that a request brings.

    Raises:
        S3Error: InvalidArgument.
    """
    return number_of(request.parameter("partNumber") or "", "partNumber", 1, MOST_PARTS)


def number_of(text: str, name: str, smallest: int, largest: int) -> int:
    """Return the number that a parameter holds.

    Raises:
        S3Error: InvalidArgument, it is none from `smallest` to `largest`.
    """
    number = int(text[:10]) if text.isascii() and text.isdigit() else -1
    if not smallest <= number <= largest:
        raise S3Error("InvalidArgument", f"{name} is {text!r}; expected a number from {smallest} to {largest}.")
    return number


def require_upload(transaction: Transaction, request: S3Request) -> Upload:
    """Return the upload that a request names.

    Raises:
        S3Error: NoSuchBucket, or NoSuchUpload when it was finished, aborted or never begun.
    """
    require_bucket(transaction.objects, request)
    upload = transaction.objects.uploads.find(upload_id_of(request))
    if upload is None or (upload.bucket, upload.key) != (request.bucket, request.key):
        raise S3Error(
            "NoSuchUpload",
            f"There is no upload {upload_id_of(request)!r} to s3:/{request.resource}; it was completed, aborted or "
            "never begun.",
        )
    return upload


def _finished(transaction: Transaction, request: S3Request) -> ObjectVersion | None:
    """Return the object that this upload became, None while it is not finished: its version id is the upload's."""
    return transaction.objects.get(ObjectRef(request.of_bucket, request.of_key, upload_id_of(request)))


def _listed_parts(document: dict[str, object]) -> list[Listed]:
    """Return the parts that the request lists."""
    parts = document.get("Part")
    listed: list[Listed] = []
    for part in parts if isinstance(parts, list) else []:
        number = part.get("PartNumber", "") if isinstance(part, dict) else ""
        if not (isinstance(number, str) and number.isascii() and number.isdigit()) or "ETag" not in part:
            raise S3Error("MalformedXML", "Each Part needs a PartNumber and an ETag.")
        checksums = {
            name.removeprefix("Checksum").lower(): str(value)
            for name, value in part.items()
            if name.startswith("Checksum")
        }
        listed.append(Listed(int(number[:9]), str(part["ETag"]).strip('"'), checksums))
    if not listed:
        raise S3Error("MalformedXML", "The request lists no Part; an object is made of at least one.")
    numbers = [part.number for part in listed]
    if any(after <= before for before, after in pairwise(numbers)):
        raise S3Error("InvalidPartOrder", "The parts must be listed by rising PartNumber, each once.")
    return listed


def _chosen(listed: list[Listed], upload: Upload, sent: list[UploadPart]) -> list[UploadPart]:
    """Return the parts listed, as they were sent."""
    algorithm = "" if upload.checksum is None else upload.checksum.algorithm
    by_number = {part.number: part for part in sent}
    chosen = []
    for number, etag, checksums in listed:
        part = by_number.get(number)
        if part is None or part.etag != etag:
            reason = "was not sent" if part is None else f'has the ETag "{part.etag}"'
            raise S3Error("InvalidPart", f'Part {number} with the ETag "{etag}" is listed, but it {reason}.')
        if part.checksum is not None and checksums.get(algorithm, part.checksum) != part.checksum:
            raise S3Error(
                "InvalidPart",
                f"Part {number} is listed with the {algorithm.upper()} {checksums[algorithm]}; it has {part.checksum}.",
            )
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < SMALLEST_PART:
            raise S3Error(
                "EntityTooSmall",
                f"Part {part.number} has {part.size} bytes; all but the last need at least {SMALLEST_PART}.",
            )
    return chosen


def _check_size(request: S3Request, parts: list[UploadPart]) -> None:
    announced = request.headers.get("x-amz-mp-object-size")
    size = sum(part.size for part in parts)
    if announced is not None and announced != str(size):
        raise S3Error("InvalidRequest", f"The parts have {size} bytes together; x-amz-mp-object-size says {announced}.")


def _joined(context: Context, upload: Upload, parts: list[UploadPart]) -> Iterator[bytes]:
    """Yield the bytes of the parts one after the other."""
    for part in parts:
        stored = ObjectVersion(
            bucket=upload.bucket,
            key=upload.key,
            version_id=f"{upload.upload_id}/{part.number}",
            size=part.size,
            sha256=part.sha256,
            etag=part.etag,
            blob=part.blob,
            created_at=upload.created_at,
            created_by=upload.created_by,
        )
        yield from context.objects.read(stored)


def _etag_of(parts: list[UploadPart]) -> str:
    """Return S3's ETag of a multipart object: the MD5 of the parts' MD5s, and how many parts there were."""
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _completed(version: ObjectVersion) -> S3Response:
    document = {
        "Location": f"/{version.bucket}/{version.key}",
        "Bucket": version.bucket,
        "Key": version.key,
        "ETag": f'"{version.etag}"',
        **checksum_members(version.checksum),
    }
    return xml_response("CompleteMultipartUploadResult", document, {"x-amz-version-id": version.version_id})
