"""Objects, their versions and digests, and the port through which the rest of the platform reads and writes them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Protocol

import msgspec

from towpath.kernel.errors import Invalid


class ObjectRef(msgspec.Struct, frozen=True):
    """Where an object is: bucket and key, and which version of it."""

    bucket: str
    key: str
    version_id: str | None = None  #: None means the latest

    @property
    def uri(self) -> str:
        """The `s3://bucket/key` form, without the version."""
        return f"s3://{self.bucket}/{self.key}"


class ObjectVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an object, as recorded in the store."""

    bucket: str
    key: str
    version_id: str
    size: int  #: bytes
    sha256: str  #: hex
    etag: str  #: hex MD5 of the content (S3's ETag of a single-part upload), without quotes
    blob: str | None  #: name of the blob file; None for a delete marker
    content_type: str = "binary/octet-stream"
    metadata: dict[str, str] = msgspec.field(default_factory=dict)  #: user metadata, names in lower case
    created_at: datetime
    created_by: str
    is_latest: bool = True
    is_delete_marker: bool = False

    @property
    def ref(self) -> ObjectRef:
        """The reference that names exactly this version."""
        return ObjectRef(self.bucket, self.key, self.version_id)

    @property
    def uri(self) -> str:
        """The `s3://bucket/key` form, without the version."""
        return f"s3://{self.bucket}/{self.key}"


class StoredBlob(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are safely on disk under a blob name, but not yet visible as an object version."""

    blob: str
    size: int
    sha256: str
    etag: str


class ObjectRows(Protocol):
    """The rows of buckets and object versions inside one transaction (implemented by `store`)."""

    def create_bucket(self, name: str, at: datetime) -> bool:
        """Record a bucket; False when it was there already."""

    def bucket_created_at(self, name: str) -> datetime | None:
        """Return when the bucket was created, None when there is none."""

    def buckets(self) -> list[tuple[str, datetime]]:
        """Return all buckets with their times, sorted by name."""

    def put(self, version: ObjectVersion) -> None:
        """Make `version` the latest of its key."""

    def get(self, ref: ObjectRef) -> ObjectVersion | None:
        """Return the version named, or the latest; None when absent. Delete markers are returned as such."""

    def listing(
        self, bucket: str, prefix: str, *, after: str = "", until: str | None = None, limit: int = 1000
    ) -> list[ObjectVersion]:
        """Return latest, not deleted versions with keys above `after` (bytewise), in order of key bytes."""

    def versions(self, bucket: str, key: str) -> list[ObjectVersion]:
        """Return all versions of a key, newest first."""


class ObjectStore(Protocol):
    """Bytes with versions. A put is durable when it returns; the caller's transaction makes it visible."""

    def write(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Stream bytes into a new blob, sync it, and return its name and digests."""

    def adopt(self, path: str, blob: StoredBlob) -> None:
        """Move a synced file of the same file system in as the blob `blob.blob`; done already counts as done."""

    def new_blob_name(self) -> str:
        """Return a blob name that was never used."""

    def open(self, version: ObjectVersion) -> IO[bytes]:
        """Open the bytes of a version for reading."""

    def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""

    def path(self, version: ObjectVersion) -> str:
        """Return the path of the blob, for runners on this host. Nobody writes there."""

    def discard(self, blob: str) -> None:
        """Remove a blob that no row names."""


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of an `s3://` URI; the key may be empty.

    Raises:
        Invalid: it is not of the form s3://bucket[/key].
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise Invalid(f"{uri!r} is not an S3 URI; expected s3://bucket/key")
    return bucket, key
