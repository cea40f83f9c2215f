"""Narrowing: the first record that fails by itself, and how little is asked to find it."""

from hypothesis import given
from hypothesis import strategies as st

from towpath.transform.narrowing import narrowed


@given(st.lists(st.booleans(), min_size=2, max_size=200).filter(any))
def test_the_first_record_that_fails_is_found_at_the_price_of_two_payloads(bad: list[bool]) -> None:
    records = [b"x" if each else b"1" for each in bad]
    asked: list[int] = []

    def fails(body: bytes) -> bool:
        asked.append(body.count(b"\n") + 1)
        return b"x" in body

    begin, end = narrowed(records, fails)
    assert (begin, end) == (bad.index(True), bad.index(True) + 1)
    assert sum(asked) <= 2 * len(records)


@given(st.integers(2, 100), st.integers(2, 100))
def test_records_that_fail_only_together_stay_together(count: int, together: int) -> None:
    begin, end = narrowed([b"1"] * count, lambda body: body.count(b"\n") + 1 >= together)
    assert end - begin >= min(together, count)
