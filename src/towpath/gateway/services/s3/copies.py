"""Copies: of an object to a new version, and of an object or a range of it to a part of an upload."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from msgspec.structs import replace

from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.checksums import Digested, algorithm_of
from towpath.gateway.services.s3.conditions import check_write, is_unchanged
from towpath.gateway.services.s3.described import checksum_members, described
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, xml_response
from towpath.gateway.services.s3.tagging import tags_of_header
from towpath.gateway.services.s3.uploads import keep_part, part_number, require_upload
from towpath.gateway.services.s3.versions import check_key, current, found, record_access
from towpath.kernel.accesses import GET_OBJECT
from towpath.kernel.objects import Checksum, ObjectRef, ObjectVersion
from towpath.kernel.ports import Transaction

_SOURCE = "x-amz-copy-source"
_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{1,19})", re.ASCII)
LARGEST_COPY = 5 << 30  #: bytes


def copy_object(context: Context, request: S3Request) -> S3Response:
    """Carry out CopyObject: a new row for the same bytes, since blobs never change."""
    check_key(request.of_key)
    source = _source_of(request)
    content_type, metadata = described(request.headers)
    replaces = _replaces(request, "x-amz-metadata-directive")
    tags = tags_of_header(request.headers) if _replaces(request, "x-amz-tagging-directive") else None
    if not replaces and (source.bucket, source.key, source.version_id) == (request.bucket, request.key, None):
        raise S3Error("InvalidRequest", "The object would be copied onto itself unchanged; replace its metadata.")
    checksum = _checksum_asked_for(context, request, source)

    def copy(transaction: Transaction) -> tuple[ObjectVersion, ObjectVersion]:
        require_bucket(transaction.objects, request)
        original = _original(transaction, request, source)
        check_write(request.headers, current(transaction, request))
        version = replace(
            original,
            bucket=request.of_bucket,
            key=request.of_key,
            version_id=uuid4().hex,
            content_type=content_type if replaces else original.content_type,
            metadata=metadata if replaces else original.metadata,
            tags=original.tags if tags is None else tags,
            checksum=original.checksum if checksum is None or checksum[0] != original.ref else checksum[1],
            created_at=transaction.now,
            created_by=request.caller.principal,
            is_latest=True,
        )
        transaction.objects.put(version)
        record_access(transaction, original, request, GET_OBJECT)
        record_access(transaction, version, request, "CopyObject")
        return original, version

    original, version = context.store.write(copy)
    headers = {"x-amz-version-id": version.version_id, "x-amz-copy-source-version-id": original.version_id}
    about = {"LastModified": version.created_at, "ETag": f'"{version.etag}"', **checksum_members(version.checksum)}
    return xml_response("CopyObjectResult", about, headers)


def upload_part_copy(context: Context, request: S3Request) -> S3Response:
    """Carry out UploadPartCopy: the part's bytes come from an object, or from a range of one."""
    number = part_number(request)
    source = _source_of(request)

    def find(transaction: Transaction) -> tuple[ObjectVersion, str | None]:
        upload = require_upload(transaction, request)
        return _original(transaction, request, source), None if upload.checksum is None else upload.checksum.algorithm

    original, algorithm = context.store.read(find)
    start, end = _copied(request.headers, original)
    context.readers.add(original, request.caller)
    content = Digested(context.objects.read(original, start, end), algorithm)
    blob = context.objects.write(content)
    part = keep_part(context, request, number, blob, content.checksum)
    checksum = {} if algorithm is None else {f"Checksum{algorithm.upper()}": part.checksum}
    document = {"LastModified": part.created_at, "ETag": f'"{part.etag}"', **checksum}
    return xml_response("CopyPartResult", document, {"x-amz-copy-source-version-id": original.version_id})


def _source_of(request: S3Request) -> ObjectRef:
    """Return the object that x-amz-copy-source names.

    Raises:
        S3Error: InvalidArgument, it names none.
    """
    header = request.headers[_SOURCE]
    path, _, query = header.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    version_id = next((value for name, value in parse_qsl(query) if name == "versionId"), None)
    if not bucket or not key:
        raise S3Error("InvalidArgument", f"{_SOURCE} is {header!r}; expected BUCKET/KEY, percent-encoded.")
    return ObjectRef(bucket, key, version_id)


def _original(transaction: Transaction, request: S3Request, source: ObjectRef) -> ObjectVersion:
    """Return the version that is copied, which is what the request's conditions ask for.

    Raises:
        S3Error: PreconditionFailed, or as `versions.found`.
    """
    original = found(transaction, source)
    conditions = {
        name.removeprefix(f"{_SOURCE}-"): value
        for name, value in request.headers.items()
        if name.startswith(f"{_SOURCE}-if-")
    }
    if is_unchanged(conditions, original):
        raise S3Error("PreconditionFailed", f"{source.uri} is not what {_SOURCE}-if-… asks for.")
    return original


def _replaces(request: S3Request, header: str) -> bool:
    """Return whether a directive says REPLACE.

    Raises:
        S3Error: InvalidArgument, it says neither that nor COPY.
    """
    directive = request.headers.get(header, "COPY")
    if directive not in {"COPY", "REPLACE"}:
        raise S3Error("InvalidArgument", f"{header} is {directive[:40]!r}; expected COPY or REPLACE.")
    return directive == "REPLACE"


def _checksum_asked_for(context: Context, request: S3Request, source: ObjectRef) -> tuple[ObjectRef, Checksum] | None:
    """Return the checksum that a copy is to have and the version that it is of; None where it keeps its source's."""
    algorithm = algorithm_of(request.headers.get("x-amz-checksum-algorithm"))
    if algorithm is None:
        return None
    original = context.store.read(lambda transaction: _original(transaction, request, source))
    known = original.checksum
    if known is not None and known.algorithm == algorithm and not known.is_composite:
        return None
    content = Digested(context.objects.read(original), algorithm)
    for _ in content:
        pass
    assert content.checksum is not None, "it has an algorithm"
    return original.ref, Checksum(algorithm, content.checksum)


def _copied(headers: Mapping[str, str], original: ObjectVersion) -> tuple[int, int]:
    """Return which bytes of the source a part takes, as (start, end), `end` not included.

    Raises:
        S3Error: InvalidArgument, the range is none or lies outside; InvalidRequest, it is larger than a part may be.
    """
    header = headers.get(f"{_SOURCE}-range")
    start, end = 0, original.size
    if header is not None:
        asked = _RANGE.fullmatch(header)
        if asked is None or int(asked[1]) > int(asked[2]):
            raise S3Error(
                "InvalidArgument",
                f"{_SOURCE}-range is {header[:60]!r}; expected bytes=FIRST-LAST, counted from 0, both included.",
            )
        start, end = int(asked[1]), int(asked[2]) + 1
        if end > original.size:
            raise S3Error(
                "InvalidArgument", f"The range {header} lies outside the source, which has {original.size} bytes."
            )
    if end - start > LARGEST_COPY:
        raise S3Error("InvalidRequest", f"A part of {end - start} bytes is larger than the {LARGEST_COPY} possible.")
    return start, end
