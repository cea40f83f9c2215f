"""Documents on the json wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.protocols import json
from towpath.kernel.errors import Invalid

documents = st.dictionaries(
    st.text(),
    st.recursive(
        st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
)  # fmt: skip


@given(documents)
def test_what_is_rendered_is_parsed_again(document: dict[str, object]) -> None:
    assert json.parse(json.render(document).body) == document


def test_members_that_are_null_are_left_out_at_every_depth() -> None:
    body = b'{"a": null, "b": {"c": null, "d": [null, {"e": null}]}, "f": "null"}'
    assert json.parse(body) == {"b": {"d": [None, {}]}, "f": "null"}


def test_an_operation_without_an_output_answers_without_a_body() -> None:
    assert json.render(None).body == b""


@pytest.mark.timeout(300)  # a second look at each byte would take hours
@pytest.mark.parametrize("hostile", [b'"' + b'\\"' * 500_000, b'{"a":"' + b"[" * 1_000_000, b'"[' * 500_000])
def test_the_depth_of_a_hostile_body_is_found_in_one_pass(hostile: bytes) -> None:
    with pytest.raises(Invalid):
        json.parse(hostile)
