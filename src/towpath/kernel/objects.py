"""Objects, their versions and digests, and the port through which the rest of the platform reads and writes them."""

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Protocol
from uuid import uuid4

import msgspec

from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid

#: Of what keeps bytes from being read, that which lasts: they are gone, damaged, or not for this user to read. Of
#: whatever else it is the moment may be to blame (a file system elsewhere does not answer, no more files can be open),
#: and the same may well be read when it is tried again.
_LASTING = frozenset({None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EIO})


class ObjectRef(msgspec.Struct, frozen=True):
    """Where an object is: bucket and key, and which version of it."""

    bucket: str
    key: str
    version_id: str | None = None  #: None means the latest

    @property
    def uri(self) -> str:
        """The `s3://bucket/key` form, without the version."""
        return f"s3://{self.bucket}/{self.key}"


class Checksum(msgspec.Struct, frozen=True):
    """A checksum that a client chose for an object, beside the SHA-256 that every object has."""

    algorithm: str  #: as headers name it: crc32, crc32c, crc64nvme, sha1, sha256
    value: str  #: base64; of a composite one with "-N" behind it, N being the number of parts

    @property
    def is_composite(self) -> bool:
        """Whether it is a checksum of the checksums of parts rather than of the whole content."""
        return "-" in self.value


class ChecksumKind(msgspec.Struct, frozen=True):
    """What checksum a multipart upload is to have when it is complete."""

    algorithm: str
    is_composite: bool


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
    #: user metadata, names in lower case; names that begin with a colon are HTTP headers kept with the object
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    checksum: Checksum | None = None  #: None where the client gave none
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


@contextmanager
def naming_unreadable(version: ObjectVersion) -> Iterator[None]:
    """Raise Invalid, with what cannot be read and why, where the bytes of a version are gone or damaged.

    What only the moment is to blame for, and may pass, is raised as it is.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError | ConnectionError) or error.errno not in _LASTING:
            raise
        # Not the whole text: it would name a file of the platform's home.
        gone = "its bytes are gone" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise Invalid(f"Version {version.version_id} of {version.uri} cannot be read: {gone}") from error


def delete_marker(ref: ObjectRef, *, at: datetime, by: str) -> ObjectVersion:
    """Return the version that hides an object and keeps all that it had before."""
    return ObjectVersion(
        bucket=ref.bucket,
        key=ref.key,
        version_id=uuid4().hex,
        size=0,
        sha256="",
        etag="",
        blob=None,
        created_at=at,
        created_by=by,
        is_delete_marker=True,
    )


class StoredBlob(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are safely on disk under a blob name, but not yet visible as an object version."""

    blob: str
    size: int
    sha256: str
    etag: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload that was begun and neither completed nor aborted."""

    upload_id: str  #: becomes the version id of the finished object, so that completing twice can be told
    bucket: str
    key: str
    content_type: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    checksum: ChecksumKind | None = None
    created_at: datetime
    created_by: str


class UploadPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a multipart upload."""

    number: int  #: 1 to 10,000; parts are joined in this order
    blob: str
    size: int
    etag: str
    sha256: str
    checksum: str | None = None  #: base64, of the upload's algorithm; None where it has none
    created_at: datetime | None = None  #: None of parts that came before it was kept


class UploadRows(Protocol):
    """The rows of unfinished multipart uploads inside one transaction (implemented by `store`)."""

    def begin(self, upload: Upload) -> None:
        """Record an upload."""

    def find(self, upload_id: str) -> Upload | None:
        """Return the upload, None when it was finished, aborted or never begun."""

    def of(
        self, bucket: str, prefix: str, *, after: str = "", after_upload: str | None = None, limit: int = 1000
    ) -> list[Upload]:
        """Return the unfinished uploads to keys that start with `prefix`, by key bytes and the oldest of a key first.

        They lie behind the upload `after_upload` to the key `after`, or behind all of its uploads when that is None. If
        that upload has ended meanwhile, the key is begun anew.
        """

    def put_part(self, upload_id: str, part: UploadPart) -> UploadPart | None:
        """Record a part; return the one of the same number that it takes the place of."""

    def parts(self, upload_id: str) -> list[UploadPart]:
        """Return the parts in the order of their numbers."""

    def end(self, upload_id: str) -> None:
        """Forget the upload and its parts; their blobs are the caller's to discard after the commit."""


class ObjectRows(Protocol):
    """The rows of buckets and object versions inside one transaction (implemented by `store`)."""

    uploads: UploadRows

    def create_bucket(self, name: str, at: datetime) -> bool:
        """Record a bucket; False when it was there already."""

    def remove_bucket(self, name: str) -> bool:
        """Remove a bucket; False, and nothing done, where versions, delete markers or uploads are left in it."""

    def bucket_created_at(self, name: str) -> datetime | None:
        """Return when the bucket was created, None when there is none."""

    def buckets(self) -> list[tuple[str, datetime]]:
        """Return all buckets with their times, sorted by name."""

    def put(self, version: ObjectVersion) -> None:
        """Make `version` the latest of its key."""

    def put_all(self, versions: Sequence[ObjectVersion]) -> None:
        """Make each of these the latest of its key, in their order: as `put`, at a fraction of its cost for many."""

    def set_tags(self, bucket: str, key: str, version_id: str, tags: Mapping[str, str]) -> None:
        """Give a version these tags in place of those that it has."""

    def get(self, ref: ObjectRef) -> ObjectVersion | None:
        """Return the version named, or the latest; None when absent. Delete markers are returned as such."""

    def latest(self, bucket: str, keys: Iterable[str]) -> dict[str, ObjectVersion]:
        """Return the latest versions of many keys at once, by key; absent and deleted ones are left out."""

    def listing(
        self, bucket: str, prefix: str, *, after: str = "", until: str | None = None, limit: int = 1000
    ) -> list[ObjectVersion]:
        """Return latest, not deleted versions with keys above `after` and below `until`, in order of key bytes."""

    def versions(self, bucket: str, key: str) -> list[ObjectVersion]:
        """Return all versions of a key, newest first."""

    def history(
        self, bucket: str, prefix: str, *, after: str = "", after_version: str | None = None, limit: int = 1000
    ) -> list[ObjectVersion]:
        """Return all versions, delete markers too, by key bytes and the newest of a key first.

        They lie behind the version `after_version` of the key `after`, or behind all of its versions when that is None.
        If that version is gone meanwhile, the key is begun anew: whoever deletes what he lists misses nothing.
        """

    def remove(self, bucket: str, key: str, version_id: str) -> ObjectVersion | None:
        """Remove one version for good and make the newest of the others the latest; None when there was none."""

    def known_blobs(self, names: Iterable[str]) -> set[str]:
        """Return those of `names` that a version or a part of an upload refers to."""


class ObjectStore(Protocol):
    """Bytes with versions. A put is durable when it returns; the caller's transaction makes it visible."""

    is_far: bool  #: whether what is adopted has to travel to another service: that is not for a transaction

    def write(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Stream bytes into a new blob, sync it, and return its name and digests.

        Raises:
            DiskFull: there is no room for them.
        """

    def adopt(self, path: str, blob: StoredBlob) -> None:
        """Take a synced file of the home's file system in as the blob `blob.blob`; done already counts as done."""

    def adopt_all(self, files: Sequence[tuple[str, StoredBlob]]) -> None:
        """Take many (path, blob) in as `adopt` does, durable when all are."""

    def new_blob_name(self) -> str:
        """Return a blob name that was never used."""

    def open(self, version: ObjectVersion) -> IO[bytes]:
        """Open the bytes of a version for reading."""

    def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""

    def path(self, version: ObjectVersion) -> str:
        """Return a path of the bytes, for runners on this host; they may have to be fetched. Nobody writes there."""

    def must_fetch(self, versions: Iterable[ObjectVersion]) -> bool:
        """Return whether `path` would have to fetch any of these: that is not for a transaction."""

    def discard(self, blob: str) -> None:
        """Remove a blob that no row names."""


def default_bucket(home: Home) -> str:
    """Return the bucket that the SageMaker SDKs use when none is named."""
    return f"sagemaker-{home.region}-{home.account}"


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
