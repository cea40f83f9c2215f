"""JSONPath as far as batch transform knows it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.transform.jsonpath import PathError, compiled

ROW = [10, 11, 12, 13, 14, 15, 16]
RECORD = {"id": 7, "features": {"a": 1, "b": [2, 3]}, "SageMakerOutput": {"score": 0.5}, "an odd.name": "x"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 7),
        ("$['id']", RECORD, 7),
        ('$["an odd.name"]', RECORD, "x"),
        ("$.features.b[1]", RECORD, 3),
        ("$.features.*", RECORD, [1, [2, 3]]),
        ("$.features.b[*]", RECORD, [2, 3]),
        ("$['id','SageMakerOutput']", RECORD, {"id": 7, "SageMakerOutput": {"score": 0.5}}),
        ("$.features.['a','b']", RECORD, {"a": 1, "b": [2, 3]}),
        ("$[0]", ROW, 10),
        ("$[-1]", ROW, 16),
        ("$[1:]", ROW, ROW[1:]),
        ("$[:2]", ROW, ROW[:2]),
        ("$[1:-1]", ROW, ROW[1:-1]),
        ("$[0,5:]", ROW, [10, 15, 16]),
        ("$[ 0 , -1 ]", ROW, [10, 16]),
        ("$[2:].id", [{}, {}, {"id": 1}, {"id": 2}], [1, 2]),
        ("$[*].b[0]", [{"b": [1]}, {"b": [2]}], [1, 2]),
        ("$[9:]", ROW, []),
    ],
)
def test_a_path_selects(path: str, value: Any, expected: Any) -> None:
    assert compiled(path).select(value) == expected


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("$.label", RECORD, "$.label: there is no member 'label'; there are 'id', 'features',"),
        ("$['id','label']", RECORD, "no member 'label'"),
        ("$[7]", ROW, "$[7]: there is no item 7: the list has 7"),
        ("$[0,-8]", ROW, "no item -8"),
        ("$.id.x", RECORD, "no member 'x': this is a number"),
        ("$[0]", RECORD, "there are no items: this is an object"),
        ("$.id.*", RECORD, "nothing below: this is a number"),
    ],
)
def test_a_part_that_is_not_there_is_told_of(path: str, value: Any, words: str) -> None:
    with pytest.raises(PathError) as caught:
        compiled(path).select(value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["", "id", "$id", "$.", "$[", "$[]", "$[a]", "$[0", "$[0,]", "$..id", "$[?(@.id>1)]", "$.id()", "$['a'", "$['a',1]",
     "$.features['a','b'].c", "$[0:1:2]", "$ "],
)  # fmt: skip
def test_what_is_no_such_path_is_refused_when_it_is_read(path: str) -> None:
    with pytest.raises(PathError) as caught:
        compiled(path)
    assert repr(path) in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = compiled("$" + text)
    except PathError:
        return
    assert path.is_root == (text == "")


@given(st.lists(st.integers(), min_size=1, max_size=8), st.integers(-8, 7), st.integers(-9, 9))
def test_items_are_those_of_the_list(row: list[int], item: int, begin: int) -> None:
    assert compiled(f"$[{begin}:]").select(row) == row[begin:]
    if -len(row) <= item < len(row):
        assert compiled(f"$[{item}]").select(row) == row[item]
