"""Operations on single objects."""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from msgspec.structs import replace

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import VerifiedBody, content_encoding, small_body
from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.conditions import byte_range, check_write, is_unchanged
from towpath.gateway.services.s3.model import (
    Context,
    S3Error,
    S3Request,
    S3Response,
    empty_response,
    http_date,
    xml_response,
)
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.ports import Transaction

_KEY_LIMIT = 1024  #: bytes
_METADATA_LIMIT = 2048  #: bytes, names and values together
_DELETED_AT_MOST = 1000  #: keys of one DeleteObjects
_META = "x-amz-meta-"
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_DEFAULT_TYPE = "binary/octet-stream"
#: Headers kept with an object and given back with it; among the metadata their names begin with a colon.
_KEPT_HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


def put_object(context: Context, request: S3Request) -> S3Response:
    """Carry out PutObject: the bytes first, synced, then the row that makes them visible."""
    check_key(request.of_key)
    content_type, metadata = described(request.headers)
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise S3Error("MissingContentLength", "The length of the body is missing; send Content-Length.")
    body = VerifiedBody(request.body, request.headers, request.signatures)

    def check(transaction: Transaction) -> None:
        require_bucket(transaction.objects, request)
        check_write(request.headers, current(transaction, request))

    context.store.read(check)  # so that a body that cannot be kept is refused before it is read
    blob = context.objects.write(body)
    try:
        checksums = body.verify(blob)

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
                created_at=transaction.now,
                created_by=request.caller.principal,
            )
            transaction.objects.put(version)
            return version

        version = context.store.write(put)
    except BaseException:
        context.objects.discard(blob.blob)
        raise
    return empty_response(
        headers={
            "etag": f'"{version.etag}"',
            "x-amz-version-id": version.version_id,
            **checksums,
            **({"x-amz-checksum-type": "FULL_OBJECT"} if checksums else {}),
        }
    )


def get_object(context: Context, request: S3Request) -> S3Response:
    """Carry out GetObject, streaming."""
    version = _wanted(context, request)
    headers = _headers_of(version)
    if is_unchanged(request.headers, version):
        return S3Response(status=304, headers={name: headers[name] for name in ("etag", "last-modified")})
    headers |= _overridden(request)
    wanted = byte_range(request.headers.get("range"), version.size)
    if wanted is None:
        headers |= _checksum(request, version)
        headers["content-length"] = str(version.size)
        return S3Response(headers=headers, body=_stream(context, version, 0, version.size))
    start, end = wanted
    headers["content-length"] = str(end - start)
    headers["content-range"] = f"bytes {start}-{end - 1}/{version.size}"
    return S3Response(status=206, headers=headers, body=_stream(context, version, start, end))


def head_object(context: Context, request: S3Request) -> S3Response:
    """Carry out HeadObject."""
    version = _wanted(context, request)
    headers = _headers_of(version)
    if is_unchanged(request.headers, version):
        return S3Response(status=304, headers={name: headers[name] for name in ("etag", "last-modified")})
    wanted = byte_range(request.headers.get("range"), version.size)
    if wanted is None:
        headers |= _checksum(request, version)
        headers["content-length"] = str(version.size)
        return S3Response(headers=headers)
    start, end = wanted
    headers["content-length"] = str(end - start)
    headers["content-range"] = f"bytes {start}-{end - 1}/{version.size}"
    return S3Response(status=206, headers=headers)


def copy_object(context: Context, request: S3Request) -> S3Response:
    """Carry out CopyObject: a new row for the same bytes, since blobs never change."""
    check_key(request.of_key)
    source = _source_of(request)
    content_type, metadata = described(request.headers)
    replaces = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    if not replaces and (source.bucket, source.key, source.version_id) == (request.bucket, request.key, None):
        raise S3Error("InvalidRequest", "The object would be copied onto itself unchanged; replace its metadata.")
    conditions = {
        name.removeprefix("x-amz-copy-source-"): value
        for name, value in request.headers.items()
        if name.startswith("x-amz-copy-source-if-")
    }

    def copy(transaction: Transaction) -> tuple[ObjectVersion, ObjectVersion]:
        require_bucket(transaction.objects, request)
        original = _found(transaction, source)
        if is_unchanged(conditions, original):
            raise S3Error("PreconditionFailed", f"{source.uri} is not what x-amz-copy-source-if-… asks for.")
        check_write(request.headers, current(transaction, request))
        version = replace(
            original,
            bucket=request.of_bucket,
            key=request.of_key,
            version_id=uuid4().hex,
            content_type=content_type if replaces else original.content_type,
            metadata=metadata if replaces else original.metadata,
            created_at=transaction.now,
            created_by=request.caller.principal,
            is_latest=True,
        )
        transaction.objects.put(version)
        return original, version

    original, version = context.store.write(copy)
    headers = {"x-amz-version-id": version.version_id, "x-amz-copy-source-version-id": original.version_id}
    document = {"LastModified": version.created_at, "ETag": f'"{version.etag}"'}
    return xml_response("CopyObjectResult", document, headers)


def delete_object(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObject: put a delete marker, or take one away to bring the object back."""
    check_key(request.of_key)
    version_id = request.parameter("versionId")

    def work(transaction: Transaction) -> tuple[str, bool]:
        require_bucket(transaction.objects, request)
        return _delete(transaction, ObjectRef(request.of_bucket, request.of_key, version_id), request)

    deleted_id, is_marker = context.store.write(work)
    return empty_response(
        204, {"x-amz-version-id": deleted_id, **({"x-amz-delete-marker": "true"} if is_marker else {})}
    )


def delete_objects(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObjects: each key by itself, so that what cannot be deleted keeps nothing else from it."""
    body = small_body(request)
    document = from_xml(body, root="Delete", lists=frozenset({"Object"}))
    wanted = [item for item in document.get("Object", []) if _names_an_object(item)]
    if not 1 <= len(wanted) <= _DELETED_AT_MOST or len(wanted) != len(document["Object"]):
        raise S3Error("MalformedXML", f"Expected 1 to {_DELETED_AT_MOST} elements Object, each with a Key.")

    def work(transaction: Transaction) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        require_bucket(transaction.objects, request)
        deleted: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for item in wanted:
            ref = ObjectRef(request.of_bucket, item["Key"], item.get("VersionId") or None)
            told = {"Key": ref.key, "VersionId": ref.version_id}
            try:
                check_key(ref.key)
                version_id, is_marker = _delete(transaction, ref, request)
            except S3Error as error:
                errors.append({**told, "Code": error.code, "Message": error.message})
            else:
                marker = {"DeleteMarker": True, "DeleteMarkerVersionId": version_id} if is_marker else {}
                deleted.append({**told, **marker})
        return deleted, errors

    deleted, errors = context.store.write(work)
    quiet = document.get("Quiet") == "true"
    return xml_response("DeleteResult", {"Deleted": [] if quiet else deleted, "Error": errors})


def check_key(key: str) -> None:
    """Refuse a key that S3 does not take.

    Raises:
        S3Error: KeyTooLongError, or InvalidArgument for a null character.
    """
    if (size := len(key.encode())) > _KEY_LIMIT:
        raise S3Error("KeyTooLongError", f"The key has {size} bytes of UTF-8; at most {_KEY_LIMIT} are possible.")
    if "\0" in key:
        raise S3Error("InvalidArgument", "The key holds a null character, which no file or database can keep.")


def described(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the content type and the metadata that an upload's headers give.

    Raises:
        S3Error: MetadataTooLarge.
    """
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) + len(value.encode()) for name, value in metadata.items()) > _METADATA_LIMIT:
        raise S3Error("MetadataTooLarge", f"The metadata is larger than {_METADATA_LIMIT} bytes.")
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    kept.pop("content-encoding", None)
    if (encoding := content_encoding(headers)) is not None:
        kept["content-encoding"] = encoding
    metadata |= {f":{name}": value for name, value in kept.items()}
    return headers.get("content-type") or _DEFAULT_TYPE, metadata


def current(transaction: Transaction, request: S3Request) -> ObjectVersion | None:
    """Return the latest version of the request's key, None when there is none or it was deleted."""
    version = transaction.objects.get(ObjectRef(request.of_bucket, request.of_key))
    return None if version is None or version.is_delete_marker else version


def _wanted(context: Context, request: S3Request) -> ObjectVersion:
    """Return the version that a request names.

    Raises:
        S3Error: NoSuchBucket, and as `_found`.
    """
    wanted = ObjectRef(request.of_bucket, request.of_key, request.parameter("versionId"))

    def find(transaction: Transaction) -> ObjectVersion:
        require_bucket(transaction.objects, request)
        return _found(transaction, wanted)

    return context.store.read(find)


def _found(transaction: Transaction, wanted: ObjectRef) -> ObjectVersion:
    """Return the version named, which holds data.

    Raises:
        S3Error: NoSuchKey, NoSuchVersion, or MethodNotAllowed for a delete marker named as such.
    """
    version = transaction.objects.get(wanted)
    if version is not None and not version.is_delete_marker:
        return version
    about = {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id} if version is not None else {}
    if wanted.version_id is None:
        raise S3Error("NoSuchKey", f"There is no object {wanted.uri}.", headers=about)
    if version is None:
        raise S3Error("NoSuchVersion", f"There is no version {wanted.version_id!r} of {wanted.uri}.")
    raise S3Error(
        "MethodNotAllowed", f"Version {wanted.version_id!r} is a delete marker; it has no content.", headers=about
    )


def _source_of(request: S3Request) -> ObjectRef:
    """Return the object that x-amz-copy-source names.

    Raises:
        S3Error: InvalidArgument, it names none.
    """
    header = request.headers["x-amz-copy-source"]
    path, _, query = header.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    version_id = next((value for name, value in parse_qsl(query) if name == "versionId"), None)
    if not bucket or not key:
        raise S3Error("InvalidArgument", f"x-amz-copy-source is {header!r}; expected BUCKET/KEY, percent-encoded.")
    return ObjectRef(bucket, key, version_id)


def _delete(transaction: Transaction, ref: ObjectRef, request: S3Request) -> tuple[str, bool]:
    """Put a delete marker, or remove the one that is named; return its version id and whether it is a marker.

    Raises:
        S3Error: NotImplemented, for a version with data.
    """
    if ref.version_id is None:
        marker = ObjectVersion(
            bucket=ref.bucket,
            key=ref.key,
            version_id=uuid4().hex,
            size=0,
            sha256="",
            etag="",
            blob=None,
            created_at=transaction.now,
            created_by=request.caller.principal,
            is_delete_marker=True,
        )
        transaction.objects.put(marker)
        return marker.version_id, True
    found = transaction.objects.get(ref)
    if found is not None and not found.is_delete_marker:
        raise S3Error(
            "NotImplemented",
            f"DeleteObject of version {ref.version_id} would remove data for good, which cannot be done yet, because "
            "model versions and lineage may refer to it. DeleteObject without a version hides the object.",
        )
    transaction.objects.remove(ref.bucket, ref.key, ref.version_id)
    return ref.version_id, found is not None


def _headers_of(version: ObjectVersion) -> dict[str, str]:
    return {
        "etag": f'"{version.etag}"',
        "last-modified": http_date(version.created_at),
        "content-type": version.content_type,
        "accept-ranges": "bytes",
        "x-amz-version-id": version.version_id,
        **{
            name.removeprefix(":") if name.startswith(":") else _META + name: value
            for name, value in version.metadata.items()
        },
    }


def _names_an_object(item: object) -> bool:
    """Return whether an element of DeleteObjects holds a key, and at most a version, as text."""
    if not isinstance(item, dict):
        return False
    key, version_id = item.get("Key"), item.get("VersionId", "")
    return isinstance(key, str) and bool(key) and isinstance(version_id, str)


def _overridden(request: S3Request) -> dict[str, str]:
    """Return the headers that the query asks to answer with instead of the object's own."""
    names = ("content-type", *_KEPT_HEADERS)
    values = {name: request.parameter(f"response-{name}") for name in names}
    for name, value in values.items():
        # A line end would let whoever made the link write headers of his own into our answer.
        if value is not None and not _HEADER_TEXT.fullmatch(value):
            raise S3Error("InvalidArgument", f"response-{name} is {value[:80]!r}, which no header can hold.")
    return {name: value for name, value in values.items() if value is not None}


def _checksum(request: S3Request, version: ObjectVersion) -> dict[str, str]:
    """Return the object's digest where the client asks for checksums, so that it can verify what it receives."""
    if request.headers.get("x-amz-checksum-mode", "").upper() != "ENABLED":
        return {}
    digest = base64.b64encode(bytes.fromhex(version.sha256)).decode("ascii")
    return {"x-amz-checksum-sha256": digest, "x-amz-checksum-type": "FULL_OBJECT"}


def _stream(context: Context, version: ObjectVersion, start: int, end: int) -> bytes | Iterator[bytes]:
    return context.objects.read(version, start, end) if end > start else b""
