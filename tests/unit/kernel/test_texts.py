"""JSON that comes as text inside of something else."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.texts import DEEPEST, Repeated, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_what_json_can_say_is_read_from_text_and_bytes(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text) == value
    assert read_json(text, unique=True) == value
    assert read_json(text.encode()) == value


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1, 990, 3000, 100_000])
def test_values_are_nested_as_deep_as_can_be_walked(brackets: str, levels: int) -> None:
    opening = "[" if brackets == "[]" else '{"a":'
    text = opening * levels + "1" + brackets[1] * levels
    if levels <= DEEPEST:
        assert json.dumps(read_json(text), separators=(",", ":")) == text
    else:
        with pytest.raises(ValueError, match=f"nested more than {DEEPEST} levels deep"):
            read_json(text)


def test_brackets_in_a_text_are_no_levels() -> None:
    text = '["' + '[{\\"' * 1000 + '"]'
    assert read_json(text) == ['[{"' * 1000]


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udc00": 1}', '["a", "\\ud800\\ud800"]'])
def test_half_of_a_surrogate_pair_cannot_be_stored_and_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is half of a surrogate pair"):
        read_json(text)
    assert read_json('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_what_is_no_number_is_taken_from_scripts_alone(text: str) -> None:
    with pytest.raises(ValueError, match="is not a JSON value"):
        read_json(text)
    assert read_json(text, not_a_number=True) is not None
    assert math.isnan(read_json("NaN", not_a_number=True))


@pytest.mark.parametrize("text", ["", "[", "{'a': 1}", "[1,]", b"\xff", "9" * 5000])
def test_what_is_no_json_says_why(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ufeff{}", "it begins with a byte order mark (U+FEFF); leave that out"),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark (U+FEFF); leave that out"),
        ("[1, " + "9" * 5000 + "]", "999999999999999999999999… has 5000 digits; at most 4300 are read"),
        ("-" + "9" * 4301, "-99999999999999999999999… has 4301 digits; at most 4300 are read"),
    ],
)
@pytest.mark.parametrize("not_a_number", [True, False])
def test_what_is_wrong_is_said_in_the_words_of_json(text: str | bytes, said: str, not_a_number: bool) -> None:
    with pytest.raises(ValueError) as error:
        read_json(text, not_a_number=not_a_number)
    assert str(error.value) == said
    assert read_json("9" * 4300) == int("9" * 4300)


@pytest.mark.parametrize("text", ["1e999", "[-1E+400]", "9" * 400 + ".5"])
def test_a_number_that_would_become_infinite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is larger than any number that can be kept"):
        read_json(text)
    assert read_json(text, not_a_number=True) is not None


@pytest.mark.parametrize("text", ["1e308", "1e-999", '"1e999"', "0.0e999", "9" * 400])
def test_numbers_that_only_look_large_are_kept(text: str) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "ways", "found"),
    [
        ('{"a": 1, "b": 2, "a": 3}', [("a",)], {"a": 3, "b": 2}),
        ('{"a": 1, "\\u0061": 1, "a": 1}', [("a",)], {"a": 1}),
        ('[{"a": [{}, {"b": 1, "b": 1}]}, {"c": {}, "c": {}}]', [(0, "a", 1, "b"), (1, "c")], None),
        ('{"a": {"b": 1, "b": 2}, "a": {"c": 1}}', [("a",)], {"a": {"c": 1}}),
        ('{"a": {"c": 1}, "a": {"b": 1, "b": 2}}', [("a",), ("a", "b")], {"a": {"b": 2}}),
    ],
)
def test_a_member_that_is_given_more_than_once_is_named_by_its_place(text: str, ways: Any, found: Any) -> None:
    with pytest.raises(Repeated, match=r"^\$.*[a-c]: this member is given more than once$") as caught:
        read_json(text, unique=True)
    assert list(caught.value.ways) == ways
    assert caught.value.found == read_json(text)
    assert found is None or read_json(text) == found


def test_of_very_many_repetitions_the_first_are_told() -> None:
    with pytest.raises(Repeated) as caught:
        read_json("{" + ", ".join(f'"a{number}": 1, "a{number}": 1' for number in range(100_000)) + "}", unique=True)
    assert caught.value.ways == tuple((f"a{number}",) for number in range(20))
