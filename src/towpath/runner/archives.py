"""Opens tar archives of anybody's making: damaged ones raise what is listed here, and none makes `tarfile` read
gigabytes at once because a header says so."""

import bz2
import contextlib
import gzip
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

#: What reading a damaged archive raises. `tarfile` lets through what the conversion of odd headers raises.
UNREADABLE = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, struct.error, zlib.error, lzma.LZMAError)
_MOST_AT_ONCE = 4 << 20  #: bytes; contents are read in smaller parts, and no header is that long
_XZ, _LZMA = b"\xfd7zXZ", b"]\x00\x00\x80"


class _Held:
    """A file that gives so much at once and no more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.close = file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


@contextlib.contextmanager
def opened(file: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Give the tar archive in a file, compressed by gzip, bzip2 or xz or not.

    Raises:
        One of `UNREADABLE`, then or while it is read: it is damaged, or is no archive.
    """
    first = file.read(6)
    file.seek(0)
    with _decompressed(file, first) as content, tarfile.open(fileobj=cast(IO[bytes], _Held(content)), mode="r:") as tar:
        yield tar


def beginning(file: IO[bytes], most: int) -> bytes:
    """Return the first bytes of a file, of what it holds where it is compressed; `most` is read and returned at most.

    Raises:
        One of `UNREADABLE`: it is damaged.
    """
    packed = file.read(most)
    if packed.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(packed, most)
    if packed.startswith(b"BZh"):
        return bz2.BZ2Decompressor().decompress(packed, most)
    if packed.startswith((_XZ, _LZMA)):
        return lzma.LZMADecompressor(memlimit=64 << 20).decompress(packed, most)
    return packed


def _decompressed(file: IO[bytes], first: bytes) -> contextlib.AbstractContextManager[IO[bytes]]:
    if first.startswith(b"\x1f\x8b"):
        return cast(contextlib.AbstractContextManager[IO[bytes]], gzip.GzipFile(fileobj=file, mode="rb"))
    if first.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if first.startswith((_XZ, _LZMA)):
        return lzma.LZMAFile(file)
    return contextlib.nullcontext(file)
