"""Which version of which object a request is about."""

from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.model import Context, S3Error, S3Request
from towpath.kernel.accesses import access_of
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.ports import Transaction

_KEY_LIMIT = 1024  #: bytes


def check_key(key: str) -> None:
    """Refuse a key that S3 does not take.

    Raises:
        S3Error: KeyTooLongError, or InvalidArgument for a null character.
    """
    if (size := len(key.encode())) > _KEY_LIMIT:
        raise S3Error("KeyTooLongError", f"The key has {size} bytes of UTF-8; at most {_KEY_LIMIT} are possible.")
    if "\0" in key:
        raise S3Error("InvalidArgument", "The key holds a null character, which no file or database can keep.")


def current(transaction: Transaction, request: S3Request) -> ObjectVersion | None:
    """Return the latest version of the request's key, None when there is none or it was deleted."""
    version = transaction.objects.get(ObjectRef(request.of_bucket, request.of_key))
    return None if version is None or version.is_delete_marker else version


def record_access(transaction: Transaction, version: ObjectVersion, request: S3Request, operation: str) -> None:
    """Record who did what with a version, in the transaction in which it is done."""
    transaction.accesses.record([access_of(version, request.caller, operation, transaction.now)])


def wanted(context: Context, request: S3Request) -> ObjectVersion:
    """Return the version that a request names.

    Raises:
        S3Error: as `wanted_in`.
    """
    return context.store.read(lambda transaction: wanted_in(transaction, request))


def wanted_in(transaction: Transaction, request: S3Request) -> ObjectVersion:
    """Return the version that a request names, inside a transaction.

    Raises:
        S3Error: NoSuchBucket, and as `found`.
    """
    require_bucket(transaction.objects, request)
    return found(transaction, ObjectRef(request.of_bucket, request.of_key, request.parameter("versionId")))


def found(transaction: Transaction, ref: ObjectRef) -> ObjectVersion:
    """Return the version named, which holds data.

    Raises:
        S3Error: NoSuchKey, NoSuchVersion, or MethodNotAllowed for a delete marker named as such.
    """
    version = transaction.objects.get(ref)
    if version is not None and not version.is_delete_marker:
        return version
    about = {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id} if version is not None else {}
    if ref.version_id is None:
        raise S3Error("NoSuchKey", f"There is no object {ref.uri}.", headers=about)
    if version is None:
        raise S3Error("NoSuchVersion", f"There is no version {ref.version_id!r} of {ref.uri}.")
    raise S3Error(
        "MethodNotAllowed", f"Version {ref.version_id!r} is a delete marker; it has no content.", headers=about
    )
