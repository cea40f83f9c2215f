"""Tokens of lists, and pages of those that are at hand whole."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel import paging
from towpath.kernel.errors import Invalid


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_pages_together_are_the_list(items: list[int], count: int) -> None:
    token, together = None, []
    while True:
        page, token = paging.oldest_first(items, token, count)
        assert len(page) <= count
        together += page
        if token is None:
            break
    assert together == items


@given(st.lists(st.integers()), st.integers(1, 5), st.lists(st.integers(), max_size=3))
def test_what_is_appended_meanwhile_moves_no_page(items: list[int], count: int, appended: list[int]) -> None:
    page, token = paging.newest_first(items, None, count)
    together = list(page)
    while token is not None:
        items = items + appended
        page, token = paging.newest_first(items, token, count)
        together += page
    assert together == (items[: len(together)])[::-1]


@pytest.mark.parametrize("token", ["", "0", "-1", "3", "99999999999", "1.5", "x", "²"])
def test_a_token_that_no_page_gave_is_refused(token: str) -> None:
    for pages in (paging.oldest_first, paging.newest_first):
        with pytest.raises(Invalid, match="begin anew without it"):
            pages([1, 2, 3], token, 1)


def test_a_page_has_a_hundred_items_at_the_most() -> None:
    assert [paging.size(asked) for asked in ({}, {"MaxResults": 7}, {"MaxResults": 1000})] == [100, 7, 100]


@given(
    st.lists(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )
)
def test_a_token_says_the_values_that_it_was_made_of(values: list[paging.Plain]) -> None:
    assert list(paging.values_of(paging.token_of(values), len(values))) == values


@pytest.mark.parametrize(
    "text",
    ['[{"a": 1}, 5]', "[[1], 1]", "[1, 99999999999999999999]", "[" * 3000, "{}", "[1]", "[1, 2, 3]", "[1, 1e400]", "7"],
)
def test_a_token_that_somebody_made_up_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not one that this server gave out"):
        paging.values_of(base64.urlsafe_b64encode(text.encode()).decode(), 2)


@pytest.mark.parametrize("token", ["", "nonsense", "ü", "bm90IG91cnM="])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="is not one that this server gave out"):
        paging.values_of(token, 2)
