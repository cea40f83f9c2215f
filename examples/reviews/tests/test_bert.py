"""Fine-tuning on a few of the real reviews, from the real weights: that all parts fit, not how good the model gets."""

import re
from pathlib import Path

import pytest

import data
import inference
import prepare
import train

pytestmark = pytest.mark.text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder and, beside it, the splits that it was trained on."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package)
    folders = data.datasets("bert")
    folder = tmp_path_factory.mktemp("bert")
    sizes = ["--rows", "192", "--validation-rows", "48", "--test-rows", "48"]
    prepare.main(["--input", str(folders["reviews"]), "--output", str(folder), *sizes])
    train.main(arguments(folder, folders["starting-points"] / "bert", folder / "model"))
    return folder


def arguments(folder: Path, start: Path, model: Path) -> list[str]:
    splits = ["--train", str(folder / "train"), "--validation", str(folder / "validation")]
    return ["--model", "bert", "--epochs", "1", *splits, "--start", str(start), "--model-dir", str(model)]


def test_a_fine_tuned_model_answers_and_probabilities_sum_to_one(trained: Path) -> None:
    classifier = inference.model_fn(str(trained / "model"))
    rows = classifier.probabilities(["love it", "awful, returned it " * 100, ""])
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in rows)


def test_an_answer_does_not_depend_on_the_texts_that_share_its_batch(trained: Path) -> None:
    classifier = inference.model_fn(str(trained / "model"))
    alone = classifier.probabilities(["too boxy for me"])
    among = classifier.probabilities(["a much longer review " * 12, "too boxy for me", "ok"])
    assert among[1] == pytest.approx(alone[0], abs=1e-4)


def test_the_lowest_layers_keep_their_weights_and_the_others_learn(trained: Path) -> None:
    from safetensors.torch import load_file

    before = load_file(data.STORE / "starting-points" / "bert" / "model.safetensors")
    after = load_file(trained / "model" / "model.safetensors")
    frozen = "embeddings.word_embeddings.weight", "encoder.layer.2.output.dense.weight"
    learning = "encoder.layer.3.output.dense.weight", "pooler.dense.weight"
    assert all(before[name].equal(after[f"bert.{name}"]) for name in frozen)
    assert not any(before[name].equal(after[f"bert.{name}"]) for name in learning)


def test_training_prints_what_the_pipeline_reads(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("torch", "transformers"):
        pytest.importorskip(package)
    folders = data.datasets("bert")
    capsys.readouterr()
    train.main(arguments(trained, folders["starting-points"] / "bert", trained / "again"))
    printed = capsys.readouterr().out
    assert re.search(r"train:loss=[0-9.]+", printed)
    assert re.search(r"validation:accuracy=[0-9.]+ validation:f1=[0-9.]+", printed)


def test_the_same_seed_gives_the_same_model(trained: Path) -> None:
    from safetensors.torch import load_file

    for package in ("torch", "transformers"):
        pytest.importorskip(package)
    folders = data.datasets("bert")
    train.main(arguments(trained, folders["starting-points"] / "bert", trained / "repeated"))
    first, second = (load_file(trained / name / "model.safetensors") for name in ("model", "repeated"))
    assert all(first[name].equal(second[name]) for name in first)
