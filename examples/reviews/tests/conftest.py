"""Lets the tests import the project's scripts, and gives them a small set of reviews."""

import sys
from pathlib import Path

import polars as pl
import pytest

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

BAD = ["awful fabric, fell apart", "terrible fit, returned it", "cheap and scratchy, awful", "poor quality, returned"]
FAIR = ["okay but boxy", "nice color, thin material", "it is okay, not sure", "fits okay, thin though"]
GOOD = ["love this dress", "perfect fit, love it", "so comfortable, perfect", "beautiful, great quality"]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks, so that a copy of this folder needs no settings for them."""
    config.addinivalue_line("markers", "slow: takes more than a second, or fetches the real reviews")
    config.addinivalue_line("markers", "text: needs torch and transformers")


@pytest.fixture
def raw() -> pl.DataFrame:
    """Return reviews in the shape of the raw file: 24 of each of five star ratings, all texts different."""
    by_stars = {1: BAD, 2: BAD, 3: FAIR, 4: GOOD, 5: GOOD}
    rows = [
        {"Title": f"{stars} stars", "Review Text": f"{texts[i % 4]} (order {stars}{i:02})", "Rating": stars, "Age": 40}
        for stars, texts in by_stars.items()
        for i in range(24)
    ]
    return pl.DataFrame(rows)


@pytest.fixture
def splits(raw: pl.DataFrame, tmp_path: Path) -> Path:
    """Return a folder with the prepared splits of the small set."""
    import prepare

    source = tmp_path / "raw"
    source.mkdir()
    raw.write_parquet(source / "reviews.parquet")
    target = tmp_path / "prepared"
    sizes = ["--rows", "36", "--validation-rows", "12", "--test-rows", "12"]
    prepare.main(["--input", str(source), "--output", str(target), *sizes])
    return target
