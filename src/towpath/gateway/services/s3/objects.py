"""Putting and getting single objects."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from uuid import uuid4

from towpath.gateway.services.s3.bodies import VerifiedBody
from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.conditions import byte_range, check_write, is_unchanged
from towpath.gateway.services.s3.described import (
    checksum_asked_for,
    checksum_headers,
    checksum_members,
    checksum_of,
    described,
    headers_of,
    overridden,
)
from towpath.gateway.services.s3.model import (
    Context,
    S3Error,
    S3Request,
    S3Response,
    empty_response,
    http_date,
    xml_response,
)
from towpath.gateway.services.s3.tagging import tags_of_header
from towpath.gateway.services.s3.versions import check_key, current, record_access, wanted
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Transaction

_OF_PARTS = re.compile(r"[0-9a-f]{32}-([0-9]+)")  #: an ETag of an object that came in parts
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


def put_object(context: Context, request: S3Request) -> S3Response:
    """Carry out PutObject: the bytes first, synced, then the row that makes them visible."""
    check_key(request.of_key)
    content_type, metadata = described(request.headers)
    tags = tags_of_header(request.headers)
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise S3Error("MissingContentLength", "The length of the body is missing; send Content-Length.")
    body = VerifiedBody(request.body, request.headers, request.signatures)

    def check(transaction: Transaction) -> None:
        require_bucket(transaction.objects, request)
        check_write(request.headers, current(transaction, request))

    if not request.has_come:
        context.store.read(check)  # so that a body that cannot be kept is refused before it is read
    blob = context.objects.write(body)
    try:
        checksum = body.verify(blob)

        def put(transaction: Transaction) -> ObjectVersion:
            check(transaction)
            version = ObjectVersion(
                bucket=request.of_bucket,
                key=request.of_key,
                version_id=uuid4().hex,
                size=blob.size,
                sha256=blob.sha256,
                etag=blob.etag,
                blob=blob.blob,
                content_type=content_type,
                metadata=metadata,
                tags=tags,
                checksum=checksum,
                created_at=transaction.now,
                created_by=request.caller.principal,
            )
            transaction.objects.put(version)
            record_access(transaction, version, request, "PutObject")
            return version

        version = context.store.write(put)
    except BaseException:
        context.objects.discard(blob.blob)
        raise
    about = {"etag": f'"{version.etag}"', "x-amz-version-id": version.version_id}
    return empty_response(headers={**about, **checksum_headers(checksum)})


def get_object(context: Context, request: S3Request) -> S3Response:
    """Carry out GetObject, streaming."""
    version = wanted(context, request)
    answer, start, end = _about(request, version)
    if answer.status == HTTPStatus.NOT_MODIFIED:
        return answer
    context.readers.add(version, request.caller)
    if start == end:
        return answer
    return S3Response(status=answer.status, headers=answer.headers, body=_stream(context, version, start, end))


def head_object(context: Context, request: S3Request) -> S3Response:
    """Carry out HeadObject."""
    answer, _, _ = _about(request, wanted(context, request))
    return answer


def get_object_attributes(context: Context, request: S3Request) -> S3Response:
    """Carry out GetObjectAttributes."""
    asked = {name.strip() for name in request.headers.get("x-amz-object-attributes", "").split(",") if name.strip()}
    if not asked or not asked <= set(_ATTRIBUTES):
        raise S3Error(
            "InvalidArgument",
            f"x-amz-object-attributes is {', '.join(sorted(asked))!r}; expected some of {', '.join(_ATTRIBUTES)}.",
        )
    version = wanted(context, request)
    parts = _part_count(version)
    told = {
        "ETag": version.etag,
        "Checksum": checksum_members(checksum_of(version)),
        "ObjectParts": None if parts is None else {"PartsCount": parts},
        "StorageClass": "STANDARD",
        "ObjectSize": version.size,
    }
    headers = {"last-modified": http_date(version.created_at), "x-amz-version-id": version.version_id}
    return xml_response(
        "GetObjectAttributesResponse", {name: told[name] for name in _ATTRIBUTES if name in asked}, headers
    )


def _about(request: S3Request, version: ObjectVersion) -> tuple[S3Response, int, int]:
    """Return the answer to a read without its body, and which bytes that is to hold."""
    headers = headers_of(version)
    if is_unchanged(request.headers, version):
        return S3Response(status=304, headers={name: headers[name] for name in ("etag", "last-modified")}), 0, 0
    headers |= overridden(request)
    _check_part(request, version)
    part = byte_range(request.headers.get("range"), version.size)
    if part is None:
        headers |= checksum_asked_for(request, version)
        headers["content-length"] = str(version.size)
        return S3Response(headers=headers), 0, version.size
    start, end = part
    headers["content-length"] = str(end - start)
    headers["content-range"] = f"bytes {start}-{end - 1}/{version.size}"
    return S3Response(status=206, headers=headers), start, end


def _part_count(version: ObjectVersion) -> int | None:
    """Return of how many parts an object was made, None when it came as a whole."""
    of_parts = _OF_PARTS.fullmatch(version.etag)
    return None if of_parts is None else int(of_parts[1])


def _check_part(request: S3Request, version: ObjectVersion) -> None:
    """Refuse to give one part of an object back: where its parts ended is not kept.

    Raises:
        S3Error: NotImplemented, or InvalidPartNumber where there is no such part.
    """
    number = request.parameter("partNumber")
    if number is None or (number == "1" and _part_count(version) is None):
        return
    if _part_count(version) is None:
        raise S3Error("InvalidPartNumber", f"partNumber is {number[:20]!r}, but the object came as one part.")
    raise S3Error("NotImplemented", "Parts of a finished object cannot be read by number; read a range of its bytes.")


def _stream(context: Context, version: ObjectVersion, start: int, end: int) -> Iterator[bytes]:
    return context.objects.read(version, start, end)
