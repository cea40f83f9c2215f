"""Objects of the lake, by S3's own protocol: put, get, list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, urlencode

from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.transport import Transport

if TYPE_CHECKING:
    from xml.etree import ElementTree  # imported where it is used: few calls need it

SINGLE_PUT_BYTES = 256 * 1024 * 1024  #: larger files are sent in parts
PART_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class LakeObject:
    """An object as a listing shows it."""

    bucket: str
    key: str
    size: int
    etag: str

    @property
    def uri(self) -> str:
        """The `s3://` form."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a put stored."""

    bucket: str
    key: str
    version_id: str | None
    size: int


def split_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of an `s3://` URI."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise DefinitionError(f"{uri!r} is not an S3 URI; expected s3://bucket/key")
    return bucket, key


class Lake:
    """Puts and gets objects."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def ensure_bucket(self, bucket: str) -> None:
        """Make the bucket unless it is there."""
        if not self.has_bucket(bucket):
            self._transport.send("PUT", _path(bucket))

    def has_bucket(self, bucket: str) -> bool:
        """Return whether there is a bucket of that name."""
        try:
            self._transport.send("HEAD", _path(bucket))
        except NotFound:
            return False
        return True

    def exists(self, bucket: str, key: str) -> bool:
        """Return whether there is such an object."""
        try:
            self._transport.send("HEAD", _path(bucket, key))
        except NotFound:
            return False
        return True

    def put_bytes(self, uri: str, content: bytes, *, content_type: str = "binary/octet-stream") -> Stored:
        """Store `content` as the newest version of an object."""
        bucket, key = split_uri(uri)
        answer = self._transport.send("PUT", _path(bucket, key), headers={"Content-Type": content_type}, body=content)
        return Stored(bucket=bucket, key=key, version_id=answer.headers.get("x-amz-version-id"), size=len(content))

    def put_file(self, uri: str, path: Path) -> Stored:
        """Store a file as the newest version of an object, streamed, in parts when it is large."""
        bucket, key = split_uri(uri)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > SINGLE_PUT_BYTES:
                return Stored(bucket=bucket, key=key, version_id=self._put_parts(bucket, key, file), size=size)
            answer = self._transport.send("PUT", _path(bucket, key), body=file, length=size)
        return Stored(bucket=bucket, key=key, version_id=answer.headers.get("x-amz-version-id"), size=size)

    def _put_parts(self, bucket: str, key: str, file: IO[bytes]) -> str | None:
        from xml.etree import ElementTree

        begun = self._transport.send("POST", _path(bucket, key, uploads=""))
        upload = _text(ElementTree.fromstring(begun.body), "UploadId")
        try:
            done = ElementTree.Element("CompleteMultipartUpload")
            number = 0
            while part := file.read(PART_BYTES):
                number += 1
                path = _path(bucket, key, partNumber=str(number), uploadId=upload)
                answer = self._transport.send("PUT", path, body=part)
                entry = ElementTree.SubElement(done, "Part")
                ElementTree.SubElement(entry, "PartNumber").text = str(number)
                ElementTree.SubElement(entry, "ETag").text = answer.headers["etag"]
            body = ElementTree.tostring(done)
            completed = self._transport.send("POST", _path(bucket, key, uploadId=upload), body=body)
        except BaseException:
            self._transport.send("DELETE", _path(bucket, key, uploadId=upload))
            raise
        return completed.headers.get("x-amz-version-id")

    def get_bytes(self, uri: str, *, version_id: str | None = None) -> bytes:
        """Return the content of an object."""
        bucket, key = split_uri(uri)
        return self._transport.send("GET", _path(bucket, key, **_version(version_id))).body

    def get_file(self, uri: str, path: Path, *, version_id: str | None = None) -> int:
        """Write an object to a file and return its size; the file appears only when it is complete."""
        bucket, key = split_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with (
                self._transport.stream("GET", _path(bucket, key, **_version(version_id))) as answer,
                partial.open("wb") as file,
            ):
                size = 0
                while chunk := answer.read(_CHUNK):
                    size += file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return size

    def delete(self, uri: str) -> None:
        """Hide an object; its versions stay."""
        self._transport.send("DELETE", _path(*split_uri(uri)))

    def objects(self, uri: str) -> Iterator[LakeObject]:
        """Yield the objects below an S3 URI, in order of keys."""
        from xml.etree import ElementTree

        bucket, prefix = split_uri(uri)
        token: str | None = None
        while True:
            query = {"list-type": "2", "prefix": prefix, **({"continuation-token": token} if token else {})}
            tree = ElementTree.fromstring(self._transport.send("GET", _path(bucket, **query)).body)
            for entry in _all(tree, "Contents"):
                yield LakeObject(
                    bucket=bucket,
                    key=_text(entry, "Key"),
                    size=int(_text(entry, "Size")),
                    etag=_text(entry, "ETag").strip('"'),
                )
            if _text(tree, "IsTruncated") != "true":
                return
            token = _text(tree, "NextContinuationToken")


def _path(bucket: str, key: str = "", **query: str) -> str:
    path = f"/{quote(bucket)}" + (f"/{quote(key, safe='/~')}" if key else "")
    return f"{path}?{urlencode(query)}" if query else path


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"versionId": version_id}


def _all(tree: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    # Answers carry S3's XML namespace, which some implementations leave out.
    return (child for child in tree if child.tag.rpartition("}")[2] == name)


def _text(tree: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in _all(tree, name)), "")
