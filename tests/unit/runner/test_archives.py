"""Archives that somebody has made to break whoever reads them."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
from collections.abc import Callable

import pytest

from towpath.runner.archives import UNREADABLE, beginning, opened

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
}


def tar(content: bytes, headers: dict[str, str] | None = None) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        member = tarfile.TarInfo("train.py")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return held.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    with opened(io.BytesIO(data)) as archive:
        return {member.name: content.read() for member in archive if (content := archive.extractfile(member))}


@pytest.mark.parametrize("packer", PACKERS)
def test_archives_are_read_however_they_are_compressed(packer: str) -> None:
    content = b"import numpy\n" * 1000
    packed = PACKERS[packer](tar(content))
    assert read(packed) == {"train.py": content}
    assert beginning(io.BytesIO(packed), 4096) == tar(content)[:4096]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("part", [0, 1, 5, 100, 600])
def test_damaged_ones_raise_what_is_listed(packer: str, part: int) -> None:
    with pytest.raises(UNREADABLE):
        read(PACKERS[packer](tar(random.Random(1).randbytes(10_000)))[:part])


@pytest.mark.parametrize(
    "headers",
    [{"GNU.sparse.size": "x"}, {"GNU.sparse.map": "a,b"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}],
)
def test_odd_headers_raise_what_is_listed_or_are_read(headers: dict[str, str]) -> None:
    try:
        read(tar(b"x", headers))
    except UNREADABLE:
        pass
    else:
        assert "GNU.sparse.major" in headers, "nothing is wrong with this one"


def test_a_header_of_megabytes_is_not_read() -> None:
    packed = gzip.compress(tar(b"x", {"comment": "a" * (64 << 20)}), compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(tarfile.ReadError, match="a header of 67"):
            read(packed)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
