"""Tags come through the header and the document as they were, and what is none is refused."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.model import S3Error
from towpath.gateway.services.s3.tagging import checked, tags_of_header

TEXT = st.text(st.characters(categories=["L", "N", "Zs"], include_characters="+-=._:/@"), max_size=20)


@given(
    tags=st.dictionaries(TEXT.filter(lambda key: key and not key.lower().startswith("aws:")), TEXT, max_size=10),
)
def test_whatever_tags_a_client_writes_into_the_header_are_read_back(tags: dict[str, str]) -> None:
    assert tags_of_header({"x-amz-tagging": urlencode(tags)}) == tags
    assert checked(tags.items()) == tags


@given(st.text(max_size=60))
def test_any_header_gives_tags_or_an_error_of_s3(header: str) -> None:
    try:
        tags = tags_of_header({"x-amz-tagging": header})
    except S3Error as error:
        assert error.code in {"InvalidArgument", "InvalidTag", "BadRequest"}
    else:
        assert len(tags) <= 10


@pytest.mark.parametrize(
    ("pairs", "code", "told"),
    [
        ([("a", "1"), ("a", "2")], "InvalidTag", "there twice"),
        ([("AWS:a", "1")], "InvalidTag", "AWS's own"),
        ([("a", "1\n")], "InvalidTag", "the tag 'a' is not possible"),
        ([(f"k{number}", "") for number in range(11)], "BadRequest", "11 tags"),
    ],
)
def test_a_refusal_says_what_was_wrong(pairs: list[tuple[str, str]], code: str, told: str) -> None:
    with pytest.raises(S3Error, match=told) as caught:
        checked(pairs)
    assert caught.value.code == code
