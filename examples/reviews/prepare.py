"""Turns raw reviews into balanced train, validation and test splits. Runs as a processing job.

The sentiment is read from the stars: 1 and 2 are negative (-1), 3 is neutral (0), 4 and 5 are positive (1). The text is
the title and the review in one. Every class has the same number of rows in every split, so chance is one third.
"""

import argparse
import json
from pathlib import Path

import polars as pl

SENTIMENTS = (-1, 0, 1)


def read_reviews(folder: Path) -> pl.DataFrame:
    """Return the raw reviews of every Parquet file in a folder.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no Parquet file in {folder}")
    return pl.concat([pl.read_parquet(file, columns=["Title", "Review Text", "Rating"]) for file in files])


def label(reviews: pl.DataFrame) -> pl.DataFrame:
    """Return `text` and `sentiment` of the reviews that have a text, each text once.

    Duplicates are told by the review alone: the same review under two titles must not stand in train and in test.
    """
    review = pl.col("Review Text").str.strip_chars()
    title = pl.col("Title").str.strip_chars()
    stars = pl.col("Rating")
    return (
        reviews.with_columns(review=review, title=title)
        .filter(pl.col("review").str.len_chars() > 0)
        .unique("review", keep="first", maintain_order=True)
        .select(
            sentiment=pl.when(stars <= 2).then(-1).when(stars == 3).then(0).otherwise(1),
            text=pl.concat_str(
                [pl.col("title").replace("", None), pl.col("review")], separator=". ", ignore_nulls=True
            ),
        )
    )


def split(labelled: pl.DataFrame, sizes: dict[str, int], seed: int) -> dict[str, pl.DataFrame]:
    """Return one shuffled, balanced frame for each name in `sizes`, no row in two of them.

    Args:
        labelled: `text` and `sentiment`.
        sizes: rows wanted in each split, all classes together.
        seed: the same seed gives the same splits, and the splits named first do not depend on those named later.
    Raises:
        ValueError: a size is not a multiple of the number of classes, or a class has too few rows.
    """
    classes = len(SENTIMENTS)
    for name, size in sizes.items():
        if size <= 0 or size % classes:
            raise ValueError(f"{name}: {size} rows cannot be shared evenly among {classes} classes")
    wanted = sum(sizes.values()) // classes
    by_class = []
    for sentiment in SENTIMENTS:
        rows = labelled.filter(pl.col("sentiment") == sentiment).sample(fraction=1.0, shuffle=True, seed=seed)
        if rows.height < wanted:
            raise ValueError(f"sentiment {sentiment} has {rows.height} rows, {wanted} are needed for {sizes}")
        by_class.append(rows)
    frames, start = {}, 0
    for name, size in sizes.items():
        part = pl.concat([rows.slice(start, size // classes) for rows in by_class])
        frames[name] = part.sample(fraction=1.0, shuffle=True, seed=seed)
        start += size // classes
    return frames


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the settings from the command line."""
    root = Path("/opt/ml/processing")
    parser = argparse.ArgumentParser(description="Split raw reviews into balanced train, validation and test sets.")
    parser.add_argument("--input", type=Path, default=root / "input" / "raw")
    parser.add_argument("--output", type=Path, default=root / "output")
    parser.add_argument("--rows", type=int, default=3000, help="rows to train on")
    parser.add_argument("--validation-rows", type=int, default=360)
    parser.add_argument("--test-rows", type=int, default=1080)
    parser.add_argument("--seed", type=int, default=42)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write `<split>/<split>.csv` for each split, and `summary/summary.json`."""
    settings = parse(argv)
    reviews = read_reviews(settings.input)
    labelled = label(reviews)
    # Test and validation first: with another number of rows to train on, they stay the same.
    sizes = {"test": settings.test_rows, "validation": settings.validation_rows, "train": settings.rows}
    frames = split(labelled, sizes, settings.seed)
    for name, frame in frames.items():
        folder = settings.output / name
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_csv(folder / f"{name}.csv")
    summary = {
        "raw_rows": reviews.height,
        "usable_rows": labelled.height,
        "usable_by_sentiment": {str(s): labelled.filter(pl.col("sentiment") == s).height for s in SENTIMENTS},
        "rows": {name: frame.height for name, frame in frames.items()},
        "seed": settings.seed,
    }
    folder = settings.output / "summary"
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("summary.json").write_text(json.dumps(summary, indent=2))
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
