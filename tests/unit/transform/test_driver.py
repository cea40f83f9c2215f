"""The driver on files: what is written, what is left out, and what is told. The model answers in this process."""

import gzip
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.transform.channel import ANSWER, REFUSED, Frame
from towpath.transform.driver import Driver, Outcome
from towpath.transform.progress import Progress
from towpath.transform.settings import INPUT, OUTPUT, PARTIAL, Settings, Source, read


class Echo:
    """Implements `feeding.Model`: answers with what a function makes of a payload, and refuses what it raises over."""

    def __init__(self, function: Callable[[bytes], bytes]) -> None:
        self.function = function
        self.asked: list[bytes] = []
        self._answers: deque[Frame] = deque()

    def start(self) -> None:
        """It is there."""

    def end(self) -> str:
        raise AssertionError("it neither dies nor hangs")

    def answered(self) -> int:
        return len(self.asked) - len(self._answers)

    def send(self, frame: Frame) -> None:
        self.asked.append(frame.data)
        try:
            self._answers.append(Frame(ANSWER, self.function(frame.data)))
        except ValueError as error:
            self._answers.append(Frame(REFUSED, str(error).encode()))

    def receive(self, timeout_s: float | None) -> Frame | None:
        return self._answers.popleft()


class Job:
    """The folder of a job."""

    def __init__(self, base: Path, files: dict[str, bytes], **settings: Any) -> None:
        self.base = base
        for path, data in files.items():
            place = base / INPUT / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        sources = tuple(Source(path=path, uri=f"s3://data/{path}") for path in files)
        self.settings = Settings(sources=sources, **settings)
        self.said: list[str] = []

    def run(self, function: Callable[[bytes], bytes] = lambda body: body) -> Outcome:
        self.model = Echo(function)
        return Driver(self.base, self.settings, self.model, self.said.append).run()

    def written(self) -> dict[str, bytes]:
        assert list((self.base / PARTIAL).iterdir()) == []
        folder = self.base / OUTPUT
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    settings = Settings(sources=(Source(path="a", uri="s3://b/a"),), payload_bytes=None, concurrent=3, join=True)
    (tmp_path / "input/config").mkdir(parents=True)
    (tmp_path / "input/config/transform.json").write_text(settings.text())
    assert read(tmp_path) == settings


def test_each_file_has_its_answers_in_the_order_of_its_records(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a.csv": b"1\n2\n", "b/c.csv": b"3", "empty": b""}, split="Line", assemble="Line",
              batch="SingleRecord")  # fmt: skip
    assert job.run(lambda body: b"<" + body + b">").reason is None
    assert job.written() == {"a.csv.out": b"<1>\n<2>\n", "b/c.csv.out": b"<3>\n", "empty.out": b""}
    assert job.said[-1].startswith("Transformed 3 files: 3 records, ")


def test_records_are_put_together_and_files_are_not(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a": b"1\n2\n3\n", "b": b"4\n"}, split="Line", payload_bytes=3)
    assert job.run().reason is None
    assert job.model.asked == [b"1\n2", b"3", b"4"]


def test_a_file_that_is_not_split_is_asked_whole(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a": b"1\n2\n"})
    job.run()
    assert job.written() == {"a.out": b"1\n2\n"}


def test_files_are_unpacked_while_they_are_read(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a.gz": gzip.compress(b"1\n2\n") + gzip.compress(b"3\n")}, split="Line", compression="Gzip")
    assert job.run().reason is None
    assert job.written() == {"a.gz.out": b"1\n2\n3"}
    cut = Job(tmp_path / "cut", {"a.gz": gzip.compress(b"1\n" * 999)[:-9], "b.gz": b"no"}, compression="Gzip")
    assert [reason.partition(" as gzip")[0] for reason in cut.run().failures] == [
        "s3://data/a.gz: cannot be unpacked",
        "s3://data/b.gz: cannot be unpacked",
    ]


def number(body: bytes) -> bytes:
    """Return a number twice."""
    return b"%d" % (2 * int(body))


def test_a_record_that_fails_is_named_and_takes_its_file_with_it(tmp_path: Path) -> None:
    files = {"a": b"1\n2", "bad": b"1\n\nx\n" + b"4\n" * 500, "c": b"5\n"}
    job = Job(tmp_path, files, split="Line", assemble="Line", batch="SingleRecord")
    outcome = job.run(number)
    assert outcome.reason == (
        "s3://data/bad line 3: invalid literal for int() with base 10: b'x' "
        "(1 of 3 files failed; the other 2 have their output)"
    )
    assert job.written() == {"a.out": b"2\n4\n", "c.out": b"10\n"}
    assert len(job.model.asked) < 500, "the rest of a file that has failed is not asked"
    assert job.said[0] == "s3://data/bad line 3: invalid literal for int() with base 10: b'x'"


def numbers(body: bytes) -> bytes:
    """Return each number twice."""
    return b"\n".join(map(number, body.split(b"\n")))


@pytest.mark.parametrize(
    ("lines", "line"),
    [(b"1\n2\nx\n4\ny\n", 3), (b"x\n2", 1), (b"\n1\n\n2\nx", 5), (b"1\n" * 999 + b"x\n" + b"1\n" * 500, 1000)],
)
def test_the_record_of_a_payload_of_several_that_fails_is_found(tmp_path: Path, lines: bytes, line: int) -> None:
    job = Job(tmp_path, {"a": lines, "b": b"5\n6"}, split="Line", payload_bytes=900)
    outcome = job.run(numbers)
    assert outcome.failures == (f"s3://data/a line {line}: invalid literal for int() with base 10: b'x'",)
    assert job.said[-2] == f"{outcome.failures[0]}; found by asking for less at a time"
    assert job.written() == {"b.out": b"10\n12"}


def test_records_that_fail_only_together_are_named_by_their_lines(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a": b"1\n2\n\n3"}, split="Line")
    assert job.run(number).reason == "s3://data/a lines 2 to 4: invalid literal for int() with base 10: b'2\\n3'"
    whole = Job(tmp_path / "two", {"a": b"1\n2"}, split="Line")
    assert whole.run(number).reason == "s3://data/a lines 1 to 2: invalid literal for int() with base 10: b'1\\n2'"
    assert whole.said[-2] == "s3://data/a lines 1 to 2: no half of these records fails by itself"


def test_a_file_that_is_not_split_is_named(tmp_path: Path) -> None:
    assert Job(tmp_path / "whole", {"a": b"x", "b": b"y"}).run(number).reason == (
        "s3://data/a: invalid literal for int() with base 10: b'x' (2 of 2 files failed; none has output)"
    )


def test_a_record_that_is_too_large_or_cannot_be_filtered_fails_without_the_model(tmp_path: Path) -> None:
    large = Job(tmp_path, {"a": b"1\n22222\n3"}, split="Line", payload_bytes=4)
    assert large.run().reason == "s3://data/a line 2: the record is larger than MaxPayloadInMB allows, which is 4 bytes"
    short = Job(tmp_path / "short", {"a": b"1,2\n3\n"}, split="Line", content_type="text/csv", input_filter="$[1]")
    assert short.run().reason == "s3://data/a line 2: InputFilter: $[1]: there is no item 1: the list has 1"
    assert short.model.asked == []


def test_an_output_that_has_no_place_fails_its_file_alone(tmp_path: Path) -> None:
    long = "x" * 254
    outcome = Job(tmp_path, {"a.out/b": b"1", "a": b"2", long: b"3", "c": b"4"}).run()
    assert [reason.partition(" cannot be kept")[0] for reason in outcome.failures] == [
        "s3://data/a: its output 'a.out'",
        f"s3://data/{long}: its output '{long}.out'",
    ]
    assert sorted(path.name for path in (tmp_path / OUTPUT).rglob("*") if path.is_file()) == ["b.out", "c.out"]


def test_answers_are_joined_with_their_records(tmp_path: Path) -> None:
    job = Job(tmp_path, {"a": b"7,1\n8,2\n"}, split="Line", content_type="text/csv", input_filter="$[1:]", join=True,
              output_filter="$[0,-1]")  # fmt: skip
    assert job.run(lambda body: b"\n".join(number(row) for row in body.split(b"\n"))).reason is None
    assert (job.model.asked, job.written()) == ([b"1\n2"], {"a.out": b"7,2\n8,4\n"})
    wrong = Job(tmp_path / "wrong", {"a": b"1\n2\n"}, split="Line", content_type="text/csv", join=True)
    reason = wrong.run(lambda body: b"1").reason
    assert (
        reason == "s3://data/a lines 1 to 2: DataProcessing of the answer: 1 rows for 2 records; expected one for each"
    )


@pytest.mark.parametrize(("failed", "words"), [(0, "2 files: 5 records"), (1, "2 files, 1 of them failed: 5 records")])
def test_progress_is_told_now_and_then(failed: int, words: str) -> None:
    now = 0.0
    said: list[str] = []
    progress = Progress(said.append, files=2, size=100, clock=lambda: now)
    progress.answered(1, 10)
    now = 10.0
    progress.answered(1, 20)
    progress.answered(1, 30)
    progress.ended(40)
    now = 20.0
    progress.answered(2, 30)
    progress.over(failed)
    assert said == ["20%: 0 of 2 files, 2 records, 0 a second", "70%: 1 of 2 files, 5 records, 0 a second",
                    f"Transformed {words}, 0 a second in 20.0 s"]  # fmt: skip
