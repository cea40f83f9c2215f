"""What stands before the lines of a log that several steps print into."""

from datetime import UTC, datetime

import pytest

from towpath.cli.following import COLOURS_OF_STEPS, StepColours
from towpath.sdk.logs import LogLine


def line(step: str, host: str = "", part: str = "") -> LogLine:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return LogLine(at=at, text="t", group="/g", stream="s", step=step, host=host, part=part)


def test_a_pipe_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    colours = StepColours()
    assert colours.of(line("Train")) == ["Train:"]
    assert colours.of(line("Train", "algo-2")) == ["Train algo-2:"]
    assert colours.of(line("", "algo-2")) == ["algo-2:"]
    assert colours.of(line("")) == []
    assert colours.of(line("Tune", part="001")) == ["Tune/001:"]
    assert colours.of(line("Tune", "algo-2", "001")) == ["Tune/001 algo-2:"]
    assert colours.of(line("", part="001")) == ["001:"]


def test_each_step_keeps_a_colour_of_its_own_where_colours_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    colours = StepColours()
    steps = [f"Step{number}" for number in range(len(COLOURS_OF_STEPS))]
    first = [colours.of(line(step)) for step in steps]
    assert len({words[0].partition("Step")[0] for words in first}) == len(steps)
    assert all(words[0].startswith("\x1b[") for words in first)
    assert [colours.of(line(step)) for step in steps] == first
    (hosted,) = colours.of(line("Step0", "algo-2"))
    assert hosted.partition("Step")[0] == first[0][0].partition("Step")[0]
    (numbered,) = colours.of(line("Step0", part="001"))
    assert numbered.partition("Step")[0] == first[0][0].partition("Step")[0], "a search has the colour of its step"
    alone = {colours.of(line("", part=number))[0].partition("00")[0] for number in ("001", "002")}
    assert len(alone) == 2, "training jobs that are shown alone have each their own"


def test_no_color_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert StepColours().of(line("Train")) == ["Train:"]
