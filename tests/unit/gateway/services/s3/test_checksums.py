"""Checksums have the values that their catalogue gives, however the bytes are cut."""

import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.checksums import CRCS, DIGESTS, Crc, joined_crc


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_the_check_value_of_the_catalogue_comes_out(name: str, expected: str) -> None:
    digest = DIGESTS[name]()
    digest.update(b"123456789")
    assert digest.digest().hex() == expected


@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    algorithm=st.sampled_from(sorted(CRCS)),
)
def test_a_crc_is_the_same_however_the_bytes_are_cut(data: bytes, cuts: list[int], algorithm: str) -> None:
    whole, cut = DIGESTS[algorithm](), DIGESTS[algorithm]()
    whole.update(data)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(bounds):
        cut.update(data[start:end])
    assert cut.digest() == whole.digest()


@given(st.binary(max_size=200))
def test_the_library_gives_what_zlib_gives(data: bytes) -> None:
    crc = Crc("crc32")
    crc.update(data)
    assert crc.digest() == zlib.crc32(data).to_bytes(4, "big")


@given(parts=st.lists(st.binary(max_size=40), max_size=5), algorithm=st.sampled_from(sorted(CRCS)))
def test_the_crc_of_a_whole_follows_from_those_of_its_parts(parts: list[bytes], algorithm: str) -> None:
    def crc(data: bytes) -> bytes:
        digest = DIGESTS[algorithm]()
        digest.update(data)
        return digest.digest()

    assert joined_crc(algorithm, [(crc(part), len(part)) for part in parts]) == crc(b"".join(parts))
