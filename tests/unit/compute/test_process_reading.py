from pathlib import Path

from towpath.compute.process.reading import MetricsReader, read_log, read_status


def write_log(folder: Path, *lines: str, rest: str = "") -> None:
    text = "".join(f"{1_700_000_000_000 + number}\t{line}\n" for number, line in enumerate(lines)) + rest
    (folder / "log").write_text(text, encoding="utf-8")


def test_pages_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    write_log(tmp_path, *(f"line {number}" for number in range(25)))
    found, start = [], 0
    while True:
        page = read_log(tmp_path, start=start, limit=7)
        assert page.start == start
        if not page.lines:
            break
        found += [line.text for line in page.lines]
        start = page.end
    assert found == [f"line {number}" for number in range(25)]
    assert start == (tmp_path / "log").stat().st_size


def test_a_line_is_shown_when_it_is_complete(tmp_path: Path) -> None:
    write_log(tmp_path, "one", rest="1700000000002\ttw")
    page = read_log(tmp_path, start=0, limit=10)
    assert [line.text for line in page.lines] == ["one"]
    with (tmp_path / "log").open("a") as log:
        log.write("o\n")
    assert [line.text for line in read_log(tmp_path, start=page.end, limit=10).lines] == ["two"]


def test_an_offset_within_a_line_counts_as_the_next_line(tmp_path: Path) -> None:
    write_log(tmp_path, "one", "two")
    assert [line.text for line in read_log(tmp_path, start=3, limit=10).lines] == ["two"]
    assert [line.text for line in read_log(tmp_path, start=-20, limit=10).lines] == ["two"]
    assert [line.text for line in read_log(tmp_path, start=-10_000, limit=10).lines] == ["one", "two"]
    assert read_log(tmp_path, start=10_000, limit=10).lines == []


def test_times_and_odd_characters_are_kept(tmp_path: Path) -> None:
    write_log(tmp_path, "tab\there", "line\u2028separator\x0b")
    first, second = read_log(tmp_path, start=0, limit=10).lines
    assert first.at.timestamp() == 1_700_000_000.0
    assert second.at.microsecond == 1000
    assert [first.text, second.text] == ["tab\there", "line\u2028separator\x0b"]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    page = read_log(tmp_path, start=0, limit=10)
    assert (page.lines, page.start, page.end) == ([], 0, 0)
    assert read_status(tmp_path) is None


def test_metrics_are_read_on_from_where_the_last_reading_ended(tmp_path: Path) -> None:
    reader = MetricsReader(tmp_path)
    assert reader.latest() == ()
    point = '{"name":"loss","value":%s,"at":"2026-01-01T00:00:00.5Z"}\n'
    path = tmp_path / "metrics.jsonl"
    path.write_text(point % "0.5" + point[:20])
    assert [value.value for value in reader.refresh()] == [0.5]
    path.write_text(point % "0.5" + point % "0.25")
    assert [value.value for value in reader.refresh()] == [0.5, 0.25]
    assert [value.value for value in reader.latest()] == [0.25]
