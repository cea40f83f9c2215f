"""Compressed bodies."""

import gzip

import pytest

from towpath.gateway.protocols.encodings import decoded
from towpath.kernel.errors import Invalid


def test_gzip_is_undone_and_plain_bodies_stay() -> None:
    assert decoded(gzip.compress(b"body"), "gzip", 10) == b"body"
    assert decoded(b"body", "", 2) == decoded(b"body", "identity", 2) == b"body"


@pytest.mark.parametrize(
    ("body", "encoding", "told"),
    [
        (b"body", "br", "'br' is not known; expected gzip"),
        (b"body", "gzip", "is not gzip"),
        (gzip.compress(b"body", mtime=0)[:-6], "gzip", "ends before its gzip does"),
        (gzip.compress(bytes(1 << 20), mtime=0), "gzip", "comes to more than 1000 bytes"),
    ],
)
def test_other_encodings_and_bodies_that_are_too_large_are_refused(body: bytes, encoding: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        decoded(body, encoding, 1000)
