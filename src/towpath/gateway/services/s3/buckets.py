"""Operations on buckets and on the list of their keys."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import small_body
from towpath.gateway.services.s3.listing import KeyPage, Position, decode_token, encode_token, page
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, xml_response
from towpath.kernel.arns import Home
from towpath.kernel.objects import ObjectRows, ObjectVersion
from towpath.kernel.ports import Transaction

MAX_KEYS = 1000
#: Source: Amazon S3 User Guide, "General purpose bucket naming rules".
_BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!xn--)[a-z0-9](?:[a-z0-9-]|\.(?![.-]))*[a-z0-9]", re.ASCII)


def require_bucket(rows: ObjectRows, request: S3Request) -> None:
    """Refuse a request to a bucket that does not exist.

    Raises:
        S3Error: NoSuchBucket.
    """
    if rows.bucket_created_at(request.of_bucket) is None:
        raise S3Error("NoSuchBucket", f"There is no bucket {request.of_bucket!r}; create it with CreateBucket.")


def list_buckets(context: Context, request: S3Request) -> S3Response:
    """Carry out ListBuckets."""
    found = context.store.read(lambda transaction: transaction.objects.buckets())
    document = {
        "Owner": _owner(context.home),
        "Buckets": {"Bucket": [{"Name": name, "CreationDate": created_at} for name, created_at in found]},
    }
    return xml_response("ListAllMyBucketsResult", document)


def create_bucket(context: Context, request: S3Request) -> S3Response:
    """Carry out CreateBucket."""
    name, region = request.of_bucket, context.home.region
    if not 3 <= len(name) <= 63 or _BUCKET_NAME.fullmatch(name) is None:
        raise S3Error(
            "InvalidBucketName",
            f"{name!r} cannot name a bucket; expected 3 to 63 lower-case letters, digits, hyphens and dots.",
        )
    body = small_body(request)
    wanted = from_xml(body, root="CreateBucketConfiguration").get("LocationConstraint") if body else None
    if wanted and wanted != region:
        raise S3Error(
            "IllegalLocationConstraintException", f"This home is in the region {region}; the request asks for {wanted}."
        )
    created = context.store.write(lambda transaction: transaction.objects.create_bucket(name, transaction.now))
    if not created and region != "us-east-1":  # there, making one's own bucket again has always been accepted
        raise S3Error("BucketAlreadyOwnedByYou", f"The bucket {name!r} exists already.")
    return empty_response(headers={"location": f"/{name}"})


def delete_bucket(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteBucket: of a bucket that has nothing left, old versions included.

    Every bucket is versioned, and as on AWS a versioned bucket is empty only without its history. What models were made
    from is part of it, so that nothing here empties it on the way.
    """

    def remove(transaction: Transaction) -> None:
        require_bucket(transaction.objects, request)
        if not transaction.objects.remove_bucket(request.of_bucket):
            raise S3Error(
                "BucketNotEmpty",
                f"The bucket {request.of_bucket!r} holds objects, older versions or unfinished uploads. "
                "Versions that nothing refers to go with `towpath gc` once they are old enough.",
            )

    context.store.write(remove)
    return empty_response(status=204)


def head_bucket(context: Context, request: S3Request) -> S3Response:
    """Carry out HeadBucket."""
    context.store.read(lambda transaction: require_bucket(transaction.objects, request))
    return empty_response(headers={"x-amz-bucket-region": context.home.region})


def get_bucket_location(context: Context, request: S3Request) -> S3Response:
    """Carry out GetBucketLocation."""
    context.store.read(lambda transaction: require_bucket(transaction.objects, request))
    region = context.home.region
    # The answer's root is the value itself, and us-east-1 is told by leaving it empty.
    return xml_response("LocationConstraint", "" if region == "us-east-1" else region)


def get_bucket_versioning(context: Context, request: S3Request) -> S3Response:
    """Carry out GetBucketVersioning: always on here."""
    context.store.read(lambda transaction: require_bucket(transaction.objects, request))
    return xml_response("VersioningConfiguration", {"Status": "Enabled"})


def list_objects_v2(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjectsV2."""
    token, start_after = request.parameter("continuation-token"), request.parameter("start-after")
    start = decode_token(token) if token is not None else Position(text=start_after or "")
    asked = _Asked(request)
    found = asked.page(context, start)
    document = {
        **asked.echo(),
        "StartAfter": asked.encoded(start_after),
        "ContinuationToken": token,
        "NextContinuationToken": encode_token(found.next) if found.next is not None else None,
        "KeyCount": len(found.versions) + len(found.prefixes),
        "IsTruncated": found.next is not None,
        "Contents": asked.contents(found, owner=_owner(context.home) if request.parameter("fetch-owner") else None),
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListBucketResult", document)


def list_objects(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjects, the older form, which goes on from a key instead of a token."""
    asked = _Asked(request)
    marker = request.parameter("marker") or ""
    at_prefix = bool(asked.delimiter) and marker.endswith(asked.delimiter)
    found = asked.page(context, Position(text=marker, is_prefix=at_prefix))
    document = {
        **asked.echo(),
        "Marker": asked.encoded(marker),
        "NextMarker": asked.encoded(found.next.text) if found.next is not None else None,
        "IsTruncated": found.next is not None,
        "Contents": asked.contents(found, owner=_owner(context.home)),
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListBucketResult", document)


def list_object_versions(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjectVersions: all versions and delete markers, the newest of a key first."""
    asked = _Asked(request)
    key, version_id = request.parameter("key-marker") or "", request.parameter("version-id-marker") or None
    if version_id is not None and not key:
        raise S3Error("InvalidArgument", "version-id-marker goes with a key-marker.")
    at_prefix = bool(asked.delimiter) and key.endswith(asked.delimiter) and version_id is None
    start = Position(text=key, is_prefix=at_prefix, version_id=version_id)

    def fetch(rows: ObjectRows, at: Position, limit: int) -> list[ObjectVersion]:
        return rows.history(request.of_bucket, asked.prefix, after=at.after, after_version=at.version_id, limit=limit)

    found = asked.page(context, start, fetch)
    owner = _owner(context.home)
    kept = [version for version in found.versions if not version.is_delete_marker]
    markers = [version for version in found.versions if version.is_delete_marker]
    following = found.next
    document = {
        **asked.echo(),
        "KeyMarker": asked.encoded(key),
        "VersionIdMarker": version_id or "",
        "NextKeyMarker": asked.encoded(following.text) if following is not None else None,
        "NextVersionIdMarker": following.version_id if following is not None else None,
        "IsTruncated": following is not None,
        "Version": [
            {**asked.content(version, owner), "VersionId": version.version_id, "IsLatest": version.is_latest}
            for version in kept
        ],
        "DeleteMarker": [
            {
                "Key": asked.encoded(version.key),
                "VersionId": version.version_id,
                "IsLatest": version.is_latest,
                "LastModified": version.created_at,
                "Owner": owner,
            }
            for version in markers
        ],
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListVersionsResult", document)


class _Asked:
    """What all forms of listing are asked for."""

    def __init__(self, request: S3Request) -> None:
        self.request = request
        self.prefix = request.parameter("prefix") or ""
        self.delimiter = request.parameter("delimiter") or ""
        self.encoding = request.parameter("encoding-type") or None
        if self.encoding not in {None, "url"}:
            raise S3Error("InvalidArgument", f"encoding-type is {self.encoding!r}; expected url.")
        self.limit = _max_keys(request.parameter("max-keys"))

    def page(
        self,
        context: Context,
        start: Position,
        fetch: Callable[[ObjectRows, Position, int], list[ObjectVersion]] | None = None,
    ) -> KeyPage:
        """Read the page behind `start`, of the latest versions unless `fetch` finds others."""

        def latest(rows: ObjectRows, at: Position, limit: int) -> list[ObjectVersion]:
            return rows.listing(self.request.of_bucket, self.prefix, after=at.after, limit=limit)

        def read(transaction: Transaction) -> KeyPage:
            require_bucket(transaction.objects, self.request)
            rows = partial(fetch or latest, transaction.objects)
            return page(rows, prefix=self.prefix, delimiter=self.delimiter, start=start, limit=self.limit)

        return context.store.read(read)

    def encoded(self, text: str | None) -> str | None:
        """Return a key or a part of one in the encoding asked for."""
        return text if text is None or self.encoding is None else quote(text, safe="/")

    def echo(self) -> dict[str, Any]:
        """Return what the answer repeats of the request."""
        return {
            "Name": self.request.of_bucket,
            "Prefix": self.encoded(self.prefix),
            "Delimiter": self.encoded(self.delimiter) or None,
            "MaxKeys": self.limit,
            "EncodingType": self.encoding,
        }

    def contents(self, found: KeyPage, *, owner: dict[str, str] | None) -> list[dict[str, Any]]:
        """Return the keys of a page as the answer shows them."""
        return [self.content(version, owner) for version in found.versions]

    def content(self, version: ObjectVersion, owner: dict[str, str] | None) -> dict[str, Any]:
        """Return one version as the answer shows it."""
        return {
            "Key": self.encoded(version.key),
            "LastModified": version.created_at,
            "ETag": f'"{version.etag}"',
            "Size": version.size,
            "StorageClass": "STANDARD",
            "Owner": owner,
        }


def _max_keys(value: str | None) -> int:
    if value is None:
        return MAX_KEYS
    if not (value.isascii() and value.isdigit()):
        raise S3Error("InvalidArgument", f"max-keys is {value!r}; expected a number from 0 on.")
    return min(int(value[:9]), MAX_KEYS)


def _owner(home: Home) -> dict[str, str]:
    return {"ID": home.account, "DisplayName": home.account}
