"""Operations on buckets and on the list of their keys."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import small_body
from towpath.gateway.services.s3.described import type_of
from towpath.gateway.services.s3.listing import Keyed, KeyPage, Position, decode_token, encode_token, page
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, xml_response
from towpath.kernel.arns import Home
from towpath.kernel.objects import ObjectRows, ObjectVersion
from towpath.kernel.ports import Transaction

T = TypeVar("T", bound=Keyed)

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
        "Owner": owner_of(context.home),
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

    Every bucket is versioned, and as on AWS a versioned bucket is empty only without its history.
    """

    def remove(transaction: Transaction) -> None:
        require_bucket(transaction.objects, request)
        if not transaction.objects.remove_bucket(request.of_bucket):
            raise S3Error(
                "BucketNotEmpty",
                f"The bucket {request.of_bucket!r} holds objects, older versions or unfinished uploads. "
                "Versions that nothing refers to go by DeleteObject with their VersionId, or with `towpath gc`.",
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


def put_bucket_versioning(context: Context, request: S3Request) -> S3Response:
    """Carry out PutBucketVersioning: what is on already may be switched on, and nothing switches it off."""
    asked = from_xml(small_body(request), root="VersioningConfiguration")
    context.store.read(lambda transaction: require_bucket(transaction.objects, request))
    if asked.get("MfaDelete") == "Enabled":
        raise S3Error("NotImplemented", "MfaDelete is not built: deletions ask for no second factor here.")
    if asked.get("Status") != "Enabled":
        raise S3Error(
            "InvalidBucketState",
            f"Every bucket is versioned here, since lineage and recovery refer to versions; Status is "
            f"{asked.get('Status')!r}, expected 'Enabled'. `towpath gc` removes versions that nothing refers to.",
        )
    return empty_response()


def list_objects_v2(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjectsV2."""
    token, start_after = request.parameter("continuation-token"), request.parameter("start-after")
    start = decode_token(token) if token is not None else Position(text=start_after or "")
    asked = Asked(request)
    found = asked.page(context, start, asked.latest)
    document = {
        **asked.echo(),
        "StartAfter": asked.encoded(start_after),
        "ContinuationToken": token,
        "NextContinuationToken": encode_token(found.next) if found.next is not None else None,
        "KeyCount": len(found.items) + len(found.prefixes),
        "IsTruncated": found.next is not None,
        "Contents": asked.contents(found, owner=owner_of(context.home) if request.parameter("fetch-owner") else None),
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListBucketResult", document)


def list_objects(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjects, the older form, which goes on from a key instead of a token.

    Without a delimiter the next page goes on from the last key, which the client has seen: S3 names it no second time.
    """
    asked = Asked(request)
    marker = request.parameter("marker") or ""
    found = asked.page(context, asked.position(marker), asked.latest)
    named = found.next if asked.delimiter else None
    document = {
        **asked.echo(),
        "Marker": asked.encoded(marker),
        "NextMarker": asked.encoded(named.text) if named is not None else None,
        "IsTruncated": found.next is not None,
        "Contents": asked.contents(found, owner=owner_of(context.home)),
        "CommonPrefixes": [{"Prefix": asked.encoded(prefix)} for prefix in found.prefixes],
    }
    return xml_response("ListBucketResult", document)


def list_object_versions(context: Context, request: S3Request) -> S3Response:
    """Carry out ListObjectVersions: all versions and delete markers, the newest of a key first."""
    asked = Asked(request)
    key, version_id = request.parameter("key-marker") or "", request.parameter("version-id-marker") or None
    if version_id is not None and not key:
        raise S3Error("InvalidArgument", "version-id-marker goes with a key-marker.")

    def history(rows: ObjectRows, at: Position, limit: int) -> list[ObjectVersion]:
        return rows.history(request.of_bucket, asked.prefix, after=at.after, after_version=at.mark, limit=limit)

    found = asked.page(context, asked.position(key, version_id), history, lambda version: version.version_id)
    owner = owner_of(context.home)
    kept = [version for version in found.items if not version.is_delete_marker]
    markers = [version for version in found.items if version.is_delete_marker]
    following = found.next
    document = {
        **asked.echo(),
        "KeyMarker": asked.encoded(key),
        "VersionIdMarker": version_id or "",
        "NextKeyMarker": asked.encoded(following.text) if following is not None else None,
        "NextVersionIdMarker": following.mark if following is not None else None,
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


class Asked:
    """What all forms of listing are asked for."""

    def __init__(self, request: S3Request, *, limited_by: str = "max-keys") -> None:
        """Read the parameters; `limited_by` is the one that says how much a page may hold.

        Raises:
            S3Error: InvalidArgument.
        """
        self.request = request
        self.prefix = request.parameter("prefix") or ""
        self.delimiter = request.parameter("delimiter") or ""
        self.encoding = request.parameter("encoding-type") or None
        if self.encoding not in {None, "url"}:
            raise S3Error("InvalidArgument", f"encoding-type is {self.encoding!r}; expected url.")
        self.limit = _limit(request.parameter(limited_by), limited_by)

    def position(self, key: str, mark: str | None = None) -> Position:
        """Return where the client says that the last page ended: at a folded prefix, if it looks like one."""
        return Position(
            text=key, is_prefix=bool(self.delimiter) and key.endswith(self.delimiter) and mark is None, mark=mark
        )

    def latest(self, rows: ObjectRows, at: Position, limit: int) -> list[ObjectVersion]:
        """Return the latest versions behind a position."""
        return rows.listing(self.request.of_bucket, self.prefix, after=at.after, limit=limit)

    def page(
        self,
        context: Context,
        start: Position,
        fetch: Callable[[ObjectRows, Position, int], list[T]],
        mark: Callable[[T], str | None] = lambda item: None,
    ) -> KeyPage[T]:
        """Read the page behind `start` of what `fetch` finds."""

        def read(transaction: Transaction) -> KeyPage[T]:
            require_bucket(transaction.objects, self.request)
            rows = partial(fetch, transaction.objects)
            return page(rows, prefix=self.prefix, delimiter=self.delimiter, start=start, limit=self.limit, mark=mark)

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

    def contents(self, found: KeyPage[ObjectVersion], *, owner: dict[str, str] | None) -> list[dict[str, Any]]:
        """Return the keys of a page as the answer shows them."""
        return [self.content(version, owner) for version in found.items]

    def content(self, version: ObjectVersion, owner: dict[str, str] | None) -> dict[str, Any]:
        """Return one version as the answer shows it."""
        return {
            "Key": self.encoded(version.key),
            "LastModified": version.created_at,
            "ETag": f'"{version.etag}"',
            "ChecksumAlgorithm": None if version.checksum is None else version.checksum.algorithm.upper(),
            "ChecksumType": None if version.checksum is None else type_of(version.checksum),
            "Size": version.size,
            "StorageClass": "STANDARD",
            "Owner": owner,
        }


def _limit(value: str | None, name: str) -> int:
    if value is None:
        return MAX_KEYS
    if not (value.isascii() and value.isdigit()):
        raise S3Error("InvalidArgument", f"{name} is {value!r}; expected a number from 0 on.")
    return min(int(value[:9]), MAX_KEYS)


def owner_of(home: Home) -> dict[str, str]:
    return {"ID": home.account, "DisplayName": home.account}
