"""What the smoke test asks, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

import inference
import smoke


def answered(meant: str, label: str = "positive", **answer: Any) -> dict[str, Any]:
    """Return a question with its answer, as the platform joins them."""
    shares = {name: float(name == label) for name in inference.LABELS}
    return {"meant": meant, "text": "…", smoke.ANSWER: {"label": label, "probabilities": shares, **answer}}


def test_every_sample_is_asked_as_a_record_that_the_model_reads(tmp_path: Path) -> None:
    smoke.main(["ask", "--questions", str(tmp_path / "questions")])
    records = [json.loads(line) for line in (tmp_path / "questions" / "questions.jsonl").read_text().splitlines()]
    assert {record["meant"] for record in records} == set(inference.LABELS)
    for record in records:
        asked = inference.input_fn(json.dumps(record), "application/json")
        assert (asked.texts, asked.single) == ([record["text"]], True)


def test_labels_are_those_of_the_model() -> None:
    assert set(inference.LABELS) == smoke.LABELS


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([], "asked nothing"),
        ([answered("negative", "positive")], "negative was meant, positive is the answer"),
        ([answered("positive", "glad")], "has no label"),
        ([{"meant": "positive", "text": "…", smoke.ANSWER: {"predictions": []}}], "has no label"),
        ([{"meant": "positive", "text": "…", smoke.ANSWER: "positive"}], "has no label"),
        ([{"meant": "positive", "text": "…"}], "has no label"),
        ([answered("positive", probabilities={"positive": 0.2})], "do not add up to 1"),
        ([answered("positive", probabilities=[1])], "do not add up to 1"),
    ],
)
def test_what_must_not_serve_is_refused_with_the_reason(
    answers: list[dict[str, Any]], fault: str, tmp_path: Path
) -> None:
    (tmp_path / "questions.jsonl.out").write_text("".join(json.dumps(each) + "\n" for each in answers))
    message = tmp_path / "output" / "message"
    assert smoke.main(["check", "--answers", str(tmp_path), "--message", str(message)]) == 1
    assert fault in message.read_text()


def test_what_is_neutral_is_a_matter_of_taste(tmp_path: Path) -> None:
    good = [answered("neutral"), answered("positive"), answered("negative", "negative")]
    (tmp_path / "questions.jsonl.out").write_text("".join(json.dumps(each) + "\n" for each in good))
    message = tmp_path / "message"
    assert smoke.main(["check", "--answers", str(tmp_path), "--message", str(message)]) == 0
    assert not message.exists()
