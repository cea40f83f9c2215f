"""The code of functions: an archive that is looked at, kept in the lake, and named by its exact version."""

import base64
import binascii
import zipfile
from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import IO, Any
from uuid import uuid4

import msgspec

from towpath.functions.model import Code
from towpath.functions.requests import INVALID
from towpath.kernel.errors import Invalid, LimitExceeded, NotFound
from towpath.kernel.objects import ObjectRef, ObjectStore, ObjectVersion, StoredBlob, default_bucket, delete_marker
from towpath.kernel.ports import Store, Transaction

#: Bytes. Source: AWS Lambda quotas, "Deployment package (.zip file archive) size".
MOST_ZIPPED = 50 * 1024 * 1024
MOST_UNZIPPED = 250 * 1024 * 1024
_ZIP = "application/zip"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Code that came with a request: its bytes are safe, and no object yet."""

    blob: StoredBlob


class CodeStore:
    """Takes in what requests say of code. What takes long is done before their transactions."""

    def __init__(self, store: Store, objects: ObjectStore) -> None:
        self._store = store
        self._objects = objects

    def take_in(self, asked: Mapping[str, Any]) -> Sent | Code:
        """Return the code that a request brings or names, looked at.

        Raises:
            Invalid: it is no archive that can be unpacked, or there is not one of ZipFile, and S3Bucket with S3Key.
            NotFound: there is no such object.
            LimitExceeded: it is too large.
        """
        given, bucket, key = asked.get("ZipFile"), asked.get("S3Bucket"), asked.get("S3Key")
        if given is not None and not (bucket or key):
            return Sent(blob=self._objects.write([_checked_bytes(given)]))
        if given is not None or not bucket or not key:
            raise Invalid("Please provide a source for function code: ZipFile, or S3Bucket and S3Key", code=INVALID)
        ref = ObjectRef(bucket, key, asked.get("S3ObjectVersion"))
        version = self._store.read(lambda transaction: transaction.objects.get(ref))
        if version is None or version.is_delete_marker:
            raise Invalid(
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: there is no object "
                f"{ref.uri}" + (f" in the version {ref.version_id}" if ref.version_id else ""),
                code=INVALID,
            )
        if version.size > MOST_UNZIPPED:  # what a list of its files takes in memory grows with the archive
            raise Invalid(
                f"{ref.uri} has {version.size} bytes. What a function's archive unzips to must be smaller than "
                f"{MOST_UNZIPPED} bytes",
                code=INVALID,
            )
        with self._objects.open(version) as file:
            _check(file)
        return Code(bucket, key, version.version_id, version.size, version.sha256)


def put(transaction: Transaction, name: str, taken: Sent | Code, *, by: str) -> Code:
    """Return the code of a function, which was made an object where it came with the request."""
    if isinstance(taken, Code):
        if transaction.objects.get(taken.ref) is None:
            raise NotFound(f"The object {taken.ref.uri} has been removed meanwhile", code="ResourceNotFoundException")
        return taken
    blob = taken.blob
    version = ObjectVersion(
        bucket=default_bucket(transaction.home),
        key=f"functions/{name}/code.zip",
        version_id=uuid4().hex,
        size=blob.size,
        sha256=blob.sha256,
        etag=blob.etag,
        blob=blob.blob,
        content_type=_ZIP,
        created_at=transaction.now,
        created_by=by,
    )
    transaction.objects.create_bucket(version.bucket, transaction.now)
    transaction.objects.put(version)
    return Code(version.bucket, version.key, version.version_id, version.size, version.sha256, is_ours=True)


def give_up(transaction: Transaction, code: Code, *, at: datetime, by: str) -> None:
    """Hide code that came with a request; house-keeping takes it when no call and no deleted function needs it."""
    if code.is_ours:
        transaction.objects.put(delete_marker(ObjectRef(code.bucket, code.key), at=at, by=by))


def sha256_shown(code: Code) -> str:
    """Return the digest as Lambda shows it, in base64."""
    return base64.b64encode(bytes.fromhex(code.sha256)).decode()


def _checked_bytes(given: str | bytes) -> bytes:
    try:
        data = given if isinstance(given, bytes) else base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise Invalid(f"ZipFile is not base64: {error}", code=INVALID) from error
    if len(data) > MOST_ZIPPED:
        raise LimitExceeded(
            f"The archive has {len(data)} bytes; a request carries at most {MOST_ZIPPED}. Upload it to S3 and name "
            "S3Bucket and S3Key",
            code="RequestTooLargeException",
        )
    _check(BytesIO(data))
    return data


def _check(file: IO[bytes]) -> None:
    """Refuse what could not be unpacked, and what would be too large then."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise Invalid(f"Could not unzip uploaded file: {error}. Send a zip archive, whole", code=INVALID) from error
    unzipped = sum(member.file_size for member in members)
    if unzipped > MOST_UNZIPPED:
        raise Invalid(
            f"Unzipped size must be smaller than {MOST_UNZIPPED} bytes; the archive's files have {unzipped}",
            code=INVALID,
        )
    if not any(not member.is_dir() for member in members):
        raise Invalid("Uploaded file must be a non-empty zip", code=INVALID)
    both = _file_and_folder(members)
    if both is not None:
        raise Invalid(
            f"Could not unzip uploaded file: {both!r} is a file in it and a folder, too. Pack it again with only one "
            "of the two",
            code=INVALID,
        )


def _file_and_folder(members: list[zipfile.ZipInfo]) -> str | None:
    """Return a name that the members of an archive have for a file and for a folder, None where there is none."""
    names: list[str] = []  #: as they are unpacked, those of folders with a slash at the end
    for member in members:
        parts = [part for part in member.filename.split("/") if part not in {"", ".", ".."}]
        if parts:
            names.append("/".join(parts) + "/" * member.is_dir())
    # Looked up in their order: to name each folder of a long name would take the square of its length.
    names.sort()
    for name in names:
        within = f"{name}/"
        at = bisect_left(names, within)
        if not name.endswith("/") and at < len(names) and names[at].startswith(within):
            return name
    return None
