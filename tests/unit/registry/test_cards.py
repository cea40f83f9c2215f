"""What is left of a card's content where only its metadata is asked for."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from towpath.registry.cards import metadata_of

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "model_overview": ANYTHING | st.fixed_dictionaries({"model_id": ANYTHING, "model_owner": ANYTHING}),
        "intended_uses": ANYTHING | st.fixed_dictionaries({"risk_rating": ANYTHING, "purpose_of_model": ANYTHING}),
        "business_details": ANYTHING,
    },
)


@given(SECTIONS)
def test_nothing_but_metadata_is_left_whatever_a_card_says(content: dict[str, Any]) -> None:
    left = metadata_of(json.dumps(content))
    assert set(left) <= {"model_overview", "intended_uses"}
    for section, known in left.items():
        assert set(known) <= {"model_id", "risk_rating"}
        assert all(content[section][name] == value for name, value in known.items())
