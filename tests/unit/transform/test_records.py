"""Splitting and batching: nothing is lost, the order is kept, and no payload is larger than it may be."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.transform.payloads import assembled, cut, payloads
from towpath.transform.records import Record, TooLarge, lines, whole

LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=30)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Return the bytes of a file, and the same in pieces as they might be read."""
    data = b"\n".join(draw(LINES)) + draw(st.sampled_from([b"", b"\n"]))
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    pieces = [data[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(data)])]
    return data, [piece for piece in pieces if piece]


@given(files(), st.booleans(), st.integers(12, 40))
def test_what_was_split_and_batched_is_the_file_again_when_it_is_assembled(
    file: tuple[bytes, list[bytes]], many: bool, limit: int
) -> None:
    """But for empty lines, which are no records, and the newline at the end."""
    data, pieces = file
    answered = [each.body for each in payloads(lines(pieces, limit), many=many, limit=limit)]
    assert b"".join(assembled(body, with_line=True) for body in answered) == b"".join(
        line + b"\n" for line in data.split(b"\n") if line
    )
    assert all(len(body) <= limit for body in answered)


@given(files(), st.integers(12, 40))
def test_records_know_their_lines_and_payloads_those_of_their_records(
    file: tuple[bytes, list[bytes]], limit: int
) -> None:
    data, pieces = file
    numbered = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line]
    assert list(lines(pieces, limit)) == numbered
    found = list(payloads(lines(pieces, limit), many=True, limit=limit, keep=True))
    assert [source for each in found for source in each.sources] == [line for _, line in numbered]
    assert [each.first for each in found] == [numbered[place][0] for place in firsts(each.records for each in found)]
    assert all(each.records == len(each.sources) and each.first <= each.last for each in found)


def firsts(sizes: Iterator[int]) -> list[int]:
    return [0, *itertools.accumulate(sizes)][:-1]


@given(files(), st.integers(12, 40))
def test_as_many_records_are_put_together_as_fit(file: tuple[bytes, list[bytes]], limit: int) -> None:
    found = list(payloads(lines(file[1], limit), many=True, limit=limit))
    for one, other in itertools.pairwise(found):
        first = other.body.split(b"\n")[0]
        assert len(one.body) + 1 + len(first) > limit


@given(files(), st.integers(12, 40))
def test_a_quick_cut_makes_the_same_payloads(file: tuple[bytes, list[bytes]], limit: int) -> None:
    data, pieces = file
    slow = list(payloads(lines(pieces, limit), many=True, limit=limit))
    quick = list(cut(pieces, limit))
    assert all(len(each.body) <= limit for each in quick)
    assert b"\n".join(each.body for each in quick) == b"\n".join(each.body for each in slow)
    assert sum(each.records for each in quick) == sum(each.records for each in slow)
    if b"\n\n" not in data and not data.startswith(b"\n"):
        assert quick == slow
    for each in quick:
        named = [line for line in data.split(b"\n")[each.first - 1 : each.last] if line]
        assert (b"\n".join(named), len(named), sum(map(len, named))) == (each.body, each.records, each.size)


@pytest.mark.parametrize("largest", [4, 8])
def test_a_quick_cut_takes_a_line_of_any_length_where_nothing_limits_it(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.transform.payloads.LARGEST_BATCH", largest)
    pieces = [b"a\n123", b"4567890", b"123\nb\nc", b"\nd"]
    assert list(cut(pieces, None)) == list(payloads(lines(pieces, None), many=True, limit=None))


def test_a_quick_cut_names_a_line_that_is_too_long() -> None:
    with pytest.raises(TooLarge) as caught:
        list(cut([b"1\n22\n", b"3333", b"3\n4"], 4))
    assert caught.value.line == 3


def test_a_payload_is_full_as_well_when_the_records_that_it_keeps_are() -> None:
    """A filter may leave a byte of a megabyte; the megabytes must not pile up."""
    records = [Record(number, b"x" * 10) for number in range(1, 6)]
    found = list(payloads(records, many=True, limit=25, filtered=lambda record: record.data[:1], keep=True))
    assert [(each.body, each.first, each.last) for each in found] == [(b"x\nx", 1, 2), (b"x\nx", 3, 4), (b"x", 5, 5)]


def test_a_line_that_is_too_long_is_named_and_not_read_to_its_end() -> None:
    read = []

    def pieces() -> Iterator[bytes]:
        yield b"a\nb\n"
        for number in itertools.count():
            read.append(number)
            yield b"x" * 10

    with pytest.raises(TooLarge) as caught:
        list(lines(pieces(), 35))
    assert (caught.value.line, len(read)) == (3, 4)
    with pytest.raises(TooLarge) as caught:
        list(lines([b"1234567\n1"], 6))
    assert caught.value.line == 1


def test_what_a_filter_makes_of_a_record_may_be_too_large_as_well() -> None:
    with pytest.raises(TooLarge) as caught:
        list(payloads([Record(7, b"ab")], many=False, limit=3, filtered=lambda record: record.data * 2))
    assert caught.value.line == 7


def test_a_file_that_is_not_split_is_one_record() -> None:
    assert list(whole([b"a\n", b"b"], 3)) == [Record(0, b"a\nb")]
    assert list(whole([], 3)) == []
    with pytest.raises(TooLarge):
        list(whole([b"ab", b"cd"], 3))
    assert len(next(whole([b"x" * 100], None)).data) == 100


def test_an_answer_gets_one_newline_and_no_second() -> None:
    assert [assembled(body, with_line=True) for body in (b"a", b"a\n", b"")] == [b"a\n", b"a\n", b"\n"]
    assert assembled(b"a", with_line=False) == b"a"


def test_no_more_is_read_ahead_than_a_payload_and_a_chunk() -> None:
    """So that the size of a file does not matter."""
    chunk = (b"0123456789abcdef" * 63 + b"\n") * 64
    limit = 1 << 18
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        for _ in range(256):
            read += len(chunk)
            yield chunk

    given_out = 0
    for each in payloads(lines(pieces(), limit), many=True, limit=limit):
        assert read - given_out <= limit + 2 * len(chunk)
        given_out += len(each.body) + 1
    assert given_out == read == 256 * len(chunk)
