"""When another zygote takes the place of one."""

from typing import Any

import pytest

from towpath.runner.zygote import why_unfit

FIT: dict[str, Any] = {"forks": 999, "changed": "", "threads": (), "grown_bytes": 64 << 20}


def test_a_zygote_that_is_as_it_was_goes_on() -> None:
    assert why_unfit(**FIT) == ""


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"forks": 1000}, "it has forked 1000 runners"),
        ({"changed": "/site-packages"}, "/site-packages has changed"),
        ({"threads": ("worker",)}, "it has threads that a fork would lose: worker"),
        ({"grown_bytes": 65 << 20}, "it has grown by 65 MiB"),
    ],
)
def test_one_that_is_not_is_replaced(what: dict[str, Any], why: str) -> None:
    assert why_unfit(**{**FIT, **what}) == why
