"""Documents survive the way to XML and back; hostile documents are refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.protocols.rest_xml import from_xml, to_xml
from towpath.kernel.errors import Invalid

NAMES = st.text("abcXYZ", min_size=1, max_size=4).filter(lambda name: name != "Items")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)


@given(
    st.dictionaries(NAMES, TEXTS | st.dictionaries(NAMES, TEXTS, min_size=1), max_size=5),
    st.lists(TEXTS, min_size=1),
)
def test_a_document_comes_back_as_it_went(document: dict[str, object], items: list[str]) -> None:
    whole = {**document, "Items": items}
    assert from_xml(to_xml("Root", whole, namespace="urn:x"), root="Root", lists=frozenset({"Items"})) == whole


def test_values_take_the_form_of_the_protocol() -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 789_999, tzinfo=UTC)
    xml = to_xml("R", {"Yes": True, "No": False, "None": None, "At": at, "Number": 7, "Many": []})
    assert b"<R><Yes>true</Yes><No>false</No><At>2026-02-03T04:05:06.789Z</At><Number>7</Number></R>" in xml


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<Root>",
        b"<Other/>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><Root>&x;</Root>',
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><Root>&x;</Root>'.encode("utf-16"),
        b"\xff\xfe<",
    ],
)
def test_what_is_not_the_document_wanted_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        from_xml(body, root="Root")
    assert refused.value.code == "MalformedXML"
