"""Checksums that clients send with what they upload.

CRC32, SHA1 and SHA256 come from the standard library. CRC32C and CRC64NVME, the default of newer AWS clients, are in no
library of ours; they are worked out here from tables, eight bytes at a time, at some ten megabytes a second.
Source: Sarwate, *Computation of Cyclic Redundancy Checks via Table Look-Up*, 1988; the catalogue of parametrised CRC
algorithms (CRC-32/ISCSI, CRC-64/NVME).
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Protocol

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


class TableCrc:
    """A reflected CRC whose start value and final mask are all ones."""

    def __init__(self, polynomial: int, bits: int) -> None:
        """Prepare a checksum of `bits` bits; `polynomial` is in reflected form, without its highest power."""
        self._tables = _tables(polynomial)
        self._mask = (1 << bits) - 1
        self._size = bits // 8
        self._value = self._mask

    def update(self, data: bytes, /) -> None:
        t0, t1, t2, t3, t4, t5, t6, t7 = self._tables
        value = self._value
        whole = len(data) & ~7
        # Eight tables stand for eight steps: what is left of the value goes through them together with the bytes.
        for at in range(0, whole, 8):
            value ^= int.from_bytes(data[at : at + 8], "little")
            value = (
                t7[value & 255]
                ^ t6[value >> 8 & 255]
                ^ t5[value >> 16 & 255]
                ^ t4[value >> 24 & 255]
                ^ t3[value >> 32 & 255]
                ^ t2[value >> 40 & 255]
                ^ t1[value >> 48 & 255]
                ^ t0[value >> 56]
            )
        for byte in data[whole:]:
            value = t0[(value ^ byte) & 255] ^ value >> 8
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._mask).to_bytes(self._size, "big")


@cache
def _tables(polynomial: int) -> tuple[tuple[int, ...], ...]:
    """Return eight tables: the n-th holds what a byte becomes when n zero bytes follow it."""
    first = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        first.append(value)
    tables = [tuple(first)]
    for _ in range(7):
        tables.append(tuple(first[value & 255] ^ value >> 8 for value in tables[-1]))
    return tuple(tables)


#: The reflected polynomial and the size in bits of the checksums that are polynomials.
CRCS: Mapping[str, tuple[int, int]] = {
    "crc32": (0xEDB88320, 32),
    "crc32c": (0x82F63B78, 32),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 64),
}

#: By the name that headers give them.
DIGESTS: Mapping[str, Callable[[], Digest]] = {
    "crc32": Crc32,
    "crc32c": lambda: TableCrc(*CRCS["crc32c"]),
    "crc64nvme": lambda: TableCrc(*CRCS["crc64nvme"]),
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

    A CRC is the remainder of a polynomial over GF(2): zeros behind a content multiply it by a power of x.

    Args:
        parts: (CRC, size in bytes) of each content, in their order.
    """
    polynomial, bits = CRCS[algorithm]
    whole = 0
    for digest, size in parts:
        shifted = _product(whole, _power_of_x(8 * size, polynomial, bits), polynomial, bits)
        whole = shifted ^ int.from_bytes(digest, "big")
    return whole.to_bytes(bits // 8, "big")


def _product(left: int, right: int, polynomial: int, bits: int) -> int:
    """Return the product of two remainders; the highest bit stands for 1, the next one for x."""
    product = 0
    for place in range(bits - 1, -1, -1):
        if left >> place & 1:
            product ^= right
        right = right >> 1 ^ (polynomial if right & 1 else 0)
    return product


def _power_of_x(exponent: int, polynomial: int, bits: int) -> int:
    power, square = 1 << bits - 1, 1 << bits - 2
    while exponent:
        if exponent & 1:
            power = _product(power, square, polynomial, bits)
        square = _product(square, square, polynomial, bits)
        exponent >>= 1
    return power
