"""Deleting: markers that hide, and versions that go for good where nothing refers to them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import small_body
from towpath.gateway.services.s3.buckets import require_bucket
from towpath.gateway.services.s3.conditions import check_write
from towpath.gateway.services.s3.described import header_text
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, xml_response
from towpath.gateway.services.s3.versions import check_key, current, record_access
from towpath.housekeeping.model import VersionKey
from towpath.housekeeping.ports import Transaction
from towpath.housekeeping.uses import Uses
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectRef, ObjectVersion, delete_marker

DELETE_OBJECT = "DeleteObject"  #: of DeleteObjects too, which is the same for many keys
VERSIONS_DELETED = "Object Versions Deleted"
_DELETED_AT_MOST = 1000  #: keys of one DeleteObjects


class _Deleted(NamedTuple):
    """What came of one deletion."""

    version_id: str
    is_marker: bool  #: a delete marker was put, or taken away
    removed: ObjectVersion | None = None  #: what is gone for good


def delete_object(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObject: hide the object, or remove the version that is named."""
    check_key(request.of_key)
    version = request.parameter("versionId")
    if version is not None:
        header_text("versionId", version)
    ref = ObjectRef(request.of_bucket, request.of_key, version)
    (outcome,) = _delete_all(context, request, [ref])
    if isinstance(outcome, S3Error):
        raise outcome
    marker = {"x-amz-delete-marker": "true"} if outcome.is_marker else {}
    return empty_response(204, {"x-amz-version-id": outcome.version_id, **marker})


def delete_objects(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObjects: each key by itself, so that what cannot be deleted keeps nothing else from it."""
    body = small_body(request)
    document = from_xml(body, root="Delete", lists=frozenset({"Object"}))
    wanted = [item for item in document.get("Object", []) if _names_an_object(item)]
    if not 1 <= len(wanted) <= _DELETED_AT_MOST or len(wanted) != len(document["Object"]):
        raise S3Error("MalformedXML", f"Expected 1 to {_DELETED_AT_MOST} elements Object, each with a Key.")
    refs = [ObjectRef(request.of_bucket, item["Key"], item.get("VersionId") or None) for item in wanted]
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for ref, outcome in zip(refs, _delete_all(context, request, refs), strict=True):
        told = {"Key": ref.key, "VersionId": ref.version_id}
        if isinstance(outcome, S3Error):
            errors.append({**told, "Code": outcome.code, "Message": outcome.message})
        else:
            marker = {"DeleteMarker": True, "DeleteMarkerVersionId": outcome.version_id} if outcome.is_marker else {}
            deleted.append({**told, **marker})
    quiet = document.get("Quiet") == "true"
    return xml_response("DeleteResult", {"Deleted": [] if quiet else deleted, "Error": errors})


def _delete_all(context: Context, request: S3Request, refs: Sequence[ObjectRef]) -> list[_Deleted | S3Error]:
    """Delete what is named, all in one transaction; return what came of each.

    Rows go first. The bytes of a version follow when no row names them any more: copies share them.
    """
    named = frozenset(VersionKey(ref.bucket, ref.key, ref.version_id) for ref in refs if ref.version_id is not None)
    uses = context.store.read(lambda transaction: Uses.of(transaction, named)) if named else None

    def work(transaction: Transaction) -> tuple[list[_Deleted | S3Error], set[str]]:
        require_bucket(transaction.objects, request)
        needed = {} if uses is None else uses.by_now(transaction)
        outcomes: list[_Deleted | S3Error] = []
        for ref in refs:
            try:
                outcomes.append(_delete(transaction, ref, request, needed))
            except S3Error as error:
                outcomes.append(error)
        removed = [item.removed for item in outcomes if isinstance(item, _Deleted) and item.removed is not None]
        if removed:
            _record(transaction, removed, request)
        blobs = {version.blob for version in removed if version.blob is not None}
        return outcomes, blobs - transaction.objects.known_blobs(blobs)

    outcomes, blobs = context.freeing.write(work)
    for blob in blobs:
        context.objects.discard(blob)
    return outcomes


def _delete(transaction: Transaction, ref: ObjectRef, request: S3Request, needed: dict[VersionKey, str]) -> _Deleted:
    """Put a delete marker, or remove the version that is named.

    Raises:
        S3Error: AccessDenied, something refers to the version; as `check_key` and `check_write`.
    """
    check_key(ref.key)
    if ref.version_id is None:
        if request.key is not None:
            check_write(request.headers, current(transaction, request))
        marker = delete_marker(ref, at=transaction.now, by=request.caller.principal)
        transaction.objects.put(marker)
        record_access(transaction, marker, request, DELETE_OBJECT)
        return _Deleted(marker.version_id, is_marker=True)
    user = needed.get(VersionKey(ref.bucket, ref.key, ref.version_id))
    if user is not None:
        raise S3Error(
            "AccessDenied",
            f"Version {ref.version_id} of {ref.uri} cannot be removed for good: {user} refers to it. "
            "DeleteObject without a version hides the object and keeps its versions.",
        )
    removed = transaction.objects.remove(ref.bucket, ref.key, ref.version_id)
    if removed is not None:
        record_access(transaction, removed, request, DELETE_OBJECT)
    is_marker = removed is not None and removed.is_delete_marker
    return _Deleted(ref.version_id, is_marker, None if is_marker else removed)


def _record(transaction: Transaction, removed: Iterable[ObjectVersion], request: S3Request) -> None:
    """Tell who removed which data for good."""
    versions = [
        {"S3Uri": version.uri, "VersionId": version.version_id, "Sha256": version.sha256, "Size": version.size}
        for version in removed
    ]
    transaction.events.append(
        Event(
            type=VERSIONS_DELETED,
            subject=None,
            principal=request.caller.principal,
            at=transaction.now,
            detail={"Versions": versions},
        )
    )


def _names_an_object(item: object) -> bool:
    """Return whether an element of DeleteObjects holds a key, and at most a version, as text."""
    if not isinstance(item, dict):
        return False
    key, version_id = item.get("Key"), item.get("VersionId", "")
    return isinstance(key, str) and bool(key) and isinstance(version_id, str)
