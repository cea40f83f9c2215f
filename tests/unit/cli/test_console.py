"""What commands print."""

import io
import json
from typing import Any

import pytest

from towpath.cli import console


def test_away_from_a_terminal_a_table_is_aligned_text_and_nothing_is_cut_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show_table(("job", "state"), [("a" * 120, "Failed"), ("b", "Completed")])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == f"{'JOB'.ljust(120)}  STATE"
    assert first == f"{'a' * 120}  Failed"
    assert second == f"{'b'.ljust(120)}  Completed"


def test_a_document_is_shown_as_indented_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_document({"Name": "x", "Tags": [{"Key": "a", "Value": "b"}], "Empty": {}, "Other": {"Deep": 1}})
    assert capsys.readouterr().out.splitlines() == [
        "Name   x",
        "Tags:",
        "  - Key    a",
        "    Value  b",
        "Empty  none",
        "Other:",
        "  Deep  1",
    ]


def test_a_time_of_the_wire_is_shown_as_a_time_and_a_number_as_a_number() -> None:
    shown, number = console.document_lines({"CreationTime": 1_700_000_000.5, "Count": 3})
    assert "2023-11-1" in shown
    assert number.endswith("  3")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (125.4, "2 min 05 s"), (3720, "1 h 02 min")],
)
def test_durations_are_told_in_units_that_people_use(seconds: float | None, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (2_408_611, "2.4 MB"), (5e12, "5000.0 GB")])
def test_sizes_are_told_in_units_that_people_use(count: float, text: str) -> None:
    assert console.size(count) == text


def test_our_words_are_printed_as_they_are_brackets_too(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("reviews/[bold]x[/bold] " + "long " * 60)
    assert capsys.readouterr().out == "reviews/[bold]x[/bold] " + "long " * 60 + "\n"


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_lines_break_between_words_and_a_path_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    path = "/a/folder/whose/name/is/longer/than/a/line"
    console.say(f"The model is good enough for a first try and lies in {path}")
    assert screen.getvalue().splitlines() == ["The model is good enough for a", "first try and lies in", path]
    console.say_as_it_is("towpath logs " + "x" * 40)
    assert screen.getvalue().splitlines()[-1] == "towpath logs " + "x" * 40


def test_json_keeps_letters_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    document: Any = {"b": "ä", "a": [1]}
    console.show_json(document)
    printed = capsys.readouterr().out
    assert "ä" in printed
    assert list(json.loads(printed)) == ["b", "a"]


def test_the_words_of_a_log_stay_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_as_it_is("flow:zero: [red]nothing[/red] :smile:")
    assert capsys.readouterr().out == "flow:zero: [red]nothing[/red] :smile:\n"
