"""Preparation: labels, duplicates, balance."""

import json
from pathlib import Path

import polars as pl
import pytest

import prepare


def test_stars_become_three_sentiments(raw: pl.DataFrame) -> None:
    labelled = prepare.label(raw)
    assert dict(labelled.group_by("sentiment").len().iter_rows()) == {-1: 48, 0: 24, 1: 48}


def test_title_and_review_are_one_text_and_a_missing_title_leaves_no_mark() -> None:
    reviews = pl.DataFrame(
        {"Title": ["Pretty", None, " "], "Review Text": ["Fits well ", "Too large", "Lovely"], "Rating": [5, 2, 4]}
    )
    assert prepare.label(reviews)["text"].to_list() == ["Pretty. Fits well", "Too large", "Lovely"]


def test_reviews_without_text_and_repeated_reviews_are_dropped() -> None:
    reviews = pl.DataFrame(
        {
            "Title": ["A", "B", "C", "D"],
            "Review Text": ["Same words", None, "  ", "Same words"],
            "Rating": [5, 5, 5, 1],
        }
    )
    assert prepare.label(reviews)["text"].to_list() == ["A. Same words"]


def test_splits_are_balanced_and_share_no_text(raw: pl.DataFrame) -> None:
    sizes = {"test": 12, "validation": 9, "train": 36}
    frames = prepare.split(prepare.label(raw), sizes, seed=1)
    texts = [text for frame in frames.values() for text in frame["text"]]
    assert len(texts) == len(set(texts)) == sum(sizes.values())
    for name, frame in frames.items():
        assert set(frame.group_by("sentiment").len()["len"]) == {sizes[name] // 3}


def test_the_same_seed_gives_the_same_splits_and_another_seed_others(raw: pl.DataFrame) -> None:
    labelled = prepare.label(raw)
    first, again, other = (prepare.split(labelled, {"test": 12}, seed)["test"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_more_rows_to_train_on_leave_the_test_split_as_it_is(raw: pl.DataFrame) -> None:
    labelled = prepare.label(raw)
    few = prepare.split(labelled, {"test": 12, "train": 12}, seed=1)
    many = prepare.split(labelled, {"test": 12, "train": 48}, seed=1)
    assert few["test"].equals(many["test"])


@pytest.mark.parametrize(("size", "message"), [(10, "evenly"), (0, "evenly"), (300, "100 are needed")])
def test_sizes_that_cannot_be_balanced_are_refused(raw: pl.DataFrame, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare.split(prepare.label(raw), {"train": size}, seed=1)


def test_an_empty_input_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no Parquet file"):
        prepare.read_reviews(tmp_path)


def test_the_job_writes_one_csv_a_split_and_a_summary(splits: Path) -> None:
    assert pl.read_csv(splits / "train" / "train.csv").columns == ["sentiment", "text"]
    summary = json.loads((splits / "summary" / "summary.json").read_text())
    assert summary["rows"] == {"test": 12, "validation": 12, "train": 36}
    assert summary["raw_rows"] == 120
