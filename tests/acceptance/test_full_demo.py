"""The demo with the BERT-family model, from a fresh clone with nothing done before."""

import json
import re
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine, make

from towpath.home import HomeFolder

pytestmark = [pytest.mark.text, pytest.mark.timeout(2400)]


def test_reviews_become_a_fine_tuned_model_that_answers(clone: Path) -> None:
    told = make(clone, "demo", CI="true")
    measured = re.search(r"^accuracy: (0\.\d+)$", told, re.M)
    assert measured is not None
    assert float(measured[1]) >= 0.60, "MinAccuracy"
    assert re.search(r"^macro-F1: 0\.\d+$", told, re.M)
    assert re.search(r"^Train +Executing .*train:loss", told, re.M), "progress shows the last metric"
    assert "reviews/1 is Approved, by admin" in told
    assert "reviews is InService with reviews/1" in told
    answers = [json.loads(line) for line in told.splitlines() if line.strip().startswith('{"label"')]
    assert [answer["label"] for answer in answers] == ["negative", "neutral", "positive"]
    assert "model bert" in told
    assert "dataset starting-points/1, bert/" in told, "the lineage names the pretrained weights"
    assert Machine(HomeFolder(clone / ".towpath")).processes() == []
