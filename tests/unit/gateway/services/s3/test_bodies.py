"""The aws-chunked framing comes off whatever way the bytes arrive, and broken framing is refused."""

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.bodies import ChunkedBody, VerifiedBody, small_body
from towpath.gateway.services.s3.model import S3Error, S3Request
from towpath.gateway.signing import ChunkSignatures
from towpath.kernel.principals import Caller

CALLER = Caller("ada")
TRAILERS = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-note": "00"}


def framed(chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    parts = [f"{len(chunk):x};chunk-signature=0123".encode() + b"\r\n" + chunk + b"\r\n" for chunk in chunks if chunk]
    lines = [f"{name}:{value}\r\n".encode() for name, value in trailers.items()]
    return b"".join(parts) + b"0\r\n" + b"".join(lines) + b"\r\n"


def cut(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    """Yield `data` in pieces of these lengths, over and over."""
    at = 0
    while at < len(data):
        for length in lengths:
            yield data[at : at + length]
            at += length


@given(chunks=st.lists(st.binary(max_size=50)), lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_however_a_chunked_body_is_cut_the_content_comes_out(chunks: list[bytes], lengths: list[int]) -> None:
    body = ChunkedBody(cut(framed(chunks, TRAILERS), lengths))
    assert b"".join(body) == b"".join(chunks)
    assert body.trailers == TRAILERS


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=50), min_size=1), lengths=st.lists(st.integers(1, 30), min_size=1)
)
def test_a_chunked_body_cut_short_anywhere_is_refused(chunks: list[bytes], lengths: list[int]) -> None:
    whole = framed(chunks, {})
    for end in range(len(whole)):
        with pytest.raises(S3Error) as refused:
            list(ChunkedBody(cut(whole[:end], lengths)))
        assert refused.value.code == "IncompleteBody"


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_decoded_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        list(ChunkedBody([data]))
    except S3Error as error:
        assert error.code == "IncompleteBody"


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"f" * 1000

    with pytest.raises(S3Error, match="too long"):
        next(iter(ChunkedBody(endless())))


def test_a_large_chunk_passes_in_the_pieces_in_which_it_came() -> None:
    pieces = [b"400000\r\n", *[b"x" * 65536] * 64, b"\r\n0\r\n\r\n"]
    assert [len(piece) for piece in ChunkedBody(pieces)] == [65536] * 64


def test_a_document_larger_than_any_is_refused_while_it_comes() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 100_000

    with pytest.raises(S3Error, match="larger than"):
        small_body(S3Request(method="POST", body=endless(), caller=CALLER))
    assert taken < 50


def test_signed_chunks_without_their_key_are_refused_rather_than_taken_unverified() -> None:
    for name in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        with pytest.raises(S3Error, match="cannot be verified here"):
            VerifiedBody([], {"x-amz-content-sha256": name})


SCOPE = "20130524/us-east-1/s3/aws4_request"
STAMP = "20130524T000000Z"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"


def example() -> ChunkSignatures:
    """Return the verifier of the example in S3's documentation: 65 kB and 1 kB of the letter a."""
    key = b"AWS4" + SECRET.encode()
    for part in ("20130524", "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return ChunkSignatures(key, STAMP, SCOPE, seed=SEED)


#: Source: Amazon S3 API Reference, "Signature Calculations … Transferring Payload in Multiple Chunks", the example.
EXAMPLE = [
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def signed(chunks: list[tuple[int, str]]) -> bytes:
    parts = [f"{size:x};chunk-signature={digest}\r\n".encode() + b"a" * size + b"\r\n" for size, digest in chunks]
    return b"".join(parts)


def test_the_signed_chunks_of_the_documentation_are_verified() -> None:
    body = ChunkedBody(cut(signed(EXAMPLE), [1000, 7]), example())
    assert b"".join(body) == b"a" * 66560


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_chunk_that_was_changed_or_moved_is_refused(changed: int) -> None:
    wrong = [(size, digest if place != changed else digest[::-1]) for place, (size, digest) in enumerate(EXAMPLE)]
    for data in (signed(wrong), signed([EXAMPLE[1], EXAMPLE[0], EXAMPLE[2]])):
        with pytest.raises(S3Error) as caught:
            b"".join(ChunkedBody([data], example()))
        assert caught.value.code == "SignatureDoesNotMatch"


def test_chunks_without_a_signature_are_refused_where_they_have_to_be_signed() -> None:
    with pytest.raises(S3Error, match="not the one that we calculated"):
        b"".join(ChunkedBody([b"1\r\na\r\n0\r\n\r\n"], example()))
