"""A range is what slicing gives; what slicing cannot give is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.conditions import byte_range
from towpath.gateway.services.s3.model import S3Error

BOUND = st.none() | st.integers(0, 30)


@given(size=st.integers(0, 20), first=BOUND, last=BOUND)
def test_a_range_names_the_bytes_that_slicing_gives(size: int, first: int | None, last: int | None) -> None:
    content = bytes(range(size))
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = None if last is None else content[max(size - last, 0) :]
    elif last is None:
        expected = content[first:]
    else:
        expected = content[first : last + 1] if first <= last else None
    if expected is None:
        assert byte_range(header, size) is None
    elif expected == b"":
        with pytest.raises(S3Error) as refused:
            byte_range(header, size)
        assert refused.value.headers == {"content-range": f"bytes */{size}"}
    else:
        found = byte_range(header, size)
        assert found is not None
        assert content[found[0] : found[1]] == expected


@given(st.text(max_size=20), st.integers(0, 20))
def test_text_that_is_no_range_means_the_whole(text: str, size: int) -> None:
    assert byte_range(text.replace("=", ""), size) is None
    assert byte_range(None, size) is None
