from hypothesis import given
from hypothesis import strategies as st

from towpath.runner.lines import LONGEST_LINE, QUIET_S, REDRAW_S, Lines


def test_lines_come_when_they_are_complete() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntw", 0.0) == ["one"]
    assert lines.feed(b"o\n\nthree", 0.1) == ["two", ""]
    assert lines.flush() == ["three"]
    assert lines.flush() == []


def test_a_text_without_an_end_is_due_after_a_while_of_quiet() -> None:
    lines = Lines()
    assert lines.due_at() is None
    lines.feed(b"Password: ", 10.0)
    assert lines.due_at() == 10.0 + QUIET_S
    lines.flush()
    assert lines.due_at() is None


def test_a_progress_bar_leaves_a_few_drawings_and_its_last() -> None:
    lines = Lines()
    found: list[str] = []
    for percent in range(101):
        found += lines.feed(f"\r{percent}%".encode(), percent * REDRAW_S / 40)
    found += lines.feed(b"\ndone\n", 3.0)
    assert found[0] == "0%"
    assert found[-2:] == ["100%", "done"]
    assert 4 <= len(found) <= 6


def test_windows_line_ends_are_line_ends_even_across_two_reads() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\ntwo\r", 0.0) == ["one", "two"]
    assert lines.feed(b"\nthree\r\n", 0.1) == ["three"]


def test_long_lines_are_cut_between_characters() -> None:
    lines = Lines()
    text = "ä" * LONGEST_LINE
    pieces = lines.feed(text.encode() + b"\n", 0.0)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= LONGEST_LINE for piece in pieces)
    assert "�" not in "".join(pieces)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Lines().feed(b"a\xffb\n", 0.0) == ["a�b"]


@given(st.lists(st.binary(max_size=30)))
def test_no_line_is_lost_however_the_bytes_are_cut(chunks: list[bytes]) -> None:
    chunks = [chunk.replace(b"\r", b"") for chunk in chunks]
    whole = b"".join(chunks)
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk, 0.0)] + lines.flush()
    expected = whole.decode("utf-8", "replace").split("\n") if whole else []
    if expected and expected[-1] == "":
        expected.pop()
    assert found == expected
