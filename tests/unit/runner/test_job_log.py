"""The log of a job records values without ever being held up by how they are looked for, or by how many there are."""

import json
from pathlib import Path

import pytest

from towpath.compute.process.reading import MetricsReader, read_log
from towpath.runner import job_log
from towpath.runner.job_log import JobLog
from towpath.runner.redaction import Redactor


@pytest.fixture
def log(tmp_path: Path) -> JobLog:
    return JobLog(tmp_path, lambda line: line, Redactor(()), limit_bytes=1 << 20)


def test_an_expression_that_takes_for_ever_is_given_up_and_said_so(
    tmp_path: Path, log: JobLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_log, "SEARCH_S", 0.2)
    log.look_for([{"name": "slow", "regex": "(a+)+=([0-9.]+)"}, {"name": "loss", "regex": "loss=([0-9.]+)"}])
    log.feed(b"a" * 5000 + b"\nloss=0.5\n")
    log.feed(b"a" * 5000 + b"\nloss=0.25\n")
    log.flush()
    assert [(point.name, point.value) for point in MetricsReader(tmp_path).refresh()] == [("loss", 0.5), ("loss", 0.25)]
    told = [line.text for line in read_log(tmp_path, start=0, limit=100).lines if line.text.startswith("towpath:")]
    assert len(told) == 1
    assert "metric slow took longer" in told[0]


def test_of_very_many_values_the_last_of_each_metric_is_kept(
    tmp_path: Path, log: JobLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_log, "MOST_VALUES", 10)
    monkeypatch.setattr(job_log, "THINNED_S", 1000.0)
    log.look_for([{"name": name, "regex": f"{name}=([0-9.]+)"} for name in ("loss", "score")])
    for number in range(1000):
        log.feed(f"loss={number} score={number}.5\n".encode())
    log.flush()
    reader = MetricsReader(tmp_path)
    assert len(reader.refresh()) < 20
    assert {point.name: point.value for point in reader.latest()} == {"loss": 999.0, "score": 999.5}


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path, log: JobLog) -> None:
    log.feed(b"\xff\xfe\x00 and \xed\xa0\x80\n")
    (line,) = read_log(tmp_path, start=0, limit=10).lines
    json.dumps(line.text).encode("utf-8")
    assert "\N{REPLACEMENT CHARACTER}" in line.text
