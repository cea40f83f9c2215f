"""The aws-chunked framing comes off whatever way the bytes arrive, and broken framing is refused."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.bodies import ChunkedBody, small_body
from towpath.gateway.services.s3.model import S3Error

TRAILERS = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer-signature": "00"}


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
        small_body(endless(), {})
    assert taken < 50


def test_bodies_with_signed_chunks_are_refused_rather_than_taken_unverified() -> None:
    with pytest.raises(S3Error, match="signed one by one"):
        small_body([], {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
