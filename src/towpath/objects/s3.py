"""Objects whose bytes lie in a bucket of an S3 service: one key a blob, under a name that is never used twice.

    s3://BUCKET/PREFIX/blobs/3f/3f9c…   the bytes of one blob, whole: S3 shows an object when all of it has come
    FOLDER/sent/RUN                     names of blobs that the process with the token RUN sent there, one a line
    FOLDER/cache/3f/3f9c…               copies on this host, for runners and for reading again

Buckets, keys, versions, tags and digests are rows of ours; the service keeps bytes and needs no versioning. A blob
without a row is what a crash left; the names in `sent` tell the next process which to look at, so that it lists nothing
and touches nothing that it did not write.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session

from towpath.kernel.errors import Invalid, NotFound, Unavailable, noticing_full_disk
from towpath.kernel.objects import ObjectVersion, StoredBlob
from towpath.objects.cache import BlobCache, NamedLocks
from towpath.objects.location import S3Location

PART = 16 << 20  #: bytes of a part of a large blob, which is also what a stream holds in memory
_CHUNK = 1 << 20
_SHARE_OF_SENT = 1000  #: parts grow with what was sent, so that S3's 10,000 are enough for its 5 TB
_ASKED_TOGETHER = 500  #: names that the sweeper asks the rows about at a time
_REMEMBERED = 100_000  #: names of adopted blobs
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CONNECTIONS = 32
_OF_INSTANCE = "iam-role"  #: botocore's name for what asks the metadata service of a virtual machine

logger = logging.getLogger(__name__)


def client_of(
    location: S3Location, *, access_key: str = "", secret_key: str = "", keys_of_instance: bool = False
) -> Any:
    """Return a client for the service; without keys it looks for some where AWS clients do.

    Args:
        keys_of_instance: also ask the metadata service of a virtual machine, which lies at an address of the network.
    """
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key} if access_key else {}
    session = Session()
    if not keys_of_instance:
        session.get_component("credential_provider").remove(_OF_INSTANCE)
    return session.create_client(
        "s3",
        endpoint_url=location.endpoint,
        region_name=location.region,
        config=Config(
            # AWS_ENDPOINT_URL of a shell that is set up for Towpath leads to Towpath itself.
            ignore_configured_endpoint_urls=True,
            s3={
                "addressing_style": "auto" if location.endpoint is None else "path",
                "payload_signing_enabled": True,
            },
            # Bodies are signed by their SHA-256, and we keep digests of our own: other checksums add nothing.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": 3},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=_CONNECTIONS,
        ),
        **keys,
    )


class S3Objects:
    """Implements `kernel.objects.ObjectStore` on a bucket of an S3 service."""

    def __init__(self, client: Any, location: S3Location, folder: Path, *, cache_bytes: int) -> None:
        """Use a bucket, which has to be there, and a folder of this host for copies.

        Raises:
            Invalid: there is no such bucket, or the keys are not good for it.
            Unavailable: the service does not answer.
        """
        self._client = client
        self._location = location
        self._cache = BlobCache(folder / "cache", cache_bytes)
        self._sent = folder / "sent" / uuid4().hex
        self._sent.parent.mkdir(exist_ok=True, mode=0o700)
        self._sent.touch()
        self._noting = threading.Lock()
        self._locks = NamedLocks()
        self._adopted: OrderedDict[str, None] = OrderedDict()
        try:
            client.head_bucket(Bucket=location.bucket)
        except ClientError as error:
            raise Invalid(
                f"The objects of this home are to lie in {location}, but the service answers {_told(error)} when asked "
                f"for the bucket {location.bucket!r}. Create it, or set objects, objects_access_key and "
                "objects_secret_key so that it is found."
            ) from error
        except NoCredentialsError as error:
            raise Invalid(
                f"The objects of this home are to lie in {location}, and no keys for it are found. Set "
                "objects_access_key and objects_secret_key, the variables or files of AWS clients, or "
                "objects_keys_of_instance where this virtual machine has a role that may use the bucket."
            ) from error
        except BotoCoreError as error:
            raise self._silent(error) from error

    def write(self, chunks: Iterable[bytes]) -> StoredBlob:
        """Stream bytes into a new blob and return its name and digests; the service has them safe.

        An exception raised by `chunks` leaves nothing behind.

        Raises:
            Unavailable: the service does not take them.
        """
        return self._send(self.new_blob_name(), chunks)

    def adopt(self, path: str, blob: StoredBlob) -> None:
        """Send a file as the blob `blob.blob`; done already counts as done.

        Raises:
            NotFound: there is neither the file nor the blob.
            Invalid: the file is not what its digest says.
            Unavailable: the service does not take it.
        """
        with self._locks(blob.blob):
            if blob.blob in self._adopted:
                return
            if not Path(path).exists():
                self._require(path, blob)
            else:
                sent = self._send(blob.blob, _chunks(path))
                if sent.sha256 != blob.sha256:
                    self.discard(blob.blob)
                    raise Invalid(f"The file {path} was changed after its job had ended: its digest is another one.")
            self._adopted[blob.blob] = None
            while len(self._adopted) > _REMEMBERED:
                self._adopted.popitem(last=False)

    def adopt_all(self, files: Sequence[tuple[str, StoredBlob]]) -> None:
        """Send many (path, blob) as `adopt` does."""
        for path, blob in files:
            self.adopt(path, blob)

    def awaits(self, blobs: Iterable[str]) -> set[str]:
        """Return those of `blobs` that this process has not adopted: they have to travel before they are published."""
        return {blob for blob in blobs if blob not in self._adopted}

    def new_blob_name(self) -> str:
        """Return a blob name that was never used."""
        return uuid4().hex

    def open(self, version: ObjectVersion) -> IO[bytes]:
        """Open a copy of the bytes of a version for reading."""
        return Path(self.path(version)).open("rb")

    def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`.

        Raises:
            FileNotFoundError: the service does not have the blob.
            OSError: it has fewer bytes than its row says.
            Unavailable: it does not answer.
        """
        stop = version.size if end is None else min(end, version.size)
        if start >= stop:
            return
        copy = self._cache.find(_blob(version))
        if copy is not None:
            yield from _chunks(str(copy), start, stop)
            return
        left = stop - start
        for chunk in self._received(_blob(version), start, stop):
            left -= len(chunk)
            yield chunk
        if left:
            raise OSError(f"blob {version.blob} of {version.uri} is {left} bytes short")

    def path(self, version: ObjectVersion) -> str:
        """Return the path of a copy on this host, fetched when there is none. Nobody writes there.

        Raises:
            NotFound: the version is a delete marker, or the service does not have its bytes.
            Invalid: the bytes are damaged.
            Unavailable: the service does not answer.
        """
        blob = _blob(version)
        found = self._cache.find(blob)
        if found is not None:
            return str(found)
        try:
            return str(self._cache.fetch(blob, version.sha256, lambda: self.read(version)))
        except FileNotFoundError as error:
            raise NotFound(f"The bytes of {version.uri}, version {version.version_id}, are gone: {error}") from error

    def discard(self, blob: str) -> None:
        """Remove a blob that no row names; where the service does not answer, the next start does it."""
        self._cache.forget(blob)
        try:
            with self._answering():
                self._client.delete_object(Bucket=self._location.bucket, Key=self._location.key(blob))
        except Unavailable as error:
            self._note(blob)
            logger.warning("blob %s is removed at the next start: %s", blob, error.message)

    def sweep(self, known: Callable[[list[str]], set[str]]) -> int:
        """Remove what earlier processes sent and no row names, and return how many blobs that were.

        Call it before anything adopts files under names given out earlier.

        Args:
            known: given blob names, returns those that a row refers to.
        """
        removed = 0
        for notes in sorted(self._sent.parent.iterdir()):
            if notes == self._sent:
                continue
            names = sorted(set(notes.read_text(encoding="ascii").split()))
            for start in range(0, len(names), _ASKED_TOGETHER):
                some = names[start : start + _ASKED_TOGETHER]
                for name in sorted(set(some) - known(some)):
                    self._abort_uploads(name)
                    self.discard(name)
                    removed += 1
            notes.unlink()
        return removed

    # sending and receiving

    def _send(self, blob: str, chunks: Iterable[bytes]) -> StoredBlob:
        """Store bytes as a blob: small ones at once, larger ones in parts."""
        self._note(blob)
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        size = 0
        waiting = bytearray()
        parts: _Parts | None = None
        which = {"Bucket": self._location.bucket, "Key": self._location.key(blob)}
        try:
            for chunk in chunks:
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
                waiting += chunk
                if len(waiting) >= max(PART, size // _SHARE_OF_SENT):
                    with self._answering():
                        parts = parts or _Parts(self._client, which)
                        parts.send(bytes(waiting))
                    waiting.clear()
            with self._answering():
                if parts is None:
                    self._client.put_object(**which, Body=bytes(waiting))
                else:
                    if waiting:
                        parts.send(bytes(waiting))
                    parts.complete()
        except BaseException:
            if parts is not None:
                self._abort_uploads(blob)
            raise
        return StoredBlob(blob=blob, size=size, sha256=sha256.hexdigest(), etag=md5.hexdigest())

    def _received(self, blob: str, start: int, stop: int) -> Iterator[bytes]:
        with self._answering():
            answer = self._client.get_object(
                Bucket=self._location.bucket, Key=self._location.key(blob), Range=f"bytes={start}-{stop - 1}"
            )
        with answer["Body"] as body:
            while True:
                with self._answering():
                    chunk = body.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    def _require(self, path: str, blob: StoredBlob) -> None:
        """Raise NotFound unless the service has the blob."""
        try:
            with self._answering():
                self._client.head_object(Bucket=self._location.bucket, Key=self._location.key(blob.blob))
        except FileNotFoundError:
            raise NotFound(f"There is no file {path} to take in, and no blob {blob.blob}.") from None

    def _abort_uploads(self, blob: str) -> None:
        """Give up what was begun for a blob in parts; where the service does not answer, the next start does it."""
        which = {"Bucket": self._location.bucket}
        try:
            with self._answering():
                begun = self._client.list_multipart_uploads(**which, Prefix=self._location.key(blob))
                for upload in begun.get("Uploads", []):
                    self._client.abort_multipart_upload(**which, Key=upload["Key"], UploadId=upload["UploadId"])
        except (Unavailable, FileNotFoundError) as error:
            logger.warning("an upload of blob %s could not be given up: %s", blob, error)

    def _note(self, blob: str) -> None:
        """Write down that a blob may come to lie in the bucket, before it does."""
        with self._noting, noticing_full_disk(), self._sent.open("a", encoding="ascii") as notes:
            notes.write(f"{blob}\n")

    # errors

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Tell of the service's errors in our words: a missing key as FileNotFoundError, others as Unavailable."""
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise FileNotFoundError(f"{self._location} does not have it: {_told(error)}") from error
            raise Unavailable(f"The object store {self._location} refuses: {_told(error)}") from error
        except BotoCoreError as error:
            raise self._silent(error) from error

    def _silent(self, error: BotoCoreError) -> Unavailable:
        return Unavailable(f"The object store {self._location} does not answer: {error}")


class _Parts:
    """A blob that is sent in parts."""

    def __init__(self, client: Any, which: Mapping[str, str]) -> None:
        self._client = client
        self._which = {**which, "UploadId": client.create_multipart_upload(**which)["UploadId"]}
        self._etags: list[str] = []

    def send(self, content: bytes) -> None:
        answer = self._client.upload_part(**self._which, PartNumber=len(self._etags) + 1, Body=content)
        self._etags.append(answer["ETag"])

    def complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, 1)]
        self._client.complete_multipart_upload(**self._which, MultipartUpload={"Parts": parts})


def _blob(version: ObjectVersion) -> str:
    if version.blob is None:
        raise NotFound(f"{version.uri} was deleted: version {version.version_id} is a delete marker.")
    return version.blob


def _chunks(path: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` up to, not including, `stop`."""
    with Path(path).open("rb") as file:
        file.seek(start)
        left = None if stop is None else stop - start
        while left is None or left > 0:
            chunk = file.read(_CHUNK if left is None else min(_CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk


def _told(error: ClientError) -> str:
    about = error.response["Error"]
    return f"{about.get('Code', 'an error')}: {about.get('Message') or 'without a message'}"
