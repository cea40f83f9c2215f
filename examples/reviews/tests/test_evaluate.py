"""Evaluation: the figures, and the way from a model archive to them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import evaluate
import train
from data import HERE


def test_the_figures_are_those_of_the_confusion_matrix() -> None:
    found = evaluate.evaluate([0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 2], ("negative", "neutral", "positive"))
    assert found["accuracy"] == pytest.approx(5 / 6, abs=1e-4)
    # F1 of the classes by hand: 1, 2/3 and 4/5.
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3 + 4 / 5) / 3, abs=1e-4)
    assert found["confusion_matrix"]["rows_true_columns_predicted"] == [[2, 0, 0], [0, 1, 1], [0, 0, 2]]
    assert found["report"]["neutral"]["recall"] == 0.5


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    found = evaluate.evaluate([0, 1, 2], [0, 0, 0], ("negative", "neutral", "positive"))
    assert found["report"]["positive"]["f1-score"] == 0


def test_a_model_archive_becomes_an_evaluation(splits: Path, tmp_path: Path) -> None:
    model, archive = tmp_path / "model", tmp_path / "archive"
    inputs = ["--train", str(splits / "train"), "--validation", str(splits / "validation"), "--start", str(HERE)]
    train.main(["--model", "baseline", *inputs, "--model-dir", str(model)])
    archive.mkdir()
    with tarfile.open(archive / "model.tar.gz", "w:gz") as tar:
        tar.add(model, arcname=".")
    target = tmp_path / "evaluation"
    evaluate.main(["--model", str(archive), "--test", str(splits / "test"), "--output", str(target)])
    document = json.loads((target / "evaluation.json").read_text())
    assert document["rows"] == 12
    assert document["accuracy"] > 0.8


def test_a_folder_without_an_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model\.tar\.gz"):
        evaluate.unpack(tmp_path, tmp_path / "target")


def test_a_python_without_filters_unpacks_an_archive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacks = tarfile.TarFile.extractall
    newer: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}

    def of_3_11_2(self: tarfile.TarFile, path: Path, members: None = None, *, numeric_owner: bool = False) -> None:
        unpacks(self, path, members, numeric_owner=numeric_owner, **newer)

    monkeypatch.setattr(tarfile.TarFile, "extractall", of_3_11_2)
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    packed(tmp_path, "about.json")
    evaluate.unpack(tmp_path, tmp_path / "target")
    assert (tmp_path / "target" / "about.json").read_text() == "packed"


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python has no filters of archives yet")
def test_a_member_that_leads_out_is_refused(tmp_path: Path) -> None:
    packed(tmp_path, "../outside")
    with pytest.raises(tarfile.FilterError):
        evaluate.unpack(tmp_path, tmp_path / "target")
    assert not (tmp_path / "outside").exists()


def packed(folder: Path, member: str) -> None:
    """Write a model archive that holds one file."""
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(b"packed")
        tar.addfile(info, io.BytesIO(b"packed"))
