"""Durations as CacheConfig writes them."""

from datetime import timedelta

import pytest

from towpath.kernel.errors import Invalid
from towpath.pipelines.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT1H", timedelta(hours=1)),
        ("p1y2m3w4d", timedelta(days=365 + 60 + 21 + 4)),
        ("P1DT2M0.5S", timedelta(days=1, minutes=2, seconds=0.5)),
    ],
)
def test_a_duration_has_a_length(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "-P1D", "P1.5D", "1H", "P1H", "P\u0663D", "PT1\u0660S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not an ISO 8601 duration"):
        parse_duration(text)


def test_a_duration_that_nobody_can_count_is_refused() -> None:
    with pytest.raises(Invalid, match="is longer than can be counted"):
        parse_duration("P9999999999Y")
