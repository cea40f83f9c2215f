"""Operations on single objects."""

import base64
from collections.abc import Iterator, Mapping
from uuid import uuid4

from towpath.gateway.services.s3.bodies import VerifiedBody, content_encoding
from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.conditions import byte_range, check_write, is_unchanged
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, http_date
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.ports import Transaction

_KEY_LIMIT = 1024  #: bytes
_METADATA_LIMIT = 2048  #: bytes, names and values together
_META = "x-amz-meta-"
_DEFAULT_TYPE = "binary/octet-stream"
#: Headers kept with an object and given back with it; among the metadata their names begin with a colon.
_KEPT_HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


def put_object(context: Context, request: S3Request) -> S3Response:
    """Carry out PutObject: the bytes first, synced, then the row that makes them visible."""
    check_key(request.of_key)
    content_type, metadata = described(request.headers)
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise S3Error("MissingContentLength", "The length of the body is missing; send Content-Length.")
    body = VerifiedBody(request.body, request.headers)

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


def delete_object(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObject: put a delete marker, or take one away to bring the object back."""
    version_id = request.parameter("versionId")

    def delete(transaction: Transaction) -> dict[str, str]:
        require_bucket(transaction.objects, request)
        if version_id is None:
            marker = ObjectVersion(
                bucket=request.of_bucket,
                key=request.of_key,
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
            return {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
        found = transaction.objects.get(ObjectRef(request.of_bucket, request.of_key, version_id))
        if found is not None and not found.is_delete_marker:
            raise S3Error(
                "NotImplemented",
                f"DeleteObject of version {version_id} would remove data for good, which cannot be done yet, because "
                "model versions and lineage may refer to it. DeleteObject without a version hides the object.",
            )
        transaction.objects.remove(request.of_bucket, request.of_key, version_id)
        return {"x-amz-version-id": version_id, **({"x-amz-delete-marker": "true"} if found is not None else {})}

    check_key(request.of_key)
    return empty_response(204, context.store.write(delete))


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
        S3Error: NoSuchBucket, NoSuchKey, NoSuchVersion, or MethodNotAllowed for a delete marker named as such.
    """
    version_id = request.parameter("versionId")

    def find(transaction: Transaction) -> ObjectVersion | None:
        require_bucket(transaction.objects, request)
        return transaction.objects.get(ObjectRef(request.of_bucket, request.of_key, version_id))

    version = context.store.read(find)
    if version is not None and not version.is_delete_marker:
        return version
    about = {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id} if version is not None else {}
    if version_id is None:
        raise S3Error("NoSuchKey", f"There is no object s3:/{request.resource}.", headers=about)
    if version is None:
        raise S3Error("NoSuchVersion", f"There is no version {version_id!r} of s3:/{request.resource}.")
    raise S3Error("MethodNotAllowed", f"Version {version_id!r} is a delete marker; it has no content.", headers=about)


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


def _overridden(request: S3Request) -> dict[str, str]:
    """Return the headers that the query asks to answer with instead of the object's own."""
    names = ("content-type", *_KEPT_HEADERS)
    values = {name: request.parameter(f"response-{name}") for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _checksum(request: S3Request, version: ObjectVersion) -> dict[str, str]:
    """Return the object's digest where the client asks for checksums, so that it can verify what it receives."""
    if request.headers.get("x-amz-checksum-mode", "").upper() != "ENABLED":
        return {}
    digest = base64.b64encode(bytes.fromhex(version.sha256)).decode("ascii")
    return {"x-amz-checksum-sha256": digest, "x-amz-checksum-type": "FULL_OBJECT"}


def _stream(context: Context, version: ObjectVersion, start: int, end: int) -> bytes | Iterator[bytes]:
    return context.objects.read(version, start, end) if end > start else b""
