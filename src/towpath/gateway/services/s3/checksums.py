"""Checksums that clients send with what they upload.

CRC32, SHA1 and SHA256 come from the standard library, CRC32C and CRC64NVME (the default of newer AWS clients) from
anycrc, which works out a gigabyte of them in a tenth of a second.
Source: the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME).
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

from towpath.gateway.services.s3.model import S3Error


class Digest(Protocol):
    """A checksum that takes bytes piece by piece."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the checksum of all bytes taken, most significant byte first."""


class Crc32:
    """CRC-32/ISO-HDLC, by zlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class Crc:
    """A CRC of the catalogue, by anycrc."""

    def __init__(self, algorithm: str) -> None:
        """Prepare the checksum that headers name so; it is one of `CRCS`."""
        self._calculate = _model(algorithm).calc
        self._size = CRCS[algorithm].size
        self._value: int | None = None

    def update(self, data: bytes, /) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return (0 if self._value is None else self._value).to_bytes(self._size, "big")


class Catalogued(NamedTuple):
    """Which CRC of the catalogue an algorithm is."""

    name: str
    size: int  #: bytes


#: The checksums that are polynomials, by the name that headers give them: those of contents follow from those of parts.
CRCS: Mapping[str, Catalogued] = {
    "crc32": Catalogued("CRC32", 4),
    "crc32c": Catalogued("CRC32-ISCSI", 4),
    "crc64nvme": Catalogued("CRC64-NVME", 8),
}


@cache
def _model(algorithm: str) -> Any:
    """Return what works the CRC out. Imported here: most uploads bring a CRC32, and zlib has that."""
    import anycrc

    return anycrc.Model(CRCS[algorithm].name)


#: By the name that headers give them.
DIGESTS: Mapping[str, Callable[[], Digest]] = {
    "crc32": Crc32,
    "crc32c": lambda: Crc("crc32c"),
    "crc64nvme": lambda: Crc("crc64nvme"),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}


class Digested:
    """A stream of bytes whose checksum is worked out while it passes."""

    def __init__(self, chunks: Iterable[bytes], algorithm: str | None) -> None:
        """Watch `chunks`; without an algorithm they only pass."""
        self._chunks = chunks
        self._digest = None if algorithm is None else DIGESTS[algorithm]()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._digest is not None:
                self._digest.update(chunk)
            yield chunk

    @property
    def checksum(self) -> str | None:
        """The checksum of what has passed, in base64; None without an algorithm."""
        return None if self._digest is None else base64.b64encode(self._digest.digest()).decode("ascii")


def algorithm_of(header: str | None) -> str | None:
    """Return the algorithm that a header names, None without the header.

    Raises:
        S3Error: NotImplemented, it is none that can be worked out here.
    """
    if header is None:
        return None
    if header.lower() not in DIGESTS:
        raise S3Error(
            "NotImplemented",
            f"The checksum {header[:40].upper()} cannot be verified yet; use one of {', '.join(DIGESTS).upper()}.",
        )
    return header.lower()


def joined_crc(algorithm: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the CRC of contents one behind the other from their own ones, without reading them again.

    Args:
        parts: (CRC, size in bytes) of each content, in their order.
    """
    whole = 0  # the CRC of nothing
    for digest, size in parts:
        whole = _model(algorithm).combine(whole, int.from_bytes(digest, "big"), size)
    return whole.to_bytes(CRCS[algorithm].size, "big")
