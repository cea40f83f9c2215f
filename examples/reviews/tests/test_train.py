"""Training: the baseline, what it leaves behind, and the parts that fine-tuning shares with nothing else."""

import json
import random
import re
from pathlib import Path

import pytest

import inference
import train
from data import HERE


@pytest.fixture
def trained(splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """Return the model folder of a baseline that was trained on the small set, and what the training printed."""
    folder = tmp_path / "model"
    inputs = ["--train", str(splits / "train"), "--validation", str(splits / "validation"), "--start", str(HERE)]
    capsys.readouterr()
    train.main(["--model", "baseline", *inputs, "--model-dir", str(folder)])
    return folder, capsys.readouterr().out


@pytest.fixture
def model(trained: tuple[Path, str]) -> Path:
    """Return the model folder alone."""
    return trained[0]


def test_the_baseline_learns_and_prints_what_the_pipeline_reads(trained: tuple[Path, str]) -> None:
    scores = re.search(r"validation:accuracy=([0-9.]+) validation:f1=([0-9.]+)", trained[1])
    assert scores is not None
    assert float(scores[1]) > 0.8
    assert re.search(r"train:loss=[0-9.]+", trained[1])


def test_the_model_folder_holds_the_code_that_serves_it(model: Path) -> None:
    assert (model / "code" / "inference.py").read_text() == (HERE / "inference.py").read_text()
    assert json.loads((model / "about.json").read_text())["labels"] == list(inference.LABELS)


def test_a_trained_baseline_answers(model: Path) -> None:
    classifier = inference.model_fn(str(model))
    answers = inference.predict_fn(
        inference.Texts(["awful, returned it", "love it, perfect"], single=False), classifier
    )
    assert isinstance(answers, list)
    assert [answer["label"] for answer in answers] == ["negative", "positive"]


def test_a_channel_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no CSV file"):
        train.read_split(tmp_path)


def test_every_example_is_in_one_batch_and_batches_hold_like_lengths() -> None:
    lengths = [random.Random(i).randrange(5, 64) for i in range(500)]
    made = list(train.batches(lengths, random.Random(1)))
    assert sorted(i for batch in made for i in batch) == list(range(500))
    padding = sum(max(lengths[i] for i in batch) - lengths[j] for batch in made for j in batch)
    assert padding < 0.1 * sum(lengths)


def test_batches_differ_from_epoch_to_epoch() -> None:
    order = random.Random(1)
    assert list(train.batches([10] * 200, order)) != list(train.batches([10] * 200, order))


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    shares = [train.learning_rate_share(step, 100) for step in range(101)]
    assert shares[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[100] == 0
