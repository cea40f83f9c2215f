"""Bodies of uploads: the aws-chunked framing taken off, lengths and checksums verified.

Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "Checking object integrity".
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping

from towpath.gateway.services.s3.checksums import DIGESTS, algorithm_of
from towpath.gateway.services.s3.model import S3Error, S3Request
from towpath.gateway.signing.chunks import SIGNED_CHUNKS, ChunkSignatures
from towpath.kernel.objects import Checksum, StoredBlob

_LINE_LIMIT = 8192  #: bytes; a chunk header or a trailer is far shorter
_HASH = re.compile("[0-9a-f]{64}")
_CHUNK_HEADER = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?(?:;.*)?")
_TRAILER_SIGNATURE = b"x-amz-trailer-signature"
_MOST_DIGITS = 19  #: of a length in bytes
_SMALL_BODY = 4 << 20  #: bytes; 10,000 parts of a multipart upload with their checksums take about 2 MB


_NOT_CHECKSUMS = {"algorithm", "type", "mode"}  #: other headers that begin with x-amz-checksum-


class ChunkedBody:
    """Takes the aws-chunked framing off a stream; `trailers` are complete once it was read to its end.

    Where chunks are signed, each is verified when its last byte has come; what has been passed on by then is thrown
    away by whoever reads, as with every error.
    """

    def __init__(self, chunks: Iterable[bytes], signatures: ChunkSignatures | None = None) -> None:
        self._chunks = iter(chunks)
        self._signatures = signatures
        self._buffer = b""
        self.trailers: dict[str, str] = {}

    def __iter__(self) -> Iterator[bytes]:
        while True:
            size, signature = self._chunk_header()
            digest = hashlib.sha256()
            for piece in self._take(size):
                if self._signatures is not None:
                    digest.update(piece)
                yield piece
            if self._signatures is not None and not self._signatures.is_chunk(digest.hexdigest(), signature):
                raise _wrong_signature("a chunk of the body")
            if size == 0:
                break
            if self._line() != b"":
                raise S3Error("IncompleteBody", "A chunk of the body is longer than its header says.")
        self._read_trailers()

    def _read_trailers(self) -> None:
        signed, signature = b"", ""
        while (line := self._line()) != b"":
            name, colon, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if not colon:
                raise S3Error("IncompleteBody", "A trailer of the body has no colon; expected name:value.")
            if name == _TRAILER_SIGNATURE:
                signature = value.decode("latin-1")
                continue
            signed += name + b":" + value + b"\n"
            self.trailers[name.decode("latin-1")] = value.decode("latin-1")
        if signed and self._signatures is not None and not self._signatures.are_trailers(signed, signature):
            raise _wrong_signature("the trailing headers of the body")

    def _chunk_header(self) -> tuple[int, str]:
        """Return the size of the next chunk and its signature."""
        header = _CHUNK_HEADER.fullmatch(self._line())
        if header is None:
            raise S3Error("IncompleteBody", "A chunk of the body does not begin with its size in hexadecimal.")
        return int(header[1], 16), (header[2] or b"").decode()

    def _line(self) -> bytes:
        """Return the next line without its end."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LINE_LIMIT:
                raise S3Error("IncompleteBody", "A line of the chunked body's framing is too long.")
            more = next(self._chunks, None)
            if more is None:
                raise S3Error("IncompleteBody", "The chunked body ended before its last chunk.")
            self._buffer += more
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _take(self, size: int) -> Iterator[bytes]:
        """Yield exactly `size` bytes in pieces, never holding more than the piece that came."""
        while size > 0:
            if not self._buffer:
                more = next(self._chunks, None)
                if more is None:
                    raise S3Error("IncompleteBody", "The body ended in the middle of a chunk.")
                self._buffer = more
                continue
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece


class VerifiedBody:
    """The content of an upload. Iterate over it, store what comes, then call `verify` with what was stored."""

    def __init__(
        self,
        chunks: Iterable[bytes],
        headers: Mapping[str, str],
        signatures: ChunkSignatures | None = None,
        *,
        algorithm: str | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            signatures: verifies the chunks where they are signed one by one.
            algorithm: of a checksum that is worked out whether or not the client sends one.
        Raises:
            S3Error: the headers ask for something that cannot be verified here.
        """
        content_hash = headers.get("x-amz-content-sha256", "")
        if content_hash.startswith("STREAMING-AWS4-") and signatures is None:
            raise S3Error(
                "NotImplemented",
                f"Bodies whose chunks are signed so ({content_hash}) cannot be verified here; "
                f"send a plain body, STREAMING-UNSIGNED-PAYLOAD-TRAILER or {sorted(SIGNED_CHUNKS)[0]}.",
            )
        self._sha256 = content_hash if _HASH.fullmatch(content_hash) else None
        self._md5 = _decoded(headers["content-md5"], 16) if "content-md5" in headers else None
        encoded = content_hash.startswith("STREAMING-") or "aws-chunked" in _encodings(headers)
        self._length = _length(headers, "x-amz-decoded-content-length" if encoded else "content-length")
        self._chunked = ChunkedBody(chunks, signatures) if encoded else None
        self._chunks: Iterable[bytes] = self._chunked if self._chunked is not None else chunks
        self._declared = {
            name.removeprefix("x-amz-checksum-"): value
            for name, value in headers.items()
            if name.startswith("x-amz-checksum-") and name.removeprefix("x-amz-checksum-") not in _NOT_CHECKSUMS
        }
        trailing = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()}
        self._trailing = {name.removeprefix("x-amz-checksum-") for name in trailing if "x-amz-checksum-" in name}
        announced = self._declared.keys() | self._trailing
        for name in sorted(announced):
            algorithm_of(name)
        if len(announced) > 1:
            raise S3Error("InvalidRequest", f"Expected one checksum; there are {', '.join(sorted(announced)).upper()}.")
        wanted = announced | ({algorithm} if algorithm is not None else set())
        # The blob's own SHA-256 is worked out while it is stored, so it is not worked out twice.
        self._digests = {name: DIGESTS[name]() for name in wanted - {"sha256"}}
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        digests = list(self._digests.values())
        for chunk in self._chunks:
            self._size += len(chunk)
            if self._length is not None and self._size > self._length:
                break
            for digest in digests:
                digest.update(chunk)
            yield chunk
        if self._length is not None and self._size != self._length:
            raise S3Error(
                "IncompleteBody",
                f"The body has {self._size} bytes or more; its headers announced {self._length}."
                if self._size > self._length
                else f"The body has {self._size} bytes; its headers announced {self._length}.",
            )

    def verify(self, blob: StoredBlob) -> Checksum | None:
        """Compare what was stored with what the client announced; return the checksum that it gave, None for none.

        Raises:
            S3Error: BadDigest, or XAmzContentSHA256Mismatch.
        """
        if self._sha256 is not None and self._sha256 != blob.sha256:
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                f"The body has the SHA-256 {blob.sha256}; x-amz-content-sha256 says {self._sha256}.",
            )
        if self._md5 is not None and self._md5.hex() != blob.etag:
            raise S3Error("BadDigest", f"The body has the MD5 {blob.etag}; Content-MD5 says {self._md5.hex()}.")
        trailers = self._chunked.trailers if self._chunked is not None else {}
        announced = dict(self._declared)
        for name in self._trailing:
            value = trailers.get(f"x-amz-checksum-{name}")
            if value is None:
                raise S3Error("BadDigest", f"The trailer x-amz-checksum-{name} was announced and did not come.")
            announced[name] = value
        for name, value in announced.items():
            found = self.checksum(name, blob)
            if _decoded(value, len(base64.b64decode(found))) != base64.b64decode(found):
                raise S3Error("BadDigest", f"The body has the {name.upper()} {found}; the client sent {value}.")
            return Checksum(name, found)
        return None

    def checksum(self, algorithm: str, blob: StoredBlob) -> str:
        """Return the checksum of what was stored, in base64; it was announced, or asked for from the beginning."""
        digest = bytes.fromhex(blob.sha256) if algorithm == "sha256" else self._digests[algorithm].digest()
        return base64.b64encode(digest).decode("ascii")


def small_body(request: S3Request, *, checksums_are_its_own: bool = True) -> bytes:
    """Return the whole body of a request that carries a document.

    Args:
        checksums_are_its_own: whether the headers with checksums are about the document; else they are not looked at.
    Raises:
        S3Error: it is larger than any such document.
    """
    whole = bytearray()
    headers = {
        name: value
        for name, value in request.headers.items()
        if checksums_are_its_own or not name.startswith("x-amz-checksum-")
    }
    body = VerifiedBody(request.body, headers, request.signatures)
    for chunk in body:
        whole += chunk
        if len(whole) > _SMALL_BODY:
            raise S3Error("EntityTooLarge", f"The request's document is larger than {_SMALL_BODY} bytes.")
    data = bytes(whole)
    body.verify(
        StoredBlob(
            blob="",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        )
    )
    return data


def _wrong_signature(of: str) -> S3Error:
    return S3Error("SignatureDoesNotMatch", f"The signature of {of} is not the one that we calculated.")


def content_encoding(headers: Mapping[str, str]) -> str | None:
    """Return the content encoding to keep with the object: what the client gave, without aws-chunked."""
    return ", ".join(name for name in _encodings(headers) if name != "aws-chunked") or None


def _encodings(headers: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in headers.get("content-encoding", "").split(",") if name.strip()]


def _length(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise S3Error("InvalidArgument", f"{name} is {text[:40]!r}; expected a number of bytes.")
    return int(text)


def _decoded(value: str, size: int) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != size:
        raise S3Error("InvalidDigest", f"{value!r} is not the base64 form of a digest of {size} bytes.")
    return digest
